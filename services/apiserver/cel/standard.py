"""The standard functions: arithmetic, order, conversions, timestamps and durations, optionals.

Source: github.com/google/cel-spec, doc/langdef.md#list-of-standard-definitions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.apiserver.cel.values import (
    GREATEST_INT,
    GREATEST_UINT,
    LEAST_INT,
    NONE,
    CelError,
    KeyedList,
    Opaque,
    Optional,
    SetList,
    TypeValue,
    Uint,
    compare,
    contains,
    no_overload,
    type_name,
)
from services.apiserver.values.duration import (
    DurationError,
    format_duration_ns,
    parse_duration_ns,
)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _whole(value: int, *, unsigned: bool) -> int:
    low, high = (0, GREATEST_UINT) if unsigned else (LEAST_INT, GREATEST_INT)
    if not low <= value <= high:
        raise CelError(f"{'unsigned ' if unsigned else ''}integer overflow")
    return Uint(value) if unsigned else value


def _arithmetic(
    name: str, whole: Callable[[int, int], int], real: Callable[[float, float], float] | None
) -> Callable[[Any, Any], Any]:
    def operate(one: Any, other: Any) -> Any:
        if _is_int(one) and _is_int(other) and isinstance(one, Uint) == isinstance(other, Uint):
            return _whole(whole(int(one), int(other)), unsigned=isinstance(one, Uint))
        if real is not None and isinstance(one, float) and isinstance(other, float):
            return real(one, other)
        raise no_overload(f"{name}({type_name(one)}, {type_name(other)})")

    return operate


def _divided(one: int, other: int) -> int:
    if other == 0:
        raise CelError("division by zero")
    quotient = abs(one) // abs(other)
    return quotient if (one < 0) == (other < 0) else -quotient


def _remainder(one: int, other: int) -> int:
    if other == 0:
        raise CelError("modulus by zero")
    return (
        int(math.copysign(abs(one) % abs(other), one))
        if abs(one) < 2**53
        else (abs(one) % abs(other) * (-1 if one < 0 else 1))
    )


def _quotient(one: float, other: float) -> float:
    if other == 0:
        if one == 0 or math.isnan(one):
            return math.nan
        return math.copysign(math.inf, one) * math.copysign(1, other)
    return one / other


_sum = _arithmetic("_+_", lambda one, other: one + other, lambda one, other: one + other)
_difference = _arithmetic("_-_", lambda one, other: one - other, lambda one, other: one - other)


def add(one: Any, other: Any) -> Any:
    if isinstance(one, str) and isinstance(other, str):
        return one + other
    if isinstance(one, bytes) and isinstance(other, bytes):
        return one + other
    if isinstance(one, list) and isinstance(other, list):
        return _joined(one, other)
    if isinstance(one, timedelta) and isinstance(other, (timedelta, datetime)):
        return one + other
    if isinstance(one, datetime) and isinstance(other, timedelta):
        return one + other
    return _sum(one, other)


def _joined(one: list[Any], other: list[Any]) -> list[Any]:
    """Add lists; to those of type set and map as Kubernetes merges them."""
    if isinstance(one, SetList):
        return SetList([*one, *(item for item in other if not contains(one, item))])
    if isinstance(one, KeyedList):
        merged = one.by_key() | KeyedList(other, one.keys).by_key()
        return KeyedList(list(merged.values()), one.keys)
    return [*one, *other]


def subtract(one: Any, other: Any) -> Any:
    if isinstance(one, datetime) and isinstance(other, (datetime, timedelta)):
        return one - other
    if isinstance(one, timedelta) and isinstance(other, timedelta):
        return one - other
    return _difference(one, other)


def negate(value: Any) -> Any:
    if isinstance(value, float):
        return -value
    if _is_int(value) and not isinstance(value, Uint):
        return _whole(-value, unsigned=False)
    raise no_overload("-_")


def is_in(value: Any, container: Any) -> bool:
    if isinstance(container, list):
        return contains(container, value)
    if isinstance(container, dict):
        return isinstance(value, (str, int, float)) and value in container
    raise no_overload("@in")


def size(value: Any) -> int:
    if isinstance(value, (str, bytes, list, dict)):
        return len(value)
    raise no_overload(f"size({type_name(value)})")


# -- conversions -----------------------------------------------------------------------


def to_int(value: Any) -> int:
    if isinstance(value, float):
        if math.isnan(value) or not -(2.0**63) < value < 2.0**63:
            raise CelError("integer overflow")
        return int(value)
    if _is_int(value):
        return _whole(int(value), unsigned=False)
    if isinstance(value, str):
        return _whole(int(value, 10), unsigned=False)
    if isinstance(value, datetime):
        return int((value - _EPOCH) // timedelta(seconds=1))
    raise no_overload(f"int({type_name(value)})")


def to_uint(value: Any) -> Uint:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise no_overload(f"uint({type_name(value)})")
    number = int(value)
    return Uint(_whole(number, unsigned=True))


def to_double(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise no_overload(f"double({type_name(value)})")
    return float(value)


def to_string(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return double_text(value)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, datetime):
        return timestamp_text(value)
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, Opaque):
        return str(value.call("string", ()))
    raise no_overload(f"string({type_name(value)})")


def double_text(value: float) -> str:
    """Return a double as Go's %g prints it."""
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return repr(value)


def to_bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    raise no_overload(f"bytes({type_name(value)})")


