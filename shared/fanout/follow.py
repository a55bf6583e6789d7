"""Follows a store and writes its changes to an event log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import cast

from shared.eventlog.protocol import Entry, Event, EventLog
from shared.fanout.errors import HistoryLost
from shared.fanout.rules import DefinitionRules
from shared.fanout.translate import Translator
from shared.objects.extraction import Extractor
from shared.storage.errors import Compacted
from shared.storage.protocol import Change, ChangeBatch, Revision, Storage
from shared.timeslice import TimeSlice


class Follower:
    """One watch on the store, one entry in the log for each batch of it.

    Several may follow one store into one log: an append that the log has already is refused
    there, and no harm.
    """

    def __init__(
        self,
        storage: Storage,
        log: EventLog,
        extractor: Extractor,
        *,
        etcd_prefix: str,
        entry_limit_bytes: int = 2**20,
        pause_s: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`entry_limit_bytes` splits a batch between commits: readers unpack an entry at once.

        `pause_s` behind each entry lets changes gather: what a change costs everyone is mostly
        being woken for it. `clock` gives the time that entries are marked with, in seconds since
        1970.
        """
        self._storage = storage
        self._log = log
        self._entry_limit_bytes = entry_limit_bytes
        self._pause_s = pause_s
        self._clock = clock
        self._translator = Translator(extractor, DefinitionRules(extractor, etcd_prefix))
        self.revision = Revision(0)
        """Everything up to it is in the log."""
        self.events = 0
        """How many events have been appended; those that the log had already do not count."""

    def __repr__(self) -> str:
        return f"<Follower at {self.revision}, {self.events} events, {self.skipped} skipped>"

    @property
    def skipped(self) -> int:
        """How many values were passed over because they are not objects."""
        return self._translator.skipped

    async def run(self, *, after: Revision) -> None:
        """Follow for ever.

        Raises:
            HistoryLost: the store has compacted what comes next.
            ProtobufValue: the store holds values that can't be read.
            StorageError, EventLogError: as they come; start again after `revision`.
        """
        self.revision = after
        # The protocol promises a generator and says only iterator.
        # All keys, not only those of the prefix: whatever moves the store's revision must move
        # the caches', or consistent reads would wait for an event that never comes.
        batches = cast("AsyncGenerator[ChangeBatch, None]", self._storage.watch(b"", after=after))
        try:
            async with aclosing(batches):
                async for batch in batches:
                    await self._append(batch.changes, batch.revision)
                    if self._pause_s:
                        await asyncio.sleep(self._pause_s)
        except Compacted as error:
            raise HistoryLost(self.revision) from error

    async def _append(self, changes: Sequence[Change], revision: Revision) -> None:
        received_s = self._clock()
        time_slice = TimeSlice()
        events: list[Event] = []
        size_bytes = 0
        last = self.revision
        for change in changes:
            # Only where a commit ends may an entry end.
            if size_bytes >= self._entry_limit_bytes and change.revision > last:
                await self._append_entry(last, events, received_s)
                events, size_bytes = [], 0
            last = change.revision
            event = self._translator.event(change)
            if event is not None:
                events.append(event)
                size_bytes += event.size_bytes
            if time_slice.is_over():
                await time_slice.give_way()
        await self._append_entry(revision, events, received_s)

    async def _append_entry(
        self, revision: Revision, events: list[Event], received_s: float
    ) -> None:
        if revision <= self.revision:
            return  # a watch that says again where it stands
        entry = Entry(self.revision, revision, tuple(events), received_s)
        if await self._log.append(entry):
            self.events += len(events)
        self.revision = revision
