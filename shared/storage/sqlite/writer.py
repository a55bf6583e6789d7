"""The one thread that writes: guards, group commit, expiry, trimming.

Writes queue up while a commit waits for the disk; the next commit takes all of them. A
group is one INSERT statement, so that the thread gives up and takes back Python's
interpreter lock once a group and not once a row: beside a busy event loop every one of
these hand-overs can cost milliseconds.
"""

from __future__ import annotations

import heapq
import logging
import queue
import sqlite3
import threading
import time
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from shared.storage.errors import (
    Compacted,
    FutureRevision,
    KeyExists,
    RevisionConflict,
    StorageError,
    StorageUnavailable,
)
from shared.storage.protocol import Change, KeyValue, Revision
from shared.storage.sqlite.compaction import Compaction

log = logging.getLogger(__name__)

GROUP_WRITES = 64
"""Writes (count) in one commit. Bounds the answer's delay and the prepared statements."""

RECENT_BYTES = 8 << 20
"""Values kept in memory because a change of theirs will need them as `previous`."""

EXPIRY_RETRY_S = 10.0
LONGEST_WAIT_S = 60.0
"""The clock of the deadlines may be set; look at it now and then."""

_INSERTS = [
    "INSERT INTO changes (revision, key, previous, deleted, deadline, value) VALUES "
    + ",".join(["(?,?,?,?,?,?)"] * rows)
    for rows in range(2 * GROUP_WRITES + 1)
]
"""By number of rows: a group's writes and as many expiries."""


class Write(NamedTuple):
    """One guarded write. `value` None deletes; `expected` 0 means that nothing is there."""

    key: bytes
    value: bytes | None
    expected: int
    deadline: float | None
    answer: Future[Revision]


class Compact(NamedTuple):
    revision: Revision
    answer: Future[Revision]


class Stop(NamedTuple):
    """Ends the thread once everything queued before has been answered."""


Request = Write | Compact | Stop
Deadline = tuple[float, int, bytes]
"""When a key expires (seconds of wall clock), the revision that said so, the key."""

Outcome = tuple["Future[Revision]", "Revision | StorageError"]


class Commit(NamedTuple):
    """What one group did: the changes in order, and an answer for every request."""

    revision: Revision
    changes: Sequence[Change]
    outcomes: Sequence[Outcome]


