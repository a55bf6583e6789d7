"""Custom resources' schemas, as published: the CRD's own, made a Kubernetes object.

Source: kube-apiserver v1.36.2, apiextensions-apiserver/pkg/controller/openapi/builder/builder.go,
pkg/controller/openapi/v2/conversion.go and pkg/apiserver/schema/unfold.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from services.apiserver.openapi.operations import META
from shared.resources import Resource

Schema = dict[str, Any]

_CONVENTIONS = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
_API_VERSION = (
    "APIVersion defines the versioned schema of this representation of an object. Servers should "
    "convert recognized schemas to the latest internal value, and may reject unrecognized values. "
    f"More info: {_CONVENTIONS}#resources"
)
_KIND = (
    "Kind is a string value representing the REST resource this object represents. Servers may "
    "infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. "
    f"More info: {_CONVENTIONS}#types-kinds"
)
_METADATA = f"Standard object's metadata. More info: {_CONVENTIONS}#metadata"
_LIST_METADATA = f"Standard list metadata. More info: {_CONVENTIONS}#types-kinds"
_EMBEDDED_API_VERSION = (
    "apiVersion defines the versioned schema of this representation of an object. "
    f"More info: {_CONVENTIONS}#resources"
)
_EMBEDDED_KIND = (
    "kind is a string value representing the type of this object. In CamelCase. "
    f"More info: {_CONVENTIONS}#types-kinds"
)

_GVK = "x-kubernetes-group-version-kind"
_INT_OR_STRING = "x-kubernetes-int-or-string"
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_EMBEDDED = "x-kubernetes-embedded-resource"
_EITHER = [{"type": "integer"}, {"type": "string"}]

_CHILD_SCHEMAS = ("items", "additionalProperties", "not")
_CHILD_LISTS = ("allOf", "anyOf", "oneOf")


def list_definition(resource: Resource) -> str:
    package, _, _ = resource.definition.rpartition(".")
    return f"{package}.{resource.list_kind}"


def custom_schemas(
    resource: Resource, schema: Mapping[str, Any] | None, *, v2: bool
) -> Iterator[tuple[str, Schema]]:
    """Yield the definitions of a custom resource and of its list.

    `schema` is the version's openAPIV3Schema, None if the CRD has none.
    """
    yield resource.definition, _object_schema(resource, schema, v2=v2)
    yield list_definition(resource), _list_schema(resource, v2=v2)


def _object_schema(resource: Resource, schema: Mapping[str, Any] | None, *, v2: bool) -> Schema:
    # Without a schema, or where a v2 schema lets unknown fields in, clients would take any
    # property named here for the only ones allowed.
    if schema is None or (v2 and schema.get(_PRESERVE)):
        out: Schema = {"type": "object"}
    else:
        out = _published(schema, v2=v2)
        own = {**_type_meta(_API_VERSION, _KIND), "metadata": _metadata("Object", _METADATA, v2)}
        out["properties"] = {**out.get("properties", {}), **own}
    out[_GVK] = [_gvk(resource, resource.kind)]
    if resource.selectable:
        out["x-kubernetes-selectable-fields"] = [
            {"fieldPath": one.name} for one in resource.selectable
        ]
    return out


def _list_schema(resource: Resource, *, v2: bool) -> Schema:
    prefix = "#/definitions/" if v2 else "#/components/schemas/"
    return {
        "description": f"{resource.list_kind} is a list of {resource.kind}",
        "type": "object",
        "required": ["items"],
        "properties": {
            **_type_meta(_API_VERSION, _KIND),
            "items": {
                "description": f"List of {resource.name}. More info: {_CONVENTIONS}",
                "type": "array",
                "items": {"$ref": prefix + resource.definition},
            },
            "metadata": _metadata("List", _LIST_METADATA, v2),
        },
        _GVK: [_gvk(resource, resource.list_kind)],
    }


def _gvk(resource: Resource, kind: str) -> dict[str, str]:
    return {"group": resource.group, "version": resource.version, "kind": kind}


def _type_meta(api_version: str, kind: str) -> Schema:
    return {
        "apiVersion": {"description": api_version, "type": "string"},
        "kind": {"description": kind, "type": "string"},
    }


def _metadata(of: str, description: str, v2: bool) -> Schema:
    name = f"{META}.{of}Meta"
    if v2:
        return {"$ref": f"#/definitions/{name}", "description": description}
    return {"allOf": [{"$ref": f"#/components/schemas/{name}"}], "description": description}


def _published(schema: Mapping[str, Any], *, v2: bool) -> Schema:
    out: Schema = {}
    for key, value in schema.items():
        if key == "properties":
            value = {name: _published(one, v2=v2) for name, one in value.items()}
        elif key in _CHILD_SCHEMAS and isinstance(value, dict):
            value = _published(value, v2=v2)
        elif key in _CHILD_LISTS:
            value = [_published(one, v2=v2) for one in value]
        out[key] = value
    if out.get(_INT_OR_STRING) and not v2:
        _say_either(out)
    if v2:
        _fit_v2(schema, out)
    if out.get(_EMBEDDED) and not (v2 and out.get(_PRESERVE)):
        out["properties"] = {
            **out.get("properties", {}),
            **_type_meta(_EMBEDDED_API_VERSION, _EMBEDDED_KIND),
            "metadata": _metadata("Object", _METADATA, v2),
        }
        required = out.get("required", [])
        missing = [name for name in ("kind", "apiVersion") if name not in required]
        out["required"] = [*required, *missing]
    return out


def _say_either(out: Schema) -> None:
    """Write out that x-kubernetes-int-or-string means an integer or a string."""
    any_of = out.get("anyOf")
    all_of = out.get("allOf", [])
    if any_of == _EITHER or (all_of and all_of[0].get("anyOf") == _EITHER):
        return
    if any_of is None:
        out["anyOf"] = _EITHER
    else:
        out["allOf"] = [{"anyOf": _EITHER}, *all_of]


def _fit_v2(source: Mapping[str, Any], out: Schema) -> None:
    """Take out what OpenAPI v2, or kubectl reading it, cannot cope with."""
    for key in ("allOf", "anyOf", "oneOf", "not"):
        out.pop(key, None)
    nullable = out.pop("nullable", False)
    preserving = out.get(_PRESERVE, False)
    if nullable or preserving:
        out.pop("items", None)
        out.pop("properties", None)
    if (
        nullable
        or (out.get("type") == "array" and "items" not in out)
        or (out.get("type") == "object" and preserving)
    ):
        out.pop("type", None)
    nullable_fields = {
        name for name, one in source.get("properties", {}).items() if one.get("nullable")
    }
    if nullable_fields and "required" in out:
        required = [name for name in out["required"] if name not in nullable_fields]
        out.pop("required")
        if required:
            out["required"] = required
