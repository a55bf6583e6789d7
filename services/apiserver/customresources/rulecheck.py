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
from services.apiserver.cel.syntax import (
    Call,
    Ident,
    Index,
    ListLiteral,
    Literal,
    MapLiteral,
    Node,
    Select,
    StructLiteral,
    parse,
)
from services.apiserver.cel.values import type_name
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
_LOGICAL = frozenset(
    {"_&&_", "_||_", "!_", "_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "@in", "has"}
)
_LOOPS: Mapping[str, str] = {
    "all": "bool",
    "exists": "bool",
    "exists_one": "bool",
    "existsOne": "bool",
    "filter": "list",
    "map": "list",
    "transformList": "list",
    "transformMap": "map",
}
_RESULTS: Mapping[str, str] = {
    **dict.fromkeys(("contains", "startsWith", "endsWith", "matches", "isSorted"), "bool"),
    **dict.fromkeys(("hasValue", "isQuantity", "isIP", "isURL", "isCIDR", "bool"), "bool"),
    **dict.fromkeys(("size", "int", "indexOf", "lastIndexOf"), "int"),
    **dict.fromkeys(("string", "lowerAscii", "upperAscii", "trim", "replace", "join"), "string"),
    **dict.fromkeys(("substring", "format", "find", "charAt"), "string"),
    **dict.fromkeys(("split", "findAll"), "list"),
    "double": "double",
}
_ARITHMETIC = frozenset({"_+_", "_-_", "_*_", "_/_", "_%_"})
_NUMBERS = frozenset({"int", "double", "uint"})


@dataclass(frozen=True, slots=True)
class _Type:
    """What is known of a value; `schema` where it is one of the object's."""

    kind: str = "dyn"
    schema: Structural | None = None


_DYN = _Type()


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
        variables[OLD_SELF] = _Type("optional", schema)
    inference = _Inference(variables)
    try:
        found = inference.infer(parse(text), {})
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
    rule: Mapping[str, Any], variables: Mapping[str, _Type], path: str
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
        found = _Inference(variables).infer(parse(text), {})
    except ParseError as error:
        yield invalid(at, text, f"messageExpression compilation failed: {error}")
        return
    if found.kind not in ("string", "dyn"):
        yield invalid(at, text, "messageExpression must evaluate to a string")


def _factor(times: float) -> str:
    return f"{times:.1f}x" if times < 100 else "more than 100x"


# -- sizes -----------------------------------------------------------------------------


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


# -- types -----------------------------------------------------------------------------

_KINDS = {"integer": "int", "number": "double", "boolean": "bool", "string": "string"}
_FORMAT_KINDS = {
    "date-time": "timestamp",
    "datetime": "timestamp",
    "date": "timestamp",
    "duration": "duration",
    "byte": "bytes",
}


def _of_schema(schema: Structural | None) -> _Type:
    if schema is None or schema.int_or_string or schema.nullable:
        return _Type("dyn", None)
    match schema.type:
        case "array":
            return _Type("list", schema)
        case "object":
            if schema.properties or schema.embedded:
                return _Type("dyn" if schema.preserves_unknown else "object", schema)
            return _Type("map", schema)
        case "string":
            return _Type(_FORMAT_KINDS.get(schema.format, "string"))
    return _Type(_KINDS.get(schema.type, "dyn"))


class _Inference:
    """Walks an expression: finds the type of its value, and counts what it costs."""

    def __init__(self, variables: Mapping[str, _Type]) -> None:
        self._variables = variables
        self.cost = 0.0
        self._times = 1.0

    def infer(self, node: Node, local: Mapping[str, _Type]) -> _Type:
        """Return the type of an expression.

        Raises:
            ParseError: it can't have one.
        """
        self.cost += self._times
        match node:
            case Literal(value):
                return _Type(_LITERALS.get(type_name(value), type_name(value)))
            case Ident(name):
                return local.get(name) or self._variables.get(name, _DYN)
            case Select():
                operand = self.infer(node.operand, local)
                found = _field(operand, node.field)
                return _DYN if node.optional or operand.kind == "optional" else found
            case Index():
                operand = self.infer(node.operand, local)
                self.infer(node.index, local)
                return _DYN if node.optional else _item(operand)
            case ListLiteral(items):
                for item, _ in items:
                    self.infer(item, local)
                return _Type("list")
            case MapLiteral(entries):
                for one, value, _ in entries:
                    self.infer(one, local)
                    self.infer(value, local)
                return _Type("map")
            case StructLiteral(_, fields):
                for _, value, _ in fields:
                    self.infer(value, local)
                return _DYN
            case Call():
                return self._call(node, local)

    def _call(self, node: Call, local: Mapping[str, _Type]) -> _Type:
        name, target, args = node.function, node.target, node.args
        if target is not None and name in _LOOPS and len(args) >= 2:
            return self._loop(node, local)
        if target is not None and name in ("optMap", "optFlatMap", "bind"):
            return self._bound(node, local)
        types = [self.infer(one, local) for one in args]
        if target is not None and not (isinstance(target, Ident) and target.name in _LIBRARIES):
            self.infer(target, local)
        if name in _LOGICAL:
            if name in _COMPARISONS:
                _must_agree(name, types)
            return _Type("bool")
        if name == "_?_:_":
            return types[1] if types[1].kind == types[2].kind else _DYN
        if name in _ARITHMETIC:
            return _must_agree(name, types)
        if name == "-_":
            return types[0]
        return _Type(_RESULTS.get(name, "dyn"))

    def _loop(self, node: Call, local: Mapping[str, _Type]) -> _Type:
        assert node.target is not None
        source = self.infer(node.target, local)
        if source.kind not in ("list", "map", "dyn", "optional"):
            raise ParseError(
                f"expression of type '{source.kind}' cannot be range of a comprehension "
                "(must be list, map, or dynamic)"
            )
        names = [one.name for one in node.args if isinstance(one, Ident)]
        item = _item(source)
        inner = {**local}
        for name in names[:2]:
            inner[name] = _DYN
        if len(node.args) == 2 or node.function in ("map", "filter"):
            inner[names[0]] = item if source.kind == "list" else _DYN
        many = 1.0
        if source.schema is not None and source.kind in ("list", "map"):
            many = _most_items(source.schema)
        outer, self._times = self._times, self._times * many
        for one in node.args[1:]:
            self.infer(one, inner)
        self._times = outer
        return source if node.function == "filter" else _Type(_LOOPS[node.function])

    def _bound(self, node: Call, local: Mapping[str, _Type]) -> _Type:
        name = node.args[0].name if isinstance(node.args[0], Ident) else ""
        inner = {**local, name: _DYN}
        if node.function == "bind":
            inner[name] = self.infer(node.args[1], local)
        elif node.target is not None:
            self.infer(node.target, local)
        result = self.infer(node.args[-1], inner)
        return result if node.function == "bind" else _DYN


_LITERALS = {"null_type": "dyn"}
_LIBRARIES = frozenset({"cel", "sets", "optional", "format", "strings", "ip", "math"})
_COMPARISONS = frozenset({"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"})
_AGREEING = frozenset({"int", "double", "string", "bool", "bytes"})


def _must_agree(name: str, types: list[_Type]) -> _Type:
    """Both sides of an operator are of one type, as far as that is known."""
    one, other = types[0].kind, types[1].kind
    if one in _AGREEING and other in _AGREEING and one != other:
        ordering = name not in ("_==_", "_!=_") and name in _COMPARISONS
        if not (ordering and one in _NUMBERS and other in _NUMBERS):
            raise _no_overload(name, one, other)
    if name in _ARITHMETIC and "bool" in (one, other):
        raise _no_overload(name, one, other)
    return types[0] if one == other else _DYN


def _no_overload(name: str, one: str, other: str) -> ParseError:
    return ParseError(f"found no matching overload for '{name}' applied to '({one}, {other})'")


def _field(operand: _Type, name: str) -> _Type:
    schema = operand.schema
    if operand.kind == "map":
        return _DYN if schema is None else _of_schema(schema.additional)
    if schema is None or operand.kind not in ("object", "dyn"):
        if operand.kind in _AGREEING or operand.kind == "list":
            raise ParseError(f"type '{operand.kind}' does not support field selection")
        return _DYN
    for field_name, below in schema.properties.items():
        if escaped(field_name) == name:
            return _of_schema(below)
    if operand.kind == "dyn" or name in ("apiVersion", "kind", "metadata"):
        return _DYN
    raise ParseError(f"undefined field '{name}'")


def _item(source: _Type) -> _Type:
    if source.schema is None:
        return _DYN
    if source.kind == "list":
        return _of_schema(source.schema.items)
    return _of_schema(source.schema.additional) if source.kind == "map" else _DYN
