"""Validation rules: the CEL expressions of x-kubernetes-validations.

Rules run on values typed by the schema: fields by their escaped names, times and durations
parsed, sets and keyed lists comparing as such.
Source: kube-apiserver v1.36.2, apiextensions-apiserver/pkg/apiserver/schema/cel/
{compilation,validation,values}.go; apiserver/pkg/cel/escaping.go.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.apiserver.cel import (
    NONE,
    Budget,
    CelError,
    KeyedList,
    Optional,
    ParseError,
    Program,
    SetList,
    compile_expression,
)
from services.apiserver.cel.standard import to_duration, to_timestamp
from services.apiserver.cel.syntax import KEYWORDS, RESERVED
from services.apiserver.customresources.correlation import ABSENT, Correlation
from services.apiserver.customresources.structural import Structural
from services.apiserver.errors import Cause
from services.apiserver.validation.field import child, index, key

SELF, OLD_SELF = "self", "oldSelf"
_ESCAPES = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_ESCAPED = re.compile(r"__|[.\-/]")
_FIELD_PATH = re.compile(r"\.([^.\[\]']+)|\['((?:[^'\\]|\\.)+)'\]")
_PREFIXES = {
    "FieldValueRequired": "Required value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueDuplicate": "Duplicate value",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, compiled. `program` is None where the expression is wrong, `problem` says how."""

    text: str
    message: str
    reason: str
    field_path: str
    optional_old: bool
    program: Program | None
    message_program: Program | None
    problem: str = ""

    @property
    def is_transition(self) -> bool:
        return self.program is not None and OLD_SELF in self.program.names


@dataclass(slots=True)
class RuleNode:
    """The rules at one place of a schema and below; only where there are any."""

    schema: Structural
    rules: tuple[Rule, ...]
    properties: dict[str, RuleNode] = field(default_factory=dict)
    items: RuleNode | None = None
    additional: RuleNode | None = None


def compile_rules(schema: Structural) -> RuleNode:
    """Return the rules of a schema, compiled."""
    return RuleNode(
        schema,
        tuple(compile_rule(one) for one in schema.rules),
        {
            name: compile_rules(below)
            for name, below in schema.properties.items()
            if below.has_rules
        },
        compile_rules(schema.items) if schema.items and schema.items.has_rules else None,
        compile_rules(schema.additional)
        if schema.additional and schema.additional.has_rules
        else None,
    )


