"""The recent events of one resource: what a watch can resume from."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from shared.storage.protocol import Revision
from shared.watchcache.errors import Expired
from shared.watchcache.event import WatchEvent

_MARK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLimits:
    """How much of the past a resource keeps; the first limit reached counts."""

    limit_bytes: int = 16 * 2**20
    """Superseded states are what it costs: the newest state of an object is shared with the
    cache. 16 MiB hold 3 500 pods of 4.3 KB: 70 s at 50 writes/s, and a client that gets a
    bookmark a minute resumes from there."""

    limit_events: int = 65_536
    """Bounds the Python objects when events are tiny."""

    limit_age_s: float = 600.0
    """Twice kube-apiserver's compaction interval, so the reach of what etcd itself keeps."""


class History:
    """Events in order of revision, complete after `oldest`."""

    __slots__ = ("_clock", "_events", "_limits", "_marks", "_size_bytes", "oldest")

    def __init__(
        self,
        oldest: Revision,
        limits: HistoryLimits,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.oldest = oldest
        """Every event after this revision is here."""
        self._limits = limits
        self._clock = clock
        self._events: deque[WatchEvent] = deque()
        self._size_bytes = 0
        # When which revision was the newest, at most once a second: cheaper than a time an event.
        self._marks: deque[tuple[float, Revision]] = deque()

    def __len__(self) -> int:
        return len(self._events)

    def __repr__(self) -> str:
        return f"<History after {self.oldest}: {len(self)} events, {self._size_bytes} bytes>"

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    def append(self, event: WatchEvent) -> None:
        now = self._clock()
        if not self._marks or now - self._marks[-1][0] >= _MARK_EVERY_S:
            self._marks.append((now, event.object.revision))
        self._events.append(event)
        self._size_bytes += event.size_bytes
        if (
            self._size_bytes > self._limits.limit_bytes
            or len(self._events) > self._limits.limit_events
        ):
            self._trim_size()

    def since(self, revision: Revision) -> list[WatchEvent]:
        """Return every event after `revision`, oldest first; empty when there is none yet.

        Raises:
            Expired: some of them are gone, so the client has to list again.

        As kube-apiserver v1.36.2, pkg/storage/cacher/watch_cache.go, getAllEventsSinceLocked.
        """
        if revision < self.oldest:
            raise Expired(revision, self.oldest)
        found: list[WatchEvent] = []
        for event in reversed(self._events):
            if event.object.revision <= revision:
                break
            found.append(event)
        found.reverse()
        return found

    def prepend(self, older: History) -> None:
        """Put the events of `older`, complete up to where these begin, before these."""
        self._events.extendleft(reversed(older._events))
        self._size_bytes += older._size_bytes
        self._marks.extendleft(reversed(older._marks))
        self.oldest = older.oldest
        self._trim_size()

    def split(self, belongs: Callable[[WatchEvent], bool]) -> History:
        """Take out the events that belong elsewhere, as a history of their own."""
        taken = History(self.oldest, self._limits, clock=self._clock)
        kept: deque[WatchEvent] = deque()
        for event in self._events:
            (taken._events if belongs(event) else kept).append(event)
        taken._size_bytes = _size_of(taken._events)
        taken._marks = self._marks.copy()
        self._events = kept
        self._size_bytes -= taken._size_bytes
        return taken

    def clear(self, revision: Revision) -> None:
        """Forget everything up to `revision`, where the cache stands."""
        self._events.clear()
        self._marks.clear()
        self._size_bytes = 0
        self.oldest = revision

    def drop_aged(self) -> None:
        """Forget what is over the age limit; costs nothing when there is none."""
        # Events follow their mark within _MARK_EVERY_S.
        eldest = self._clock() - self._limits.limit_age_s - _MARK_EVERY_S
        while self._marks and self._marks[0][0] < eldest:
            self._marks.popleft()
            while self._events and not (
                self._marks and self._events[0].object.revision >= self._marks[0][1]
            ):
                self._drop_first()

    def _trim_size(self) -> None:
        while self._events and (
            self._size_bytes > self._limits.limit_bytes
            or len(self._events) > self._limits.limit_events
        ):
            self._drop_first()
        while len(self._marks) > 1 and self._marks[1][1] <= self.oldest:
            self._marks.popleft()

    def _drop_first(self) -> None:
        """Forget the first commit: all its events, as a revision is known wholly or not at all."""
        revision = self._events[0].object.revision
        while self._events and self._events[0].object.revision == revision:
            self._size_bytes -= self._events.popleft().size_bytes
        self.oldest = revision


def _size_of(events: Iterable[WatchEvent]) -> int:
    return sum(event.size_bytes for event in events)
