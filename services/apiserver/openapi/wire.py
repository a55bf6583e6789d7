"""Protobuf's wire form, as far as the OpenAPI messages need it (proto3: no empty fields)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from services.apiserver.codec.protobufwire import FIXED64, VARINT, chunk, tag_of, varint

Encode = Callable[[Any], bytes]


def text(number: int, value: str | None) -> bytes:
    return chunk(number, value.encode()) if value else b""


def texts(number: int, values: Iterable[str]) -> bytes:
    return b"".join(chunk(number, value.encode()) for value in values)


def flag(number: int, value: bool | None) -> bytes:
    return varint(tag_of(number, VARINT)) + b"\x01" if value else b""


def either(number: int, value: bool) -> bytes:
    """A boolean that is one of the message's alternatives; written even if false."""
    return varint(tag_of(number, VARINT)) + (b"\x01" if value else b"\x00")


def integer(number: int, value: int | None) -> bytes:
    if not value:
        return b""
    return varint(tag_of(number, VARINT)) + varint(int(value))


def double(number: int, value: float | None) -> bytes:
    return varint(tag_of(number, FIXED64)) + struct.pack("<d", value) if value else b""


def optional(number: int, value: Any, encode: Encode) -> bytes:
    return b"" if value is None else chunk(number, encode(value))


def repeated(number: int, values: Iterable[Any] | None, encode: Encode) -> bytes:
    return b"".join(chunk(number, encode(value)) for value in values or ())


def named(number: int, values: Mapping[str, Any] | None, encode: Encode) -> bytes:
    """A map, as a repeated message of name and value."""
    return b"".join(
        chunk(number, text(1, name) + chunk(2, encode(value)))
        for name, value in (values or {}).items()
    )


def any_value(value: Any) -> bytes:
    """An Any: the value as YAML text, which JSON is."""
    return text(2, orjson.dumps(value).decode() + "\n")


def extensions(number: int, holder: Mapping[str, Any]) -> bytes:
    """The x- fields of a holder."""
    found = {name: value for name, value in holder.items() if name.startswith("x-")}
    return named(number, found, any_value)
