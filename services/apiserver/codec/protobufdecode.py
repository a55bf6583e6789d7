"""Protobuf messages to the JSON values that they stand for.

Each message is a function, compiled when one of its kind is first met: a table lookup and a
comparison a field, a call only for what holds fields itself. The values are not checked any
further; a Codec does that for bodies of every media type.

Source: the decoders that gogo/protobuf generates for kube-apiserver v1.36.2;
apimachinery/pkg/apis/meta/v1 (time_proto.go, micro_time_proto.go).
"""

from __future__ import annotations

import binascii
import datetime
import struct
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

from services.apiserver.codec.body import decode_body
from services.apiserver.codec.protobuflayout import (
    VALUES,
    Layout,
    entry_layout,
    items_layout,
    layout_of,
)
from services.apiserver.codec.protobufwire import (
    DELIMITED,
    FIXED64,
    VARINT,
    Malformed,
    read_varint,
    skip,
    tag_of,
)
from services.apiserver.values import duration, time

Fill = Callable[[bytes, int, int, dict[str, Any]], None]
"""Reads the message between two positions into a dict, over what is already there.

Raises Malformed; IndexError and RecursionError where the bytes end too early or are nested
too deeply.
"""
Read = Callable[[bytes, int, int], Any]
"""Returns the JSON value of the bytes between two positions."""

# How a field is written on the wire.
_TEXT, _NUMBER, _NUMBERS, _FLOAT, _CHUNK = range(5)
_Entry = tuple[str, int, Any]
"""A field's JSON name, how it is written, and what reads it."""


@cache
def message(definition: str) -> Fill:
    """Return the reader of a struct's message."""
    return reader(lambda: layout_of(definition))


def reader(layout: Callable[[], Layout]) -> Fill:
    """Return the reader of a message; its layout is asked for when it is first used."""
    table: dict[int, _Entry] = {}
    numbers: set[int] = set()
    pending = [layout]
    find = table.get

    def fill(raw: bytes, pos: int, end: int, out: dict[str, Any]) -> None:
        if pending:
            _compile(pending[0](), table, numbers)
            pending.clear()
        while pos < end:
            tag = raw[pos]
            pos += 1
            if tag > 0x7F:
                tag, pos = read_varint(raw, pos - 1)
            entry = find(tag)
            if entry is None:
                if tag >> 3 in numbers:
                    raise Malformed(f"proto: wrong wireType = {tag & 7} for field {tag >> 3}")
                pos = skip(raw, tag, pos)
                continue
            name, form, read = entry
            if form == _FLOAT:
                out[name] = _float(raw, pos)
                pos += 8
                continue
            number = raw[pos]
            pos += 1
            if number > 0x7F:
                number, pos = read_varint(raw, pos - 1)
            if form == _NUMBER:
                out[name] = read(number)
                continue
            if form == _NUMBERS:
                out.setdefault(name, []).append(read(number))
                continue
            start = pos
            pos += number
            if pos > end:
                break
            if form == _TEXT:
                out[name] = raw[start:pos].decode("utf-8", "replace")
            else:
                read(raw, start, pos, out)
        if pos != end:
            raise Malformed("unexpected EOF")

    return fill


def _compile(layout: Layout, table: dict[int, _Entry], numbers: set[int]) -> None:
    for number, (name, type_) in layout.fields.items():
        numbers.add(number)
        base = type_.removeprefix("*")
        element = base.removeprefix("[]")
        delimited = tag_of(number, DELIMITED)
        if base in _INTEGERS:
            table[tag_of(number, VARINT)] = (name, _NUMBER, _INTEGERS[base])
        elif element in _INTEGERS:
            convert = _INTEGERS[element]
            table[tag_of(number, VARINT)] = (name, _NUMBERS, convert)
            table[delimited] = (name, _CHUNK, _extend_packed(name, convert))
        elif base == "float64":
            table[tag_of(number, FIXED64)] = (name, _FLOAT, None)
        elif base == "string":
            table[delimited] = (name, _TEXT, None)
        else:
            table[delimited] = (name, _CHUNK, _take(name, base))
    for number, inlined in layout.inlined.items():
        numbers.add(number)
        table[tag_of(number, DELIMITED)] = ("", _CHUNK, reader(lambda inlined=inlined: inlined))  # type: ignore[misc]


# -- numbers ---------------------------------------------------------------------------


def _int32(number: int) -> int:
    if number < 2**31:
        return number
    number &= 2**32 - 1
    return number - 2**32 if number >= 2**31 else number


def _int64(number: int) -> int:
    return number if number < 2**63 else number - 2**64


_INTEGERS: dict[str, Callable[[int], Any]] = {"bool": bool, "int32": _int32, "int64": _int64}


def _extend_packed(name: str, convert: Callable[[int], Any]) -> Fill:
    def extend(raw: bytes, pos: int, end: int, out: dict[str, Any]) -> None:
        items = out.setdefault(name, [])
        while pos < end:
            number, pos = read_varint(raw, pos)
            items.append(convert(number))
        if pos != end:
            raise Malformed("unexpected EOF")

    return extend


def _float(raw: bytes, pos: int) -> float:
    if pos + 8 > len(raw):
        raise Malformed("unexpected EOF")
    number: float = struct.unpack_from("<d", raw, pos)[0]
    if number - number != 0:
        raise Malformed(f"json: unsupported value: {number}")
    return number


# -- what has a length -----------------------------------------------------------------


