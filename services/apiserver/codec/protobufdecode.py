"""Protobuf messages to the JSON values that they stand for.

Each message is a function, compiled when one of its kind is first met: a table lookup and a
comparison a field, a call only for what holds fields itself; 105 us for a pod of 3 KB. The
values are not checked any further; a Codec does that for bodies of every media type.

Source: the decoders that gogo/protobuf generates for kube-apiserver v1.36.2;
apimachinery/pkg/apis/meta/v1 (time_proto.go, micro_time_proto.go).
"""

from __future__ import annotations

import binascii
import datetime
import struct
from collections.abc import Callable
from functools import cache, lru_cache, partial
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
    varint,
)
from services.apiserver.values import duration, time

Fill = Callable[[bytes, int, int, dict[str, Any]], None]
"""Reads the message between two positions into a dict, over what is already there.

Raises Malformed; IndexError and RecursionError where the bytes end too early or are nested
too deeply.
"""
Read = Callable[[bytes, int, int], Any]
"""Returns the JSON value of the bytes between two positions."""

# How a field is read, the most frequent ways first: those up to _NUMBERS from an integer, all
# others from bytes. _STRUCT and _STRUCTS are shortcuts for most of what _CHUNK could do as well:
# a call less for each message.
_NUMBER, _NUMBERS, _TEXT, _STRUCT, _STRUCTS, _CHUNK = range(6)
_Entry = tuple[str, int, Any]
"""A field's JSON name, how it is read, and by what."""


@cache
def message(definition: str) -> Fill:
    """Return the reader of a struct's message."""
    return reader(lambda: layout_of(definition))


def reader(layout: Callable[[], Layout]) -> Fill:
    """Return the reader of a message; its layout is asked for when it is first used."""
    table: dict[int, _Entry] = {}
    others: dict[int, str] = {}
    compiled = False
    find = table.get

    def fill(raw: bytes, pos: int, end: int, out: dict[str, Any]) -> None:
        nonlocal compiled
        if not compiled:
            # Two threads may both do it, with the same outcome.
            _compile(layout(), table, others)
            compiled = True
        while pos < end:
            start = pos
            tag = raw[pos]
            pos += 1
            if tag > 0x7F:
                tag |= raw[pos] << 8
                pos += 1
            entry = find(tag)
            if entry is None:
                pos = _read_other(raw, start, others, out)
                continue
            name, form, read = entry
            number = raw[pos]
            pos += 1
            if number > 0x7F:
                number, pos = read_varint(raw, pos - 1)
            if form <= _NUMBERS:
                if form == _NUMBER:
                    out[name] = read(number)
                else:
                    out.setdefault(name, []).append(read(number))
                continue
            start = pos
            pos += number
            if pos > end:
                break
            if form == _TEXT:
                try:
                    out[name] = raw[start:pos].decode()
                except UnicodeDecodeError:
                    out[name] = _string(raw, start, pos)
            elif form == _STRUCT:
                # One that stands twice is merged.
                part = out.get(name)
                if part is None:
                    part = out[name] = {}
                read(raw, start, pos, part)
            elif form == _STRUCTS:
                part = {}
                items = out.get(name)
                if items is None:
                    out[name] = [part]
                else:
                    items.append(part)
                read(raw, start, pos, part)
            else:
                read(raw, start, pos, out)
        if pos != end:
            raise Malformed("unexpected EOF")

    return fill


def _compile(layout: Layout, table: dict[int, _Entry], others: dict[int, str]) -> None:
    """Fill the table of fields by the bytes of their tag, and another one by number, which
    tells of a wrong wire type, and of what is a float64."""
    for number, (name, type_) in layout.fields.items():
        others[number] = ""
        base = type_.removeprefix("*")
        element = base.removeprefix("[]")
        delimited, plain = _key(number, DELIMITED), _key(number, VARINT)
        if base in _INTEGERS:
            table[plain] = (name, _NUMBER, _INTEGERS[base])
        elif element in _INTEGERS:
            convert = _INTEGERS[element]
            table[plain] = (name, _NUMBERS, convert)
            table[delimited] = (name, _CHUNK, _extend_packed(name, convert))
        elif base == "float64":
            others[number] = name
        elif base == "string":
            table[delimited] = (name, _TEXT, None)
        elif _is_struct(base):
            table[delimited] = (name, _STRUCT, message(base))
        elif base.startswith("[]") and _is_struct(element):
            table[delimited] = (name, _STRUCTS, message(element))
        else:
            table[delimited] = (name, _CHUNK, _take(name, base))
    for number, inlined in layout.inlined.items():
        others[number] = ""
        table[_key(number, DELIMITED)] = ("", _CHUNK, reader(partial(_itself, inlined)))


def _key(number: int, wire_type: int) -> int:
    """Return the one or two bytes of a tag as one number: nothing to be shifted together."""
    return int.from_bytes(varint(tag_of(number, wire_type)), "little")


def _itself(layout: Layout) -> Layout:
    return layout


def _read_other(raw: bytes, pos: int, others: dict[int, str], out: dict[str, Any]) -> int:
    """Read a float64 or skip a field that the message does not have, its tag at `pos`."""
    tag, pos = read_varint(raw, pos)
    name = others.get(tag >> 3)
    if name is None:
        return skip(raw, tag, pos)
    if not name or tag & 7 != FIXED64:
        raise Malformed(f"proto: wrong wireType = {tag & 7} for field {tag >> 3}")
    out[name] = _float(raw, pos)
    return pos + 8


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
    """Return what puts a value that is no struct into the message around it."""
    if type_.startswith("[]"):
        return _append(name, _read(type_[2:]))
    if type_.startswith("map:"):
        return _add_entry(name, type_[4:])
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
    return not type_.startswith(("[", "map:")) and type_ not in _READ


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

_SHORT_VALUE_BYTES = 32


def _of_text(type_: str, convert: Callable[[dict[str, Any]], int | str | None]) -> Read:
    """Return what reads a short value; the same ones come again and again."""
    fill = reader(lambda: VALUES[type_])

    def parse(data: bytes) -> int | str | None:
        out: dict[str, Any] = {}
        fill(data, 0, len(data), out)
        return convert(out)

    parse_known = lru_cache(maxsize=1024)(parse)

    def read(raw: bytes, pos: int, end: int) -> int | str | None:
        data = raw[pos:end]
        return parse_known(data) if len(data) <= _SHORT_VALUE_BYTES else parse(data)

    return read


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


def _time(parts: dict[str, Any]) -> str | None:
    # The nanoseconds count for nothing: the JSON form has none.
    return time.format_time(_moment(parts.get("seconds", 0))) if parts else None


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
    "time": _of_text("time", _time),
    "microtime": _of_text("time", _micro_time),
    "duration": _of_text("duration", _duration),
    "quantity": _of_text("quantity", _quantity),
    "intorstring": _of_text("intorstring", _int_or_string),
    "raw": _of_value("raw", _raw),
    "schemaorbool": _of_value("schemaorbool", _schema_or_bool),
    "schemaorarray": _of_value("schemaorarray", _schema_or_several),
    "schemaorstrings": _of_value("schemaorstrings", _schema_or_several),
}
