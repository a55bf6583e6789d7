"""Schema: the type of a kind's objects, whose identity and bookkeeping nobody owns.

Source: kube-apiserver v1.36.2, apimachinery/pkg/util/managedfields/internal/stripmeta.go.
"""

from __future__ import annotations

from services.apiserver.apply.fieldsets import EMPTY, FieldSet
from services.apiserver.apply.resetfields import NOTHING_RESET, ResetFields
from services.apiserver.apply.typed import (
    fields_in,
    merge,
    mistakes,
    settled,
    with_named_fields,
    without,
)
from services.apiserver.apply.types import Map
from services.apiserver.registry.strategy import Object

UNOWNED_METADATA = frozenset(
    (
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    )
)
_UNOWNED = frozenset(("apiVersion", "kind"))


class Schema:
    """One kind in one version."""

    __slots__ = ("type",)

    def __init__(self, type_: Map) -> None:
        self.type = type_

    def compare(
        self, old: Object, new: Object, reset: ResetFields = NOTHING_RESET
    ) -> tuple[FieldSet, FieldSet]:
        """Return what was added or modified, and what was removed; `reset` is passed over."""
        left, right = _ownable(old, reset), _ownable(new, reset)
        changed, removed = self.type.compare_fields(left, right)
        return reset.kept(changed or EMPTY), reset.kept(removed or EMPTY)

    def brought(self, empty: Object, new: Object, reset: ResetFields = NOTHING_RESET) -> FieldSet:
        """Return what a new object has beyond an empty one of its kind."""
        changed = self.type.brought(_ownable(empty, reset), _ownable(new, reset))
        return reset.kept(changed or EMPTY)

    def fields_in(self, obj: Object) -> FieldSet:
        """Return the fields that an applied object names, its identity among them."""
        return fields_in(self.type, obj)

    def mistakes(self, obj: Object) -> list[str]:
        """Return what does not fit the kind."""
        return list(mistakes(self.type, obj))

    def merge(self, old: Object, new: Object) -> Object:
        """Return the present object with the applied one laid over it."""
        merged: Object = merge(self.type, old, new)
        return merged

    def without(self, obj: Object, fields: FieldSet) -> Object:
        """Return an object without the fields of a set."""
        left: Object = without(self.type, obj, fields) if fields else obj
        return left

    def settled(self, fields: FieldSet) -> FieldSet:
        """Return a set that was written under an earlier schema as it is under this one.

        Source: sigs.k8s.io/structured-merge-diff/v6 typed/reconcile_schema.go.
        """
        return settled(self.type, fields)

    def with_named_fields(self, fields: FieldSet) -> FieldSet:
        """Return a set that also has the structs of which it has fields."""
        return with_named_fields(self.type, fields)


def owned(fields: FieldSet) -> FieldSet:
    """Return a set without the fields that nobody owns."""
    out = {element: node for element, node in fields.items() if element[2:] not in _UNOWNED}
    metadata = out.get("f:metadata")
    if metadata is not None:
        left = {
            element: node
            for element, node in metadata.items()
            if element != "." and element[2:] not in UNOWNED_METADATA
        }
        if left:
            out["f:metadata"] = left
        else:
            del out["f:metadata"]
    return out


def _ownable(obj: Object, reset: ResetFields) -> Object:
    """Return the parts of an object that can have owners."""
    parts = {
        name: value for name, value in obj.items() if name not in _UNOWNED and name not in reset.top
    }
    if "metadata" not in reset.top:
        meta = obj.get("metadata") or {}
        parts["metadata"] = {
            name: value for name, value in meta.items() if name not in UNOWNED_METADATA
        }
    return parts