class RecentValues:
    """Values by revision, so that replacing a fresh one needs no read; oldest forgotten first."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._values: dict[int, bytes] = {}

    def put(self, revision: int, value: bytes) -> None:
        self._values[revision] = value
        self._bytes += len(value)

    def get(self, revision: int) -> bytes | None:
        return self._values.get(revision)

    def drop(self, revision: int) -> None:
        value = self._values.pop(revision, None)
        if value is not None:
            self._bytes -= len(value)

    def trim(self) -> None:
        """Not part of `put`: what a group writes must stay readable until it is committed."""
        while self._bytes > self._limit_bytes:
            self.drop(next(iter(self._values)))


class Writer:
    """Owns the writing connection.

    `on_commit` runs in the loop, once a group; `on_end` too, when the thread has ended.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        loop: AbstractEventLoop,
        on_commit: Callable[[Commit], None],
        on_end: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._connection = connection
        self._loop = loop
        self._on_commit = on_commit
        self._on_end = on_end
        self._clock = clock
        self._queue: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)
        self._recent = RecentValues(RECENT_BYTES)
        self._compaction = Compaction(connection)
        self._revision = max(_last_revision(connection), self._compaction.compacted)
        self._current = _load_keys(connection)
        self._expiring = _still_expiring(
            connection.execute(
                "SELECT deadline, revision, key FROM changes WHERE deadline IS NOT NULL"
            ),
            self._current,
        )
        self._serving: Sequence[Request] = ()

    @property
    def revision(self) -> Revision:
        return Revision(self._revision)

    def start(self) -> None:
        self._thread.start()

    def put(self, request: Request) -> None:
        self._queue.put(request)

    # --- the thread -----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._serve(self._take()):
                pass
        except Exception:  # nobody above this thread; the owner is told in `finally`
            log.exception("the store's writer failed")
        finally:
            self._connection.close()
            self._loop.call_soon_threadsafe(self._ended)

    def _ended(self) -> None:
        """In the loop: fail what was not answered, then tell the owner."""
        left = list(self._serving)
        while not self._queue.empty():
            left.append(self._queue.get_nowait())
        for request in left:
            if not isinstance(request, Stop) and not request.answer.done():
                request.answer.set_exception(StorageUnavailable("the store is closed"))
        self._on_end()

    def _take(self) -> list[Request]:
        """Wait for a request, or for the next expiry or piece of upkeep; take what waits."""
        group: list[Request] = []
        take = self._queue.get_nowait
        try:
            group.append(self._queue.get(timeout=self._idle_s()))
            while len(group) < GROUP_WRITES:
                group.append(take())
        except queue.Empty:
            pass
        return group

    def _idle_s(self) -> float | None:
        """Seconds until there is something to do unasked; None for never."""
        waits = []
        if self._expiring:
            waits.append(self._expiring[0][0] - self._clock())
        if (wait_s := self._compaction.wait_s()) is not None:
            waits.append(wait_s)
        return min(max(0.0, min(waits)), LONGEST_WAIT_S) if waits else None

    def _serve(self, requests: Sequence[Request]) -> bool:
        """Answer the requests; True if one of them was Stop."""
        self._serving = requests
        writes: list[Write] = []
        stop = False
        for request in requests:
            match request:
                case Write():
                    writes.append(request)
                case Compact():
                    self._compact(request)
                case Stop():
                    stop = True
        expired = self._pop_expired()
        if writes or expired:
            self._commit(writes, expired)
        self._compaction.work()
        self._serving = ()
        return stop

    def _post(self, commit: Commit) -> None:
        self._loop.call_soon_threadsafe(self._on_commit, commit)

    # --- writes ---------------------------------------------------------------------------

    def _commit(self, writes: Sequence[Write], expired: Sequence[bytes]) -> None:
        group = _Group(self._revision)
        outcomes: list[Outcome] = []
        try:
            for key in expired:
                self._apply(group, key, None, self._current[key], None)
            for key, value, expected, deadline, answer in writes:
                found = self._current.get(key, 0)
                if found == expected:
                    outcomes.append((answer, self._apply(group, key, value, found, deadline)))
                else:
                    outcomes.append((answer, self._conflict(key, expected, found)))
            if group.changes:
                self._connection.execute(_INSERTS[len(group.changes)], group.row_values)
        except sqlite3.Error as error:
            log.error("a commit failed: %s", error)
            self._undo(group)
            for key in expired:
                again = (self._clock() + EXPIRY_RETRY_S, self._current[key], key)
                heapq.heappush(self._expiring, again)
            failure = StorageUnavailable(f"commit failed: {error}")
            self._post(Commit(self.revision, (), [(write.answer, failure) for write in writes]))
            return
        self._recent.trim()
        self._post(Commit(self.revision, group.changes, outcomes))

    def _apply(
        self, group: _Group, key: bytes, value: bytes | None, found: int, deadline: float | None
    ) -> Revision:
        previous = self._read(key, found) if found else None
        self._revision += 1
        revision = Revision(self._revision)
        group.row_values += (revision, key, found, value is None, deadline, value)
        group.changes.append(Change(key, value, revision, previous))
        self._recent.drop(found)
        if value is None:
            del self._current[key]
        else:
            self._current[key] = revision
            self._recent.put(revision, value)
            if deadline is not None:
                heapq.heappush(self._expiring, (deadline, revision, key))
        return revision

    def _undo(self, group: _Group) -> None:
        for change in reversed(group.changes):
            self._recent.drop(change.revision)
            if change.previous is None:
                del self._current[change.key]
            else:
                self._current[change.key] = change.previous.revision
        self._revision = group.after
        self._expiring = _still_expiring(self._expiring, self._current)

    def _conflict(self, key: bytes, expected: int, found: int) -> StorageError:
        current = self._read(key, found) if found else None
        if expected == 0 and current is not None:
            return KeyExists(current)
        return RevisionConflict(key, Revision(expected), current)

    def _read(self, key: bytes, revision: int) -> KeyValue:
        value = self._recent.get(revision)
        if value is None:
            (value,) = self._connection.execute(
                "SELECT value FROM changes WHERE revision = ?", (revision,)
            ).fetchone()
        return KeyValue(key, value, Revision(revision))

    def _pop_expired(self) -> list[bytes]:
        """Return keys that have expired, not more than fit into a group."""
        expired: list[bytes] = []
        if not self._expiring:
            return expired
        now = self._clock()
        while self._expiring and self._expiring[0][0] <= now and len(expired) < GROUP_WRITES:
            _, revision, key = heapq.heappop(self._expiring)
            if self._current.get(key) == revision:  # else replaced or deleted before its time
                expired.append(key)
        return expired

    def _compact(self, request: Compact) -> None:
        revision, answer = request
        outcome: Revision | StorageError = revision
        if revision <= self._compaction.compacted:
            outcome = Compacted(revision, Revision(self._compaction.compacted))
        elif revision > self._revision:
            outcome = FutureRevision(revision, self.revision)
        else:
            try:
                self._compaction.refuse_before(revision)
            except sqlite3.Error as error:
                outcome = StorageUnavailable(f"compaction failed: {error}")
        self._post(Commit(self.revision, (), [(answer, outcome)]))


class _Group:
    """What a commit is going to hold: the rows' values one after the other, and the changes."""

    __slots__ = ("after", "changes", "row_values")

    def __init__(self, after: int) -> None:
        self.after = after
        self.row_values: list[int | bytes | float | None] = []
        self.changes: list[Change] = []


def _last_revision(connection: sqlite3.Connection) -> int:
    (revision,) = connection.execute("SELECT max(revision) FROM changes").fetchone()
    return revision or 0


def _load_keys(connection: sqlite3.Connection) -> dict[bytes, int]:
    """Return the newest revision of every key there is: about 200 bytes a key."""
    return dict(
        connection.execute(
            "SELECT key, latest FROM (SELECT key, max(revision) AS latest, deleted"
            " FROM changes INDEXED BY history GROUP BY key HAVING NOT deleted)"
        )
    )


def _still_expiring(deadlines: Iterable[Deadline], current: Mapping[bytes, int]) -> list[Deadline]:
    heap = [entry for entry in deadlines if current.get(entry[2]) == entry[1]]
    heapq.heapify(heap)
    return heap
