"""What a stream holds by size and age, and what of it has to go."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from shared.storage.protocol import Revision

ENTRY_OVERHEAD_BYTES = 150
"""What Redis 7 needs for an entry beside its bytes, for entries of 1 to 20 KB (MEMORY USAGE)."""

_SLACK = 16
"""Trimming goes on to a sixteenth below the limit: one XTRIM for many appends."""


class Retention:
    """Sizes and ages of the entries in a stream, as far as this appender knows them."""

    def __init__(self, limit_bytes: int, limit_age_s: float, clock: Callable[[], float]) -> None:
        self._limit_bytes = limit_bytes
        self._limit_age_s = limit_age_s
        self._clock = clock
        self._entries: deque[tuple[Revision, int, float]] = deque()
        self.size_bytes = 0

    def __repr__(self) -> str:
        return f"<Retention {len(self)} entries, {self.size_bytes} bytes>"

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, revision: Revision, packed_bytes: int) -> None:
        """Count one more entry, behind all others."""
        size = packed_bytes + ENTRY_OVERHEAD_BYTES
        self._entries.append((revision, size, self._clock()))
        self.size_bytes += size

    def replace(self, entries: Iterable[tuple[Revision, int]]) -> None:
        """Take the revisions and packed sizes that Redis tells; an unknown entry is new to us."""
        times = {revision: at for revision, _, at in self._entries}
        now = self._clock()
        self._entries = deque(
            (revision, size + ENTRY_OVERHEAD_BYTES, times.get(revision, now))
            for revision, size in entries
        )
        self.size_bytes = sum(size for _, size, _ in self._entries)

    def clear(self) -> None:
        self._entries.clear()
        self.size_bytes = 0

    def trim(self) -> Revision | None:
        """Forget what is over the limits; return the first revision to keep, None if nothing is.

        The last entry stays, or the bounds would be lost.
        """
        if not self._is_over(self._limit_bytes, self._limit_age_s):
            return None
        while self._is_over(
            self._limit_bytes - self._limit_bytes // _SLACK,
            self._limit_age_s - self._limit_age_s / _SLACK,
        ):
            self.size_bytes -= self._entries.popleft()[1]
        return self._entries[0][0]

    def _is_over(self, limit_bytes: int, limit_age_s: float) -> bool:
        if len(self._entries) <= 1:
            return False
        return self.size_bytes > limit_bytes or self._entries[0][2] < self._clock() - limit_age_s