def to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if value in ("1", "t", "T", "true", "TRUE", "True"):
            return True
        if value in ("0", "f", "F", "false", "FALSE", "False"):
            return False
        raise CelError(f"cannot convert {value!r} to a bool")
    raise no_overload(f"bool({type_name(value)})")


def to_type(value: Any) -> TypeValue:
    return TypeValue(type_name(value))


# -- time ------------------------------------------------------------------------------

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_timestamp(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        found = datetime.fromisoformat(value)
        if found.tzinfo is None or "T" not in value:
            raise CelError(f"cannot convert {value!r} to a timestamp")
        return found.astimezone(UTC)
    if _is_int(value):
        return _EPOCH + timedelta(seconds=int(value))
    raise no_overload(f"timestamp({type_name(value)})")


def to_duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        try:
            return timedelta(microseconds=parse_duration_ns(value) / 1000)
        except DurationError as error:
            raise CelError(str(error)) from None
    raise no_overload(f"duration({type_name(value)})")


def timestamp_text(value: datetime) -> str:
    text = value.astimezone(UTC).isoformat(timespec="microseconds")
    whole, _, rest = text.partition(".")
    fraction = rest.removesuffix("+00:00").rstrip("0")
    return f"{whole}.{fraction}Z" if fraction else f"{whole}Z"


def duration_text(value: timedelta) -> str:
    """Return a duration as CEL prints it: in seconds."""
    micros = value // _MICROSECOND
    sign, micros = ("-" if micros < 0 else ""), abs(micros)
    fraction = f"{micros % 1_000_000:06}".rstrip("0")
    return f"{sign}{micros // 1_000_000}{'.' + fraction if fraction else ''}s"


def go_duration_text(value: timedelta) -> str:
    return format_duration_ns(value // _MICROSECOND * 1000)


def _zone(name: str) -> tzinfo:
    if name[:1] in "+-" or name[:1].isdigit():
        sign = -1 if name.startswith("-") else 1
        hours, _, minutes = name.lstrip("+-").partition(":")
        return timezone(sign * timedelta(hours=int(hours), minutes=int(minutes or 0)))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise CelError(f"unknown time zone {name}") from None


def _timestamp_part(read: Callable[[datetime], int]) -> Callable[..., int]:
    def part(value: Any, zone: str = "UTC") -> int:
        if not isinstance(value, datetime):
            raise no_overload(type_name(value))
        return read(value.astimezone(_zone(zone)))

    return part


def _time_or_duration_part(read: Callable[[datetime], int], unit: timedelta) -> Callable[..., int]:
    of_timestamp = _timestamp_part(read)

    def part(value: Any, *zone: str) -> int:
        if isinstance(value, timedelta):
            whole = abs(value) // unit
            return whole if value >= timedelta(0) else -whole
        return of_timestamp(value, *zone)

    return part


def _milliseconds(value: Any, *zone: str) -> int:
    if isinstance(value, timedelta):
        return int(abs(value) % timedelta(seconds=1) / timedelta(milliseconds=1))
    return _timestamp_part(lambda moment: moment.microsecond // 1000)(value, *zone)


# -- optionals -------------------------------------------------------------------------


def _value_of(found: Optional) -> Any:
    if not found.present:
        raise CelError("optional.none() dereference")
    return found.value


def _of_non_zero(value: Any) -> Optional:
    empty = value is None or (
        isinstance(value, (bool, int, float, str, bytes, list, dict)) and not value
    )
    return NONE if empty else Optional(True, value)


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "_+_": add,
    "_-_": subtract,
    "_*_": _arithmetic("_*_", lambda one, other: one * other, lambda one, other: one * other),
    "_/_": _arithmetic("_/_", _divided, _quotient),
    "_%_": _arithmetic("_%_", _remainder, None),
    "-_": negate,
    "_<_": lambda one, other: compare(one, other) < 0,
    "_<=_": lambda one, other: compare(one, other) <= 0,
    "_>_": lambda one, other: compare(one, other) > 0,
    "_>=_": lambda one, other: compare(one, other) >= 0,
    "@in": is_in,
    "size": size,
    "int": to_int,
    "uint": to_uint,
    "double": to_double,
    "string": to_string,
    "bytes": to_bytes,
    "bool": to_bool,
    "type": to_type,
    "dyn": lambda value: value,
    "timestamp": to_timestamp,
    "duration": to_duration,
    "optional.of": lambda value: Optional(True, value),
    "optional.none": lambda: NONE,
    "optional.ofNonZeroValue": _of_non_zero,
}

METHODS: Mapping[str, Callable[..., Any]] = {
    "size": size,
    "getFullYear": _timestamp_part(lambda moment: moment.year),
    "getMonth": _timestamp_part(lambda moment: moment.month - 1),
    "getDate": _timestamp_part(lambda moment: moment.day),
    "getDayOfMonth": _timestamp_part(lambda moment: moment.day - 1),
    "getDayOfWeek": _timestamp_part(lambda moment: moment.isoweekday() % 7),
    "getDayOfYear": _timestamp_part(lambda moment: moment.timetuple().tm_yday - 1),
    "getHours": _time_or_duration_part(lambda moment: moment.hour, timedelta(hours=1)),
    "getMinutes": _time_or_duration_part(lambda moment: moment.minute, timedelta(minutes=1)),
    "getSeconds": _time_or_duration_part(lambda moment: moment.second, timedelta(seconds=1)),
    "getMilliseconds": _milliseconds,
    "hasValue": lambda found: found.present,
    "value": _value_of,
    "or": lambda found, other: found if found.present else other,
    "orValue": lambda found, other: found.value if found.present else other,
}
