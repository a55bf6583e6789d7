"""Validation of an object by an openAPIV3Schema, with kube-apiserver's causes in its order.

A schema is compiled into nodes once. On update a node passes what has not changed
(ratcheting), so that a schema may be tightened under existing objects.
Source: kube-apiserver v1.36.2, kube-openapi/pkg/validation/validate (schema.go, type.go,
object_validator.go, slice_validator.go, schema_props.go, values.go) and
apiextensions-apiserver/pkg/apiserver/validation/{validation,ratcheting}.go.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.apiserver.customresources.correlation import ABSENT, Correlation
from services.apiserver.customresources.quickcheck import quick_check
from services.apiserver.customresources.structural import INT_OR_STRING, LIST_MAP_KEYS, LIST_TYPE
from services.apiserver.errors import Cause
from services.apiserver.validation.field import invalid, not_supported, required, too_many
from services.apiserver.validation.field import type_invalid as wrong_type
from services.apiserver.validation.formats import FORMATS
from services.apiserver.validation.goregexp import compile_pattern

_INT32 = (-(2**31), 2**31 - 1)
_INT64 = (-(2**63), 2**63 - 1)
_EXACT = 2**53 - 1
"""Beyond it kube-apiserver does not take a float for an integer."""


class Findings:
    """The causes of one (sub)schema, and how many checks it made: the best of several counts."""

    __slots__ = ("causes", "checks")

    def __init__(self) -> None:
        self.causes: list[Cause] = []
        self.checks = 0

    def add(self, cause: Cause) -> None:
        if cause not in self.causes:
            self.causes.append(cause)

    def merge(self, other: Findings) -> None:
        self.checks += other.checks
        for cause in other.causes:
            self.add(cause)


@dataclass(frozen=True, slots=True)
class Node:
    """One (sub)schema."""

    types: tuple[str, ...]
    nullable: bool
    format: str
    check_format: Callable[[str], bool] | None
    any_of: tuple[Node, ...]
    one_of: tuple[Node, ...]
    all_of: tuple[Node, ...]
    none_of: Node | None
    max_length: int | None
    min_length: int | None
    pattern: str
    matches: re.Pattern[str] | None
    multiple_of: float | None
    maximum: float | None
    exclusive_maximum: bool
    minimum: float | None
    exclusive_minimum: bool
    items: Node | None
    min_items: int | None
    max_items: int | None
    unique_items: bool
    enum: tuple[Any, ...] | None
    properties: Mapping[str, Node]
    additional: Node | None
    closed: bool
    required: tuple[str, ...]
    min_properties: int | None
    max_properties: int | None
    list_type: str
    list_map_keys: tuple[str, ...]

    def check(self, value: Any, path: str, old: Any) -> Findings:
        """Return what is wrong with a value; `old` is ABSENT or what it was before."""
        found = self._check(value, path, old)
        if found.causes and old is not ABSENT and old == value:
            passed = Findings()
            passed.checks = found.checks
            return passed
        return found

    def _check(self, value: Any, path: str, old: Any) -> Findings:
        found = Findings()
        self._check_type(value, path, found)
        if value is None:
            self._check_enum(value, path, found)
            return found
        self._check_combined(value, path, found)
        if isinstance(value, str):
            self._check_string(value, path, found)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            self._check_number(value, path, found)
        elif isinstance(value, list):
            self._check_list(value, path, old, found)
        self._check_enum(value, path, found)
        if isinstance(value, dict):
            self._check_object(value, path, old, found)
        found.checks += 1
        return found

    def _check_type(self, value: Any, path: str, found: Findings) -> None:
        found.checks += 1
        types = self.types
        if not types:
            return
        kind = _json_type(value)
        if kind in types:
            return
        if value is None:
            if self.nullable:
                return
        elif (kind == "integer" and "number" in types) or (
            kind == "number"
            and "integer" in types
            and float(value).is_integer()
            and abs(value) <= _EXACT
        ):
            return
        found.add(
            wrong_type(
                path,
                kind,
                f'{path or "body"} in body must be of type {",".join(types)}: "{kind}"',
            )
        )

    def _check_combined(self, value: Any, path: str, found: Findings) -> None:
        # What has not changed does not pass inside of these: a "not" would turn it around.
        if self.any_of:
            found.merge(self._any_of(value, path))
        if self.one_of:
            found.merge(self._one_of(value, path))
        if self.all_of:
            results = [one.check(value, path, ABSENT) for one in self.all_of]
            for result in results:
                found.merge(result)
            if any(result.causes for result in results):
                none = all(result.causes for result in results)
                found.add(_nowhere(f'"{path}" must validate all the schemas (allOf)', none))
        if self.none_of is not None and not self.none_of.check(value, path, ABSENT).causes:
            found.add(_nowhere(f'"{path}" must not validate the schema (not)'))
        found.checks += 1

    def _any_of(self, value: Any, path: str) -> Findings:
        best: Findings | None = None
        for one in self.any_of:
            result = one.check(value, path, ABSENT)
            if not result.causes:
                return result
            if best is None or result.checks > best.checks:
                best = result
        out = Findings()
        out.add(_nowhere(f'"{path}" must validate at least one schema (anyOf)'))
        if best is not None:
            out.merge(best)
        return out

    def _one_of(self, value: Any, path: str) -> Findings:
        best: Findings | None = None
        passed: list[Findings] = []
        for one in self.one_of:
            result = one.check(value, path, ABSENT)
            if not result.causes:
                passed.append(result)
            elif not passed and (best is None or result.checks > best.checks):
                best = result
        if len(passed) == 1:
            return passed[0]
        out = Findings()
        how_many = f"Found {len(passed)} valid alternatives" if passed else "Found none valid"
        out.add(_nowhere(f'"{path}" must validate one and only one schema (oneOf). {how_many}'))
        if best is not None and not passed:
            out.merge(best)
        return out

    def _check_string(self, value: str, path: str, found: Findings) -> None:
        if self.max_length is not None and len(value) > self.max_length:
            found.add(
                Cause(
                    "FieldValueTooLong",
                    f"{path}: Too long: may not be more than {self.max_length} bytes",
                    path,
                )
            )
        elif self.min_length is not None and len(value) < self.min_length:
            found.add(
                invalid(
                    path,
                    value,
                    f"{path} in body should be at least {self.min_length} chars long",
                )
            )
        elif self.matches is not None and self.matches.search(value) is None:
            found.add(invalid(path, value, f"{path} in body should match '{self.pattern}'"))
        found.checks += 1
        if self.check_format is not None:
            if not self.check_format(value):
                found.add(
                    wrong_type(
                        path, value, f'{path} in body must be of type {self.format}: "{value}"'
                    )
                )
            found.checks += 1

    def _check_number(self, value: int | float, path: str, found: Findings) -> None:
        if "integer" in self.types and "string" not in self.types:
            low, high = _INT32 if self.format == "int32" else _INT64
            if value != math.floor(value) or not low <= value <= high:
                found.add(_nowhere(f"Checked value must be of type integer with format in {path}"))
        if self.multiple_of is not None and not _is_multiple(value, self.multiple_of):
            found.add(
                invalid(path, value, f"{path} in body should be a multiple of {self.multiple_of}")
            )
        if self.maximum is not None and (
            value > self.maximum or (self.exclusive_maximum and value == self.maximum)
        ):
            relation = "less than" if self.exclusive_maximum else "less than or equal to"
            found.add(
                invalid(path, value, f"{path} in body should be {relation} {_number(self.maximum)}")
            )
        if self.minimum is not None and (
            value < self.minimum or (self.exclusive_minimum and value == self.minimum)
        ):
            relation = "greater than" if self.exclusive_minimum else "greater than or equal to"
            found.add(
                invalid(path, value, f"{path} in body should be {relation} {_number(self.minimum)}")
            )
        found.checks += 1

    def _check_list(self, value: list[Any], path: str, old: Any, found: Findings) -> None:
        if self.items is not None:
            before = Correlation(self.list_type, self.list_map_keys, old)
            for number, item in enumerate(value):
                found.merge(self.items.check(item, f"{path}[{number}]", before.of(item)))
        if self.min_items is not None and len(value) < self.min_items:
            found.add(
                invalid(
                    path, len(value), f"{path} in body should have at least {self.min_items} items"
                )
            )
        if self.max_items is not None and len(value) > self.max_items:
            found.add(too_many(path, len(value), self.max_items))
        if self.unique_items and _has_duplicates(value):
            found.add(invalid(path, value, f"{path} in body shouldn't contain duplicates"))
        found.checks += 1

    def _check_enum(self, value: Any, path: str, found: Findings) -> None:
        if self.enum is None:
            return
        if not any(_same(value, one) for one in self.enum):
            found.add(not_supported(path, value, [_text(one) for one in self.enum]))
        found.checks += 1

    def _check_object(self, value: dict[str, Any], path: str, old: Any, found: Findings) -> None:
        count = len(value)
        if self.min_properties is not None and count < self.min_properties:
            found.add(
                invalid(
                    path,
                    count,
                    f"{path} in body should have at least {self.min_properties} properties",
                )
            )
            return
        if self.max_properties is not None and count > self.max_properties:
            found.add(too_many(path, count, self.max_properties))
            return
        before: dict[str, Any] = old if isinstance(old, dict) else {}
        properties = self.properties
        for name, item in value.items():
            if name in properties:
                continue
            if self.additional is not None:
                below = before.get(name, ABSENT)
                found.merge(self.additional.check(item, f"{path}.{name}", below))
            elif self.closed:
                found.add(invalid(path, name, f"{path}.{name} in body is a forbidden property"))
        for name, node in properties.items():
            if name in value:
                at = f"{path}.{name}" if path else name
                found.merge(node.check(value[name], at, before.get(name, ABSENT)))
        for name in self.required:
            if name not in value:
                found.add(required(f"{path}.{name}" if path else name))
        found.checks += 1


class SchemaValidator:
    """A compiled openAPIV3Schema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._root = compile_node(schema)
        self._fits = quick_check(self._root)

    def validate(self, obj: Any, old: Any = ABSENT) -> list[Cause]:
        """Return what is wrong with an object; what is as in `old` passes."""
        if self._fits(obj):
            return []
        return self._root.check(obj, "", old).causes


