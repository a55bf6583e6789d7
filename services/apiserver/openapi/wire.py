"""Protobuf's wire form, as far as the OpenAPI messages need it (proto3: no empty fields)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from services.apiserver.discovery.protobuf import varint

Encode = Callable[[Any], bytes]

_VARINT, _FIXED64, _BYTES = 0, 1, 2


def chunk(number: int, data: bytes) -> bytes:
    """A field of bytes or of a message; written even if empty."""
    return varint(number << 3 | _BYTES) + varint(len(data)) + data


def text(number: int, value: str | None) -> bytes:
    return chunk(number, value.encode()) if value else b""


def texts(number: int, values: Iterable[str]) -> bytes:
    return b"".join(chunk(number, value.encode()) for value in values)


def flag(number: int, value: bool | None) -> bytes:
    return varint(number << 3 | _VARINT) + b"\x01" if value else b""


def integer(number: int, value: int | None) -> bytes:
    if not value:
        return b""
    return varint(number << 3 | _VARINT) + varint(int(value) & 0xFFFFFFFFFFFFFFFF)


def double(number: int, value: float | None) -> bytes:
    return varint(number << 3 | _FIXED64) + struct.pack("<d", value) if value else b""


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
