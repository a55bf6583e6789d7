"""Functions on strings, regular expressions and formats.

Source: cel-go ext/strings.go (version 2) and ext/formatting.go; kube-apiserver v1.36.2,
apiserver/pkg/cel/library/regex.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from services.apiserver.cel.standard import duration_text, timestamp_text, to_string
from services.apiserver.cel.values import CelError, TypeValue, no_overload, type_name
from services.apiserver.validation.goregexp import compile_pattern

_CLAUSE = re.compile(r"%(?:%|(?:\.(\d+))?([a-zA-Z]))")
_QUOTED = {
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
    "\\": r"\\",
    '"': r"\"",
}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise no_overload(type_name(value))


def _pattern(expression: str) -> re.Pattern[str]:
    found = compile_pattern(_text(expression))
    if found is None:
        raise CelError(f"error parsing regexp: {expression!r}")
    return found


def matches(text: str, expression: str) -> bool:
    return _pattern(expression).search(_text(text)) is not None


def _find(text: str, expression: str) -> str:
    found = _pattern(expression).search(_text(text))
    return "" if found is None else found[0]


def _find_all(text: str, expression: str, limit: int = -1) -> list[str]:
    found = [one[0] for one in _pattern(expression).finditer(_text(text))]
    return found if limit < 0 else found[:limit]


def _ascii(change: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: "".join(change(one) if one.isascii() else one for one in _text(text))


def _char_at(text: str, place: int) -> str:
    if not 0 <= place <= len(_text(text)):
        raise CelError(f"index out of range: {place}")
    return text[place : place + 1]


def _substring(text: str, start: int, end: int | None = None) -> str:
    end = len(_text(text)) if end is None else end
    if not 0 <= start <= end <= len(text):
        raise CelError(f"index out of range: {start}")
    return text[start:end]


def _replace(text: str, old: str, new: str, limit: int = -1) -> str:
    return _text(text).replace(old, new, limit)


def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    if limit == 0:
        return []
    if not separator:
        parts = list(_text(text))
        if 0 < limit < len(parts):
            parts = [*parts[: limit - 1], "".join(parts[limit - 1 :])]
        return parts
    return _text(text).split(separator, limit - 1 if limit > 0 else -1)


def join(items: Sequence[str], separator: str = "") -> str:
    if not isinstance(items, list):
        raise no_overload(type_name(items))
    return separator.join(map(_text, items))


def index_of(text: str, wanted: str, start: int = 0) -> int:
    if not 0 <= start <= len(text):
        raise CelError(f"index out of range: {start}")
    return text.find(wanted, start)


def last_index_of(text: str, wanted: str, end: int | None = None) -> int:
    if end is None:
        return text.rfind(wanted)
    if not 0 <= end <= len(text):
        raise CelError(f"index out of range: {end}")
    return text.rfind(wanted, 0, end + len(wanted))


def _quote(text: str) -> str:
    return '"' + "".join(_QUOTED.get(one, one) for one in _text(text)) + '"'


def _format(text: str, args: Sequence[Any]) -> str:
    """Return `text` with %s, %d, %f, %e, %b, %x, %X and %o replaced."""
    values = iter(args)

    def clause(match: re.Match[str]) -> str:
        if match[2] is None:
            return "%"
        try:
            value = next(values)
        except StopIteration:
            raise CelError("index out of range: too few arguments to format") from None
        return _clause(match[2], match[1], value)

    return _CLAUSE.sub(clause, _text(text))


def _clause(kind: str, precision: str | None, value: Any) -> str:
    digits = 6 if precision is None else int(precision)
    whole = isinstance(value, int) and not isinstance(value, bool)
    match kind:
        case "s":
            return _shown(value)
        case "d" if whole:
            return str(int(value))
        case "f" if whole or isinstance(value, float):
            return f"{float(value):.{digits}f}"
        case "e" if whole or isinstance(value, float):
            return f"{float(value):.{digits}e}"
        case "b" if isinstance(value, int):
            return f"{int(value):b}"
        case "o" if whole:
            return f"{int(value):o}"
        case "x" | "X" if whole:
            return f"{int(value):{kind}}"
        case "x" | "X" if isinstance(value, (str, bytes)):
            raw = value.encode() if isinstance(value, str) else value
            return raw.hex() if kind == "x" else raw.hex().upper()
    raise CelError(f"no formatting clause %{kind} for {type_name(value)}")


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(sorted(f"{_shown(key)}: {_shown(one)}" for key, one in value.items()))
            + "}"
        )
    if isinstance(value, datetime):
        return timestamp_text(value)
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, TypeValue):
        return value.name
    if isinstance(value, float):
        return repr(value) if not value.is_integer() else str(int(value))
    return to_string(value)


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "strings.quote": _quote,
    "matches": matches,
    "jsonpatch.escapeKey": lambda text: _text(text).replace("~", "~0").replace("/", "~1"),
}

METHODS: Mapping[str, Callable[..., Any]] = {
    "contains": lambda text, part: _text(part) in _text(text),
    "startsWith": lambda text, part: _text(text).startswith(part),
    "endsWith": lambda text, part: _text(text).endswith(part),
    "matches": matches,
    "find": _find,
    "findAll": _find_all,
    "charAt": _char_at,
    "lowerAscii": _ascii(str.lower),
    "upperAscii": _ascii(str.upper),
    "replace": _replace,
    "split": _split,
    "substring": _substring,
    "trim": lambda text: _text(text).strip(),
    "reverse": lambda text: _text(text)[::-1],
    "join": join,
    "format": _format,
}

__all__ = ["FUNCTIONS", "METHODS", "index_of", "last_index_of"]
