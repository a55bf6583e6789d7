"""Whether an openAPIV3Schema is structural: it tells the type of all that it names.

Source: kube-apiserver v1.36.2, apiextensions-apiserver/pkg/apiserver/schema/{convert,
validation,complete}.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from services.apiserver.errors import Cause
from services.apiserver.registry.strategy import Object
from services.apiserver.validation.field import child, forbidden, index, invalid, key, required
from services.apiserver.validation.goregexp import compile_pattern

Level = Literal["root", "item", "field"]

UNSUPPORTED = ("id", "$schema", "$ref", "patternProperties", "dependencies", "definitions")
INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]
JUNCTORS = ("allOf", "anyOf", "oneOf")
PRESERVE = "x-kubernetes-preserve-unknown-fields"
EMBEDDED = "x-kubernetes-embedded-resource"
EITHER = "x-kubernetes-int-or-string"
NESTED_FORBIDDEN = (
    "type",
    "additionalProperties",
    "default",
    "title",
    "description",
    "nullable",
    PRESERVE,
    EMBEDDED,
    EITHER,
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
    "x-kubernetes-validations",
)
"""What a schema under allOf, anyOf, oneOf or not may not say."""


def is_convertible(schema: Object) -> bool:
    """Whether the schema, and all within, has only what structural schemas know."""
    if any(schema.get(name) for name in UNSUPPORTED) or "additionalItems" in schema:
        return False
    if isinstance(schema.get("items"), list) or schema.get(PRESERVE) is False:
        return False
    return all(map(is_convertible, _inner(schema)))


def _inner(schema: Object) -> Iterator[Object]:
    for name in ("items", "additionalProperties", "not"):
        if isinstance(schema.get(name), dict):
            yield schema[name]
    yield from (schema.get("properties") or {}).values()
    for name in JUNCTORS:
        yield from schema.get(name) or ()


def validate_structural(schema: Object, path: str) -> list[Cause]:
    """Return why a convertible schema is not structural, ordered by what the causes say."""
    found = _invariants(schema, "root", path) + _completeness(schema, schema, path)
    return sorted(found, key=lambda cause: cause.message)


def _invariants(schema: Object, level: Level, path: str) -> list[Cause]:
    found: list[Cause] = []
    kind, items, properties = schema.get("type", ""), schema.get("items"), schema.get("properties")
    if kind == "array" and items is None:
        found.append(required(child(path, "items"), "must be specified"))
    if items is not None:
        found += _invariants(items, "item", child(path, "items"))
    properties = properties or {}
    for name, inner in properties.items():
        found += _invariants(inner, "field", key(child(path, "properties"), name))
    additional, at = schema.get("additionalProperties"), child(path, "additionalProperties")
    if additional is not None:
        if level == "root":
            found.append(forbidden(at, "must not be used at the root"))
        if isinstance(additional, dict):
            found += _invariants(additional, "field", at)
    found += _validate_extensions(schema, path)
    found += _validate_values(schema, path)
    embedded, at = bool(schema.get(EMBEDDED)), child(path, "type")
    if embedded and kind != "object":
        detail = "must be object if x-kubernetes-embedded-resource is true"
        found.append(invalid(at, kind, detail) if kind else required(at, detail))
    elif not kind and not schema.get(EITHER) and not schema.get(PRESERVE):
        where = {"root": "at the root", "item": "for array items", "field": "for object fields"}
        found.append(required(at, f"must not be empty {where[level]}"))
    if embedded and additional is not None:
        detail = "must not be used if x-kubernetes-embedded-resource is set"
        found.append(forbidden(child(path, "additionalProperties"), detail))
    if level == "root" and kind and kind != "object":
        found.append(invalid(at, kind, "must be object at the root"))
    found += _validate_meta(properties, level, embedded, child(path, "properties"))
    if embedded and not schema.get(PRESERVE) and not properties:
        detail = "must not be empty if x-kubernetes-embedded-resource is true"
        found.append(required(child(path, "properties"), detail))
    return found


def _validate_extensions(schema: Object, path: str) -> list[Cause]:
    if not schema.get(EITHER):
        return []
    return [
        invalid(child(path, name), True, "must be false if x-kubernetes-int-or-string is true")
        for name in (PRESERVE, EMBEDDED)
        if schema.get(name)
    ]


def _validate_meta(
    properties: dict[str, Object], level: Level, embedded: bool, path: str
) -> list[Cause]:
    """Check what a resource's schema says of kind, apiVersion and metadata."""
    found: list[Cause] = []
    is_resource = level == "root" or embedded
    for name in ("kind", "apiVersion"):
        if is_resource and name in properties and properties[name].get("type") != "string":
            at = child(key(path, name), "type")
            found.append(invalid(at, properties[name].get("type", ""), "must be string"))
    metadata = properties.get("metadata")
    if metadata is None:
        return found
    at = key(path, "metadata")
    if is_resource and metadata.get("type") != "object":
        found.append(invalid(child(at, "type"), metadata.get("type", ""), "must be object"))
    if level == "root":
        names = set(metadata.get("properties") or ())
        rest = set(metadata) - {"type", "default"}
        if names and names <= {"name", "generateName"}:
            rest.discard("properties")
        if rest:
            detail = "must not specify anything other than name and generateName"
            found.append(forbidden(at, detail))
    return found


