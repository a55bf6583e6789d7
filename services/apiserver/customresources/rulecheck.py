"""What is wrong with the CEL rules of a schema, told when the definition is written.

Types are inferred where the schema gives them; where it does not, anything goes. Costs are
estimated from below: what is refused here, kube-apiserver refuses too.
Source: kube-apiserver v1.36.2,
apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go (validateXValidations),
pkg/apiserver/schema/cel/compilation.go; apiserver/pkg/cel/{limits,library/cost}.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from services.apiserver.cel import ParseError
from services.apiserver.cel.inference import DYN, Inference, Type, type_of
from services.apiserver.customresources.rules import OLD_SELF, SELF, compile_rule, escaped
from services.apiserver.customresources.structural import RULES, Structural, compile_schema
from services.apiserver.errors import Cause
from services.apiserver.validation.field import child, forbidden, index, invalid, key

LIMIT_RULE = 10_000_000
LIMIT_SCHEMA = 100_000_000
REQUEST_BYTES = 3 * 2**20
"""What an unbounded list or map may fill."""

_ADVICE = (
    "try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, "
    "maps, and strings are declared"
)


@dataclass(slots=True)
class _Total:
    """The rules of a schema that have been costed."""

    cost: float = 0
    expensive: list[Cause] = field(default_factory=list)


def check_schema_rules(schema: Mapping[str, Any], path: str) -> list[Cause]:
    """Return what is wrong with the rules of an openAPIV3Schema, which is structural."""
    if RULES.encode() not in orjson.dumps(schema):
        return []
    total = _Total()
    causes = list(_check_node(compile_schema(schema), path, 1.0, total))
    if total.cost > LIMIT_SCHEMA:
        causes += total.expensive
        causes.append(
            forbidden(
                path,
                "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema "
                f"exceeds budget by factor of {_factor(total.cost / LIMIT_SCHEMA)} ({_ADVICE})",
            )
        )
    return causes


def _check_node(schema: Structural, path: str, times: float, total: _Total) -> Iterator[Cause]:
    for number, rule in enumerate(schema.rules):
        yield from _check_rule(rule, schema, index(child(path, RULES), number), times, total)
    if not schema.has_rules:
        return
    for name, below in schema.properties.items():
        yield from _check_node(below, key(child(path, "properties"), name), times, total)
    if schema.items is not None:
        many = times * _most_items(schema)
        yield from _check_node(schema.items, child(path, "items"), many, total)
    if schema.additional is not None:
        many = times * _most_items(schema)
        yield from _check_node(schema.additional, child(path, "additionalProperties"), many, total)


def _check_rule(
    rule: Mapping[str, Any], schema: Structural, path: str, times: float, total: _Total
) -> Iterator[Cause]:
    at = child(path, "rule")
    text = rule.get("rule", "")
    compiled = compile_rule({"rule": text})
    if compiled.program is None:
        yield invalid(at, text, f"compilation failed: {compiled.problem}")
        return
    variables = {SELF: _of_schema(schema), OLD_SELF: _of_schema(schema)}
    if rule.get("optionalOldSelf"):
        variables[OLD_SELF] = Type("optional", _Shape(schema))
    inference = Inference(variables)
    try:
        found = inference.type_of(text)
    except ParseError as error:
        yield invalid(at, text, f"compilation failed: {error}")
        return
    if found.kind not in ("bool", "dyn"):
        yield invalid(at, text, "compilation failed: cel expression must evaluate to a bool")
        return
    uses_old = OLD_SELF in compiled.program.names
    if rule.get("optionalOldSelf") and not uses_old:
        yield invalid(
            child(path, "optionalOldSelf"),
            True,
            "may not be set if oldSelf is not used in rule",
        )
    yield from _check_message(rule, variables, path)
    cost = inference.cost * times
    total.cost += cost
    if cost > LIMIT_RULE:
        yield forbidden(
            at,
            "estimated rule cost exceeds budget by factor of "
            f"{_factor(cost / LIMIT_RULE)} ({_ADVICE})",
        )
    if cost > LIMIT_SCHEMA / 100:
        total.expensive.append(
            forbidden(
                at,
                "contributed to estimated rule cost total exceeding cost limit for entire "
                "OpenAPIv3 schema",
            )
        )


def _check_message(
    rule: Mapping[str, Any], variables: Mapping[str, Type], path: str
) -> Iterator[Cause]:
    text = rule.get("messageExpression", "")
    if not text:
        return
    at = child(path, "messageExpression")
    compiled = compile_rule({"rule": text})
    if compiled.program is None:
        yield invalid(at, text, f"messageExpression compilation failed: {compiled.problem}")
        return
    try:
        found = type_of(text, variables)
    except ParseError as error:
        yield invalid(at, text, f"messageExpression compilation failed: {error}")
        return
    if found.kind not in ("string", "dyn"):
        yield invalid(at, text, "messageExpression must evaluate to a string")


def _factor(times: float) -> str:
    return f"{times:.1f}x" if times < 100 else "more than 100x"


# -- what a schema tells of types ---------------------------------------------------------

_KINDS = {"integer": "int", "number": "double", "boolean": "bool", "string": "string"}
_FORMAT_KINDS = {
    "date-time": "timestamp",
    "datetime": "timestamp",
    "date": "timestamp",
    "duration": "duration",
    "byte": "bytes",
}


def _of_schema(schema: Structural | None) -> Type:
    if schema is None or schema.int_or_string or schema.nullable:
        return Type("dyn")
    match schema.type:
        case "array":
            return Type("list", _Shape(schema))
        case "object":
            if schema.properties or schema.embedded:
                return Type("dyn" if schema.preserves_unknown else "object", _Shape(schema))
            return Type("map", _Shape(schema))
        case "string":
            return Type(_FORMAT_KINDS.get(schema.format, "string"))
    return Type(_KINDS.get(schema.type, "dyn"))


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a structural schema tells of the inside of its values."""

    schema: Structural

    def field(self, name: str) -> Type | None:
        for field_name, below in self.schema.properties.items():
            if escaped(field_name) == name:
                return _of_schema(below)
        return DYN if name in ("apiVersion", "kind", "metadata") else None

    def item(self) -> Type:
        return _of_schema(self.schema.items or self.schema.additional)

    def most_items(self) -> float:
        return _most_items(self.schema)


def _most_items(schema: Structural) -> float:
    """Return how many items a list or map has at most."""
    if schema.max_items is not None:
        return float(schema.max_items)
    if schema.items is not None:
        return REQUEST_BYTES / (_least_bytes(schema.items) + 1)
    if schema.additional is not None:
        # "":X, is the shortest entry there is.
        return REQUEST_BYTES / (_least_bytes(schema.additional) + 4)
    return 1.0


def _least_bytes(schema: Structural) -> int:
    return {"boolean": 4, "integer": 1, "number": 1}.get(schema.type, 2)
