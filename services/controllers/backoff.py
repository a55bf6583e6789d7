"""Backoff: waits that grow after each failure, with jitter so that clients do not come together."""

from __future__ import annotations

import random


class Backoff:
    """Yields growing waits in seconds; `reset` after a success."""

    def __init__(
        self, *, initial_s: float, maximum_s: float, factor: float = 2.0, jitter: float = 1.0
    ) -> None:
        """`jitter` 1.0 adds up to the wait itself again, as client-go's reflector does."""
        self._initial_s = initial_s
        self._maximum_s = maximum_s
        self._factor = factor
        self._jitter = jitter
        self._next_s = initial_s

    def next_s(self) -> float:
        wait_s = self._next_s
        self._next_s = min(self._next_s * self._factor, self._maximum_s)
        return wait_s * (1 + random.random() * self._jitter)

    def reset(self) -> None:
        self._next_s = self._initial_s