def _validate_values(schema: Object, path: str) -> list[Cause]:
    """Check the value validation of a schema: its nested ones, and its pattern."""
    found: list[Cause] = []
    # Two shapes of int-or-string may name types where others may not.
    if schema.get("anyOf") != INT_OR_STRING:
        for number, nested in enumerate(schema.get("anyOf") or ()):
            found += _validate_nested(nested, index(child(path, "anyOf"), number))
    for number, nested in enumerate(schema.get("allOf") or ()):
        if number == 0 and nested.get("anyOf") == INT_OR_STRING:
            nested = {name: value for name, value in nested.items() if name != "anyOf"}
        found += _validate_nested(nested, index(child(path, "allOf"), number))
    for number, nested in enumerate(schema.get("oneOf") or ()):
        found += _validate_nested(nested, index(child(path, "oneOf"), number))
    if schema.get("not") is not None:
        found += _validate_nested(schema["not"], child(path, "not"))
    pattern = schema.get("pattern")
    if pattern and compile_pattern(pattern) is None:
        detail = "must be a valid regular expression"
        found.append(invalid(child(path, "pattern"), pattern, detail))
    return found


def _validate_nested(nested: Object, path: str) -> list[Cause]:
    found = _validate_values(nested, path)
    if nested.get("items") is not None:
        found += _validate_nested(nested["items"], child(path, "items"))
    properties = nested.get("properties") or {}
    for name, inner in properties.items():
        found += _validate_nested(inner, key(child(path, "properties"), name))
    for name in NESTED_FORBIDDEN:
        value = nested.get(name)
        if value not in (None, False, "", []):
            found.append(forbidden(child(path, name), "must be unset to be structural"))
    if "metadata" in properties:
        detail = "must not be specified in a nested context"
        found.append(forbidden(key(child(path, "properties"), "metadata"), detail))
    return found


def _completeness(values: Object, schema: Object, path: str) -> list[Cause]:
    """Check that what nested validations speak of is specified outside of them, too."""
    found: list[Cause] = []
    if values.get("not") is not None:
        found += _nested_completeness(values["not"], schema, path)
    for junctor in JUNCTORS:
        for nested in values.get(junctor) or ():
            found += _nested_completeness(nested, schema, path)
    return found


def _nested_completeness(nested: Object, schema: Object, path: str) -> list[Cause]:
    found = _completeness(nested, schema, path)
    detail = "because it is defined in a nested validation"
    if nested.get("items") is not None:
        at = child(path, "items")
        if schema.get("items") is None:
            found.append(required(at, detail))
        else:
            found += _nested_completeness(nested["items"], schema["items"], at)
    properties = schema.get("properties") or {}
    for name, inner in (nested.get("properties") or {}).items():
        at = key(child(path, "properties"), name)
        if name in properties:
            found += _nested_completeness(inner, properties[name], at)
        else:
            found.append(required(at, detail))
    return found