def _take(name: str, type_: str) -> Fill:
    """Return what puts a value into the message around it; a repeated struct is merged."""
    if type_.startswith("[]"):
        return _append(name, _read(type_[2:]))
    if type_.startswith("map:"):
        return _add_entry(name, type_[4:])
    if _is_struct(type_):
        return _merge(name, message(type_))
    read = _read(type_)

    def put(raw: bytes, pos: int, end: int, out: dict[str, Any]) -> None:
        out[name] = read(raw, pos, end)

    return put


def _append(name: str, read: Read) -> Fill:
    def append(raw: bytes, pos: int, end: int, out: dict[str, Any]) -> None:
        items = out.get(name)
        if items is None:
            items = out[name] = []
        items.append(read(raw, pos, end))

    return append


def _merge(name: str, fill: Fill) -> Fill:
    def merge(raw: bytes, pos: int, end: int, out: dict[str, Any]) -> None:
        part = out.get(name)
        if part is None:
            part = out[name] = {}
        fill(raw, pos, end, part)

    return merge


def _add_entry(name: str, element_type: str) -> Fill:
    fill = reader(lambda: entry_layout(element_type))
    zero = _zero(element_type)

    def add(raw: bytes, pos: int, end: int, out: dict[str, Any]) -> None:
        entry: dict[str, Any] = {}
        fill(raw, pos, end, entry)
        entries = out.get(name)
        if entries is None:
            entries = out[name] = {}
        entries[entry.get("key", "")] = entry["value"] if "value" in entry else zero()

    return add


def _is_struct(type_: str) -> bool:
    return not type_.startswith("[=]") and type_ not in _READ and type_ != "float64"


def _zero(type_: str) -> Callable[[], Any]:
    """Return what makes the value of a map's entry that holds none: what empty bytes are."""
    read = _read(type_)
    return lambda: read(b"", 0, 0)


def _read(type_: str) -> Read:
    """Return what reads a value that has a length."""
    if type_.startswith("[=]"):
        return _read_items(type_[3:])
    if type_ in _READ:
        return _READ[type_]
    fill = message(type_)

    def read(raw: bytes, pos: int, end: int) -> Any:
        out: dict[str, Any] = {}
        fill(raw, pos, end, out)
        return out

    return read


def _read_items(element_type: str) -> Read:
    fill = reader(lambda: items_layout(element_type))

    def read(raw: bytes, pos: int, end: int) -> Any:
        out: dict[str, Any] = {}
        fill(raw, pos, end, out)
        return out.get("items", [])

    return read


# -- values that JSON writes as something else ------------------------------------------


def _of_value(type_: str, convert: Callable[[dict[str, Any]], Any]) -> Read:
    fill = reader(lambda: VALUES[type_])

    def read(raw: bytes, pos: int, end: int) -> Any:
        out: dict[str, Any] = {}
        fill(raw, pos, end, out)
        return convert(out)

    return read


def _octets(raw: bytes, pos: int, end: int) -> bytes:
    return raw[pos:end]


def _string(raw: bytes, pos: int, end: int) -> str:
    return raw[pos:end].decode("utf-8", "replace")


def _bytes(raw: bytes, pos: int, end: int) -> str:
    return binascii.b2a_base64(raw[pos:end], newline=False).decode("ascii")


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def _moment(seconds: int, microseconds: int = 0) -> datetime.datetime:
    try:
        return _EPOCH + datetime.timedelta(seconds=seconds, microseconds=microseconds)
    except OverflowError:
        raise Malformed("year is not in the range [1,9999]") from None


@lru_cache(maxsize=2048)
def _time_text(seconds: int) -> str:
    return time.format_time(_moment(seconds))


def _time(parts: dict[str, Any]) -> str | None:
    # The nanoseconds count for nothing: the JSON form has none.
    return _time_text(parts.get("seconds", 0)) if parts else None


def _micro_time(parts: dict[str, Any]) -> str | None:
    if not parts:
        return None
    moment = _moment(parts.get("seconds", 0), int(parts.get("nanos", 0) / 1000))
    return time.format_micro_time(moment)


def _duration(parts: dict[str, Any]) -> str:
    return duration.format_duration_ns(parts.get("nanos", 0))


def _quantity(parts: dict[str, Any]) -> str:
    text: str = parts.get("text", "0")
    return text


def _int_or_string(parts: dict[str, Any]) -> int | str:
    type_ = parts.get("type", 0)
    if type_ not in (0, 1):
        raise Malformed("impossible IntOrString.Type")
    value: int | str = parts.get("text", "") if type_ else parts.get("int", 0)
    return value


def _raw(parts: dict[str, Any]) -> Any:
    raw = parts.get("raw")
    return decode_body(raw, merge_repeated=False).value if raw else None


def _schema_or_bool(parts: dict[str, Any]) -> Any:
    return parts["schema"] if "schema" in parts else parts.get("allows", False)


def _schema_or_several(parts: dict[str, Any]) -> Any:
    return parts.get("several") or parts.get("schema")


_READ: dict[str, Read] = {
    "octets": _octets,
    "string": _string,
    "bytes": _bytes,
    "time": _of_value("time", _time),
    "microtime": _of_value("time", _micro_time),
    "duration": _of_value("duration", _duration),
    "quantity": _of_value("quantity", _quantity),
    "intorstring": _of_value("intorstring", _int_or_string),
    "raw": _of_value("raw", _raw),
    "schemaorbool": _of_value("schemaorbool", _schema_or_bool),
    "schemaorarray": _of_value("schemaorarray", _schema_or_several),
    "schemaorstrings": _of_value("schemaorstrings", _schema_or_several),
}
