"""The watch cache of a replica: every resource, at one revision."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing

from shared.eventlog.errors import Hole, Trimmed
from shared.eventlog.protocol import Entry, Event, EventLog, UnreadableEvent
from shared.fanout.snapshot import Snapshot
from shared.objects.cachedobject import CachedObject
from shared.objects.keyspace import PrefixTable, parent_of
from shared.storage.protocol import Revision
from shared.timeslice import TimeSlice
from shared.watchcache.errors import ReloadNeeded, StaleSnapshot
from shared.watchcache.history import History, HistoryLimits
from shared.watchcache.renderings import Renderings
from shared.watchcache.resource import Contents, ResourceCache, watch_event
from shared.watchcache.waiters import RevisionWaiters
from shared.watchcache.watcher import EndReason

_DROP_AGED_EVERY_S = 5.0


class WatchCache:
    """The state of the store as told by a snapshot and the event log after it.

    Keys of resources nobody has registered are kept in a common place, so that a custom
    resource registered later finds its objects and its history.
    """

    def __init__(
        self,
        *,
        history_limits: HistoryLimits | None = None,
        renderings: Renderings | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.revision = Revision(0)
        """Everything up to it has been applied and handed to the watchers."""
        self.loaded_at = Revision(0)
        """Of the snapshot loaded last: what is older in the windows was back-filled."""
        self.is_closed = False
        """Whether the server stops: no watch of a client goes on."""
        self.renderings = renderings or Renderings()
        self._history_limits = history_limits or HistoryLimits()
        self._clock = clock
        self._unregistered = ResourceCache(b"", self._new_history(), self)
        self._resources: PrefixTable[ResourceCache] = PrefixTable(self._unregistered)
        self._waiters = RevisionWaiters()
        self._backfill: _Backfill | None = None
        self._aged_dropped_at = clock()

    def __repr__(self) -> str:
        return (
            f"<WatchCache at {self.revision}: {len(self._resources)} resources, "
            f"{len(self._waiters)} waiting>"
        )

    @property
    def resources(self) -> Sequence[ResourceCache]:
        """All registered ones."""
        return list(self._resources.values())

    @property
    def rest(self) -> ResourceCache:
        """What belongs to no registered resource."""
        return self._unregistered

    def resource(self, prefix: bytes) -> ResourceCache:
        """Return the resource whose keys begin with `prefix` (`/registry/pods/`).

        The first call registers it and moves what is known of it there. Two prefixes never lie
        one in the other.
        """
        known = self._resources.get(prefix)
        if known is None:
            known = self._unregistered.split(prefix)
            if self._backfill is not None:
                self._backfill.split(self._unregistered, known)
            self._resources.register(prefix, known)
        return known

    async def load(self, snapshot: Snapshot) -> None:
        """Become what the snapshot says; all watchers end as EXPIRED.

        Until it returns the cache is what it was before. Not while `follow` runs.

        Raises:
            StaleSnapshot: the cache is beyond it already; loading it would go back in time.
        """
        contents = await self._arranged(snapshot.objects)
        while len(contents) != len(self._resources) + 1:  # another was registered meanwhile
            contents = await self._arranged(snapshot.objects)
        # From here on without waiting: nobody sees half of it.
        if snapshot.revision < self.revision:
            raise StaleSnapshot(snapshot.revision, self.revision)
        # What came between is unknown; they end before the revision moves, for their bookmarks.
        self.end_watchers(EndReason.EXPIRED)
        self.revision = self.loaded_at = snapshot.revision
        past = [resource.load(loaded, self._new_history()) for resource, loaded in contents.items()]
        self._backfill = _Backfill(snapshot.revision)
        self._waiters.advance(self.revision)
        for one in past:
            await one.let_go()

    def apply(self, entry: Entry) -> None:
        """Take over what is new in the entry.

        Raises:
            Hole: it begins later than the cache has got.
        """
        self._check_continues(entry)
        index = 0
        while index < len(entry.events):
            index = self._apply_commit(entry.events, index)
        self._advance(entry.revision)

    def backfill(self, entry: Entry) -> None:
        """Add to the past what the log still holds of the time before the snapshot.

        Entries come in the order of the log. Once they have reached the snapshot's revision,
        watches may resume from after the first one; until then nothing changes.
        """
        backfill = self._backfill
        if backfill is None:
            return
        if not backfill.add(entry, self._new_history, self._resources.of_key):
            return
        self._backfill = None
        for resource in self._all():
            if resource.history.oldest != backfill.revision:
                continue  # it has had to forget more than that already: there would be a gap
            older = backfill.histories.get(resource)
            if older is None:
                older = self._new_history()
                older.oldest = backfill.oldest
            resource.history.prepend(older)

    @property
    def is_backfilling(self) -> bool:
        """Whether `follow` may still add to the past."""
        return self._backfill is not None

    def end_backfill(self) -> None:
        """Do without the past: watches resume from the snapshot's revision on."""
        self._backfill = None

    async def follow(self, log: EventLog, *, backfill: bool = True) -> None:
        """Apply the log for ever, and first back-fill from it what it holds of the past.

        A log that is empty, or begins behind the snapshot, tells nothing of the past: then
        `is_backfilling` stays true until somebody else has told it, or `end_backfill`.

        Gives way to others at least every few milliseconds, between commits. When cancelled or
        failed the cache stands at a commit, and `follow` may be called again.

        Raises:
            ReloadNeeded: the log does not tell what follows; load a snapshot.
            EventLogError: as it comes; follow again.
        """
        if not backfill:
            self.end_backfill()
        try:
            if (past := await self._past_in(log)) is not None:
                try:
                    await self._follow(log, past)
                except (Hole, Trimmed) as error:
                    if error.after >= self.revision:
                        raise
                    # The past has a hole, or was trimmed under our eyes: it is to come from
                    # elsewhere.
            await self._follow(log, self.revision)
        except (Hole, Trimmed) as error:
            raise ReloadNeeded(self.revision) from error

    async def wait_for(self, revision: Revision, timeout_s: float) -> bool:
        """Wait until the cache has reached `revision`; False if it has not in time."""
        if revision <= self.revision:
            return True
        return await self._waiters.wait(revision, timeout_s)

    def end_watchers(self, reason: EndReason) -> None:
        """End the watchers of every resource."""
        for resource in self._all():
            resource.end_watchers(reason)

    def close(self) -> None:
        """End all watchers: the server stops. `is_closed` is for those that come late."""
        self.is_closed = True
        self.end_watchers(EndReason.CLOSED)

    async def _arranged(self, objects: Iterable[CachedObject]) -> Mapping[ResourceCache, Contents]:
        """Return the objects, which are in key order, by the resource they belong to."""
        contents = {resource: Contents() for resource in self._all()}
        time_slice = TimeSlice()
        for item in objects:
            resource = self._resources.of_parent(parent_of(item.key))
            if resource not in contents:
                break  # registered meanwhile: the caller begins again
            contents[resource].add(item)
            if time_slice.is_over():
                await time_slice.give_way()
        return contents

    def _all(self) -> list[ResourceCache]:
        return [self._unregistered, *self._resources.values()]

    def _new_history(self) -> History:
        return History(self.revision, self._history_limits, clock=self._clock)

    async def _past_in(self, log: EventLog) -> Revision | None:
        """Return after which revision the log begins, if that is before the snapshot."""
        if self._backfill is None:
            return None
        bounds = await log.bounds()
        if bounds is None or bounds.oldest >= self._backfill.revision:
            return None
        return bounds.oldest

    async def _follow(self, log: EventLog, after: Revision) -> None:
        time_slice = TimeSlice()
        tells_the_past = after < self.loaded_at
        async with aclosing(log.read(after=after)) as entries:
            async for entry in entries:
                if tells_the_past:
                    self.backfill(entry)
                self._check_continues(entry)
                events, index = entry.events, 0
                while index < len(events):
                    index = self._apply_commit(events, index)
                    if time_slice.is_over():
                        await time_slice.give_way()
                self._advance(entry.revision)
                if time_slice.is_over():
                    await time_slice.give_way()

    def _check_continues(self, entry: Entry) -> None:
        if entry.previous > self.revision:
            raise Hole(self.revision, entry.previous)

    def _apply_commit(self, events: Sequence[Event], index: int) -> int:
        """Apply the events of one revision, from `index` on; return where the next begins."""
        revision = events[index].revision
        known = revision <= self.revision
        while index < len(events) and events[index].revision == revision:
            if not known:
                event = events[index]
                parent = parent_of(event.key)
                self._resources.of_parent(parent).apply(event, parent)
            index += 1
        if not known:
            self._advance(revision)
        return index

    def _advance(self, revision: Revision) -> None:
        if revision <= self.revision:
            return
        self.revision = revision
        self._waiters.advance(revision)
        now = self._clock()
        if now - self._aged_dropped_at >= _DROP_AGED_EVERY_S:
            self._aged_dropped_at = now
            for resource in self._all():
                resource.history.drop_aged()