def compile_node(schema: Mapping[str, Any]) -> Node:
    kind = schema.get("type", "")
    types: tuple[str, ...] = (kind,) if kind else ()
    if not types and schema.get(INT_OR_STRING):
        types = ("integer", "string")
    additional = schema.get("additionalProperties")
    items = schema.get("items")
    pattern = schema.get("pattern", "")
    none_of = schema.get("not")
    format_ = schema.get("format", "")
    return Node(
        types=types,
        nullable=bool(schema.get("nullable")),
        format=format_,
        check_format=FORMATS.get(format_.replace("-", "")),
        any_of=_nodes(schema.get("anyOf")),
        one_of=_nodes(schema.get("oneOf")),
        all_of=_nodes(schema.get("allOf")),
        none_of=None if none_of is None else compile_node(none_of),
        max_length=schema.get("maxLength"),
        min_length=schema.get("minLength"),
        pattern=pattern,
        matches=compile_pattern(pattern) if pattern else None,
        multiple_of=schema.get("multipleOf"),
        maximum=schema.get("maximum"),
        exclusive_maximum=bool(schema.get("exclusiveMaximum")),
        minimum=schema.get("minimum"),
        exclusive_minimum=bool(schema.get("exclusiveMinimum")),
        items=compile_node(items) if isinstance(items, dict) else None,
        min_items=schema.get("minItems"),
        max_items=schema.get("maxItems"),
        unique_items=bool(schema.get("uniqueItems")),
        enum=None if schema.get("enum") is None else tuple(schema["enum"]),
        properties={
            name: compile_node(one) for name, one in (schema.get("properties") or {}).items()
        },
        additional=compile_node(additional) if isinstance(additional, dict) else None,
        closed=additional is False,
        required=tuple(schema.get("required") or ()),
        min_properties=schema.get("minProperties"),
        max_properties=schema.get("maxProperties"),
        list_type=schema.get(LIST_TYPE, ""),
        list_map_keys=tuple(schema.get(LIST_MAP_KEYS) or ()),
    )


def _nodes(schemas: Any) -> tuple[Node, ...]:
    return tuple(compile_node(one) for one in schemas or ())


def _nowhere(message: str, none_validated: bool = False) -> Cause:
    """Return the cause of an error that kube-apiserver does not locate."""
    text = f"{message}. None validated" if none_validated else message
    return Cause("FieldValueInvalid", f'<nil>: Invalid value: "": {text}', "<nil>")


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        # Beyond 64 bits Go has a float at hand.
        return "integer" if _INT64[0] <= value <= _INT64[1] else "number"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _same(value: Any, other: Any) -> bool:
    """Compare as JSON does: true is not 1."""
    if isinstance(value, bool) or isinstance(other, bool):
        return value is other
    return bool(value == other)


def _is_multiple(value: float, factor: float) -> bool:
    if factor <= 0:
        return True
    quotient = value / factor
    return abs(quotient - round(quotient)) < 1e-9


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _has_duplicates(values: list[Any]) -> bool:
    seen: list[Any] = []
    for value in values:
        if any(_same(value, one) for one in seen):
            return True
        seen.append(value)
    return False
