"""Job.

Source: kube-apiserver v1.36.2, pkg/registry/batch/job/strategy.go, pkg/apis/batch/v1/defaults.go,
pkg/apis/batch/validation/validation.go.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager

from services.apiserver.errors import Cause
from services.apiserver.kinds.jobspec import (
    INDEXED,
    NON_INDEXED,
    default_failure_policy,
    validate_job_spec,
    warnings_for_job_spec,
)
from services.apiserver.kinds.jobstatus import is_true, validate_status_update
from services.apiserver.kinds.podowners import (
    PodOwnerStrategy,
    fill,
    has_odd_name,
    immutable,
    matches,
    name_warning,
)
from services.apiserver.registry.strategy import (
    GarbageCollection,
    Object,
    StatusSubresource,
    UpdateSubresource,
    WriteContext,
    keep,
)
from services.apiserver.validation import field
from services.apiserver.validation.metadata import (
    validate_label_selector,
    validate_metadata_create,
)
from services.apiserver.validation.names import dns1123_label, dns1123_subdomain

NAME_LABELS = ("job-name", "batch.kubernetes.io/job-name")
UID_LABELS = ("controller-uid", "batch.kubernetes.io/controller-uid")
_BACKOFF_LIMIT = 6
_MAX_INT32 = 2**31 - 1
_SCHEDULING = ("nodeSelector", "tolerations", "schedulingGates")


class JobStrategy(PodOwnerStrategy):
    default_garbage_collection: GarbageCollection = "orphan"

    def default(self, obj: Object) -> None:
        super().default(obj)
        spec = obj["spec"]
        if "parallelism" not in spec:
            spec["parallelism"] = 1
            spec.setdefault("completions", 1)
        per_index = "backoffLimitPerIndex" in spec
        replacement = "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed"
        fill(
            spec,
            (
                ("backoffLimit", _MAX_INT32 if per_index else _BACKOFF_LIMIT),
                ("completionMode", NON_INDEXED),
                ("suspend", False),
                ("manualSelector", False),
                ("podReplacementPolicy", replacement),
            ),
        )
        default_failure_policy(spec)
        labels = spec["template"]["metadata"].get("labels")
        if labels and not obj["metadata"].get("labels"):
            # One dict on purpose: labels that are generated for the template become the Job's.
            obj["metadata"]["labels"] = labels

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        if not obj["spec"].get("manualSelector"):
            _generate_selector(obj)
        labels = obj["metadata"].get("labels")
        if labels is not None:
            obj["metadata"]["labels"] = dict(labels)
        super().prepare_for_create(ctx, obj)

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return list(_validate_job(obj))

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        spec, before = obj["spec"], old["spec"]
        if obj["metadata"] == old["metadata"] and spec == before:
            return []
        causes = validate_metadata_create(obj, namespaced=True, validate_name=dns1123_subdomain)
        if spec == before:
            return causes
        # The whole spec is checked twice, so what is wrong with it shows twice.
        causes += _validate_job(obj, old)
        causes += _validate_spec(spec, with_template=spec["template"] != before["template"])
        causes += _completions_update(spec, before)
        causes += immutable(spec, before, "selector")
        causes += _template_update(spec, old)
        for name in (
            "completionMode",
            "podFailurePolicy",
            "backoffLimitPerIndex",
            "managedBy",
            "successPolicy",
        ):
            causes += immutable(spec, before, name)
        return causes

    def allocate(
        self, ctx: WriteContext, obj: Object, old: Object | None
    ) -> AbstractAsyncContextManager[None]:
        # Defaulting when the stored Job is read gives it the labels of its template, which
        # validation has not seen as the Job's own.
        labels = obj["spec"]["template"]["metadata"].get("labels")
        if labels and not obj["metadata"].get("labels"):
            obj["metadata"]["labels"] = dict(labels)
        return super().allocate(ctx, obj, old)

    def warn_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        found = [name_warning(obj)] if has_odd_name(obj) else []
        return [*found, *warnings_for_job_spec(obj["spec"], "spec")]

    def warn_on_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[str]:
        if obj["metadata"].get("generation") == old["metadata"].get("generation"):
            return []
        return list(warnings_for_job_spec(obj["spec"], "spec"))

    def warn_on_delete(self, ctx: WriteContext, obj: Object, propagation: str | None) -> list[str]:
        if propagation is not None:
            return []
        return [
            "child pods are preserved by default when jobs are deleted; set"
            " propagationPolicy=Background to remove them or set propagationPolicy=Orphan to"
            " suppress this warning"
        ]

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {"status": JobStatus(self)}


class JobStatus(StatusSubresource):
    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return list(validate_status_update(obj, old))


def _generate_selector(obj: Object) -> None:
    """Make the Job select its own pods by its uid. Labels that are there already stay; if they
    are wrong, validation refuses them."""
    meta, spec = obj["metadata"], obj["spec"]
    labels = spec["template"]["metadata"].setdefault("labels", {})
    for name in NAME_LABELS:
        labels.setdefault(name, meta.get("name", ""))
    for name in UID_LABELS:
        labels.setdefault(name, meta["uid"])
    selected = spec.setdefault("selector", {}).setdefault("matchLabels", {})
    selected.setdefault(UID_LABELS[1], meta["uid"])


def _validate_job(obj: Object, old: Object | None = None) -> Iterator[Cause]:
    meta, spec = obj["metadata"], obj["spec"]
    yield from _generated_selector(obj, old)
    yield from _validate_spec(
        spec, with_template=old is None or spec["template"] != old["spec"]["template"]
    )
    completions = spec.get("completions", 0)
    if spec.get("completionMode") == INDEXED and completions > 0:
        longest = f"{meta.get('name', '')}-{completions - 1}"
        if dns1123_label(longest):
            yield field.invalid(
                "metadata.name",
                meta.get("name", ""),
                f"will not able to create pod with invalid DNS label: {longest}",
            )


def _generated_selector(obj: Object, old: Object | None) -> Iterator[Cause]:
    meta, spec = obj["metadata"], obj["spec"]
    selector = spec.get("selector")
    if spec.get("manualSelector") or selector is None:
        return
    labels = spec["template"]["metadata"].get("labels", {})
    expected = dict.fromkeys(UID_LABELS[:1], meta["uid"])
    expected |= dict.fromkeys(NAME_LABELS[:1], meta["name"])
    before = labels if old is None else old["spec"]["template"]["metadata"].get("labels", {})
    # Jobs from before these labels do not have them.
    if old is None or (NAME_LABELS[1] in before and UID_LABELS[1] in before):
        expected |= {UID_LABELS[1]: meta["uid"], NAME_LABELS[1]: meta["name"]}
    for name, value in expected.items():
        path = f"spec.template.metadata.labels[{name}]"
        if name not in labels:
            yield field.required(path, f"must be '{value}'")
        elif labels[name] != value:
            yield field.invalid(path, labels, f"must be '{value}'")
    if not validate_label_selector(selector, "") and not matches(selector, expected):
        yield field.invalid("spec.selector", selector, "`selector` not auto-generated")


def _validate_spec(spec: Object, *, with_template: bool) -> Iterator[Cause]:
    yield from validate_job_spec(spec, "spec", with_template=with_template)
    selector = spec.get("selector")
    errors = validate_label_selector(selector, "spec.selector")
    if selector is None:
        yield field.required("spec.selector")
    yield from errors
    labels = spec["template"]["metadata"].get("labels", {})
    if not errors and not matches(selector, labels):
        yield field.invalid(
            "spec.template.metadata.labels",
            labels or None,
            "`selector` does not match template `labels`",
        )


def _completions_update(spec: Object, before: Object) -> Iterator[Cause]:
    if spec.get("completionMode") != INDEXED:
        yield from immutable(spec, before, "completions")
        return
    completions = spec.get("completions")
    if completions in (None, before.get("completions")):
        return
    if completions != spec.get("parallelism"):
        yield field.invalid(
            "spec.completions", completions, "can only be modified in tandem with spec.parallelism"
        )


def _template_update(spec: Object, old: Object) -> Iterator[Cause]:
    """Check that the pod template stays; where and with what a suspended Job's pods run may
    change while it has none."""
    before, status = old["spec"], old.get("status", {})
    template = spec["template"]
    waiting = (
        before.get("suspend") is True
        and not status.get("active")
        and (not status.get("startTime") or is_true(status, "Suspended"))
    )
    if not waiting:
        if template != before["template"]:
            yield field.invalid("spec.template", template, "field is immutable")
        return
    pod = template["spec"]
    allowed = copy.deepcopy(before["template"]["spec"])
    keep(allowed, pod, *_SCHEDULING)
    _allow_node_affinity(allowed, pod)
    for kind in ("containers", "initContainers"):
        new, present = pod.get(kind) or [], allowed.get(kind) or []
        if len(new) == len(present):
            for container, target in zip(new, present, strict=True):
                if container.get("name") == target.get("name"):
                    keep(target, container, "resources")
    if pod != allowed:
        yield field.invalid("spec.template.spec", pod, "field is immutable")


def _allow_node_affinity(allowed: Object, pod: Object) -> None:
    affinity, before = pod.get("affinity"), allowed.get("affinity")
    if affinity is None:
        if before is not None:
            before.pop("nodeAffinity", None)
            if not before:
                del allowed["affinity"]
    else:
        keep(allowed.setdefault("affinity", {}), affinity, "nodeAffinity")
