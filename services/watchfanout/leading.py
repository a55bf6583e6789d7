"""What the leader does: every change of etcd into the event log, once and in order.

Nothing here is fenced. Two leaders at once append the same, and the log refuses what it has;
so a leader may even begin before the one before it has noticed its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing

from services.watchfanout.state import State
from shared.eventlog import EventLogError, Hole, Trimmed, UnknownFormat
from shared.eventlog.protocol import Bounds, Entry
from shared.eventlog.redis import RedisEventLog
from shared.fanout import Follower, HistoryLost, load_snapshot
from shared.fanout.rules import DefinitionRules
from shared.objects import Extractor
from shared.storage import Compacted, Revision, Storage, StorageUnavailable

log = logging.getLogger("kubefan.watchfanout")

REFILL_REVISIONS = 10_000
"""How much of etcd's history an empty log is filled with at most. New events come behind it, so it
may not take more than about a second; who was away for longer loads anew."""
GATHER_S = 0.002
"""After an entry, before the next: at a few hundred changes a second and more they go together."""
RETRY_S = 0.2
CATCH_UP_TIMEOUT_S = 5.0
LOG_PATIENCE_S = 5.0
"""How long a leader tries to reach the log before it lets another try. A Redis that is started
again is there sooner."""


class LogOutOfReach(Exception):
    """The log could not be reached for LOG_PATIENCE_S: perhaps only from here."""


class Leader:
    """Follows etcd into the log and keeps the state, from wherever both stand."""

    def __init__(
        self,
        storage: Storage,
        event_log: RedisEventLog,
        state: State,
        extractor: Extractor,
        *,
        etcd_prefix: str,
    ) -> None:
        self._storage = storage
        self._log = event_log
        self._state = state
        self._extractor = extractor
        self._etcd_prefix = etcd_prefix
        self._definitions = DefinitionRules(extractor, etcd_prefix)
        self._follower = Follower(
            storage, self, extractor, etcd_prefix=etcd_prefix, pause_s=GATHER_S
        )
        self.refills = 0
        """How often the log was empty, and was filled from etcd's history."""
        self.is_following = False
        self._log_failed_at: float | None = None
        """Since when the log can't be reached."""

    def __repr__(self) -> str:
        return f"<Leader {self._follower!r}, {self.refills} refills>"

    @property
    def events(self) -> int:
        """How many events have been appended."""
        return self._follower.events

    async def run(self) -> None:
        """Lead for ever.

        Raises:
            LogOutOfReach: another should lead.
        """
        while True:
            try:
                await self._follow(await self._start())
            except HistoryLost as error:
                # Readers see the hole and take a snapshot.
                log.warning("etcd has compacted what the log lacks", extra={"why": str(error)})
                await self._follow_from_oldest()
            except (Hole, Trimmed, Compacted) as error:
                log.warning("the state is loaded anew", extra={"why": str(error)})
                self._state.is_loaded = False
            except (EventLogError, StorageUnavailable) as error:
                log.warning("leading is interrupted", extra={"why": str(error)})
                if isinstance(error, EventLogError):
                    self._lose_patience()
                await asyncio.sleep(RETRY_S * (0.5 + random.random()))
            finally:
                self.is_following = False

    def _lose_patience(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._log_failed_at is None:
            self._log_failed_at = now
        elif now - self._log_failed_at >= LOG_PATIENCE_S:
            self._log_failed_at = None
            raise LogOutOfReach(f"the log could not be reached for {LOG_PATIENCE_S:.0f} s")

    async def _follow_from_oldest(self) -> None:
        try:
            await self._follow(await self._oldest_kept())
        except (HistoryLost, EventLogError, StorageUnavailable) as error:
            log.warning("leading is interrupted", extra={"why": str(error)})

    async def _follow(self, after: Revision) -> None:
        self.is_following = True
        await self._follower.run(after=after)

    async def append(self, entry: Entry) -> bool:
        """Take an entry of the follower: into the log first, then into the state."""
        added = await self._log.append(entry)
        self._state.apply(entry)
        return added

    def read(self, *, after: Revision) -> AsyncGenerator[Entry, None]:
        return self._log.read(after=after)

    async def bounds(self) -> Bounds | None:
        return await self._log.bounds()

    async def aclose(self) -> None:
        await self._log.aclose()

    async def _start(self) -> Revision:
        """Return after which revision to go on: where the log ends, or far back if it is empty."""
        try:
            bounds = await self._log.bounds()
        except UnknownFormat as error:
            log.error("the log is of another version: it is begun anew", extra={"why": str(error)})
            await self._log.discard()
            bounds = None
        self._log_failed_at = None
        current = await self._storage.current_revision()
        if bounds is not None and bounds.newest > current:
            log.error(
                "the log is of another etcd, or this one was restored: it is thrown away",
                extra={"log": bounds.newest, "etcd": current},
            )
            await self._log.discard()
            bounds = None
        if self._state.revision > current:
            self._state.clear()
        if bounds is None:
            start = Revision(max(await self._oldest_kept(), current - REFILL_REVISIONS))
        else:
            start = bounds.newest
            await self._catch_up(start)
        await self._load_if_behind(start)
        if bounds is None:
            self.refills += 1
            log.info("the log is empty and filled", extra={"after": start, "up_to": current})
        return start

    async def _catch_up(self, revision: Revision) -> None:
        """Have the state reach the end of the log, where the first entry to come begins."""
        if not self._state.is_loaded or self._state.revision >= revision:
            return
        # If it can't, it is loaded from etcd.
        with contextlib.suppress(TimeoutError, Hole, Trimmed, UnknownFormat):
            async with asyncio.timeout(CATCH_UP_TIMEOUT_S):
                await self._read_up_to(revision)

    async def _load_if_behind(self, revision: Revision) -> None:
        if not self._state.is_loaded or self._state.revision < revision:
            snapshot = await load_snapshot(
                self._storage, self._extractor, etcd_prefix=self._etcd_prefix
            )
            await self._state.load(snapshot)
            log.info("loaded from etcd", extra={"objects": len(snapshot.objects)})
        for item in self._state.cache.rest.scan(self._definitions.prefix):
            self._definitions.learn(item.key, item.prefix + item.body)

    async def _read_up_to(self, revision: Revision) -> None:
        async with aclosing(self._log.read(after=self._state.revision)) as entries:
            async for entry in entries:
                self._state.apply(entry)
                if self._state.revision >= revision:
                    return

    async def _oldest_kept(self) -> Revision:
        try:
            await self._storage.get(b"/", revision=Revision(1))
        except Compacted as error:
            return error.oldest
        return Revision(1)
