"""What may change in the spec of an existing pod.

Source: kube-apiserver v1.36.2, pkg/apis/core/validation/validation.go (ValidatePodUpdate,
ValidatePodEphemeralContainersUpdate, ValidatePodResize).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.apiserver.errors import Cause
from services.apiserver.kinds.podspec import podannotations, resources, scheduling
from services.apiserver.validation import field, names

Object = dict[str, Any]

_MAX_INT32 = 2**31 - 1
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_RESIZED = ("cpu", "memory")
_UPDATABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def validate_spec_update(spec: Object, old: Object) -> Iterator[Cause]:
    """Check what a plain update of a pod changes in its spec."""
    for kind in ("containers", "initContainers"):
        new_ones, old_ones = spec.get(kind) or [], old.get(kind) or []
        if len(new_ones) != len(old_ones):
            yield field.forbidden(f"spec.{kind}", "pod updates may not add or remove containers")
            return
        yield from _images(new_ones, f"spec.{kind}")
    deadline, old_deadline = spec.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds")
    at = "spec.activeDeadlineSeconds"
    if deadline is not None:
        if not 0 <= deadline <= _MAX_INT32:
            yield field.invalid(at, deadline, names.inclusive_range(0, _MAX_INT32))
            return
        if old_deadline is not None and old_deadline < deadline:
            yield field.invalid(at, deadline, "must be less than or equal to previous value")
            return
    elif old_deadline is not None:
        yield field.invalid(at, None, "must not update from a positive integer to nil value")
    yield from _tolerations(spec.get("tolerations", []), old.get("tolerations", []))
    yield from _gates(spec.get("schedulingGates", []), old.get("schedulingGates", []))
    if spec != old:
        yield from _everything_else(spec, old)


def _images(containers: list[Object], path: str) -> Iterator[Cause]:
    for number, container in enumerate(containers):
        image = container.get("image", "")
        if not image:
            yield field.required(f"{path}[{number}].image")
        elif image != image.strip():
            yield field.invalid(
                f"{path}[{number}].image", image, "must not have leading or trailing whitespace"
            )


def _tolerations(new: list[Object], old: list[Object]) -> Iterator[Cause]:
    kept = [_without_seconds(toleration) for toleration in new]
    if any(_without_seconds(toleration) not in kept for toleration in old):
        yield field.forbidden(
            "spec.tolerations",
            "existing toleration can not be modified except its tolerationSeconds",
        )
        return
    yield from scheduling.validate_tolerations(new, "spec.tolerations")


def _without_seconds(toleration: Object) -> Object:
    return {name: value for name, value in toleration.items() if name != "tolerationSeconds"}


def _gates(new: list[Object], old: list[Object]) -> Iterator[Cause]:
    before = {gate.get("name", "") for gate in old}
    for number, gate in enumerate(new):
        name = gate.get("name", "")
        if name not in before:
            yield field.forbidden(
                f"spec.schedulingGates[{number}].name",
                f"only deletion is allowed, but found new scheduling gate '{name}'",
            )


def _everything_else(spec: Object, old: Object) -> Iterator[Cause]:
    """Put back what may change, then compare."""
    rest = dict(spec)
    for kind in ("containers", "initContainers"):
        if kind in rest:
            rest[kind] = [
                _with_image_of(container, before)
                for container, before in zip(spec[kind] or (), old.get(kind) or (), strict=True)
            ]
    _put_back(rest, old, "activeDeadlineSeconds", "schedulingGates", "tolerations")
    if old.get("terminationGracePeriodSeconds", 0) < 0 and (
        spec.get("terminationGracePeriodSeconds") == 1
    ):
        _put_back(rest, old, "terminationGracePeriodSeconds")
    if old.get("schedulingGates"):
        yield from _gated_changes(rest, old)
    if rest != old:
        yield field.forbidden("spec", _UPDATABLE)


def _with_image_of(container: Object, before: Object) -> Object:
    out = dict(container)
    _put_back(out, before, "image")
    return out


def _put_back(obj: Object, old: Object, *fields: str) -> None:
    for name in fields:
        if name in old:
            obj[name] = old[name]
        else:
            obj.pop(name, None)


def _gated_changes(rest: Object, old: Object) -> Iterator[Cause]:
    """Check what a pod may change as long as it is gated: narrower selection of nodes."""
    selector, old_selector = rest.get("nodeSelector", {}), old.get("nodeSelector", {})
    if any(selector.get(name) != value for name, value in old_selector.items()):
        yield field.invalid(
            "spec.nodeSelector",
            selector,
            "only additions to spec.nodeSelector are allowed (no mutations or deletions)",
        )
    _put_back(rest, old, "nodeSelector")
    affinity, old_affinity = rest.get("affinity"), old.get("affinity")
    node = (affinity or {}).get("nodeAffinity")
    old_node = (old_affinity or {}).get("nodeAffinity")
    if node == old_node:
        return
    yield from _node_affinity(node or {}, old_node or {})
    merged = dict(affinity or {})
    merged.pop("nodeAffinity", None)
    if old_node is not None:
        merged["nodeAffinity"] = old_node
    if merged or old_affinity is not None:
        rest["affinity"] = merged
    else:
        rest.pop("affinity", None)


def _node_affinity(node: Object, old: Object) -> Iterator[Cause]:
    if _REQUIRED not in old:
        return
    old_terms = old[_REQUIRED].get("nodeSelectorTerms") or []
    terms = node.get(_REQUIRED, {}).get("nodeSelectorTerms") or []
    at = f"spec.affinity.nodeAffinity.{_REQUIRED}.nodeSelectorTerms"
    if old_terms and len(old_terms) != len(terms):
        yield field.invalid(
            at, terms, "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        )
        return
    for number, before in enumerate(old_terms):
        if not _only_adds(terms[number], before):
            yield field.invalid(
                f"{at}[{number}]",
                terms[number],
                "only additions are allowed (no mutations or deletions)",
            )


def _only_adds(term: Object, old: Object) -> bool:
    kinds = ("matchExpressions", "matchFields")
    if not any(old.get(kind) for kind in kinds):
        return not any(term.get(kind) for kind in kinds)
    return all(term.get(kind, [])[: len(old.get(kind, []))] == old.get(kind, []) for kind in kinds)


def validate_ephemeral_update(spec: Object, old: Object) -> Iterator[Cause]:
    """Check that ephemeral containers are only added."""
    by_name = {one.get("name", ""): one for one in spec.get("ephemeralContainers", ())}
    for before in old.get("ephemeralContainers", ()):
        name = before.get("name", "")
        if name not in by_name:
            yield field.forbidden(
                "spec.ephemeralContainers",
                f'existing ephemeral containers "{name}" may not be removed\n',
            )
        elif by_name[name] != before:
            yield field.forbidden(
                "spec.ephemeralContainers",
                f'existing ephemeral containers "{name}" may not be changed\n',
            )


def validate_resize(pod: Object, old: Object) -> Iterator[Cause]:
    """Check a change of resources on /resize; all else has been put back before."""
    spec, old_spec = pod["spec"], old["spec"]
    if podannotations.MIRROR in old["metadata"].get("annotations", ()):
        yield field.forbidden("[]", "static pods cannot be resized")
        return
    if old_spec.get("os", {}).get("name") == "windows":
        yield field.forbidden("[]", "windows pods cannot be resized")
        return
    found = list(_resize(pod, old, spec, old_spec))
    yield from found
    if not found and _without_resources(spec) != _without_resources(old_spec):
        yield field.forbidden("spec", "only cpu and memory resources are mutable")


def _resize(pod: Object, old: Object, spec: Object, old_spec: Object) -> Iterator[Cause]:
    qos = old.get("status", {}).get("qosClass") or resources.qos_class(old)
    if resources.qos_class(pod) != qos:
        yield field.invalid("spec", qos, "Pod QOS Class may not change as a result of resizing")
    if not _node_can_resize(old):
        yield field.forbidden("spec", "Pod running on node without support for resize")
    if spec.get("resources") or old_spec.get("resources"):
        yield from _pod_level_resize(spec, old_spec)
    order = list(_same_containers(spec, old_spec))
    yield from order
    if order:
        return
    for kind in ("initContainers", "containers"):
        for number, (new_one, old_one) in enumerate(_pairs(spec, old_spec, kind)):
            yield from _nothing_removed(
                new_one["resources"], old_one["resources"], f"spec.{kind}[{number}].resources"
            )
    for new_one, old_one in _pairs(spec, old_spec, "containers"):
        if _masked_container(new_one, old_one) != old_one:
            yield field.forbidden("spec", "only cpu and memory resources are mutable")
    for number, (new_one, old_one) in enumerate(_pairs(spec, old_spec, "initContainers")):
        at = f"spec.initContainers[{number}]"
        if _masked_container(new_one, old_one) != old_one:
            yield field.forbidden(
                at, "only cpu and memory resources for init or sidecar containers are mutable"
            )
        if new_one != old_one and not resources.is_sidecar(new_one):
            for policy in new_one.get("resizePolicy", ()):
                if policy.get("restartPolicy") == "RestartContainer":
                    yield field.forbidden(
                        at,
                        "non-sidecar init containers with a resize policy of RestartContainer"
                        " cannot be resized",
                    )


def _pairs(spec: Object, old: Object, kind: str) -> Iterator[tuple[Object, Object]]:
    return zip(spec.get(kind) or (), old.get(kind) or (), strict=True)


def _node_can_resize(pod: Object) -> bool:
    for status in pod.get("status", {}).get("containerStatuses", ()):
        if "running" in status.get("state", {}):
            return "resources" in status
    return True


def _same_containers(spec: Object, old: Object) -> Iterator[Cause]:
    for kind in ("containers", "initContainers"):
        new_ones, old_ones = spec.get(kind) or [], old.get(kind) or []
        if len(new_ones) != len(old_ones):
            yield field.forbidden(f"spec.{kind}", f"{kind} may not be added or removed on resize")
            continue
        for number, (new_one, old_one) in enumerate(zip(new_ones, old_ones, strict=True)):
            if new_one.get("name") != old_one.get("name"):
                yield field.forbidden(
                    f"spec.{kind}[{number}].name",
                    f"{kind} may not be renamed or reordered on resize",
                )


def _nothing_removed(new: Object, old: Object, path: str) -> Iterator[Cause]:
    for kind in ("requests", "limits"):
        if old.get(kind, {}).keys() - new.get(kind, {}).keys():
            yield field.forbidden(f"{path}.{kind}", f"resource {kind} cannot be removed")


def _pod_level_resize(spec: Object, old_spec: Object) -> Iterator[Cause]:
    new, old = spec.get("resources"), old_spec.get("resources")
    if old is not None:
        if new is None:
            yield field.forbidden("spec.resources", "pod-level resources cannot be removed")
            return
        yield from _nothing_removed(new, old, "spec.resources")
    if _masked(new or {}, old or {}) != (old or {}):
        yield field.forbidden("spec", "only cpu and memory resources are mutable at pod-level")


def _masked_container(container: Object, old: Object) -> Object:
    """Return the container with the cpu and memory it had before."""
    return container | {"resources": _masked(container["resources"], old["resources"])}


def _masked(new: Object, old: Object) -> Object:
    out = {}
    for kind in ("limits", "requests"):
        listed = {name: value for name, value in new.get(kind, {}).items() if name not in _RESIZED}
        before = old.get(kind, {})
        listed |= {name: before[name] for name in _RESIZED if name in before}
        if listed:
            out[kind] = listed
    if "claims" in old:
        out["claims"] = old["claims"]
    return out


def _without_resources(spec: Object) -> Object:
    rest = {
        name: value
        for name, value in spec.items()
        if name not in ("resources", "containers", "initContainers")
    }
    for kind in ("containers", "initContainers"):
        rest[kind] = [
            {name: value for name, value in container.items() if name != "resources"}
            for container in spec.get(kind) or ()
        ]
    return rest
