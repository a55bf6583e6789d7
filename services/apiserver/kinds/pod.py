"""Pod: creation, updates, deletion, and its subresources status, ephemeralcontainers, resize.

Source: kube-apiserver v1.36.2, pkg/registry/core/pod/strategy.go.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.apiserver.errors import Cause
from services.apiserver.kinds.podspec import (
    addresses,
    defaults,
    podannotations,
    prepare,
    resources,
    update,
    warnings,
)
from services.apiserver.kinds.podspec import spec as podspec
from services.apiserver.kinds.podspec.status import validate_status_update
from services.apiserver.registry.strategy import (
    Object,
    Strategy,
    UpdateSubresource,
    WriteContext,
    keep,
)
from services.apiserver.validation import field, names
from services.apiserver.validation.metadata import validate_metadata_create

_FINISHED = ("Failed", "Succeeded")


class PodStrategy(Strategy):
    has_generation = True
    has_status = True
    graceful_deletion = True
    returns_deleted_object = True

    def default(self, obj: Object) -> None:
        defaults.default_pod(obj)

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        # A class that the client sends stays: only a missing one is computed.
        qos = (obj.get("status") or {}).get("qosClass") or resources.qos_class(obj)
        obj["status"] = {"phase": "Pending", "qosClass": qos}
        obj["metadata"]["generation"] = 1
        prepare.drop_disabled_fields(obj["spec"])
        prepare.add_gated_condition(obj, ctx.now)
        prepare.merge_label_keys(obj)
        if "annotations" in obj["metadata"]:
            prepare.fill_app_armor_fields(obj, ctx.warnings)

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        spec = obj["spec"]
        causes = list(podspec.validate_pod(obj))
        if spec.get("ephemeralContainers"):
            causes.append(field.forbidden("spec.ephemeralContainers", "cannot be set on create"))
        if spec.get("nodeName") and spec.get("schedulingGates"):
            causes.append(
                field.forbidden(
                    "spec.nodeName", "cannot be set until all schedulingGates have been cleared"
                )
            )
        if "annotations" in obj["metadata"]:
            causes += podannotations.validate_against_fields(
                obj["metadata"]["annotations"], spec, "spec"
            )
        return causes

    def warn_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        found = []
        messages = names.dns1123_label(obj["metadata"].get("name", ""))
        if messages:
            found.append(
                "metadata.name: this is used in the Pod's hostname, which can result in surprising"
                f" behavior; a DNS label is recommended: [{' '.join(messages)}]"
            )
        found += warnings.spec_warnings(obj["metadata"], obj["spec"])
        return found

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        keep(obj, old, "status")
        prepare.drop_disabled_fields(obj["spec"])
        bump_generation(obj, old)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        causes = _validate_whole(obj, old)
        causes += _annotation_updates(obj, old)
        if obj["spec"] != old["spec"]:
            causes += update.validate_spec_update(obj["spec"], old["spec"])
        return causes

    def grace_period_s(self, ctx: WriteContext, obj: Object, requested: int | None) -> int:
        spec = obj["spec"]
        if requested is None:
            requested = spec.get("terminationGracePeriodSeconds", 0)
        if not spec.get("nodeName") or obj.get("status", {}).get("phase") in _FINISHED:
            return 0
        return requested if requested >= 0 else 1

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {
            "status": PodStatus(self),
            "ephemeralcontainers": PodEphemeralContainers(self),
            "resize": PodResize(self),
        }


class PodStatus(UpdateSubresource):
    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        keep(obj, old, "spec")
        # Old kubelets send these wrongly.
        keep(obj["metadata"], old["metadata"], "deletionTimestamp", "ownerReferences", "generation")
        status = obj.setdefault("status", {})
        old_status = old.get("status", {})
        for name in ("qosClass", "observedGeneration"):
            if not status.get(name):
                keep(status, old_status, name)
        _keep_observed_generations(status, old_status)
        status.pop("nodeAllocatableResourceClaimStatuses", None)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return [*_annotation_updates(obj, old), *validate_status_update(obj, old)]

    def warn_on_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[str]:
        return [
            warning
            for kind in ("podIPs", "hostIPs")
            for number, one in enumerate(obj.get("status", {}).get(kind, ()))
            for warning in addresses.address_warnings(
                one.get("ip", ""), f"status.{kind}[{number}].ip"
            )
        ]


class PodEphemeralContainers(UpdateSubresource):
    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        added = obj["spec"].get("ephemeralContainers")
        spec = dict(old["spec"])
        spec.pop("ephemeralContainers", None)
        if added:
            spec["ephemeralContainers"] = added
        obj["spec"] = spec
        _reset_around_spec(obj, old)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        if podannotations.MIRROR in old["metadata"].get("annotations", ()):
            return [field.forbidden("[]", "static pods do not support ephemeral containers")]
        return [
            *_validate_whole(obj, old),
            *_annotation_updates(obj, old),
            *update.validate_ephemeral_update(obj["spec"], old["spec"]),
        ]


class PodResize(UpdateSubresource):
    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        spec = obj["spec"]
        lists = {
            kind: _with_new_resources(spec.get(kind) or [], old["spec"].get(kind) or [])
            for kind in ("containers", "initContainers")
        }
        if all(containers is not None for containers in lists.values()):
            # Otherwise validation says that containers were added, removed or renamed.
            spec = dict(old["spec"])
            keep(spec, obj["spec"], "resources")
            spec |= {kind: containers for kind, containers in lists.items() if containers}
            obj["spec"] = spec
        _reset_around_spec(obj, old)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return [*_validate_whole(obj, old), *update.validate_resize(obj, old)]


def bump_generation(obj: Object, old: Object) -> None:
    generation = old["metadata"].get("generation", 0)
    obj["metadata"]["generation"] = generation + (obj["spec"] != old["spec"])


def _validate_whole(obj: Object, old: Object) -> list[Cause]:
    """Check the pod as at creation; a spec that was stored like this is known to be valid."""
    if obj["metadata"] == old["metadata"] and obj["spec"] == old["spec"]:
        return []
    causes = validate_metadata_create(obj, namespaced=True, validate_name=names.dns1123_subdomain)
    if obj["spec"] != old["spec"]:
        causes += podspec.validate_pod(obj)
    elif "annotations" in obj["metadata"]:
        causes += podannotations.validate_pod_annotations(
            obj["metadata"]["annotations"], obj["spec"], "metadata.annotations"
        )
    return causes


def _annotation_updates(obj: Object, old: Object) -> list[Cause]:
    return list(
        podannotations.validate_annotation_updates(
            obj["metadata"].get("annotations", {}),
            old["metadata"].get("annotations", {}),
            obj["spec"],
            "metadata.annotations",
        )
    )


def _keep_observed_generations(status: Object, old_status: Object) -> None:
    """Keep the observedGeneration of conditions, type by type, where none is sent."""
    before: dict[str, list[int]] = {}
    for condition in old_status.get("conditions", ()):
        before.setdefault(condition.get("type", ""), []).append(
            condition.get("observedGeneration", 0)
        )
    for condition in status.get("conditions", ()):
        known = before.get(condition.get("type", ""))
        generation = known.pop(0) if known else 0
        if generation and not condition.get("observedGeneration"):
            condition["observedGeneration"] = generation


def _reset_around_spec(obj: Object, old: Object) -> None:
    """Put back what subresources of the spec may not change: the status, most of metadata."""
    keep(obj, old, "status")
    keep(
        obj["metadata"],
        old["metadata"],
        "deletionTimestamp",
        "generation",
        "selfLink",
        "labels",
        "annotations",
        "finalizers",
        "ownerReferences",
    )
    bump_generation(obj, old)


def _with_new_resources(new: list[Object], old: list[Object]) -> list[Object] | None:
    """Return the old containers with the resources of the new; None if they do not match."""
    if [one.get("name") for one in new] != [one.get("name") for one in old]:
        return None
    out = []
    for changed, before in zip(new, old, strict=True):
        container = dict(before)
        keep(container, changed, "resources", "resizePolicy")
        out.append(container)
    return out
