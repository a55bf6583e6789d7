"""What a stream holds by size and age, and how much of it has to go."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

ENTRY_OVERHEAD_BYTES = 150
"""What Redis 7 needs for an entry beside its bytes, for entries of 1 to 20 KB (MEMORY USAGE)."""

_SLACK = 16
"""Trimming goes on to a sixteenth below the limit: one XTRIM for many appends."""


class Retention:
    """Sizes and ages of the entries in a stream: of our own one by one, behind the others.

    The others are those that were there before, or that somebody else has appended since. Of
    them only the number and the size of all are known, which Redis tells in milliseconds also
    for a large stream.
    """

    def __init__(self, limit_bytes: int, limit_age_s: float, clock: Callable[[], float]) -> None:
        self._limit_bytes = limit_bytes
        self._limit_age_s = limit_age_s
        self._clock = clock
        self._own: deque[tuple[int, float]] = deque()
        self._others = 0
        self._other_size_bytes = 0
        self._others_seen_at = 0.0
        self.size_bytes = 0

    def __repr__(self) -> str:
        return f"<Retention {len(self)} entries, {self._others} of others, {self.size_bytes} bytes>"

    def __len__(self) -> int:
        return self._others + len(self._own)

    def add(self, packed_bytes: int) -> None:
        """Count one more entry of our own."""
        size = packed_bytes + ENTRY_OVERHEAD_BYTES
        self._own.append((size, self._clock()))
        self.size_bytes += size

    def replace(self, entries: int, size_bytes: int) -> None:
        """Take what Redis tells; all of it counts as the others', and as old as this moment."""
        self._own.clear()
        self._others = entries
        self._other_size_bytes = self.size_bytes = size_bytes
        self._others_seen_at = self._clock()

    def trim(self) -> int | None:
        """Forget what is over the limits; return how many entries to keep, None if all.

        The last entry stays, or the bounds would be lost.
        """
        if not self._is_over(self._limit_bytes, self._limit_age_s):
            return None
        limit_bytes = self._limit_bytes - self._limit_bytes // _SLACK
        limit_age_s = self._limit_age_s - self._limit_age_s / _SLACK
        while self._is_over(limit_bytes, limit_age_s):
            self._forget_first()
        return len(self)

    def _is_over(self, limit_bytes: int, limit_age_s: float) -> bool:
        if len(self) <= 1:
            return False
        seen_at = self._others_seen_at if self._others else self._own[0][1]
        return self.size_bytes > limit_bytes or seen_at < self._clock() - limit_age_s

    def _forget_first(self) -> None:
        if self._others:
            size = self._other_size_bytes // self._others
            self._others -= 1
            self._other_size_bytes -= size
        else:
            size, _ = self._own.popleft()
        self.size_bytes -= size
