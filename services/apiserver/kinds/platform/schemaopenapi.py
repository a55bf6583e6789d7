"""The openAPIV3Schema of a version, checked as an object: what it may say and what not.

CEL rules are checked for their form here; whether they compile is the last question.
Source: kube-apiserver v1.36.2,
apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from services.apiserver.customresources.rulecheck import check_schema_rules
from services.apiserver.errors import Cause
from services.apiserver.kinds.platform.schemadefaults import validate_defaults
from services.apiserver.kinds.platform.schemapaths import find_schema
from services.apiserver.kinds.platform.schemastructural import (
    EMBEDDED,
    PRESERVE,
    is_convertible,
    validate_structural,
)
from services.apiserver.registry.strategy import Object
from services.apiserver.validation.field import (
    child,
    forbidden,
    index,
    invalid,
    key,
    not_supported,
    required,
)

TYPES = ("array", "boolean", "integer", "number", "object", "string")
RULE_REASONS = (
    "FieldValueDuplicate",
    "FieldValueForbidden",
    "FieldValueInvalid",
    "FieldValueRequired",
)
LIST_TYPES = ("atomic", "set", "map")
MAP_TYPES = ("atomic", "granular")
LIST_TYPE, LIST_KEYS = "x-kubernetes-list-type", "x-kubernetes-list-map-keys"
MAP_TYPE, RULES = "x-kubernetes-map-type", "x-kubernetes-validations"
META_FIELDS = ("metadata", "kind", "apiVersion")
UNSUPPORTED = ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref")
ALLOWED_AT_ROOT = frozenset(
    "description type format title maximum exclusiveMaximum minimum exclusiveMinimum maxLength"
    " minLength pattern maxItems minItems uniqueItems multipleOf required items properties"
    f" externalDocs example {PRESERVE} {RULES}".split()
)
"""What a schema's root may say where the status is a subresource, checked on its own."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a resource a schema stands."""

    is_root: bool = False
    in_meta: bool = False
    no_defaults: str = ""
    """Why there may be no defaults; "" if there may."""


def subschemas(schema: Object | None) -> Iterator[Object]:
    """Yield a schema and all that are within it."""
    if schema is None:
        return
    yield schema
    for name in ("items", "additionalProperties", "not", "additionalItems"):
        inner = schema.get(name)
        if isinstance(inner, dict):
            yield from subschemas(inner)
        elif isinstance(inner, list):
            for one in inner:
                yield from subschemas(one)
    for name in ("allOf", "anyOf", "oneOf"):
        for one in schema.get(name) or ():
            yield from subschemas(one)
    for name in ("properties", "patternProperties", "definitions", "dependencies"):
        for one in (schema.get(name) or {}).values():
            if isinstance(one, dict):
                yield from subschemas(one)


def validate_schema(schema: Object, path: str, *, has_status: bool) -> list[Cause]:
    """Return what is wrong with the schema of a custom resource at `path`."""
    found = _validate_root(schema, path) if has_status else []
    if schema.get("nullable"):
        found.append(forbidden(child(path, "nullable"), "nullable cannot be true at the root"))
    convertible = is_convertible(schema)
    if convertible:
        found += validate_structural(schema, path) or validate_defaults(schema, path)
    found += _validate_openapi(schema, path, _Place(is_root=True))
    if not convertible and not found:
        found.append(invalid(path, "", "the schema is not structural"))
    return found or check_schema_rules(schema, path)


def _validate_root(schema: Object, path: str) -> list[Cause]:
    kind = schema.get("type", "")
    if kind and kind != "object":
        detail = 'only "object" is allowed at the root if the status subresource is enabled'
        return [invalid(child(path, "type"), kind, detail)]
    if not ALLOWED_AT_ROOT.issuperset(schema):
        detail = "has fields that the root may not have if the status subresource is enabled"
        return [invalid(path, schema, detail)]
    return []


def _validate_openapi(schema: Object, path: str, place: _Place) -> list[Cause]:
    found = _validate_supported(schema, path, place)
    if schema.get("uniqueItems"):
        detail = "uniqueItems cannot be set to true since it takes quadratic time"
        found.append(forbidden(child(path, "uniqueItems"), detail))
    found += _validate_inner(schema, path, place)
    if schema.get(PRESERVE) is False:
        found.append(invalid(child(path, PRESERVE), False, "must be true or undefined"))
    found += _validate_map_type(schema, path)
    found += _validate_list_type(schema, path)
    found += _validate_list_keys(schema, path)
    found += _validate_list_items(schema, path)
    for number, rule in enumerate(schema.get(RULES) or ()):
        found += _validate_rule(rule, schema, index(child(path, RULES), number))
    return found


