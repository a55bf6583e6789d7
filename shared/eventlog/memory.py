"""The event log of a system that is one process."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from shared.eventlog.errors import EventLogClosed, Hole, Trimmed
from shared.eventlog.protocol import Bounds, Entry
from shared.storage.protocol import Revision


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEventLogOptions:
    """How much is kept."""

    limit_bytes: int = 16 * 2**20
    """Size of all entries. The only reader is in the same process, seldom more than an entry
    behind, and shares the bytes with its cache, whose history is what clients resume from."""

    limit_age_s: float = 300.0
    """Age of an entry: what kube-apiserver keeps in etcd, so that nobody counts on more."""


class MemoryEventLog:
    """An EventLog in memory; a reader that falls behind what is kept gets Trimmed."""

    def __init__(
        self,
        options: MemoryEventLogOptions | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options or MemoryEventLogOptions()
        self._clock = clock
        self._entries: deque[Entry] = deque()
        self._times_and_sizes: deque[tuple[float, int]] = deque()
        self._size_bytes = 0
        self._dropped = 0
        """How many entries have been trimmed: the number of the first one kept."""
        self._appended = asyncio.Event()
        self._closed = False

    def __repr__(self) -> str:
        return f"<MemoryEventLog {len(self._entries)} entries, {self._size_bytes} bytes>"

    async def append(self, entry: Entry) -> bool:
        self._check_open()
        if self._entries and entry.revision <= self._entries[-1].revision:
            return False
        size = entry.size_bytes
        self._entries.append(entry)
        self._times_and_sizes.append((self._clock(), size))
        self._size_bytes += size
        self._trim()
        appended, self._appended = self._appended, asyncio.Event()
        appended.set()
        return True

    async def read(self, *, after: Revision) -> AsyncGenerator[Entry, None]:
        number = -1  # of the entry to yield next; found when there are entries
        position = after
        while True:
            self._check_open()
            appended = self._appended
            index = number - self._dropped if number >= 0 else self._first_after(position)
            if index < 0:
                raise Trimmed(position, self._entries[0].previous)
            if index >= len(self._entries):
                number = self._dropped + len(self._entries) if self._entries else -1
                await appended.wait()
                continue
            entry = self._entries[index]
            if entry.revision > position:  # a reader may be ahead of the log
                if entry.previous > position:
                    raise (
                        Trimmed(position, entry.previous)
                        if index == 0
                        else Hole(position, entry.previous)
                    )
                position = entry.revision
                number = self._dropped + index + 1
                yield entry
            else:
                number = self._dropped + index + 1

    async def bounds(self) -> Bounds | None:
        self._check_open()
        if not self._entries:
            return None
        return Bounds(self._entries[0].previous, self._entries[-1].revision)

    async def aclose(self) -> None:
        self._closed = True
        self._appended.set()

    def _first_after(self, revision: Revision) -> int:
        return bisect_right(self._entries, revision, key=lambda entry: entry.revision)

    def _trim(self) -> None:
        """Drop what is over the limits; the last entry stays, or the bounds would be lost."""
        eldest_time = self._clock() - self._options.limit_age_s
        while len(self._entries) > 1:
            at, size = self._times_and_sizes[0]
            if self._size_bytes <= self._options.limit_bytes and at >= eldest_time:
                return
            self._entries.popleft()
            self._times_and_sizes.popleft()
            self._size_bytes -= size
            self._dropped += 1

    def _check_open(self) -> None:
        if self._closed:
            raise EventLogClosed
