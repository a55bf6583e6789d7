"""The embedded store, seen from the event loop."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from shared.storage.errors import StorageError, StorageUnavailable
from shared.storage.protocol import ChangeBatch, KeyValue, Page, Revision
from shared.storage.sqlite import reader
from shared.storage.sqlite.database import FileLock, open_for_reading, open_for_writing
from shared.storage.sqlite.watcher import Watcher
from shared.storage.sqlite.writer import Commit, Compact, Stop, Write, Writer

READERS = 2
"""Read-only connections, one a thread: a long listing does not hold up a get."""

WAITING_WRITES = 8192
"""Writes (count) that may wait for the disk; more are turned away at once."""

P = ParamSpec("P")
T = TypeVar("T")


def _observe_nothing(operation: str, seconds: float) -> None:
    pass


class SqliteStorage:
    """Storage in one SQLite file (shared/storage/protocol.py)."""

    def __init__(
        self,
        path: Path,
        lock: FileLock,
        connection: sqlite3.Connection,
        *,
        observe: Callable[[str, float], None],
        clock: Callable[[], float],
    ) -> None:
        self._path = path
        self._lock = lock
        self._loop = asyncio.get_running_loop()
        self._observe = observe
        self._clock = clock
        self._writer = Writer(connection, self._loop, self._settle, self._writer_ended, clock)
        self._revision = self._writer.revision
        self._connections = deque(open_for_reading(path) for _ in range(READERS))
        self._readers = ThreadPoolExecutor(READERS, "sqlite-reader")
        self._watchers: set[Watcher] = set()
        self._waiting = 0
        self._closed = False
        self._ended = self._loop.create_future()
        self._writer.start()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        observe: Callable[[str, float], None] = _observe_nothing,
        clock: Callable[[], float] = time.time,
    ) -> SqliteStorage:
        """Open or create the store in `path`; call it in the running event loop.

        Args:
            observe: gets every operation's name and duration in seconds.
            clock: seconds of wall clock; deadlines are kept in it across restarts.

        Raises:
            StorageError: the file is not a store of ours, is damaged, or is in use.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path)
        except OSError as error:
            raise StorageError(f"can't open {path}: {error}") from error
        try:
            connection = open_for_writing(path)
            try:
                return cls(path, lock, connection, observe=observe, clock=clock)
            except sqlite3.Error as error:
                connection.close()
                raise StorageError(f"can't use {path}: {error}") from error
        except StorageError:
            lock.release()
            raise

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"revision {self._revision}"
        return (
            f"<SqliteStorage {self._path}: {state}, {self._waiting} writes waiting,"
            f" {len(self._watchers)} watches>"
        )

    # --- writes ---------------------------------------------------------------------------

    async def create(self, key: bytes, value: bytes, *, ttl_s: int | None = None) -> Revision:
        return await self._write("create", key, value, 0, ttl_s)

    async def update(
        self, key: bytes, value: bytes, *, expected: Revision, ttl_s: int | None = None
    ) -> Revision:
        # 0 would mean a creation to the writer; -1 matches nothing.
        return await self._write("update", key, value, expected or -1, ttl_s)

    async def delete(self, key: bytes, *, expected: Revision) -> Revision:
        return await self._write("delete", key, None, expected or -1, None)

    async def compact(self, revision: Revision) -> None:
        self._check_open()
        answer = self._loop.create_future()
        self._waiting += 1
        self._writer.put(Compact(revision, answer))
        await self._timed("compact", answer)

    async def _write(
        self, operation: str, key: bytes, value: bytes | None, expected: int, ttl_s: int | None
    ) -> Revision:
        self._check_open()
        if self._waiting >= WAITING_WRITES:
            raise StorageUnavailable(f"{self._waiting} writes are waiting for the disk")
        deadline = None if ttl_s is None else self._clock() + ttl_s
        answer: asyncio.Future[Revision] = self._loop.create_future()
        self._waiting += 1
        self._writer.put(Write(key, value, expected, deadline, answer))
        return await self._timed(operation, answer)

    def _settle(self, commit: Commit) -> None:
        """Hand out a durable group: first the new revision, then the answers, then watches."""
        self._revision = max(self._revision, commit.revision)
        self._waiting -= len(commit.outcomes)
        for answer, outcome in commit.outcomes:
            if answer.done():  # its caller was cancelled
                continue
            if isinstance(outcome, StorageError):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)
        if commit.changes and self._watchers:
            size_bytes = sum(len(change.value or b"") for change in commit.changes)
            for watcher in self._watchers:
                watcher.offer(commit, size_bytes)

    # --- reads ----------------------------------------------------------------------------

    async def get(self, key: bytes, *, revision: Revision | None = None) -> KeyValue | None:
        found, newest = await self._timed("get", self._read(reader.get, key, revision))
        self._revision = max(self._revision, newest)
        return found

    async def list(
        self,
        prefix: bytes,
        *,
        start: bytes | None = None,
        limit: int = 0,
        revision: Revision | None = None,
    ) -> Page:
        page, newest = await self._timed(
            "list", self._read(reader.list_page, prefix, start, limit, revision)
        )
        self._revision = max(self._revision, newest)
        return page

    async def current_revision(self) -> Revision:
        # A write is answered, and a read answers, only after the loop knows its revision.
        self._check_open()
        return self._revision

    async def _read(
        self,
        function: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        self._check_open()
        call = partial(self._with_connection, function, *args, **kwargs)
        try:
            return await self._loop.run_in_executor(self._readers, call)
        except sqlite3.Error as error:
            raise StorageUnavailable(f"read failed: {error}") from error

    def _with_connection(
        self,
        function: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        connection = self._connections.pop()  # there are as many as threads
        try:
            return function(connection, *args, **kwargs)
        finally:
            self._connections.append(connection)

    # --- watches --------------------------------------------------------------------------

    async def watch(self, prefix: bytes, *, after: Revision) -> AsyncIterator[ChangeBatch]:
        """As the protocol says; ends without an error when the store is closed.

        What the history holds is read from it; then the commits are followed in memory. A
        watch that falls behind what memory may hold goes back to the history.
        """
        self._check_open()
        watcher = Watcher(prefix, self._loop)
        self._watchers.add(watcher)
        position = after
        try:
            while not self._closed:
                watcher.follow()
                history_end = self._revision
                while position < history_end and not self._closed:
                    batch = await self._read(reader.changes_after, prefix, position, history_end)
                    position = batch.revision
                    yield batch
                while (live := await watcher.take(position)) is not None:
                    if live.revision > position:
                        position = live.revision
                        yield live
        finally:
            self._watchers.discard(watcher)

    # --- life -----------------------------------------------------------------------------

    async def aclose(self) -> None:
        self._end_watches()
        await asyncio.to_thread(self._readers.shutdown)
        while self._connections:
            self._connections.pop().close()
        # The last to close its connection, so that it empties the write-ahead log.
        self._writer.put(Stop())
        await asyncio.shield(self._ended)

    def _end_watches(self) -> None:
        self._closed = True
        for watcher in self._watchers:
            watcher.close()

    def _writer_ended(self) -> None:
        """Asked to by aclose, or because it failed; the store is of no use any more."""
        self._end_watches()
        self._lock.release()
        self._ended.set_result(None)

    def _check_open(self) -> None:
        if self._closed:
            raise StorageUnavailable("the store is closed")

    async def _timed(self, operation: str, answer: Awaitable[T]) -> T:
        started = time.perf_counter()
        try:
            return await answer
        finally:
            self._observe(operation, time.perf_counter() - started)
