"""One watch: what it has been given and has not taken yet."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from types import TracebackType
from typing import Protocol, Self

from shared.objects.selection import Selection
from shared.storage.protocol import Revision
from shared.watchcache.event import WatchEvent

Matches = Callable[[bytes, Selection], bool]
"""A selector, compiled: whether it takes the object of this key and selection."""


class EndReason(Enum):
    """Why a watcher gets nothing more. Its client resumes from the last event or bookmark."""

    SLOW = "slow"
    """Its backlog was full."""
    CLOSED = "closed"
    """Its owner, or the server, closed it."""
    EXPIRED = "expired"
    """The cache was loaded anew and does not know what happened in between."""
    UNREADABLE = "unreadable"
    """An object came that can't be decrypted: nobody can say whose selection it is in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogLimits:
    """What may wait for one watcher, beside its initial events and its replay."""

    limit_events: int = 10_000
    """The TLS and socket buffers of a stalled client fill within some 100 KB, so this is for
    bursts: two seconds at the highest rate of writes there is."""

    limit_bytes: int = 16 * 2**20
    """Mostly shared with the history and other watchers; the worst case is a watcher that alone
    pins superseded states."""


class Progress(Protocol):
    """Where a cache stands."""

    @property
    def revision(self) -> Revision: ...


