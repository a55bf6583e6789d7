"""Operators and macros that do not evaluate all of their operands, or not just once.

Source: github.com/google/cel-spec, doc/langdef.md; cel-go parser/macro.go, ext/
{comprehensions,optional}.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from services.apiserver.cel.evaluation import Evaluate, Scope, expect_bool, expect_optional
from services.apiserver.cel.values import NONE, CelError, Optional, equal, type_name

# -- logic ---------------------------------------------------------------------------


def _and(left: Evaluate, right: Evaluate) -> Evaluate:
    return _short_circuit(left, right, decides=False)


def _or(left: Evaluate, right: Evaluate) -> Evaluate:
    return _short_circuit(left, right, decides=True)


def _short_circuit(left: Evaluate, right: Evaluate, *, decides: bool) -> Evaluate:
    """One side that decides makes up for an error of the other."""

    def evaluate(scope: Scope) -> bool:
        failed: CelError | None = None
        try:
            if expect_bool(left(scope)) is decides:
                return decides
        except CelError as error:
            failed = error
        if expect_bool(right(scope)) is decides:
            return decides
        if failed is not None:
            raise failed
        return not decides

    return evaluate


def _choose(condition: Evaluate, chosen: Evaluate, other: Evaluate) -> Evaluate:
    return lambda scope: (chosen if expect_bool(condition(scope)) else other)(scope)


def _not(operand: Evaluate) -> Evaluate:
    return lambda scope: not expect_bool(operand(scope))


def _equal(left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda scope: equal(left(scope), right(scope))


def _differ(left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda scope: not equal(left(scope), right(scope))


OPERATORS: dict[str, Callable[..., Evaluate]] = {
    "_&&_": _and,
    "_||_": _or,
    "_?_:_": _choose,
    "!_": _not,
    "_==_": _equal,
    "_!=_": _differ,
}


# -- macros --------------------------------------------------------------------------


def _iterated(source: Any, count: int) -> Iterable[tuple[Any, ...]]:
    """Yield what the variables of a comprehension stand for, one tuple a round."""
    if isinstance(source, list):
        return enumerate(source) if count == 2 else ((one,) for one in source)
    if isinstance(source, dict):
        return source.items() if count == 2 else ((key,) for key in source)
    raise CelError(f"expression of type {type_name(source)} cannot be range of a comprehension")


def _rounds(source: Evaluate, names: list[str], scope: Scope) -> Iterable[Scope]:
    """Set the variables for each round in one inner scope."""
    inner = scope.inner()
    variables, spend = inner.variables, scope.budget.spend
    for values in _iterated(source(scope), len(names)):
        spend(1)
        for name, value in zip(names, values, strict=True):
            variables[name] = value
        yield inner


def _all(source: Evaluate, names: list[str], bodies: list[Evaluate]) -> Evaluate:
    return _quantified(source, names, bodies[0], decides=False)


def _exists(source: Evaluate, names: list[str], bodies: list[Evaluate]) -> Evaluate:
    return _quantified(source, names, bodies[0], decides=True)


def _quantified(source: Evaluate, names: list[str], body: Evaluate, *, decides: bool) -> Evaluate:
    """all and exists: one round that decides makes up for errors of others."""

    def evaluate(scope: Scope) -> bool:
        failed: CelError | None = None
        for inner in _rounds(source, names, scope):
            try:
                if expect_bool(body(inner)) is decides:
                    return decides
            except CelError as error:
                if scope.budget.left < 0:
                    raise
                failed = error
        if failed is not None:
            raise failed
        return not decides

    return evaluate


def _exists_one(source: Evaluate, names: list[str], bodies: list[Evaluate]) -> Evaluate:
    body = bodies[0]

    def evaluate(scope: Scope) -> bool:
        return sum(expect_bool(body(inner)) for inner in _rounds(source, names, scope)) == 1

    return evaluate


def _filter(source: Evaluate, names: list[str], bodies: list[Evaluate]) -> Evaluate:
    body = bodies[0]

    def evaluate(scope: Scope) -> list[Any]:
        return [
            inner.variables[names[0]]
            for inner in _rounds(source, names, scope)
            if expect_bool(body(inner))
        ]

    return evaluate


def _transform(source: Evaluate, names: list[str], bodies: list[Evaluate]) -> Evaluate:
    """map and transformList, with or without a filter before the transformation."""
    *conditions, body = bodies

    def evaluate(scope: Scope) -> list[Any]:
        return [
            body(inner)
            for inner in _rounds(source, names, scope)
            if all(expect_bool(one(inner)) for one in conditions)
        ]

    return evaluate


def _transform_map(source: Evaluate, names: list[str], bodies: list[Evaluate]) -> Evaluate:
    *conditions, body = bodies

    def evaluate(scope: Scope) -> dict[Any, Any]:
        return {
            inner.variables[names[0]]: body(inner)
            for inner in _rounds(source, names, scope)
            if all(expect_bool(one(inner)) for one in conditions)
        }

    return evaluate


def _opt_map(source: Evaluate, names: list[str], bodies: list[Evaluate]) -> Evaluate:
    return _optional_transform(source, names, lambda inner: Optional(True, bodies[0](inner)))


def _opt_flat_map(source: Evaluate, names: list[str], bodies: list[Evaluate]) -> Evaluate:
    return _optional_transform(source, names, lambda inner: expect_optional(bodies[0](inner)))


def _optional_transform(
    source: Evaluate, names: list[str], body: Callable[[Scope], Optional]
) -> Evaluate:
    def evaluate(scope: Scope) -> Optional:
        found = expect_optional(source(scope))
        if not found.present:
            return NONE
        inner = scope.inner()
        inner.variables[names[0]] = found.value
        return body(inner)

    return evaluate


MACROS: dict[tuple[str, int], tuple[int, Callable[..., Evaluate]]] = {
    ("all", 2): (1, _all),
    ("exists", 2): (1, _exists),
    ("exists_one", 2): (1, _exists_one),
    ("existsOne", 2): (1, _exists_one),
    ("filter", 2): (1, _filter),
    ("map", 2): (1, _transform),
    ("map", 3): (1, _transform),
    ("all", 3): (2, _all),
    ("exists", 3): (2, _exists),
    ("existsOne", 3): (2, _exists_one),
    ("transformList", 3): (2, _transform),
    ("transformList", 4): (2, _transform),
    ("transformMap", 3): (2, _transform_map),
    ("transformMap", 4): (2, _transform_map),
    ("optMap", 2): (1, _opt_map),
    ("optFlatMap", 2): (1, _opt_flat_map),
}
"""(name, arguments) → how many of them are variables, and what to make of the rest."""