class _Backfill:
    """The past of all resources up to a snapshot's revision, while it is being read."""

    def __init__(self, revision: Revision) -> None:
        self.revision = revision
        self.oldest = revision
        self.histories: dict[ResourceCache, History] = {}
        self._reached: Revision | None = None

    def add(
        self,
        entry: Entry,
        new_history: Callable[[], History],
        resource_of: Callable[[bytes], ResourceCache],
    ) -> bool:
        """Add the entry; whether the snapshot's revision has been reached."""
        if self._reached is None or entry.previous > self._reached:
            # The first, or one behind a hole: the past that counts begins here.
            self.histories.clear()
            self.oldest = self._reached = entry.previous
        for event in entry.events:
            if self._reached < event.revision <= self.revision:
                resource = resource_of(event.key)
                history = self.histories.get(resource)
                if history is None:
                    history = self.histories[resource] = new_history()
                    history.oldest = self.oldest
                if type(event) is UnreadableEvent:
                    history.clear(event.revision)  # nobody resumes across it
                else:
                    history.append(watch_event(event, event.key))
        self._reached = max(self._reached, entry.revision)
        return self._reached >= self.revision

    def split(self, resource: ResourceCache, taken: ResourceCache) -> None:
        """Give `taken`, which was part of `resource`, its part of the past."""
        if (history := self.histories.get(resource)) is not None:
            self.histories[taken] = history.split(
                lambda event: event.object.key.startswith(taken.prefix)
            )
