"""State: every object in wire form, at one revision; what snapshots are made of."""

from __future__ import annotations

from collections.abc import AsyncIterator

from shared.eventlog.protocol import Entry
from shared.fanout.snapshot import Snapshot
from shared.fanout.transfer import frames
from shared.storage.protocol import Revision
from shared.timeslice import TimeSlice
from shared.watchcache import HistoryLimits, WatchCache

ALL = b""


class State:
    """A watch cache without windows or watchers, and whether it is loaded."""

    def __init__(self) -> None:
        self.clear()

    def __repr__(self) -> str:
        return f"<State {'loaded' if self.is_loaded else 'empty'}, {self.cache!r}>"

    def __len__(self) -> int:
        return len(self.cache.rest)

    @property
    def revision(self) -> Revision:
        return self.cache.revision

    def clear(self) -> None:
        """Forget everything: it is of another store, whose revisions count for nothing here."""
        # Nobody resumes here: no event is kept.
        self.cache = WatchCache(history_limits=HistoryLimits(limit_events=0))
        self.is_loaded = False

    async def load(self, snapshot: Snapshot) -> None:
        """Become what the snapshot says.

        Raises:
            StaleSnapshot: the state is newer.
        """
        await self.cache.load(snapshot)
        self.is_loaded = True

    def apply(self, entry: Entry) -> None:
        """Take over what is new in the entry.

        Raises:
            Hole: it begins later than the state has got.
        """
        if entry.revision > self.revision:
            self.cache.apply(entry)

    async def snapshot(self) -> AsyncIterator[bytes]:
        """Yield the state as it is now, in frames; it may change meanwhile."""
        revision, objects = self.revision, self.cache.rest.objects()
        time_slice = TimeSlice()
        for frame in frames(revision, objects, len(objects)):
            yield frame
            if time_slice.is_over():
                await time_slice.give_way()