def _validate_supported(schema: Object, path: str, place: _Place) -> list[Cause]:
    found: list[Cause] = []
    kind = schema.get("type", "")
    if kind and kind not in TYPES:
        found.append(not_supported(child(path, "type"), kind, TYPES))
    if schema.get("default") is not None and place.no_defaults:
        detail = f"must not be set {place.no_defaults}"
        found.append(forbidden(child(path, "default"), detail))
    found += [
        forbidden(child(path, name), f"{name} is not supported")
        for name in UNSUPPORTED
        if name in schema
    ]
    if kind == "null":
        detail = "type cannot be set to null, use nullable as an alternative"
        found.append(forbidden(child(path, "type"), detail))
    if isinstance(schema.get("items"), list):
        detail = "items must be a schema object and not an array"
        found.append(forbidden(child(path, "items"), detail))
    if place.in_meta and schema.get(EMBEDDED):
        detail = "must not be used inside of resource meta"
        found.append(forbidden(child(path, EMBEDDED), detail))
    return found


def _validate_inner(schema: Object, path: str, place: _Place) -> list[Cause]:
    found: list[Cause] = []
    inside = replace(place, is_root=False)
    properties, additional = schema.get("properties") or {}, schema.get("additionalProperties")
    at = child(path, "additionalProperties")
    if additional is not None:
        if properties and additional is not True:
            detail = "additionalProperties and properties are mutual exclusive"
            found.append(forbidden(at, detail))
        if isinstance(additional, dict):
            within = inside
            if place.in_meta:
                why = "inside additionalProperties applying to object metadata"
                within = replace(inside, no_defaults=why)
            found += _validate_openapi(additional, at, within)
    for name, inner in properties.items():
        within = inside
        if (place.is_root or schema.get(EMBEDDED)) and name in META_FIELDS:
            why = f"in top-level {name}" if place.is_root else place.no_defaults
            within = replace(inside, in_meta=True, no_defaults=why)
        found += _validate_openapi(inner, key(child(path, "properties"), name), within)
    if schema.get("not") is not None:
        found += _validate_openapi(schema["not"], child(path, "not"), inside)
    for junctor in ("allOf", "oneOf", "anyOf"):
        for number, inner in enumerate(schema.get(junctor) or ()):
            found += _validate_openapi(inner, index(child(path, junctor), number), inside)
    for name, inner in (schema.get("definitions") or {}).items():
        found += _validate_openapi(inner, key(child(path, "definitions"), name), inside)
    items, at = schema.get("items"), child(path, "items")
    if isinstance(items, dict):
        found += _validate_openapi(items, at, inside)
    elif isinstance(items, list):
        for number, inner in enumerate(items):
            found += _validate_openapi(inner, index(at, number), inside)
    for name, inner in (schema.get("dependencies") or {}).items():
        if isinstance(inner, dict):
            found += _validate_openapi(inner, key(child(path, "dependencies"), name), inside)
    return found


def _validate_map_type(schema: Object, path: str) -> list[Cause]:
    map_type = schema.get(MAP_TYPE)
    if map_type is None:
        return []
    found = _must_be(schema, "object", MAP_TYPE, path)
    if map_type not in MAP_TYPES:
        found.append(not_supported(child(path, MAP_TYPE), map_type, MAP_TYPES))
    return found


def _must_be(schema: Object, kind: str, because: str, path: str) -> list[Cause]:
    present, at = schema.get("type", ""), child(path, "type")
    detail = f"must be {kind} if {because} is specified"
    if present == kind:
        return []
    return [invalid(at, present, detail) if present else required(at, detail)]


def _validate_list_type(schema: Object, path: str) -> list[Cause]:
    list_type = schema.get(LIST_TYPE)
    if list_type is None:
        return []
    found = _must_be(schema, "array", LIST_TYPE, path)
    items = schema.get("items")
    if not found and list_type == "set" and isinstance(items, dict):
        detail = "must be atomic as item of a list with x-kubernetes-list-type=set"
        at, kind = child(path, "items"), items.get("type")
        if kind == "array" and items.get(LIST_TYPE, "atomic") != "atomic":
            found.append(invalid(child(at, LIST_TYPE), items[LIST_TYPE], detail))
        elif kind == "object" and items.get(MAP_TYPE) != "atomic":
            found.append(invalid(child(at, MAP_TYPE), items.get(MAP_TYPE), detail))
    if list_type not in LIST_TYPES:
        found.append(not_supported(child(path, LIST_TYPE), list_type, LIST_TYPES))
    return found