def compile_rule(value: Mapping[str, Any]) -> Rule:
    text = value.get("rule", "")
    names = (SELF, OLD_SELF)
    program: Program | None = None
    message_program: Program | None = None
    problem = ""
    try:
        program = compile_expression(text, names)
        if value.get("messageExpression"):
            message_program = compile_expression(value["messageExpression"], names)
    except ParseError as error:
        problem = str(error)
    return Rule(
        text,
        value.get("message", ""),
        value.get("reason") or "FieldValueInvalid",
        value.get("fieldPath", ""),
        bool(value.get("optionalOldSelf")),
        program if not problem else None,
        message_program,
        problem,
    )


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that is broken. `ratcheted`: the value was so before, which is no error."""

    cause: Cause
    ratcheted: bool


def check_rules(node: RuleNode, value: Any, old: Any, path: str = "") -> list[Violation]:
    """Return the broken rules, those of outer values first; `old` is ABSENT for a new object."""
    return list(_check(node, value, old, path, Budget()))


def _check(node: RuleNode, value: Any, old: Any, path: str, budget: Budget) -> Iterator[Violation]:
    if value is None and node.schema.nullable:
        return
    if node.rules:
        yield from _check_here(node, value, old, path, budget)
    if isinstance(value, dict):
        before: Mapping[str, Any] = old if isinstance(old, dict) else {}
        for name, below in node.properties.items():
            if name in value:
                yield from _check(
                    below, value[name], before.get(name, ABSENT), child(path, name), budget
                )
        if node.additional is not None:
            for name, item in value.items():
                if name not in node.schema.properties:
                    yield from _check(
                        node.additional, item, before.get(name, ABSENT), key(path, name), budget
                    )
    elif isinstance(value, list) and node.items is not None:
        correlation = Correlation(node.schema.list_type, node.schema.list_map_keys, old)
        for number, item in enumerate(value):
            yield from _check(node.items, item, correlation.of(item), index(path, number), budget)


def _check_here(
    node: RuleNode, value: Any, old: Any, path: str, budget: Budget
) -> Iterator[Violation]:
    typed = to_cel(value, node.schema)
    typed_old = ABSENT if old is ABSENT else to_cel(old, node.schema)
    unchanged = old is not ABSENT and old == value
    for rule in node.rules:
        if rule.is_transition and old is ABSENT and not rule.optional_old:
            continue
        variables = {SELF: typed}
        if rule.optional_old:
            variables[OLD_SELF] = NONE if old is ABSENT else Optional(True, typed_old)
        elif old is not ABSENT:
            variables[OLD_SELF] = typed_old
        cause = _evaluate(rule, variables, node.schema, path, budget)
        if cause is not None:
            yield Violation(cause, unchanged and not rule.is_transition)


def _evaluate(
    rule: Rule, variables: Mapping[str, Any], schema: Structural, path: str, budget: Budget
) -> Cause | None:
    """Return the cause of a broken rule, None if it holds."""
    if rule.program is None:
        return _cause("FieldValueInvalid", path, schema, f"rule compile error: {rule.problem}")
    try:
        if rule.program.evaluate(variables, budget) is True:
            return None
    except CelError as error:
        return _cause("FieldValueInvalid", path, schema, f"{error} evaluating rule: {rule.text}")
    message = _message(rule, variables, budget)
    return _cause(rule.reason, with_field_path(path, rule.field_path), schema, message)


def _message(rule: Rule, variables: Mapping[str, Any], budget: Budget) -> str:
    fallback = rule.message.strip() or f"failed rule: {rule.text.strip()}"
    if rule.message_program is None:
        return fallback
    try:
        message = rule.message_program.evaluate(variables, budget)
    except CelError:
        return fallback
    if not isinstance(message, str) or not message.strip() or "\n" in message:
        return fallback
    return message.strip()


def _cause(reason: str, path: str, schema: Structural, message: str) -> Cause:
    path = path or "<nil>"
    prefix = _PREFIXES.get(reason, f'Invalid value: "{schema.type}"')
    return Cause(reason, f"{path}: {prefix}: {message}", path)


def with_field_path(path: str, field_path: str) -> str:
    """Return where a rule's fieldPath (`.a['b.c']`) leads from a path."""
    for match in _FIELD_PATH.finditer(field_path):
        if match[1] is not None:
            path = child(path, match[1])
        else:
            path = key(path, re.sub(r"\\(.)", r"\1", match[2]))
    return path


# -- values ----------------------------------------------------------------------------


def escaped(name: str) -> str:
    """Return the name by which expressions know a field."""
    if name in RESERVED or name in KEYWORDS:
        return f"__{name}__"
    return _ESCAPED.sub(lambda match: _ESCAPES[match[0]], name)


def to_cel(value: Any, schema: Structural | None) -> Any:
    """Return a JSON value as rules see it."""
    if schema is None:
        return value
    if isinstance(value, dict):
        if not schema.properties and not schema.embedded:
            below = schema.additional
            return {name: to_cel(item, below) for name, item in value.items()}
        return {
            escaped(name) if name in schema.properties else name: to_cel(item, schema.child(name))
            for name, item in value.items()
        }
    if isinstance(value, list):
        items = [to_cel(item, schema.items) for item in value]
        if schema.list_type == "set":
            return SetList(items)
        if schema.list_type == "map":
            return KeyedList(items, [escaped(name) for name in schema.list_map_keys])
        return items
    if isinstance(value, str):
        convert = _FORMATS.get(schema.format)
        return value if convert is None else _converted(convert, value)
    if schema.type == "number" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _converted(convert: Callable[[str], Any], text: str) -> Any:
    try:
        return convert(text)
    except (CelError, ValueError, binascii.Error):
        return text


_FORMATS: Mapping[str, Callable[[str], Any]] = {
    "date-time": to_timestamp,
    "datetime": to_timestamp,
    "date": lambda text: to_timestamp(f"{text}T00:00:00Z"),
    "duration": to_duration,
    "byte": lambda text: base64.b64decode(text, validate=True),
}
