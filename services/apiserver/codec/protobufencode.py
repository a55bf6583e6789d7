"""JSON objects to the protobuf messages that stand for them.

Each message is a function, compiled when one of its kind is first met; a pod of 3 KB takes
90 us. A field that the object does not have is not written: for a decoder that is its zero
value. What Go always writes (scalars by value) is left out too.

Source: apimachinery/pkg/apis/meta/v1 of kube-apiserver v1.36.2 (time_proto.go,
micro_time_proto.go).
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable
from functools import cache, lru_cache, partial
from typing import Any

import orjson

from services.apiserver.codec.protobuflayout import SCHEMA, Layout, items_layout, layout_of
from services.apiserver.codec.protobufwire import (
    DELIMITED,
    FIXED64,
    SHORT,
    VARINT,
    chunk,
    tag_of,
    varint,
)
from services.apiserver.values import duration, time

Write = Callable[[Any], bytes | bytearray]
"""Returns a value without the tag and the length in front of it."""

# How a field is written on the wire.
_TEXT, _NUMBER, _CHUNK, _SEVERAL = range(4)
_Entry = tuple[bytes, int, Any]
"""A field's tag, how it is written, and what writes it."""

_INTEGERS = frozenset({"bool", "int32", "int64"})


@cache
def message(definition: str) -> Write:
    """Return the writer of a struct's message."""
    return writer(lambda: layout_of(definition))


def writer(layout: Callable[[], Layout]) -> Write:
    """Return the writer of a message; its layout is asked for when it is first used."""
    table: dict[str, _Entry] = {}
    inlined: dict[bytes, Write] = {}
    compiled = False
    find = table.get

    def write(obj: dict[str, Any]) -> bytearray:
        nonlocal compiled
        if not compiled:
            # Two threads may both do it, with the same outcome.
            _compile(layout(), table, inlined)
            compiled = True
        out = bytearray()
        for key, value in obj.items():
            entry = find(key)
            if entry is None or value is None:
                continue
            tag, form, convert = entry
            if form == _TEXT:
                data = value.encode()
            elif form == _CHUNK:
                data = convert(value)
            elif form == _NUMBER:
                out += tag
                out += SHORT[value] if 0 <= value < 0x80 else varint(value)
                continue
            else:
                convert(value, out)
                continue
            size = len(data)
            out += tag
            out += SHORT[size] if size < 0x80 else varint(size)
            out += data
        for tag, write_part in inlined.items():
            data = write_part(obj)
            if data:
                out += tag
                out += varint(len(data))
                out += data
        return out

    return write


def _compile(layout: Layout, table: dict[str, _Entry], inlined: dict[bytes, Write]) -> None:
    for number, (name, type_) in layout.fields.items():
        base = type_.removeprefix("*")
        delimited = varint(tag_of(number, DELIMITED))
        if base == "string":
            table[name] = (delimited, _TEXT, None)
        elif base in _INTEGERS:
            table[name] = (varint(tag_of(number, VARINT)), _NUMBER, None)
        elif base == "float64":
            table[name] = (b"", _SEVERAL, _floats(varint(tag_of(number, FIXED64))))
        elif base.startswith("[]") and base[2:] in _INTEGERS:
            table[name] = (b"", _SEVERAL, _numbers(varint(tag_of(number, VARINT))))
        elif base.startswith("[]"):
            table[name] = (b"", _SEVERAL, _items(delimited, _write(base[2:])))
        elif base.startswith("map:"):
            table[name] = (b"", _SEVERAL, _entries(delimited, _write(base[4:])))
        else:
            table[name] = (delimited, _CHUNK, _write(base))
    for number, part in layout.inlined.items():
        tag = varint(tag_of(number, DELIMITED))
        inlined[tag] = writer(partial(_itself, part))


def _itself(layout: Layout) -> Layout:
    return layout


def _floats(tag: bytes) -> Callable[[float, bytearray], None]:
    def put(value: float, out: bytearray) -> None:
        out += tag + struct.pack("<d", value)

    return put


def _numbers(tag: bytes) -> Callable[[list[int], bytearray], None]:
    def put(values: list[int], out: bytearray) -> None:
        for value in values:
            out += tag + varint(value or 0)

    return put


def _items(tag: bytes, write: Write) -> Callable[[list[Any], bytearray], None]:
    def put(values: list[Any], out: bytearray) -> None:
        for value in values:
            data = b"" if value is None else write(value)
            size = len(data)
            out += tag
            out += SHORT[size] if size < 0x80 else varint(size)
            out += data

    return put


def _entries(tag: bytes, write: Write) -> Callable[[dict[str, Any], bytearray], None]:
    def put(values: dict[str, Any], out: bytearray) -> None:
        for key, value in values.items():
            data = chunk(1, key.encode())
            if value is not None:
                data += chunk(2, write(value))
            out += tag
            out += varint(len(data))
            out += data

    return put


def _write(type_: str) -> Write:
    """Return the writer of a value that has a length."""
    if type_.startswith("[=]"):
        write_items = writer(lambda: items_layout(type_[3:]))
        return lambda items: write_items({"items": items})
    return _WRITE.get(type_) or message(type_)


# -- values that JSON writes as something else ------------------------------------------


def _string(text: str) -> bytes:
    return text.encode()


def _bytes(text: str) -> bytes:
    return binascii.a2b_base64(text)


def _number(number: int, value: int) -> bytes:
    return varint(tag_of(number, VARINT)) + varint(value)


@lru_cache(maxsize=2048)
def _time(text: str) -> bytes:
    return _number(1, int(time.parse_time(text).timestamp())) + _number(2, 0)


def _micro_time(text: str) -> bytes:
    moment = time.parse_micro_time(text)
    seconds = int(moment.replace(microsecond=0).timestamp())
    return _number(1, seconds) + _number(2, moment.microsecond * 1000)


def _duration(text: str) -> bytes:
    return _number(1, duration.parse_duration_ns(text))


@lru_cache(maxsize=2048)
def _quantity(text: str) -> bytes:
    return chunk(1, text.encode())


def _int_or_string(value: int | str) -> bytes:
    if isinstance(value, str):
        return _number(1, 1) + _number(2, 0) + chunk(3, value.encode())
    return _number(1, 0) + _number(2, value) + chunk(3, b"")


def _raw(value: Any) -> bytes:
    return chunk(1, orjson.dumps(value))


def _schema_or_bool(value: Any) -> bytes:
    if isinstance(value, dict):
        return _number(1, True) + chunk(2, message(SCHEMA)(value))
    return _number(1, value)


def _schema_or_array(value: Any) -> bytes:
    if isinstance(value, dict):
        return chunk(1, message(SCHEMA)(value))
    return b"".join([chunk(2, message(SCHEMA)(item)) for item in value])


def _schema_or_strings(value: Any) -> bytes:
    if isinstance(value, dict):
        return chunk(1, message(SCHEMA)(value))
    return b"".join([chunk(2, item.encode()) for item in value])


_WRITE: dict[str, Write] = {
    "string": _string,
    "bytes": _bytes,
    "time": _time,
    "microtime": _micro_time,
    "duration": _duration,
    "quantity": _quantity,
    "intorstring": _int_or_string,
    "raw": _raw,
    "schemaorbool": _schema_or_bool,
    "schemaorarray": _schema_or_array,
    "schemaorstrings": _schema_or_strings,
}
