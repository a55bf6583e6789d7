"""The scale subresource: a Deployment, ReplicaSet, … seen as autoscaling/v1 Scale.

Source: kube-apiserver v1.36.2, pkg/registry/apps/*/storage/storage.go,
pkg/apis/autoscaling/validation/validation.go (ValidateScale),
apimachinery/pkg/labels/selector.go.
"""

from __future__ import annotations

from typing import Any

from services.apiserver.errors import Cause
from services.apiserver.kinds.podowners import non_negative
from shared.resources import Resource

Object = dict[str, Any]

_METADATA = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def to_scale(obj: Object, resource: Resource) -> Object:
    """Return the Scale of an object of `resource`, in its storage version."""
    meta, spec = obj["metadata"], obj["spec"]
    selector = spec.get("selector")
    if resource.name == "replicationcontrollers":
        text = selector_text({"matchLabels": selector or {}})
    else:
        text = selector_text(selector)
    replicas = spec.get("replicas", 0)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: meta[name] for name in _METADATA if name in meta},
        "spec": {"replicas": replicas} if replicas else {},
        "status": {
            "replicas": obj.get("status", {}).get("replicas", 0),
            **({"selector": text} if text else {}),
        },
    }


def apply_scale(obj: Object, scale: Object) -> Object:
    """Return a copy of `obj` with the replicas and the resourceVersion of a Scale."""
    meta = {**obj["metadata"]}
    version = scale.get("metadata", {}).get("resourceVersion")
    if version:
        meta["resourceVersion"] = version
    else:
        meta.pop("resourceVersion", None)
    replicas = scale.get("spec", {}).get("replicas", 0)
    return {**obj, "metadata": meta, "spec": {**obj["spec"], "replicas": replicas}}


def validate_scale(scale: Object) -> list[Cause]:
    return list(non_negative(scale.get("spec", {}), "spec", "replicas"))


def selector_text(selector: Object | None) -> str:
    """Return a metav1.LabelSelector in the form of the labelSelector parameter, sorted by key."""
    if not selector:
        return ""
    terms = [
        (name, 0, f"{name}={value}") for name, value in (selector.get("matchLabels") or {}).items()
    ]
    for position, expression in enumerate(selector.get("matchExpressions") or (), 1):
        name = expression["key"]
        values = ",".join(sorted(expression.get("values") or ()))
        text = {
            "In": f"{name} in ({values})",
            "NotIn": f"{name} notin ({values})",
            "Exists": name,
            "DoesNotExist": f"!{name}",
        }[expression["operator"]]
        terms.append((name, position, text))
    return ",".join(text for _, _, text in sorted(terms))
