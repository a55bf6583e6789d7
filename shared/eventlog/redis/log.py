"""The event log as a Redis stream, for appenders and readers in any processes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from shared.eventlog.errors import EventLogClosed, EventLogUnavailable
from shared.eventlog.packing import Unpacker, pack_entry
from shared.eventlog.protocol import Bounds, Entry
from shared.eventlog.redis.connection import Link, OutOfMemory, RedisServer, Refused
from shared.eventlog.redis.reader import Reader
from shared.eventlog.redis.retention import Retention
from shared.eventlog.redis.stream import FIELD, entry_id, look_at, measure, revision_of, unpacked
from shared.storage.protocol import Revision

log = logging.getLogger("kubefan.eventlog")


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisEventLogOptions:
    """Which stream, how much of it is kept, and how patient its users are."""

    key: str = "kubefan:events"
    """The stream. Systems that share a Redis need one each."""

    limit_bytes: int = 256 * 2**20
    """Memory of the stream in Redis: four minutes at 250 writes/s of 4.3 KB."""

    limit_age_s: float = 300.0
    """Age of an entry: what kube-apiserver keeps in etcd, so that nobody counts on more. What
    another appender has left is as old as the time since this one first saw it."""

    timeout_s: float = 5.0
    """For a connection, and for an answer."""

    patience_s: float = 10.0
    """How long a reader that has had a connection tries to get it back before it gives up."""

    pause_s: float = 0.0
    """Between two answers to a reader: for one that may be late, to be woken for less."""

    block_s: float = 2.0
    """After so long without an entry a reader looks whether it has missed something."""


class RedisEventLog:
    """An EventLog in Redis.

    To append takes XADD, XLEN, XTRIM, DEL, XREAD, XINFO STREAM and MEMORY USAGE, to read XREAD
    and XINFO STREAM.

    A connection or a stream that was lost is never made again in silence: whoever appends gets
    EventLogUnavailable, looks at `bounds()`, and goes on behind what is there or fills the log
    anew. Else the log could come back empty and go on with a gap that etcd could have filled.
    """

    def __init__(
        self,
        server: RedisServer,
        options: RedisEventLogOptions | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._options = options or RedisEventLogOptions()
        self._key = self._options.key.encode()
        self._retention = Retention(self._options.limit_bytes, self._options.limit_age_s, clock)
        self._link = Link(server, self._options.timeout_s)
        self._link_in_use = asyncio.Lock()
        self._stream_exists = False
        """As whoever appends has been told last."""
        self._is_measured = False
        """Others may have appended before `bounds` were looked at, as much as they trimmed, so that
        its length alone does not tell it."""
        self._appended = Revision(0)
        """The last entry of our own."""
        self._readers: set[Reader] = set()
        self._closed = False

    def __repr__(self) -> str:
        return (
            f"<RedisEventLog {self._options.key!r} at {self._server}, {len(self._readers)} "
            f"readers, {self._retention!r}>"
        )

    @property
    def length(self) -> int:
        """How many entries the stream holds; known only to who appends."""
        return len(self._retention)

    @property
    def size_bytes(self) -> int:
        """The memory of the stream, roughly; known only to who appends."""
        return self._retention.size_bytes

    async def append(self, entry: Entry) -> bool:
        packed = pack_entry(entry)
        async with self._using_link() as link:
            # Behind another connection there may be another Redis, or an earlier state of it.
            link.check_not_lost()
            option = (b"NOMKSTREAM",) if self._stream_exists else ()
            add = (b"XADD", self._key, *option, entry_id(entry.revision), FIELD, packed)
            try:
                added, length = await link.ask(add, (b"XLEN", self._key))
            except OutOfMemory:
                await self._make_room(link)
                raise
            except Refused as refusal:
                if "equal or smaller" not in str(refusal):
                    raise
                self._stream_exists = True
                await self._check_follows(link, entry.previous)
                return False
            if added is None:
                self._stream_exists = False
                self._retention.replace(0, 0)
                raise EventLogUnavailable("the event log is gone, and has to be filled anew")
            self._stream_exists = True
            self._appended = entry.revision
            self._retention.add(len(packed))
            if length != len(self._retention) or not self._is_measured:  # others append too
                self._retention.replace(*await measure(link, self._key))
                self._is_measured = True
            kept = self._retention.trim()
            if kept is not None:
                await link.ask((b"XTRIM", self._key, b"MAXLEN", kept))
            return True

    async def _check_follows(self, link: Link, revision: Revision) -> None:
        """See whether the log, which has something newer, has what follows `revision`.

        It has not if it was emptied while two appended: one began to fill it again, and the other
        went on where it was. What is behind such a gap is given up for what can fill it.

        Raises:
            EventLogUnavailable: the log had a gap, and has to be filled anew.
        """
        stream = await look_at(link, self._key)
        if stream is None or stream.first is None or revision_of(stream.first[0]) > revision:
            return  # trimmed, or begun later: no gap
        read = (b"XREAD", b"COUNT", 1, b"STREAMS", self._key, entry_id(revision))
        (answer,) = await link.ask(read)
        if answer is not None and unpacked(answer[0][1][0], Unpacker()).previous > revision:
            await self._discard(link)
            raise EventLogUnavailable("the event log had a gap, and has to be filled anew")

    async def _make_room(self, link: Link) -> None:
        """Give up the oldest quarter: a log larger than its Redis would else stand still."""
        (length,) = await link.ask((b"XLEN", self._key))
        kept = max(length - max(length // 4, 1), 1)
        await link.ask((b"XTRIM", self._key, b"MAXLEN", kept))
        self._retention.replace(*await measure(link, self._key))
        log.warning("Redis is full: the oldest entries go", extra={"entries": length - kept})

    async def discard(self) -> None:
        """Throw the whole log away: it tells of another store."""
        async with self._using_link() as link:
            await self._discard(link)

    async def _discard(self, link: Link) -> None:
        await link.ask((b"DEL", self._key))
        self._stream_exists = False
        self._retention.replace(0, 0)

    async def bounds(self) -> Bounds | None:
        async with self._using_link() as link:
            stream = await look_at(link, self._key)
            self._stream_exists = stream is not None
            if stream is not None and stream.last_id != self._appended:
                self._is_measured = False
        return None if stream is None else stream.bounds(Unpacker())

    async def read(self, *, after: Revision) -> AsyncGenerator[Entry, None]:
        """As the protocol says; a connection that was there is made again for `patience_s`."""
        self._check_open()
        reader = Reader(
            Link(self._server, self._options.timeout_s),
            self._key,
            after,
            block_s=self._options.block_s,
            pause_s=self._options.pause_s,
            patience_s=self._options.patience_s,
        )
        self._readers.add(reader)
        try:
            async with aclosing(reader.entries()) as entries:
                async for entry in entries:
                    yield entry
                    self._check_open()
        except EventLogUnavailable:
            self._check_open()
            raise
        finally:
            self._readers.discard(reader)
            await reader.close()
        self._check_open()

    async def aclose(self) -> None:
        self._closed = True
        for reader in tuple(self._readers):
            await reader.close()
        await self._link.close()

    @asynccontextmanager
    async def _using_link(self) -> AsyncIterator[Link]:
        async with self._link_in_use:
            self._check_open()
            try:
                yield self._link
            except EventLogUnavailable:
                self._check_open()
                raise

    def _check_open(self) -> None:
        if self._closed:
            raise EventLogClosed