def _validate_list_keys(schema: Object, path: str) -> list[Cause]:
    found: list[Cause] = []
    list_type, keys = schema.get(LIST_TYPE), schema.get(LIST_KEYS) or []
    if keys and list_type != "map":
        at, detail = child(path, LIST_TYPE), f"must be map if {LIST_KEYS} is non-empty"
        found.append(required(at, detail) if list_type is None else invalid(at, list_type, detail))
    if list_type != "map":
        return found
    at, items = child(path, "items"), schema.get("items")
    if not keys:
        detail = "must not be empty if x-kubernetes-list-type is map"
        found.append(required(child(path, LIST_KEYS), detail))
    if items is None:
        found.append(required(at, "must have a schema if x-kubernetes-list-type is map"))
    elif not isinstance(items, dict):
        detail = "must only have a single schema if x-kubernetes-list-type is map"
        found.append(invalid(at, items, detail))
    elif items.get("type") != "object":
        detail = "must be object if parent array's x-kubernetes-list-type is map"
        found.append(invalid(child(at, "type"), items.get("type", ""), detail))
    else:
        found += _validate_keys(keys, items, path)
    return found


def _validate_keys(keys: list[str], items: Object, path: str) -> list[Cause]:
    found: list[Cause] = []
    properties = items.get("properties") or {}
    for number, name in enumerate(keys):
        if name not in properties:
            detail = "entries must all be names of item properties"
            found.append(invalid(child(path, LIST_KEYS), keys, detail))
        elif properties[name].get("type") in ("array", "object"):
            at = child(key(child(path, "items", "properties"), name), "type")
            detail = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            found.append(invalid(at, properties[name]["type"], detail))
        if name in keys[:number]:
            detail = "must not contain duplicate entries"
            found.append(invalid(child(path, LIST_KEYS), keys, detail))
    return found


def _validate_list_items(schema: Object, path: str) -> list[Cause]:
    """Check that the items of sets and maps, and the keys of maps, are always there."""
    items, list_type = schema.get("items"), schema.get(LIST_TYPE)
    if not isinstance(items, dict) or list_type not in ("set", "map"):
        return []
    found: list[Cause] = []
    if items.get("nullable"):
        detail = f"cannot be nullable when x-kubernetes-list-type is {list_type}"
        found.append(forbidden(child(path, "items", "nullable"), detail))
    if list_type != "map":
        return found
    properties = items.get("properties") or {}
    for name in schema.get(LIST_KEYS) or ():
        inner = properties.get(name)
        if inner is None:
            continue
        at = key(child(path, "items", "properties"), name)
        if name not in (items.get("required") or ()) and inner.get("default") is None:
            detail = "a key of a list must have a default or be a required property"
            found.append(required(child(at, "default"), detail))
        if inner.get("nullable"):
            detail = "a key of a list cannot be nullable"
            found.append(forbidden(child(at, "nullable"), detail))
    return found


def _validate_rule(rule: Object, schema: Object, path: str) -> list[Cause]:
    found: list[Cause] = []
    text, message = rule.get("rule", ""), rule.get("message", "")
    if not text.strip():
        found.append(required(child(path, "rule"), "rule is not specified"))
    elif message and not message.strip():
        found.append(invalid(child(path, "message"), message, "must be non-empty if specified"))
    elif _has_newline(message.strip()):
        found.append(invalid(child(path, "message"), message, "must not contain line breaks"))
    elif _has_newline(text.strip()) and not message:
        detail = "message must be specified if rule contains line breaks"
        found.append(required(child(path, "message"), detail))
    expression = rule.get("messageExpression", "")
    if expression and not expression.strip():
        at = child(path, "messageExpression")
        found.append(required(at, "messageExpression must be non-empty if specified"))
    reason = rule.get("reason")
    if reason is not None and reason not in RULE_REASONS:
        found.append(not_supported(child(path, "reason"), reason, RULE_REASONS))
    target, at = rule.get("fieldPath", ""), child(path, "fieldPath")
    if target:
        if not target.strip():
            found.append(invalid(at, target, "must be non-empty if specified"))
        if _has_newline(target):
            found.append(invalid(at, target, "must not contain line breaks"))
        if is_convertible(schema) and find_schema(target, schema)[1] is None:
            found.append(invalid(at, target, "must be a valid path"))
    return found


def _has_newline(text: str) -> bool:
    return re.search("[\n\r]", text) is not None
