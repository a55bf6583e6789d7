"""What compiled expressions run in: variables, a budget of steps, access to parts of values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from services.apiserver.cel.values import (
    NONE,
    CelError,
    Opaque,
    Optional,
    Struct,
    no_overload,
    type_name,
)

STEPS = 200_000
"""Calls and iterations that an evaluation may take: some 100 ms."""


class Budget:
    """The steps that are left to one or several evaluations."""

    __slots__ = ("left",)

    def __init__(self, steps: int = STEPS) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise CelError("operation cancelled: actual cost limit exceeded")


class Scope:
    """The variables of an evaluation; comprehensions make inner ones."""

    __slots__ = ("budget", "variables")

    def __init__(self, variables: dict[str, Any], budget: Budget) -> None:
        self.variables = variables
        self.budget = budget

    def inner(self) -> Scope:
        return Scope({**self.variables}, self.budget)


Evaluate = Callable[[Scope], Any]
"""A compiled expression."""


def expect_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise CelError(f"no such overload: expected bool, not {type_name(value)}")


def select(found: Any, field: str) -> Any:
    if isinstance(found, dict):
        if field in found:
            return found[field]
        raise CelError(f"no such key: {field}")
    if isinstance(found, Struct):
        if field in found.fields:
            return found.fields[field]
        raise CelError(f"no such field: {field}")
    if isinstance(found, Optional):
        return optional_at(found, field)
    if isinstance(found, Opaque):
        return found.call(field, ())
    raise CelError(f"no such overload: {type_name(found)}.{field}")


def item_at(found: Any, index: Any) -> Any:
    if isinstance(found, list):
        if isinstance(index, float) and index.is_integer():
            index = int(index)
        if not isinstance(index, int) or isinstance(index, bool):
            raise no_overload("_[_]")
        if not 0 <= index < len(found):
            raise CelError(f"index out of bounds: {index}")
        return found[index]
    if isinstance(found, dict):
        if isinstance(index, (str, int, float)) and index in found:
            return found[index]
        raise CelError(f"no such key: {index}")
    if isinstance(found, Optional):
        return optional_at(found, index)
    raise no_overload("_[_]")


def optional_at(found: Any, index: Any) -> Optional:
    if isinstance(found, Optional):
        if not found.present:
            return NONE
        found = found.value
    if isinstance(found, Struct):
        found = found.fields
    if isinstance(found, Mapping):
        return Optional(True, found[index]) if index in found else NONE
    if isinstance(found, list) and isinstance(index, int):
        return Optional(True, found[index]) if 0 <= index < len(found) else NONE
    if found is None:
        return NONE
    raise no_overload("_?._")


def expect_optional(value: Any) -> Optional:
    if isinstance(value, Optional):
        return value
    raise CelError(f"expected an optional value, not {type_name(value)}")
