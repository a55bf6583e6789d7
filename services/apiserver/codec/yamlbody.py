"""YAML bodies as kube-apiserver reads them: YAML 1.1, turned into JSON values.

Built on libyaml's events instead of PyYAML's constructors: those resolve scalars by other
rules (no `y`, sexagesimal numbers, dates), have no limit on aliases, and recurse.
Source: sigs.k8s.io/yaml v1 and its fork of go-yaml v2 (resolve.go, decode.go).
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Hashable
from typing import Any

import yaml

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS = {
    text: value
    for value, words in ((True, "y yes true on"), (False, "n no false off"))
    for word in words.split()
    for text in (word, word.capitalize(), word.upper())
}
_INTEGER = re.compile(
    r"[-+]?(?:0b[01]+|0o?[0-7]+|0x[0-9a-fA-F]+|0|[1-9][0-9]*)", re.IGNORECASE | re.ASCII
)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_TAG = "tag:yaml.org,2002:"
_TAGGED: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "null": (type(None),),
}
_MAX_NODES_FROM_ALIASES = 100_000


class YamlError(ValueError):
    """The text is not YAML, or has no JSON form."""


def load(raw: bytes, *, max_depth: int) -> tuple[Any, tuple[str, ...]]:
    """Return the first document as a JSON value, and a message for each repeated key.

    Raises:
        YamlError: malformed, empty, nested deeper than `max_depth`, or too many aliases.
    """
    if not raw.strip():
        raise YamlError("EOF")
    try:
        return _Reader(raw, max_depth).document()
    except yaml.YAMLError as error:
        raise YamlError(f"yaml: {' '.join(str(error).split())}") from None
    except UnicodeDecodeError:
        raise YamlError("yaml: invalid UTF-8") from None


class _Reader:
    """Reads one document from the event stream."""

    def __init__(self, raw: bytes, max_depth: int) -> None:
        # A string never gets as far as libyaml with bytes that are not UTF-8.
        self._parser: Any = yaml.CSafeLoader(raw.decode("utf-8"))
        self._depth_left = max_depth
        self._anchors: dict[str, Any] = {}
        self._aliased_nodes = 0
        self._duplicates: list[str] = []

    def document(self) -> tuple[Any, tuple[str, ...]]:
        try:
            self._parser.get_event()  # the stream's start
            if isinstance(self._parser.get_event(), yaml.StreamEndEvent):
                return None, ()
            return self._value(self._parser.get_event()), tuple(self._duplicates)
        finally:
            self._parser.dispose()

    def _value(self, event: Any) -> Any:
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event.anchor or "")
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event)
        else:
            self._depth_left -= 1
            if self._depth_left < 0:
                raise YamlError("exceeded max depth")
            if isinstance(event, yaml.SequenceStartEvent):
                value = self._sequence()
            else:
                value = self._mapping()
            self._depth_left += 1
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        return value

    def _sequence(self) -> list[Any]:
        out = []
        while not isinstance(event := self._parser.get_event(), yaml.SequenceEndEvent):
            out.append(self._value(event))
        return out

    def _mapping(self) -> dict[str, Any]:
        out: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while not isinstance(event := self._parser.get_event(), yaml.MappingEndEvent):
            if _is_merge_key(event):
                merged.update(_to_merge(self._value(self._parser.get_event())))
                continue
            line = event.start_mark.line + 1
            key = _key(self._value(event))
            value = self._value(self._parser.get_event())
            if key in out:
                self._duplicates.append(
                    f'yaml: unmarshal errors: line {line}: key "{key}" already set in map'
                )
            out[key] = value
        return merged | out if merged else out

    def _aliased(self, anchor: str) -> Any:
        if anchor not in self._anchors:
            raise YamlError(f"yaml: unknown anchor '{anchor}' referenced")
        return self._copy(self._anchors[anchor], self._depth_left)

    def _copy(self, value: Any, depth_left: int) -> Any:
        self._aliased_nodes += 1
        if self._aliased_nodes > _MAX_NODES_FROM_ALIASES:
            raise YamlError("yaml: document contains excessive aliasing")
        if depth_left <= 0 and isinstance(value, dict | list):
            raise YamlError("exceeded max depth")
        if isinstance(value, dict):
            return {key: self._copy(item, depth_left - 1) for key, item in value.items()}
        if isinstance(value, list):
            return [self._copy(item, depth_left - 1) for item in value]
        return value


def _is_merge_key(event: Any) -> bool:
    return (
        isinstance(event, yaml.ScalarEvent)
        and event.value == "<<"
        and not event.style
        and event.tag in (None, f"{_TAG}merge")
    )


def _to_merge(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        out: dict[str, Any] = {}
        for item in reversed(value):
            out.update(item)
        return out
    raise YamlError("yaml: map merge requires map or sequence of maps as the value")


def _key(value: Hashable) -> str:
    """Return a mapping key as sigs.k8s.io/yaml turns it into a JSON field name."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)
    raise YamlError("unsupported map key")


def _scalar(event: Any) -> Any:
    text: str = event.value
    tag: str | None = event.tag
    if tag is None:
        return text if event.style else _resolve(text)
    kind = tag.removeprefix(_TAG)
    if kind == "binary":
        try:
            return base64.b64decode(text, validate=False).decode("utf-8", "replace")
        except binascii.Error:
            raise YamlError("yaml: !!binary value contains invalid base64 data") from None
    if kind in _TAGGED:
        value = _resolve(text)
        if type(value) not in _TAGGED[kind]:
            raise YamlError(f"yaml: cannot decode !!str `{text[:20]}` as a !!{kind}")
        return value
    return text


def _resolve(text: str) -> Any:
    """Return the value of a plain scalar."""
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if text[:1] not in "+-.0123456789":
        return text
    digits = text.replace("_", "")
    if _INTEGER.fullmatch(digits):
        number = _integer(digits)
        if number is not None:
            return number
    if _FLOAT.fullmatch(digits):
        value = float(digits)
        if math.isfinite(value):
            # JSON, which the value passes through, prints a whole float without a fraction.
            return int(value) if value.is_integer() and abs(value) < 2**63 else value
        raise YamlError(f"json: unsupported value: {text[:40]}")
    if _INFINITE.fullmatch(text):
        raise YamlError(f"json: unsupported value: {text}")
    return text


def _integer(digits: str) -> int | None:
    """Return the number if it fits 64 bits; like Go, a leading 0 means octal."""
    if len(digits) > 70:
        return None
    sign = -1 if digits.startswith("-") else 1
    plain = digits.lstrip("+-").lower()
    base = {"0b": 2, "0o": 8, "0x": 16}.get(plain[:2])
    if base is not None:
        number = int(plain[2:], base)
    else:
        number = int(plain, 8 if plain.startswith("0") else 10)
    number *= sign
    return number if -(2**63) <= number < 2**64 else None
