"""One reader of the stream, and how it gets its connection back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
from collections.abc import AsyncGenerator
from typing import Any

from shared.eventlog.errors import EventLogUnavailable, Hole, Trimmed
from shared.eventlog.packing import Unpacker
from shared.eventlog.protocol import Entry
from shared.eventlog.redis.connection import Link
from shared.eventlog.redis.stream import entry_id, look_at, unpacked
from shared.storage.protocol import Revision

log = logging.getLogger("kubefan.eventlog")

ANSWER_BYTES = 2**19
"""About how much is asked for at once: enough that the round trip is lost in it."""
FIRST_ANSWER_ENTRIES = 8
MAX_ANSWER_ENTRIES = 64
"""Bounds an answer whose entries are suddenly larger; an entry is seldom over 1 MB."""

FIRST_BACKOFF_S = 0.05
MAX_BACKOFF_S = 1.0


class Reader:
    """Reads a stream behind `position` over a connection of its own."""

    def __init__(
        self,
        link: Link,
        key: bytes,
        position: Revision,
        *,
        block_s: float,
        pause_s: float,
        patience_s: float,
    ) -> None:
        self.link = link
        self.position = position
        self._key = key
        self._block_s = block_s
        self._pause_s = pause_s
        self._patience_s = patience_s
        self._count = FIRST_ANSWER_ENTRIES
        self._unpacker = Unpacker()
        self._now = asyncio.get_running_loop().time
        self._reached_at = -math.inf
        self._closed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Reader at {self.position}, {self.link!r}>"

    async def close(self) -> None:
        """Let `entries` end."""
        self._closed.set()
        await self.link.close()

    async def entries(self) -> AsyncGenerator[Entry, None]:
        """Yield what follows, until the reader is closed; raises what EventLog.read does."""
        async for rows in self._answers():
            for row in rows:
                entry = unpacked(row, self._unpacker)
                if entry.previous > self.position:
                    raise await self._gap_before(entry)
                self.position = entry.revision
                yield entry

    async def _answers(self) -> AsyncGenerator[list[Any], None]:
        """Yield Redis' answers; once it has been reached, connect again for `patience_s`."""
        failures = 0
        while not self._closed.is_set():
            try:
                if not self.link.is_connected:
                    await self._check_nothing_is_lost()
                    self._reached_at = self._now()
                    continue  # it may have been closed while it was connecting
                rows = await self._next_rows()
            except EventLogUnavailable as error:
                if self._closed.is_set():
                    return
                if self._now() - self._reached_at >= self._patience_s:
                    raise
                failures += 1
                if failures == 1:
                    log.warning("the event log has to be reached again", extra={"why": str(error)})
                await self._pause(failures)
                continue
            failures = 0
            yield rows
            self._reached_at = self._now()
            if self._pause_s and len(rows) < self._count:  # else more is waiting already
                await asyncio.sleep(self._pause_s)

    async def _next_rows(self) -> list[Any]:
        """Return what is behind the position; nothing if nothing comes for a while."""
        block_ms = max(int(self._block_s * 1000), 1)  # 0 would be for ever
        options = (b"COUNT", self._count, b"BLOCK", block_ms)
        position = entry_id(self.position)
        (answer,) = await self.link.ask(
            (b"XREAD", *options, b"STREAMS", self._key, position), wait_s=self._block_s
        )
        if answer is None:
            await self._check_nothing_is_lost()
            return []
        rows: list[Any] = answer[0][1]
        size_bytes = sum(len(fields[-1]) for _, fields in rows)
        wanted = ANSWER_BYTES * len(rows) // max(size_bytes, 1)
        self._count = min(max(wanted, 1), MAX_ANSWER_ENTRIES)
        return rows

    async def _check_nothing_is_lost(self) -> None:
        """Raises Trimmed if XREAD would wait although there was something to read."""
        stream = await look_at(self.link, self._key)
        if stream is not None and stream.lacks_what_follows(self.position):
            raise Trimmed(self.position, stream.last_id)

    async def _gap_before(self, entry: Entry) -> Hole | Trimmed:
        stream = await look_at(self.link, self._key)
        bounds = None if stream is None else stream.bounds(self._unpacker)
        if bounds is None:
            return Trimmed(self.position, entry.previous)
        if bounds.oldest >= entry.previous:
            return Trimmed(self.position, bounds.oldest)
        return Hole(self.position, entry.previous)

    async def _pause(self, failures: int) -> None:
        """Wait longer after each failure, by chance more or less; at once when closed."""
        longest_s = min(FIRST_BACKOFF_S * 2 ** min(failures - 1, 10), MAX_BACKOFF_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest_s * (0.5 + random.random() / 2)):
                await self._closed.wait()
