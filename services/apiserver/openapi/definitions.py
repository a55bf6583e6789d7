"""The schemas of the built-in types, in the form of either OpenAPI version.

kubernetes_validate brings the published definitions (OpenAPI v2, every type widened by null,
defaults pruned); what they lack is derived from the facts of the Go types.
Source of the rules: k8s.io/kube-openapi pkg/generators/openapi.go (defaults),
pkg/builder3/openapi.go (references).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.resources import files
from typing import Any

import orjson

from services.apiserver.codec import facts
from services.apiserver.openapi.defaults import default_of
from services.apiserver.openapi.enums import ENUMS
from services.apiserver.openapi.giveway import give_way

Schema = dict[str, Any]

V2_PREFIX = "#/definitions/"
V3_PREFIX = "#/components/schemas/"
_SOURCE_PREFIX = "#/$defs/"

_DIRECTORY = "kubernetes-json-schema/v1.36.0-local"

_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING_TEXT = "A number, or the text of a number or of a percentage."
_QUANTITY_TEXT = (
    "A number with a suffix: m, k, M, G, T, P, E (decimal), Ki, Mi, Gi, Ti, Pi, Ei (binary), "
    "or an exponent. At most three decimal places, at most 2^63-1 in magnitude."
)
_SPECIAL_V2: Mapping[str, Schema] = {
    _INT_OR_STRING: {
        "description": _INT_OR_STRING_TEXT,
        "type": "string",
        "format": "int-or-string",
    },
    _QUANTITY: {"description": _QUANTITY_TEXT, "type": "string"},
}
_SPECIAL_V3: Mapping[str, Schema] = {
    _INT_OR_STRING: {
        "description": _INT_OR_STRING_TEXT,
        "oneOf": [{"type": "integer"}, {"type": "string"}],
        "format": "int-or-string",
    },
    _QUANTITY: {
        "description": _QUANTITY_TEXT,
        "oneOf": [{"type": "string"}, {"type": "number"}],
    },
}


class Definitions:
    """The definitions as they were read. Some megabytes: made for a document, not kept."""

    def __init__(self) -> None:
        source = files("kubernetes_validate").joinpath(_DIRECTORY, "_definitions.json").read_bytes()
        self._raw: dict[str, Schema] = orjson.loads(source)["$defs"]

    def v2(self, names: Iterable[str]) -> dict[str, Schema]:
        """Return the definitions `names` and all that they refer to, by name, sorted."""
        return self._closure(names, self._v2_schema, V2_PREFIX)

    def v3(self, names: Iterable[str]) -> dict[str, Schema]:
        """Return the component schemas `names` and all that they refer to, by name, sorted."""
        return self._closure(names, self._v3_schema, V3_PREFIX)

    def _closure(
        self, names: Iterable[str], convert: Callable[[str], Schema], prefix: str
    ) -> dict[str, Schema]:
        found: dict[str, Schema] = {}
        waiting = [name for name in names if name in self._raw]
        while waiting:
            name = waiting.pop()
            if name not in found:
                give_way()
                schema = found[name] = convert(name)
                waiting += (ref.removeprefix(prefix) for ref in references(schema))
        return dict(sorted(found.items()))

    def _v2_schema(self, name: str) -> Schema:
        special = _SPECIAL_V2.get(name)
        if special is not None:
            return dict(special)
        schema = _convert(self._raw[name], V2_PREFIX)
        for field, prop in schema.get("properties", {}).items():
            _set_enum(name, field, prop)
        return _without_type_meta_enums(schema)

    def _v3_schema(self, name: str) -> Schema:
        special = _SPECIAL_V3.get(name)
        if special is not None:
            return dict(special)
        schema = _convert(self._raw[name], V3_PREFIX)
        of_fields = facts.definitions().get(name)
        for field, prop in schema.get("properties", {}).items():
            _set_enum(name, field, prop)
            fact = None
            if of_fields is not None and field in of_fields:
                fact = facts.FieldFact.from_text(of_fields[field])
            required = field in schema.get("required", ())
            default = default_of(name, field, fact, prop, required=required)
            if default is not None:
                prop["default"] = default
            if "$ref" in prop and len(prop) > 1:
                prop["allOf"] = [{"$ref": prop.pop("$ref")}]
        return _without_type_meta_enums(schema)


def references(schema: Schema) -> Iterator[str]:
    """Yield every $ref of a schema. Properties may be named "$ref" without being one."""
    ref = schema.get("$ref")
    if ref is not None:
        yield ref
    for one in schema.get("properties", {}).values():
        yield from references(one)
    for keyword in ("items", "additionalProperties", "not"):
        inner = schema.get(keyword)
        if isinstance(inner, dict):
            yield from references(inner)
    for keyword in ("allOf", "anyOf", "oneOf"):
        for one in schema.get(keyword, ()):
            yield from references(one)


def _convert(schema: Schema, prefix: str) -> Schema:
    out: Schema = {}
    for key, value in schema.items():
        if key == "type" and isinstance(value, list):
            value = next(one for one in value if one != "null")
        elif key == "$ref":
            value = prefix + value.removeprefix(_SOURCE_PREFIX)
        elif key == "properties":
            value = {name: _convert(one, prefix) for name, one in value.items()}
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            value = _convert(value, prefix)
        out[key] = value
    return out


def _without_type_meta_enums(schema: Schema) -> Schema:
    """The source lists the accepted apiVersion and kind; the API does not publish that."""
    if "x-kubernetes-group-version-kind" in schema:
        for field in ("apiVersion", "kind"):
            schema.get("properties", {}).get(field, {}).pop("enum", None)
    return schema


def _set_enum(definition: str, field: str, prop: Schema) -> None:
    values = ENUMS.get(definition, {}).get(field)
    if values is not None:
        (prop["items"] if prop.get("type") == "array" else prop)["enum"] = list(values)
