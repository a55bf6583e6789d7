"""The types of custom resources, from their structural schemas.

Source: kube-apiserver v1.36.2, apiextensions-apiserver/pkg/controller/openapi/builder (what is
added to a schema), k8s.io/kube-openapi pkg/schemaconv/openapi.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from services.apiserver.apply.builtintypes import struct_type
from services.apiserver.apply.types import ANYTHING, Anything, List, Map, Scalar, Type
from services.apiserver.codec.facts import META
from services.apiserver.customresources.structural import Structural

_SCALARS: Mapping[str, Type] = {
    "integer": Scalar("numeric"),
    "number": Scalar("numeric"),
    "boolean": Scalar("boolean"),
}
_STRING, _UNTYPED = Scalar("string"), Scalar("untyped")


def custom_type(schema: Structural) -> Map:
    """Return the type of a custom resource."""
    return Map(partial(_resource_fields, schema, schema.preserves_unknown), _element(schema, False))


def _resource_fields(schema: Structural, preserves: bool) -> Mapping[str, Type]:
    """An object with kind, apiVersion and metadata of its own, whatever the schema says."""
    fields = dict(_fields(schema, preserves))
    fields["apiVersion"] = fields["kind"] = _STRING
    fields["metadata"] = struct_type(f"{META}.ObjectMeta")
    return fields


def _fields(schema: Structural, preserves: bool) -> Mapping[str, Type]:
    return {name: _type(one, preserves) for name, one in schema.properties.items()}


def _type(schema: Structural, preserves: bool) -> Type:
    """`preserves`: a schema above keeps unknown fields, so those below do, too."""
    preserves = preserves or schema.preserves_unknown
    match schema.type:
        case "object":
            return _map(schema, preserves)
        case "array":
            return _list(schema, preserves)
        case "string":
            return _STRING if schema.format in ("", "byte") else _UNTYPED
        case "":
            if not schema.properties and schema.items is None and schema.additional is None:
                return ANYTHING
            return Anything(_map(schema, preserves), _list(schema, preserves))
    return _SCALARS.get(schema.type, _UNTYPED)


def _map(schema: Structural, preserves: bool) -> Map:
    fields = partial(_resource_fields if schema.embedded else _fields, schema, preserves)
    return Map(fields, _element(schema, preserves), atomic=schema.map_type == "atomic")


def _element(schema: Structural, preserves: bool) -> Type | None:
    """Return the type of fields that the schema does not name."""
    preserves = preserves or schema.preserves_unknown
    if schema.additional is not None:
        return _type(schema.additional, preserves)
    if schema.allows_additional or preserves or not schema.properties:
        return ANYTHING
    return None


def _list(schema: Structural, preserves: bool) -> List:
    item = ANYTHING if schema.items is None else _type(schema.items, preserves)
    keys = {
        key: schema.items.properties[key].new_default()
        for key in schema.list_map_keys
        if schema.items is not None and key in schema.items.properties
    }
    return List(item, keys, atomic=schema.list_type not in ("set", "map"))