class Watcher:
    """A queue of events for one reader, bounded: who does not take them in time is ended.

    Either `await next(deadline)`, or `on_ready` and `drain()`: `on_ready` is called once when
    there is something to do after a drain that left nothing (`pending` False), and when the
    watcher ends. It is called in the midst of a dispatch: it should only schedule the drain, and
    must not raise.

    Use as a context manager, or call `close`.
    """

    __slots__ = (
        "_backlog_bytes",
        "_backlog_limits",
        "_bookmark",
        "_drop_until",
        "_ended",
        "_initial",
        "_last_taken",
        "_matches",
        "_on_close",
        "_progress",
        "_queue",
        "_replay",
        "_signalled",
        "_waiter",
        "_wake",
        "scope",
        "start_revision",
    )

    def __init__(
        self,
        *,
        scope: bytes,
        matches: Matches | None,
        initial: Iterator[WatchEvent] | None,
        replay: Iterator[WatchEvent] | None,
        after: Revision,
        progress: Progress,
        backlog_limits: BacklogLimits,
        on_ready: Callable[[], None] | None,
        on_close: Callable[[Watcher], None],
    ) -> None:
        self.scope = scope
        self.start_revision = after
        """What it started from: the revision of the initial events, or the one resumed from."""
        self._matches = matches
        self._initial = initial
        self._replay = replay
        self._progress = progress
        self._drop_until = after if after > progress.revision else 0
        self._bookmark = after
        self._last_taken: WatchEvent | None = None
        self._backlog_limits = backlog_limits
        self._wake = on_ready or self._wake_reader
        self._on_close = on_close
        self._queue: list[WatchEvent] = []
        self._backlog_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._ended: EndReason | None = None
        # Whoever starts it drains first, so until then there is nothing to say.
        self._signalled = initial is not None or replay is not None

    def __repr__(self) -> str:
        state = self._ended.value if self._ended else f"{len(self._queue)} waiting"
        return f"<Watcher {self.scope!r} after {self._bookmark}: {state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def ended(self) -> EndReason | None:
        """Why nothing more comes; None while it lives."""
        return self._ended

    @property
    def initial_pending(self) -> bool:
        """Whether there are initial events still to take; no batch mixes them with others."""
        return self._initial is not None

    @property
    def pending(self) -> bool:
        """Whether a drain is worth while. It may still give nothing, for want of a match."""
        return self._initial is not None or self._replay is not None or bool(self._queue)

    @property
    def backlog_bytes(self) -> int:
        return self._backlog_bytes

    @property
    def bookmark_revision(self) -> Revision:
        """The revision up to which everything selected has been taken; it never goes back.

        While there is more to take it may be one behind the last event taken.
        """
        if self._ended is None:
            if self._last_taken is not None:
                # Its commit may have more events to come: it counts when the cache has passed it.
                before = Revision(self._last_taken.object.revision - 1)
                self._bookmark = max(self._bookmark, before)
                self._last_taken = None
            if not self.pending:
                self._bookmark = max(self._bookmark, self._progress.revision)
        return self._bookmark

    def drain(self, limit: int = 500) -> list[WatchEvent]:
        """Take what is there, at most `limit` events.

        Call again while `pending`; an empty batch is possible.
        """
        if self._initial is not None:
            return self._take_initial(self._initial, limit)
        if self._replay is not None:
            return self._take_replay(self._replay, limit)
        events = self._queue
        if len(events) > limit:
            self._queue = events[limit:]
            del events[limit:]
            self._backlog_bytes -= sum([len(event.object.body) for event in events])
        else:
            self._signalled = False
            if not events:
                return []
            self._queue = []
            self._backlog_bytes = 0
        self._last_taken = events[-1]
        return events

    async def next(self, deadline: float | None = None) -> list[WatchEvent]:
        """Wait for events and take what is there; empty at `deadline` (loop time) or when `ended`.

        When cancelled, nothing is lost: what waits stays for the next call. Not for a watcher
        with `on_ready`.
        """
        while True:
            while self.pending:
                if events := self.drain():
                    return events
                await asyncio.sleep(0)  # a long replay without a match
            self._signalled = False
            if self._ended is not None:
                return []
            waiter = self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout_at(deadline):
                    await waiter
            except TimeoutError:
                return self.drain()
            finally:
                self._waiter = None

    def offer(self, event: WatchEvent) -> None:
        """Queue the event in the way this watcher sees it, if it does."""
        if self._matches is not None or self._drop_until:
            selected = self._selected(event)
            if selected is None:
                return
            event = selected
        self._queue.append(event)
        self._backlog_bytes += len(event.object.body)
        if not self._signalled:
            self._signalled = True
            self._wake()
        elif (
            self._backlog_bytes > self._backlog_limits.limit_bytes
            or len(self._queue) > self._backlog_limits.limit_events
        ):
            self.end(EndReason.SLOW)

    def end(self, reason: EndReason) -> None:
        """Give nothing more, drop what waits, and say so."""
        if self._ended is not None:
            return
        self.bookmark_revision  # noqa: B018 - fixes where it stood
        self._ended = reason
        self._on_close(self)
        self._initial = self._replay = None
        self._drop_until = sys.maxsize  # a dispatch under way may still offer
        self._queue = []
        self._backlog_bytes = 0
        self._signalled = True
        wake, self._wake = self._wake, _nobody_listens
        wake()

    def close(self) -> None:
        """End it because nobody listens any more; harmless when it has ended."""
        self._wake = _nobody_listens
        self.end(EndReason.CLOSED)

    def _wake_reader(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _selected(self, event: WatchEvent) -> WatchEvent | None:
        item = event.object
        if item.revision <= self._drop_until:
            return None
        matches = self._matches
        if matches is None:
            return event
        if event.leaving is None:
            return event if matches(item.key, item.selection) else None
        was = matches(item.key, event.leaving.object.selection)
        if matches(item.key, item.selection):
            return event if was else event.entering
        return event.leaving if was else None

    def _take_initial(self, initial: Iterator[WatchEvent], limit: int) -> list[WatchEvent]:
        taken = list(islice(initial, limit))
        if len(taken) < limit:
            self._initial = None
            self._signalled = bool(self._queue)
        if self._matches is None:
            return taken
        matches = self._matches
        return [event for event in taken if matches(event.object.key, event.object.selection)]

    def _take_replay(self, replay: Iterator[WatchEvent], limit: int) -> list[WatchEvent]:
        taken = list(islice(replay, limit))
        if len(taken) < limit:
            self._replay = None
            self._signalled = bool(self._queue)
        if taken:
            self._last_taken = taken[-1]
        selected = (self._selected(event) for event in taken)
        return [event for event in selected if event is not None]


def _nobody_listens() -> None:
    pass
