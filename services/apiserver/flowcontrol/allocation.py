"""Dividing the server's seats among the priority levels, in proportion and within bounds.

Source: kube-apiserver v1.36.2, apiserver/pkg/util/flowcontrol/conc_alloc.go (what is solved;
the way to the solution is our own).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MINIMUM_TARGET = 0.001


@dataclass(frozen=True, slots=True)
class Claim:
    """What one level wants. 0 <= low <= target, low <= high."""

    low: float
    target: float
    high: float


class Unsolvable(ValueError):
    """The bounds leave no way to give out just that sum."""


def allocate(total: float, claims: Sequence[Claim]) -> list[float]:
    """Return shares that sum to `total`: each `f` times its target, kept within its bounds,
    with one `f` for all.

    Raises:
        Unsolvable: the bounds do not allow it.
    """
    low = sum(claim.low for claim in claims)
    high = sum(claim.high for claim in claims)
    if not low - 1e-7 <= total <= high + 1e-7:
        raise Unsolvable(f"bounds from {low} to {high} do not allow {total}")
    targets = [max(claim.target, MINIMUM_TARGET) for claim in claims]
    # The sum grows with `f`, piece by piece linear: it bends where a claim meets a bound.
    bends = sorted(
        {bound / target for claim, target in zip(claims, targets, strict=True)
         for bound in (claim.low, claim.high)}
    )  # fmt: skip
    before, sum_before = 0.0, low
    for bend in bends:
        sum_there = sum(_shares(bend, claims, targets))
        if sum_there >= total:
            if sum_there > sum_before:
                before += (bend - before) * (total - sum_before) / (sum_there - sum_before)
            return _shares(before, claims, targets)
        before, sum_before = bend, sum_there
    return [claim.high for claim in claims]


def _shares(factor: float, claims: Sequence[Claim], targets: Sequence[float]) -> list[float]:
    return [
        min(claim.high, max(claim.low, factor * target))
        for claim, target in zip(claims, targets, strict=True)
    ]
