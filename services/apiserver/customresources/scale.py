"""The scale subresource of a custom resource: its paths say where the numbers are.

Source: kube-apiserver v1.36.2, apiextensions-apiserver/pkg/registry/customresource/etcd.go
(ScaleREST, scaleFromCustomResource) and validator.go (ValidateScaleSpec, ValidateScaleStatus).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.apiserver.customresources.definition import ScalePaths
from services.apiserver.errors import Cause, InternalError
from services.apiserver.registry.strategy import Object
from services.apiserver.validation.field import invalid
from shared.resources import Resource

_METADATA = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
_INT32 = (-(2**31), 2**31 - 1)


class CustomScale:
    """Shows and changes the replicas of a custom resource."""

    def __init__(self, paths: ScalePaths) -> None:
        self._paths = paths

    @property
    def spec_replicas(self) -> Sequence[str]:
        """The names on the way to the replicas."""
        return self._paths.spec_replicas

    def to_scale(self, obj: Object, resource: Resource) -> Object:
        """Return the Scale of an object.

        Raises:
            InternalError: it has no replicas.
        """
        replicas = value_at(obj, self._paths.spec_replicas)
        if not _is_int(replicas):
            path = "." + ".".join(self._paths.spec_replicas)
            message = f"the spec replicas field {path!r} does not exist"
            raise InternalError(
                f"Internal error occurred: {message}",
                details={},
                causes=[Cause("", message)],
            )
        return self.shown(obj, replicas)

    def before_patch(self, obj: Object, resource: Resource) -> Object:
        """Return the Scale that a patch applies to: without replicas it has none."""
        replicas = value_at(obj, self._paths.spec_replicas)
        return self.shown(obj, replicas if _is_int(replicas) else 0)

    def shown(self, obj: Object, replicas: int) -> Object:
        meta = obj["metadata"]
        status_replicas = value_at(obj, self._paths.status_replicas)
        selector = value_at(obj, self._paths.label_selector)
        return {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": {name: meta[name] for name in _METADATA if name in meta},
            "spec": {"replicas": replicas} if replicas else {},
            "status": {
                "replicas": status_replicas if _is_int(status_replicas) else 0,
                **({"selector": selector} if selector and isinstance(selector, str) else {}),
            },
        }

    def apply(self, obj: Object, scale: Object) -> Object:
        """Return a copy of `obj` with the replicas and the resourceVersion of a Scale."""
        meta = {**obj["metadata"]}
        version = scale.get("metadata", {}).get("resourceVersion")
        if version:
            meta["resourceVersion"] = version
        else:
            meta.pop("resourceVersion", None)
        replicas = scale.get("spec", {}).get("replicas", 0)
        return {**with_value(obj, self._paths.spec_replicas, replicas), "metadata": meta}

    def validate(self, scale: Object) -> list[Cause]:
        """Nothing: the object's own rules know the field."""
        return []


def validate_scale_fields(obj: Object, paths: ScalePaths) -> list[Cause]:
    """Return what keeps an object from being shown as a Scale; kube-apiserver's field names
    keep the path's leading dot."""
    causes: list[Cause] = []
    for path in (paths.spec_replicas, paths.status_replicas):
        replicas = value_at(obj, path)
        if not _is_int(replicas):
            continue
        at = "." + ".".join(path)
        if replicas < 0:
            causes.append(invalid(at, replicas, "should be a non-negative integer"))
        elif replicas > _INT32[1]:
            causes.append(invalid(at, replicas, f"should be less than or equal to {_INT32[1]}"))
    selector = value_at(obj, paths.label_selector)
    if isinstance(selector, str) and len(selector) > 1024 * 1024:
        causes.append(invalid(".".join(("", *paths.label_selector)), selector, "is too long"))
    return causes


def value_at(obj: Object, path: Sequence[str]) -> Any:
    """Return what is at a path, None where nothing is."""
    found: Any = obj
    for name in path:
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found if path else None


def with_value(obj: Object, path: Sequence[str], value: Any) -> Object:
    """Return a copy of `obj` with `value` at a path; what is on the way is copied too."""
    first, *rest = path
    if not rest:
        return {**obj, first: value}
    below = obj.get(first)
    return {**obj, first: with_value(below if isinstance(below, dict) else {}, rest, value)}


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
