"""Functions on lists and sets.

Source: kube-apiserver v1.36.2, apiserver/pkg/cel/library/lists.go; cel-go ext/sets.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import reduce
from itertools import pairwise
from typing import Any

from services.apiserver.cel import texts
from services.apiserver.cel.standard import add
from services.apiserver.cel.values import (
    CelError,
    compare,
    contains,
    contains_all,
    equal,
    no_overload,
    type_name,
)


def _list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    raise no_overload(type_name(value))


def _is_sorted(items: Any) -> bool:
    found = _list(items)
    return all(compare(one, other) <= 0 for one, other in pairwise(found))


def _sum(items: Any) -> Any:
    found = _list(items)
    if not found:
        return 0
    if any(isinstance(one, bool) or not isinstance(one, (int, float, timedelta)) for one in found):
        raise no_overload("sum")
    return reduce(add, found)


def _extreme(name: str, sign: int) -> Callable[[Any], Any]:
    def extreme(items: Any) -> Any:
        found = _list(items)
        if not found:
            raise CelError(f"{name} called on empty list")
        best = found[0]
        for one in found[1:]:
            if compare(one, best) == sign:
                best = one
        return best

    return extreme


def _index_of(items: Any, wanted: Any, *start: Any) -> int:
    if isinstance(items, str):
        return texts.index_of(items, wanted, *start)
    return next((place for place, one in enumerate(_list(items)) if equal(one, wanted)), -1)


def _last_index_of(items: Any, wanted: Any, *end: Any) -> int:
    if isinstance(items, str):
        return texts.last_index_of(items, wanted, *end)
    found = _list(items)
    places = range(len(found) - 1, -1, -1)
    return next((place for place in places if equal(found[place], wanted)), -1)


def _intersects(one: Sequence[Any], other: Sequence[Any]) -> bool:
    return any(contains(other, item) for item in one)


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "sets.contains": lambda one, other: contains_all(_list(one), _list(other)),
    "sets.equivalent": lambda one, other: (
        contains_all(_list(one), _list(other)) and contains_all(other, one)
    ),
    "sets.intersects": lambda one, other: _intersects(_list(one), _list(other)),
}

METHODS: Mapping[str, Callable[..., Any]] = {
    "isSorted": _is_sorted,
    "sum": _sum,
    "min": _extreme("min", -1),
    "max": _extreme("max", 1),
    "indexOf": _index_of,
    "lastIndexOf": _last_index_of,
}
