"""The values of CEL as Python has them, and their equality and order.

int, float, bool, str, bytes, None, list and dict stand for themselves; a timestamp is an aware
datetime, a duration a timedelta.
Source: github.com/google/cel-spec, doc/langdef.md; kube-apiserver v1.36.2,
apiserver/pkg/cel/common/values.go (lists of type set and map).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

LEAST_INT, GREATEST_INT = -(2**63), 2**63 - 1
GREATEST_UINT = 2**64 - 1


class CelError(Exception):
    """An expression that has no value: a missing key, a wrong type, an overflow."""


class Uint(int):
    """An unsigned integer."""

    __slots__ = ()


class Opaque:
    """A value that expressions can only call methods of and compare."""

    type_name = "opaque"

    def call(self, name: str, args: Sequence[Any]) -> Any:
        """Return what a method gives.

        Raises:
            CelError: there is no such method for these arguments.
        """
        raise no_overload(name)


@dataclass(frozen=True, slots=True)
class TypeValue:
    """What type(x) gives."""

    name: str


@dataclass(frozen=True, slots=True)
class Optional:
    """A value that may be absent."""

    present: bool
    value: Any = None


NONE: Final = Optional(False)


@dataclass(frozen=True, slots=True)
class Struct:
    """A message literal: Name{field: value}."""

    name: str
    fields: Mapping[str, Any]


class SetList(list[Any]):
    """A list of x-kubernetes-list-type set: order does not count in comparisons."""

    __slots__ = ()


class KeyedList(list[Any]):
    """A list of x-kubernetes-list-type map: items are compared by their keys."""

    __slots__ = ("keys",)

    def __init__(self, items: Sequence[Any], keys: Sequence[str]) -> None:
        super().__init__(items)
        self.keys = tuple(keys)

    def by_key(self) -> dict[tuple[str, ...], Any]:
        return {tuple(repr(item.get(name)) for name in self.keys): item for item in self}


def no_overload(name: str) -> CelError:
    return CelError(f"no such overload: {name}")


def equal(one: Any, other: Any) -> bool:
    """Compare as CEL does: numbers by value, true is not 1, other types differ."""
    kind, other_kind = type(one), type(other)
    if kind is other_kind and kind in _SIMPLE:
        return bool(one == other)
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return one == other
    if isinstance(one, list) and isinstance(other, list):
        return _equal_lists(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return len(one) == len(other) and all(
            key in other and equal(value, other[key]) for key, value in one.items()
        )
    if isinstance(one, Optional) and isinstance(other, Optional):
        return one.present == other.present and (not one.present or equal(one.value, other.value))
    if kind is not other_kind:
        return False
    return bool(one == other)


_SIMPLE = frozenset({str, int, float, bool, bytes})


def _equal_lists(one: list[Any], other: list[Any]) -> bool:
    if len(one) != len(other):
        return False
    if isinstance(one, SetList) or isinstance(other, SetList):
        return contains_all(one, other) and contains_all(other, one)
    keyed = one if isinstance(one, KeyedList) else other
    if isinstance(keyed, KeyedList):
        try:
            mine = KeyedList(one, keyed.keys).by_key()
            theirs = KeyedList(other, keyed.keys).by_key()
        except AttributeError:  # an item that is no object has no keys
            return False
        return equal_maps(mine, theirs)
    return all(equal(item, their) for item, their in zip(one, other, strict=True))


def equal_maps(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> bool:
    return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)


def contains(items: Sequence[Any], wanted: Any) -> bool:
    return any(equal(item, wanted) for item in items)


def contains_all(items: Sequence[Any], wanted: Sequence[Any]) -> bool:
    return all(contains(items, one) for one in wanted)


def compare(one: Any, other: Any) -> int:
    """Return -1, 0 or 1.

    Raises:
        CelError: there is no order between them.
    """
    if not _ordered(one, other):
        raise no_overload("_<_")
    return int(one > other) - int(one < other)


def _ordered(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return isinstance(one, bool) and isinstance(other, bool)
    return any(
        isinstance(one, kind) and isinstance(other, kind)
        for kind in ((int, float), str, bytes, datetime, timedelta)
    )


def type_name(value: Any) -> str:
    """Return the name that type() gives, and errors use."""
    if isinstance(value, Opaque):
        return value.type_name
    if isinstance(value, Struct):
        return value.name
    return next((name for kind, name in _NAMES if isinstance(value, kind)), "dyn")


_NAMES: tuple[tuple[type, str], ...] = (
    (bool, "bool"),
    (Uint, "uint"),
    (int, "int"),
    (float, "double"),
    (str, "string"),
    (bytes, "bytes"),
    (list, "list"),
    (dict, "map"),
    (type(None), "null_type"),
    (datetime, "google.protobuf.Timestamp"),
    (timedelta, "google.protobuf.Duration"),
    (TypeValue, "type"),
    (Optional, "optional_type"),
)
