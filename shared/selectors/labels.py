"""Label selectors: the labelSelector string and the LabelSelector object, one compiled form.

Source: kube-apiserver v1.36.2, apimachinery/pkg/labels/selector.go (grammar, texts) and
apimachinery/pkg/apis/meta/v1/helpers.go (LabelSelectorAsSelector).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.selectors.syntax import (
    SelectorError,
    UnsupportedOperator,
    label_key_errors,
    label_value_errors,
)

Operator = Literal["=", "==", "!=", "in", "notin", "exists", "!", "gt", "lt"]
Predicate = Callable[[Mapping[str, str]], bool]


@dataclass(frozen=True, slots=True)
class LabelRequirement:
    """One condition on one label. `values` has one entry for =, ==, !=, gt and lt."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({','.join(sorted(self.values))})"
            case "gt":
                return f"{self.key}>{self.values[0]}"
            case "lt":
                return f"{self.key}<{self.values[0]}"
            case _:
                return f"{self.key}{self.operator}{self.values[0]}"


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """All of `requirements`, ordered by key; with `nothing`, no object at all.

    `matches(labels)` is a closure made once, because it runs for every object and watcher.
    `str()` is the normal form as kube-apiserver prints it: "" selects everything.
    """

    requirements: tuple[LabelRequirement, ...] = ()
    nothing: bool = False
    matches: Predicate = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.requirements, key=lambda one: one.key))
        object.__setattr__(self, "requirements", ordered)
        matches = _never if self.nothing else _all([_predicate(one) for one in ordered])
        object.__setattr__(self, "matches", matches)

    @property
    def everything(self) -> bool:
        """Whether no object is left out."""
        return not self.requirements and not self.nothing

    def requires_exact_match(self, key: str) -> str | None:
        """Return the one value that `key` must have, None if there is no such value."""
        for one in self.requirements:
            if one.key == key:
                exact = one.operator in ("=", "==", "in") and len(one.values) == 1
                return one.values[0] if exact else None
        return None

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))


def parse_label_selector(text: str) -> LabelSelector:
    """Parse the string form: `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1,m<2`.

    Raises:
        SelectorError: with kube-apiserver's text.
    """
    if not text:
        return EVERYTHING
    return LabelSelector(tuple(_Parser(text).requirements()))


def label_selector_from_object(selector: Mapping[str, Any] | None) -> LabelSelector:
    """Compile a LabelSelector object (matchLabels, matchExpressions).

    None selects nothing, an empty object everything.

    Raises:
        SelectorError: a key, operator or value is not valid.
    """
    if selector is None:
        return NOTHING
    requirements = [
        _requirement(key, "=", (value,))
        for key, value in (selector.get("matchLabels") or {}).items()
    ]
    for expression in selector.get("matchExpressions") or ():
        operator = _OBJECT_OPERATORS.get(expression.get("operator", ""))
        if operator is None:
            shown = json.dumps(expression.get("operator", ""))
            raise UnsupportedOperator(f"{shown} is not a valid label selector operator")
        values = tuple(expression.get("values") or ())
        requirements.append(_requirement(expression.get("key", ""), operator, values))
    return LabelSelector(tuple(requirements)) if requirements else EVERYTHING


def _never(labels: Mapping[str, str]) -> bool:
    return False


def _always(labels: Mapping[str, str]) -> bool:
    return True


def _all(predicates: list[Predicate]) -> Predicate:
    match predicates:
        case []:
            return _always
        case [one]:
            return one
        case [first, second]:
            return lambda labels: first(labels) and second(labels)

    def conjunction(labels: Mapping[str, str]) -> bool:
        for predicate in predicates:  # noqa: SIM110 - a generator here costs twice the time
            if not predicate(labels):
                return False
        return True

    return conjunction


def _predicate(requirement: LabelRequirement) -> Predicate:
    key, values = requirement.key, requirement.values
    match requirement.operator:
        case "exists":
            return lambda labels: key in labels
        case "!":
            return lambda labels: key not in labels
        case "gt":
            return _comparison(key, int(values[0]), above=True)
        case "lt":
            return _comparison(key, int(values[0]), above=False)
        case "=" | "==" | "in" if len(values) == 1:
            value = values[0]
            return lambda labels: labels.get(key) == value
        case "!=" | "notin" if len(values) == 1:
            value = values[0]
            return lambda labels: labels.get(key) != value
        case "in":
            wanted = frozenset(values)
            return lambda labels: labels.get(key) in wanted
        case _:
            unwanted = frozenset(values)
            return lambda labels: labels.get(key) not in unwanted


def _comparison(key: str, bound: int, *, above: bool) -> Predicate:
    def compare(labels: Mapping[str, str]) -> bool:
        number = _int64(labels.get(key, ""))
        if number is None:
            return False
        return number > bound if above else number < bound

    return compare


_is_integer = re.compile(r"[+-]?[0-9]+", re.ASCII).fullmatch


def _int64(text: str) -> int | None:
    if len(text) > 63 or not _is_integer(text):
        return None
    number = int(text)
    return number if -(2**63) <= number < 2**63 else None


