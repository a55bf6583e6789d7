"""pods/binding and bindings: what a Binding does to its pod.

Source: kube-apiserver v1.36.2, pkg/registry/core/pod/storage/storage.go (BindingREST),
pkg/apis/core/validation/validation.go (ValidatePodBinding).
"""

from __future__ import annotations

from typing import Any

from services.apiserver.errors import ApiError, BadRequest, Cause, Conflict
from services.apiserver.kinds.pod_conditions import with_condition
from services.apiserver.validation import field

Object = dict[str, Any]


def check_binding(binding: Object, name: str) -> None:
    """Check a Binding that was posted to the URL of the pod `name`, before admission.

    For the resource bindings, which has no name in the URL, `name` is the Binding's own.

    Raises:
        BadRequest: it is for another pod.
        ApiError: its target is no node; a 500 without a reason, as the API has it.
    """
    if binding["metadata"].get("name", "") != name:
        raise BadRequest("name in URL does not match name in Binding object")
    target = binding.get("target", {})
    causes: list[Cause] = []
    kind = target.get("kind", "")
    if kind not in ("", "Node"):
        causes.append(field.not_supported("target.kind", kind, ("Node", "<empty>")))
    if not target.get("name"):
        causes.append(field.required("target.name"))
    if causes:
        texts = [cause.message for cause in causes]
        raise ApiError(texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")


def bind(pod: Object, binding: Object, now: str) -> Object:
    """Return the pod as the Binding leaves it; its generation stays.

    Raises:
        Conflict: the pod cannot be bound, or is not the one that the Binding means.
    """
    meta, spec = pod["metadata"], pod["spec"]
    name = meta["name"]
    wanted = binding["metadata"]
    for precondition, label in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        value = wanted.get(precondition)
        if value and value != meta.get(precondition):
            raise Conflict(
                f'Operation cannot be fulfilled on pods "{name}": Precondition failed: {label} in'
                f" precondition: {value}, {label} in object meta: {meta.get(precondition)}",
                details={"name": name, "kind": "pods"},
            )
    reason = None
    if "deletionTimestamp" in meta:
        reason = f"pod {name} is being deleted, cannot be assigned to a host"
    elif spec.get("nodeName"):
        reason = f'pod {name} is already assigned to node "{spec["nodeName"]}"'
    elif spec.get("schedulingGates"):
        reason = f"pod {name} has non-empty .spec.schedulingGates"
    if reason is not None:
        raise Conflict(
            f'Operation cannot be fulfilled on pods/binding "{name}": {reason}',
            details={"name": name, "kind": "pods/binding"},
        )
    merged = {
        kind: {**meta.get(kind, {}), **wanted[kind]}
        for kind in ("labels", "annotations")
        if wanted.get(kind)
    }
    bound = {
        **pod,
        "metadata": {**meta, **merged},
        "spec": {**spec, "nodeName": binding["target"]["name"]},
    }
    return with_condition(bound, {"type": "PodScheduled", "status": "True"}, now)
