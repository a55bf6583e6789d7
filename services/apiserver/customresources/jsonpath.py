"""JSONPath as additionalPrinterColumns use it.

Source: kube-apiserver v1.36.2, client-go/util/jsonpath/{parser,jsonpath}.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Step = Callable[[list[Any]], list[Any]]

_NAME = re.compile(r"(?:\\.|[^.\[\]\\])+")
_SLICE = re.compile(r"(-?\d*)(?::(-?\d*)(?::(-?\d*))?)?")
_QUOTED = re.compile(r"""\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\s*""")
_COMPARISON = re.compile(r"\s*(.+?)\s*(==|!=|<=|>=|<|>)\s*(.+?)\s*")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


class JsonPathError(ValueError):
    """The text is not a JSONPath."""


class JsonPath:
    """A compiled path like `.spec.parts[?(@.name=="x")].size`."""

    def __init__(self, text: str) -> None:
        """Raises JsonPathError."""
        self.text = text
        self._steps = list(_parse(text))

    def find(self, obj: Any) -> list[Any]:
        """Return all values at the path, in order; none where a field is missing."""
        found = [obj]
        for step in self._steps:
            found = step(found)
            if not found:
                break
        return found


def _parse(text: str) -> Iterator[Step]:
    position = 0
    text = text.strip().removeprefix("$")
    while position < len(text):
        if text.startswith("..", position):
            match = _NAME.match(text, position + 2)
            yield _everything_below
            if match is not None:
                yield _field(_unescaped(match[0]))
                position = match.end()
            else:
                position += 2
        elif text[position] == ".":
            match = _NAME.match(text, position + 1)
            if match is None:
                if position + 1 == len(text):
                    return
                raise JsonPathError(f"unexpected {text[position + 1]!r} in {text!r}")
            yield _wildcard if match[0] == "*" else _field(_unescaped(match[0]))
            position = match.end()
        elif text[position] == "[":
            end = _closing(text, position)
            yield _subscript(text[position + 1 : end])
            position = end + 1
        else:
            match = _NAME.match(text, position)
            if match is None or position:
                raise JsonPathError(f"unexpected {text[position]!r} in {text!r}")
            yield _field(_unescaped(match[0]))
            position = match.end()


def _closing(text: str, start: int) -> int:
    depth, quote = 0, ""
    position = start
    while position < len(text):
        one = text[position]
        if quote:
            if one == "\\":
                position += 1
            elif one == quote:
                quote = ""
        elif one in "'\"":
            quote = one
        elif one == "[":
            depth += 1
        elif one == "]":
            depth -= 1
            if not depth:
                return position
        position += 1
    raise JsonPathError(f"unterminated array in {text!r}")


def _unescaped(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name)


def _subscript(text: str) -> Step:
    text = text.strip()
    if text == "*":
        return _wildcard
    if text.startswith("?(") and text.endswith(")"):
        return _filter(text[2:-1])
    parts = text.split(",")
    if all(_SLICE.fullmatch(one.strip()) and one.strip() for one in parts):
        slices = [_slice(one.strip()) for one in parts]
        return lambda found: [value for one in slices for value in one(found)]
    names: list[str] = []
    for one in parts:
        quoted = _QUOTED.fullmatch(one)
        if quoted is None:
            raise JsonPathError(f"invalid array index {text!r}")
        names.append(_unescaped(quoted[1] if quoted[1] is not None else quoted[2]))
    fields = [_field(name) for name in names]
    return lambda found: [value for one in fields for value in one(found)]


def _slice(text: str) -> Step:
    match = _SLICE.fullmatch(text)
    if match is None:
        raise JsonPathError(f"invalid array index {text!r}")
    first, last, step = match.groups()
    if last is None:
        number = int(first)

        def item(found: list[Any]) -> list[Any]:
            return [
                one[number]
                for one in found
                if isinstance(one, list) and -len(one) <= number < len(one)
            ]

        return item
    bounds = slice(*(int(one) if one else None for one in (first, last, step)))
    return lambda found: [value for one in found if isinstance(one, list) for value in one[bounds]]


def _field(name: str) -> Step:
    return lambda found: [one[name] for one in found if isinstance(one, dict) and name in one]


def _wildcard(found: list[Any]) -> list[Any]:
    out: list[Any] = []
    for one in found:
        if isinstance(one, list):
            out += one
        elif isinstance(one, dict):
            out += [one[name] for name in sorted(one)]
    return out


def _everything_below(found: list[Any]) -> list[Any]:
    out: list[Any] = []
    for one in found:
        out.append(one)
        out += _everything_below(_wildcard([one]))
    return out


def _filter(text: str) -> Step:
    comparison = _COMPARISON.fullmatch(text)
    if comparison is None:
        if any(one in text for one in "=<>"):
            raise JsonPathError(f"unrecognized filter {text!r}")
        operand = _operand(text.strip())
        return lambda found: [item for item in _items(found) if any(True for _ in operand(item))]
    left, operator, right = _operand(comparison[1]), comparison[2], _operand(comparison[3])
    compare = _COMPARE[operator]

    def step(found: list[Any]) -> list[Any]:
        out: list[Any] = []
        for item in _items(found):
            one, other = left(item), right(item)
            if len(one) == 1 and len(other) == 1 and compare(one[0], other[0]):
                out.append(item)
        return out

    return step


def _items(found: list[Any]) -> list[Any]:
    return [item for one in found if isinstance(one, list) for item in one]


def _operand(text: str) -> Callable[[Any], Sequence[Any]]:
    if text.startswith("@"):
        path = JsonPath(text[1:])
        return path.find
    quoted = _QUOTED.fullmatch(text)
    if quoted is not None:
        literal: Any = _unescaped(quoted[1] if quoted[1] is not None else quoted[2])
    elif text in ("true", "false"):
        literal = text == "true"
    elif _NUMBER.fullmatch(text):
        literal = float(text) if "." in text else int(text)
    else:
        raise JsonPathError(f"unrecognized operand {text!r}")
    return lambda item: [literal]


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def checked(one: Any, other: Any) -> bool:
        numbers = all(
            isinstance(value, (int, float)) and not isinstance(value, bool)
            for value in (one, other)
        )
        strings = isinstance(one, str) and isinstance(other, str)
        return (numbers or strings) and compare(one, other)

    return checked


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda one, other: type(one) is type(other) and one == other,
    "!=": lambda one, other: one != other,
    "<": _ordered(lambda one, other: one < other),
    "<=": _ordered(lambda one, other: one <= other),
    ">": _ordered(lambda one, other: one > other),
    ">=": _ordered(lambda one, other: one >= other),
}