_OBJECT_OPERATORS: dict[str, Operator] = {
    "In": "in",
    "NotIn": "notin",
    "Exists": "exists",
    "DoesNotExist": "!",
}


def _requirement(key: str, operator: Operator, values: tuple[str, ...]) -> LabelRequirement:
    """Return a checked requirement; every mistake is told, as kube-apiserver aggregates them."""
    errors = []
    if wrong := label_key_errors(key):
        errors.append(_invalid("key", key, "; ".join(wrong)))
    if operator in ("in", "notin") and not values:
        detail = "for 'in', 'notin' operators, values set can't be empty"
        errors.append(_invalid("values", [], detail))
    if operator in ("exists", "!") and values:
        detail = "values set must be empty for exists and does not exist"
        errors.append(_invalid("values", list(values), detail))
    if operator in ("gt", "lt") and _int64(values[0]) is None:
        detail = "for 'Gt', 'Lt' operators, the value must be an integer"
        errors.append(_invalid("values[0]", values[0], detail))
    for number, value in enumerate(values):
        if wrong := label_value_errors(value):
            errors.append(_invalid(f"values[{number}][{key}]", value, "; ".join(wrong)))
    if errors:
        raise SelectorError(errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]")
    return LabelRequirement(key, operator, values)


def _invalid(path: str, value: Any, detail: str) -> str:
    return f"{path}: Invalid value: {json.dumps(value, ensure_ascii=False)}: {detail}"


_END = ""
_SYMBOLS = frozenset(["(", ")", ",", "!", "=", "==", "!=", "<", ">"])
_BINARY: dict[str, Operator] = {
    "in": "in",
    "notin": "notin",
    "=": "=",
    "==": "==",
    "!=": "!=",
    ">": "gt",
    "<": "lt",
}
_token = re.compile(r"[ \t\r\n]*(==|!=|[=!(),<>]|[^=!(),<> \t\r\n]+)")


class _Parser:
    """Recursive descent over the tokens. `in` and `notin` are identifiers except as operators."""

    def __init__(self, text: str) -> None:
        # Blanks at the end, before no token, would be looked at from each of them anew.
        self._tokens: list[str] = _token.findall(text.rstrip(" \t\r\n"))
        self._tokens.append(_END)
        self._position = 0

    def requirements(self) -> Iterable[LabelRequirement]:
        token = self._peek()
        if token == _END:
            return
        if token != "!" and not _is_identifier(token):
            raise SelectorError(f"found '{token}', expected: !, identifier, or 'end of string'")
        while True:
            try:
                yield self._one()
            except SelectorError as error:
                raise SelectorError(f"unable to parse requirement: {error}") from None
            token = self._take()
            if token == _END:
                return
            if token != ",":
                raise SelectorError(f"found '{token}', expected: ',' or 'end of string'")
            token = self._peek()
            if token != "!" and not _is_identifier(token):
                raise SelectorError(f"found '{token}', expected: identifier after ','")

    def _one(self) -> LabelRequirement:
        key = self._take()
        absent = key == "!"
        if absent:
            key = self._take()
        if not _is_identifier(key):
            raise SelectorError(f"found '{key}', expected: identifier")
        if wrong := label_key_errors(key):
            raise SelectorError(_invalid("<nil>", key, "; ".join(wrong)))
        if absent:
            return LabelRequirement(key, "!")
        if self._peek() in (_END, ","):
            return LabelRequirement(key, "exists")
        token = self._take()
        operator = _BINARY.get(token)
        if operator is None:
            raise SelectorError(f"found '{token}', expected: in, notin, =, ==, !=, gt, lt")
        values = self._values() if operator in ("in", "notin") else {self._exact_value()}
        return _requirement(key, operator, tuple(sorted(values)))

    def _exact_value(self) -> str:
        if self._peek() in (_END, ","):
            return ""
        token = self._take()
        if not _is_identifier(token):
            raise SelectorError(f"found '{token}', expected: identifier")
        return token

    def _values(self) -> set[str]:
        token = self._take()
        if token != "(":
            raise SelectorError(f"found '{token}' expected: '('")
        token = self._peek()
        if token == ")":
            self._take()
            return {""}
        if token != "," and not _is_identifier(token):
            raise SelectorError(f"found '{token}', expected: ',', ')' or identifier")
        values: set[str] = set()
        while True:
            token = self._take()
            following = self._peek()
            if token == ",":
                if not values:
                    values.add("")
                if following == ",":
                    self._take()
                    values.add("")
                    continue
                if following == ")":
                    values.add("")
            elif _is_identifier(token):
                values.add(token)
                if following not in (",", ")"):
                    raise SelectorError(f"found '{following}', expected: ',' or ')'")
            else:
                raise SelectorError(f"found '{token}', expected: ',', or identifier")
            if following == ")":
                self._take()
                return values

    def _peek(self) -> str:
        return self._tokens[self._position]

    def _take(self) -> str:
        token = self._tokens[self._position]
        if token != _END:  # behind which there is only itself
            self._position += 1
        return token


def _is_identifier(token: str) -> bool:
    return token not in _SYMBOLS and token != _END


EVERYTHING = LabelSelector()
NOTHING = LabelSelector(nothing=True)
