"""The event flow: how a replica's watch cache comes to follow the store.

One process alone does it all itself: storage → log in memory → cache → watchers
(`OwnEventFlow`). One of several gets a snapshot from a watchfanout and follows the log that
this fills (`SharedEventFlow`); the second half is the same. What is encrypted at rest is so
in snapshot and log as well, and opened on its way into the cache.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from services.apiserver.events.past import oldest_wanted
from services.apiserver.events.snapshots import Snapshots
from shared.eventlog import EventLog, EventLogError
from shared.eventlog.memory import MemoryEventLog
from shared.eventlog.protocol import Bounds, Entry
from shared.fanout import Follower, HistoryLost, load_snapshot
from shared.fanout.opening import Opener
from shared.objects import Extractor
from shared.storage import Compacted, Revision, Storage, StorageUnavailable, WentBack
from shared.watchcache import ReloadNeeded, StaleSnapshot, WatchCache

log = logging.getLogger("kubefan.apiserver.events")

RETRY_S = 1.0
PAST_TIMEOUT_S = 3.0
"""How long a starting replica waits for the log to tell the past. Then it asks the storage, for
the sake of clients that want to resume here."""
STORAGE_PAST_TIMEOUT_S = 20.0
LOOK_BACK_S = 2.0
"""Between two looks whether the storage has gone back, which a log does not tell: soon, before it
has come as far again."""
MOST_RETRY_S = 16.0
ALONE_S = 30.0
"""Between two loads of a replica that alone is cut off from the log."""
LAST_FRAMES_S = 0.2
"""For watches to end cleanly before the process does."""


class EventFlow(ABC):
    """Keeps a watch cache up to date."""

    def __init__(self, cache: WatchCache, opener: Opener) -> None:
        self._cache = cache
        self._opener = opener
        self.ready = asyncio.Event()
        """Set while the cache may be served from."""

    def __repr__(self) -> str:
        state = "following" if self.ready.is_set() else "loading"
        return f"<{type(self).__name__} {state} {self._cache!r}>"

    @abstractmethod
    async def run(self) -> None:
        """Load and follow, for ever.

        Raises:
            ExceptionGroup: of WentBack, what is in the cache counts no more: begin a new process.
        """


class OwnEventFlow(EventFlow):
    """Of a server that follows its storage itself."""

    def __init__(
        self,
        storage: Storage,
        cache: WatchCache,
        extractor: Extractor,
        opener: Opener,
        *,
        etcd_prefix: str,
    ) -> None:
        super().__init__(cache, opener)
        self._storage = storage
        self._extractor = extractor
        self._etcd_prefix = etcd_prefix

    async def run(self) -> None:
        while True:
            try:
                await self._load_and_follow()
            except* (HistoryLost, ReloadNeeded, StaleSnapshot, Compacted) as group:
                log.warning("the cache is loaded anew", extra={"why": str(group.exceptions[0])})
            except* (StorageUnavailable, EventLogError) as group:
                log.warning("following stopped", extra={"why": str(group.exceptions[0])})
                await asyncio.sleep(RETRY_S * (0.5 + random.random()))
            finally:
                self.ready.clear()

    async def _load_and_follow(self) -> None:
        snapshot = await load_snapshot(
            self._storage, self._extractor, etcd_prefix=self._etcd_prefix
        )
        await self._cache.load(await self._opener.snapshot(snapshot))
        if snapshot.skipped:
            log.warning("values that are no objects", extra={"count": snapshot.skipped})
        event_log = MemoryEventLog()
        follower = Follower(
            self._storage, event_log, self._extractor, etcd_prefix=self._etcd_prefix
        )
        start = await oldest_wanted(self._storage, snapshot.revision)
        if start >= snapshot.revision:
            self._cache.end_backfill()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(follower.run(after=start), name="follow storage")
                # Looked at rather than signalled: once a start, for some milliseconds.
                while follower.revision < snapshot.revision:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
                self.ready.set()
                await self._cache.follow(self._opener.log(event_log))
        finally:
            await event_log.aclose()


class SharedEventFlow(EventFlow):
    """Of a replica: a snapshot, and the event log that a watchfanout fills."""

    def __init__(
        self,
        snapshots: Snapshots,
        event_log: EventLog,
        cache: WatchCache,
        opener: Opener,
        *,
        on_lag: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        """`on_lag` gets to know how long events were on their way to the cache."""
        super().__init__(cache, opener)
        self._snapshots = snapshots
        self._log = MeasuredLog(opener.log(event_log), on_lag)
        self.reloads = 0
        """How often what followed was gone from the log, and everything was loaded anew."""
        self._in_vain = 0
        """How often in turn the log did not continue what had been loaded."""
        self._elsewhere = Revision(0)
        """How far a watchfanout was when the log could not be read the last time."""
        self._caught_up_s = -math.inf
        """When this replica was loaded anew because it alone could not read the log."""

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            await self._load()
            tasks.create_task(self._look_back(), name="look whether the storage went back")
            filling = tasks.create_task(self._fill_windows(), name="fill the windows")
            while True:
                try:
                    await self._cache.follow(self._log)
                except ReloadNeeded as error:
                    why = str(error)
                except EventLogError as error:
                    log.warning("the event log is away", extra={"why": str(error)})
                    if not await self._is_left_behind():
                        await asyncio.sleep(RETRY_S * (0.5 + random.random()))
                        continue
                    why = "the event log is out of reach, and not for the others"
                # What is there is served meanwhile: consistent reads go by the storage.
                log.warning("the cache is loaded anew", extra={"why": why})
                await self._pause_if_in_vain()
                self.reloads += 1
                filling.cancel()  # those windows are gone
                await self._load()
                filling = tasks.create_task(self._fill_windows(), name="fill the windows")

    async def _pause_if_in_vain(self) -> None:
        """Wait longer each time that the log did not continue what had been loaded.

        A log of another store does not until its writer throws it away; to load again and again
        would keep the store from its work, and clients from theirs.
        """
        if self._cache.revision > self._cache.loaded_at:
            self._in_vain = 0
            return
        pause_s = min(RETRY_S * 2**self._in_vain, MOST_RETRY_S)
        self._in_vain = min(self._in_vain + 1, 10)
        await asyncio.sleep(pause_s * (0.5 + random.random() / 2))

    async def _is_left_behind(self) -> bool:
        """Whether the log failed here again after a watchfanout knew more.

        What that has in its state, it had added to the log before: the others have their events,
        and the clients here wait for theirs in vain.
        """
        now = asyncio.get_running_loop().time()
        if now < self._caught_up_s + ALONE_S:
            return False
        before, self._elsewhere = self._elsewhere, await self._snapshots.revision()
        if before <= self._cache.revision:
            return False
        try:
            await self._snapshots.check_not_back(self._cache.revision)
        except StorageUnavailable:
            return False  # which has to tell the past, or clients could not resume
        self._caught_up_s = now
        return True

    async def _look_back(self) -> None:
        while True:
            await asyncio.sleep(LOOK_BACK_S * (0.5 + random.random()))
            try:
                await self._snapshots.check_not_back(self._cache.revision)
            except StorageUnavailable:
                pass  # then it is looked at again
            except WentBack:
                self._cache.close()
                await asyncio.sleep(LAST_FRAMES_S)
                raise

    async def _load(self) -> None:
        while True:
            try:
                at_least = max(await self._log_begins(), self._elsewhere)
                snapshot = await self._snapshots.newest(at_least=at_least)
                await self._cache.load(await self._opener.snapshot(snapshot))
            except (StorageUnavailable, StaleSnapshot, Compacted) as error:
                log.warning("no snapshot to begin with", extra={"why": str(error)})
                await asyncio.sleep(RETRY_S * (0.5 + random.random()))
            else:
                return

    async def _fill_windows(self) -> None:
        """Have watches resume from before the snapshot, then say that the cache is ready.

        `follow` reads the past from the log. Where the log is away, was emptied, or takes long
        to be filled again, the storage still has it: 410 is for what is really gone.
        """
        told = await self._log_tells_past() and await self._windows_filled(PAST_TIMEOUT_S)
        if not told:
            log.info("the past comes from the storage: the log does not tell it")
            try:
                async with asyncio.timeout(STORAGE_PAST_TIMEOUT_S):
                    await self._snapshots.tell_past(self._cache, self._opener)
            except (TimeoutError, StorageUnavailable, HistoryLost, EventLogError) as error:
                log.warning("ready without the past", extra={"why": str(error) or "timeout"})
                self._cache.end_backfill()
        self.ready.set()

    async def _log_tells_past(self) -> bool:
        try:
            bounds = await self._log.bounds()
        except EventLogError:
            return False
        return bounds is not None and bounds.oldest < self._cache.loaded_at

    async def _windows_filled(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                # Looked at rather than signalled: once a start, for some milliseconds.
                while self._cache.is_backfilling:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
        except TimeoutError:
            return False
        return True

    async def _log_begins(self) -> Revision:
        """Return the revision that a snapshot has to have reached for the log to continue it."""
        try:
            bounds = await self._log.bounds()
        except EventLogError:
            bounds = None
        oldest = Revision(0) if bounds is None else bounds.oldest
        return max(oldest, self._cache.revision)


class MeasuredLog:
    """An event log whose reader says how old entries were when it had dealt with them.

    By the clocks of two processes: as true as those agree, but never below 0, for the sum of a
    histogram must not fall.
    """

    def __init__(self, event_log: EventLog, on_lag: Callable[[float], None]) -> None:
        self._log = event_log
        self._on_lag = on_lag
        self._started_s = time.time()

    async def append(self, entry: Entry) -> bool:
        return await self._log.append(entry)

    async def read(self, *, after: Revision) -> AsyncGenerator[Entry, None]:
        async with aclosing(self._log.read(after=after)) as entries:
            async for entry in entries:
                yield entry
                if entry.received_s > self._started_s:  # the past is not late
                    self._on_lag(max(0.0, time.time() - entry.received_s))

    async def bounds(self) -> Bounds | None:
        return await self._log.bounds()

    async def aclose(self) -> None:
        await self._log.aclose()
