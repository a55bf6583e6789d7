"""Request bodies: bytes to JSON values, as kube-apiserver's JSON and YAML decoders read them.

orjson reads JSON; what it refuses but Go accepts (bytes that are not UTF-8, lone surrogates)
and bodies with repeated fields are read again by the standard library, which is slower.
Source: kube-apiserver v1.36.2, apimachinery/pkg/runtime/serializer/json/json.go;
sigs.k8s.io/json.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import orjson

from services.apiserver.codec import yamlbody
from services.apiserver.errors import BadRequest

MAX_DEPTH = 240
"""Levels of nesting a body may have. orjson prints at most 254; the rest is for envelopes."""

_TOO_DEEP = "exceeded max depth"
ENVELOPE_LEVELS = 254 - MAX_DEPTH


@dataclass(frozen=True, slots=True)
class Body:
    """A decoded body. `duplicates` holds one message for each repeated field."""

    value: Any
    duplicates: tuple[str, ...] = ()


def decode_body(
    raw: bytes, media_type: str = "application/json", *, merge_repeated: bool = True
) -> Body:
    """Decode a body of type application/json or application/yaml.

    Of repeated fields the last scalar wins and objects are merged, as in Go structs; without
    `merge_repeated` the last value wins, as in Go maps (patches, custom resources). The
    result is a tree without shared parts, at most MAX_DEPTH deep, with Python's str, int,
    float, bool, None, list and dict, that orjson can print.

    Raises:
        BadRequest: the body is empty, malformed or nested too deeply.
    """
    try:
        if media_type.endswith("yaml"):
            value, duplicates = yamlbody.load(raw, max_depth=MAX_DEPTH)
            return Body(value, duplicates)
        return _decode_json(raw, merge_repeated)
    except RecursionError:
        raise BadRequest(_TOO_DEEP) from None
    except yamlbody.YamlError as error:
        raise BadRequest(f"error parsing the body: {error}") from None


def _decode_json(raw: bytes, merge_repeated: bool) -> Body:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        value = _decode_leniently(raw, error)
    if type(value) is not dict and type(value) is not list:
        return Body(value)
    return _decode_repeated(raw, merge_repeated) if _repeats_fields(raw, value) else Body(value)


def _repeats_fields(raw: bytes, value: Any) -> bool:
    """Whether a field occurs twice in an object, told by counting colons.

    Printing `value` again loses one colon, at least, for each repeated field, and no other:
    every colon of the body is a separator or stands in a string that is kept, unless it is
    written as an escape.

    Raises:
        BadRequest: the body is nested too deeply.
    """
    enclosed = value
    for _ in range(ENVELOPE_LEVELS):
        enclosed = [enclosed]
    try:
        printed = orjson.dumps(enclosed)
    except TypeError:
        raise BadRequest(_TOO_DEEP) from None
    if raw.count(b":") == printed.count(b":"):
        return b"\\u003" in raw and (b"\\u003a" in raw or b"\\u003A" in raw)
    return True


def _decode_leniently(raw: bytes, error: orjson.JSONDecodeError) -> Any:
    try:
        text = raw.decode("utf-8", "replace")
        return _load(text, dict)
    except ValueError:
        raise BadRequest(f"couldn't get version/kind; json parse error: {error.msg}") from None


def _decode_repeated(raw: bytes, merge: bool) -> Body:
    duplicates: list[str] = []
    value = _resolved(_load(raw.decode("utf-8", "replace"), _Pairs), "", duplicates, merge)
    return Body(value, tuple(duplicates))


class _Pairs(list[tuple[str, Any]]):
    """An object with all its fields, repeated ones too."""


def _load(text: str, pairs: type) -> Any:
    # Go reads half of a surrogate pair as U+FFFD.
    tidy = "\\ud" in text or "\\uD" in text
    value = json.loads(
        text,
        object_pairs_hook=(lambda items: pairs(map(_tidy_field, items))) if tidy else pairs,
        parse_constant=_no_constant,
        parse_int=_integer,
        parse_float=_float,
    )
    return _tidy(value) if tidy else value


def _tidy_field(field: tuple[str, Any]) -> tuple[str, Any]:
    return _whole(field[0]), _tidy(field[1])


def _tidy(value: Any) -> Any:
    if isinstance(value, str):
        return _whole(value)
    if type(value) is list:
        return [_tidy(item) for item in value]
    return value


def _whole(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _no_constant(name: str) -> Any:
    raise ValueError(f"invalid character '{name[0]}' looking for beginning of value")


def _integer(text: str) -> int | float:
    number = int(text) if len(text) < 21 else 2**64
    return number if -(2**63) <= number < 2**64 else _float(text)


def _float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"json: cannot unmarshal number {text[:40]} into float64")
    return number


def _resolved(value: Any, path: str, duplicates: list[str], merge: bool) -> Any:
    """Turn _Pairs into dicts and note the paths of repeated fields."""
    if isinstance(value, _Pairs):
        out: dict[str, Any] = {}
        for key, item in value:
            where = f"{path}.{key}" if path else key
            made = _resolved(item, where, duplicates, merge)
            if key in out:
                duplicates.append(f'duplicate field "{where}"')
                if merge and isinstance(made, dict) and isinstance(out[key], dict):
                    made = _overlay(out[key], made)
            out[key] = made
        return out
    if isinstance(value, list):
        return [
            _resolved(item, f"{path}[{number}]", duplicates, merge)
            for number, item in enumerate(value)
        ]
    return value


def _overlay(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    for key, item in above.items():
        if isinstance(item, dict) and isinstance(below.get(key), dict):
            item = _overlay(below[key], item)
        below[key] = item
    return below
