"""Decoding of the types that hold no fields: scalars, bytes, times, quantities, raw JSON."""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from typing import Any

import orjson

from services.apiserver.codec.mismatch import Mismatch
from services.apiserver.values import duration, quantity, time

TAKEN: dict[str, type] = {"string": str, "bool": bool}
"""Types whose JSON values are taken as they are when the Python type is exactly this."""

INTEGERS = {"int32": 32, "int64": 64, "int": 64, "uint32": 32, "uint64": 64}

STRUCT_LIKE = frozenset({"time", "microtime", "duration", "quantity", "intorstring", "raw"})
"""Go structs: omitempty never leaves them out, only a pointer or omitzero does."""

_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]")

ZEROS: dict[str, Any] = {
    "string": "",
    "bool": False,
    "float64": 0,
    "bytes": None,
    "time": None,
    "microtime": None,
    "duration": "0s",
    "quantity": "0",
    "intorstring": 0,
    "raw": None,
    "schemaorbool": False,
    "schemaorarray": None,
    "schemaorstrings": None,
} | dict.fromkeys(INTEGERS, 0)


def _refuse(go_type: str) -> Callable[[Any, list[str]], Any]:
    def decode(value: Any, _unknown: list[str]) -> Any:
        raise Mismatch(value, go_type)

    return decode


def _integer(name: str) -> Callable[[Any, list[str]], Any]:
    bits = INTEGERS[name]
    unsigned = name.startswith("u")
    low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    def decode(value: Any, _unknown: list[str]) -> Any:
        if type(value) is int and low <= value <= high:
            return value
        raise Mismatch(value, name)

    return decode


def _float(value: Any, _unknown: list[str]) -> Any:
    if type(value) is not float and type(value) is not int:
        raise Mismatch(value, "float64")
    number = float(value)
    # Go prints a whole float64 without a fraction; beyond 64 bits orjson only takes floats.
    return int(number) if number.is_integer() and abs(number) < 2**63 else number


def _bytes(value: Any, _unknown: list[str]) -> Any:
    if type(value) is str:
        text = (
            value.replace("\n", "").replace("\r", "") if "\n" in value or "\r" in value else value
        )
        try:
            data = binascii.a2b_base64(text, strict_mode=True)
        except ValueError:  # binascii.Error is one; so is a text that is not ASCII
            position = _illegal_byte(text)
            raise Mismatch(message=f"illegal base64 data at input byte {position}") from None
        return binascii.b2a_base64(data, newline=False).decode("ascii")
    if type(value) is list and all(type(item) is int and 0 <= item < 256 for item in value):
        return binascii.b2a_base64(bytes(value), newline=False).decode("ascii")
    raise Mismatch(value, "[]uint8")


def _illegal_byte(text: str) -> int:
    found = _NOT_BASE64.search(text)
    return found.start() if found else len(text)


def _time(value: Any, _unknown: list[str]) -> Any:
    if type(value) is not str:
        raise Mismatch(value, "string")
    try:
        return time.canonical_time(value)
    except time.TimeError as error:
        raise Mismatch(message=str(error)) from None


def _micro_time(value: Any, _unknown: list[str]) -> Any:
    if type(value) is not str:
        raise Mismatch(value, "string")
    try:
        return time.canonical_micro_time(value)
    except time.TimeError as error:
        raise Mismatch(message=str(error)) from None


def _duration(value: Any, _unknown: list[str]) -> Any:
    if type(value) is not str:
        raise Mismatch(value, "string")
    try:
        return duration.canonical_duration(value)
    except duration.DurationError as error:
        raise Mismatch(message=str(error)) from None


def _quantity(value: Any, _unknown: list[str]) -> Any:
    if not isinstance(value, str | int | float):
        raise Mismatch(message="unable to parse quantity's suffix")
    try:
        return quantity.canonical(value)
    except quantity.QuantityError as error:
        raise Mismatch(message=str(error)) from None


def _int_or_string(value: Any, _unknown: list[str]) -> Any:
    if type(value) is str:
        return value
    if type(value) is int and -(2**31) <= value < 2**31:
        return value
    raise Mismatch(value, "int32")


def _raw(value: Any, _unknown: list[str]) -> Any:
    if type(value) is not dict and type(value) is not list:
        return value
    try:
        # The quickest deep copy there is: a quarter of the time of one in Python.
        return orjson.loads(orjson.dumps(value))
    except TypeError:
        raise Mismatch(message="exceeded max depth") from None


DECODERS: dict[str, Callable[[Any, list[str]], Any]] = {
    "string": _refuse("string"),
    "bool": _refuse("bool"),
    "float64": _float,
    "bytes": _bytes,
    "time": _time,
    "microtime": _micro_time,
    "duration": _duration,
    "quantity": _quantity,
    "intorstring": _int_or_string,
    "raw": _raw,
} | {name: _integer(name) for name in INTEGERS}
