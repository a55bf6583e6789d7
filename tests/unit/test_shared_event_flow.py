"""A replica's event flow: from a snapshot, along the log, and anew when the log has a gap."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest

from services.apiserver.events import flow as eventflow
from services.apiserver.events import past
from services.apiserver.events.flow import MeasuredLog, SharedEventFlow
from services.apiserver.events.snapshots import Snapshots
from shared.eventlog import EventLogUnavailable, MemoryEventLog, Trimmed
from shared.eventlog.protocol import Bounds, Entry
from shared.fanout import Follower, extractor_for
from shared.fanout.client import SnapshotAccess
from shared.fanout.opening import Opener
from shared.resources import builtin_table
from shared.storage import Revision
from shared.storage.encryption import Encryption, StoredResources
from shared.storage.sqlite import SqliteStorage
from shared.watchcache import Expired, WatchCache
from tests.unit.test_definition_rules import CRD_KEY, SHIRT, SHIRT_KEY, definition

PREFIX = b"/registry/configmaps/"
PATIENCE_S = 10.0


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0.005)


@dataclass
class Replica:
    """A store, the log that somebody else fills from it, and the flow under test."""

    storage: SqliteStorage
    log: MemoryEventLog
    cache: WatchCache
    flow: SharedEventFlow
    lags: list[float] = field(default_factory=list)

    async def write(self, name: str) -> Revision:
        value = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}}
        return await self.storage.create(PREFIX + b"default/" + name.encode(), orjson.dumps(value))

    @asynccontextmanager
    async def filled(self, *, after: int = 1) -> AsyncIterator[None]:
        """Have the log follow the store until the block ends."""
        extractor = extractor_for(builtin_table().resources(), "/registry")
        follower = Follower(self.storage, self.log, extractor, etcd_prefix="/registry")
        following = asyncio.create_task(follower.run(after=Revision(after)))
        try:
            yield
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.flow.ready.clear()  # a second run loads anew, before what the story does next
        task = asyncio.create_task(self.flow.run())
        try:
            await self.flow.ready.wait()
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def log_reaches(self, revision: Revision) -> None:
        while (bounds := await self.log.bounds()) is None or bounds.newest < revision:  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    def names_since(self, revision: int) -> list[str]:
        events = self.cache.resource(PREFIX).events_since(Revision(revision))
        return [event.object.key.rpartition(b"/")[2].decode() for event in events]


def play(path: Path, story: Callable[[Replica], Awaitable[None]]) -> None:
    async def main() -> None:
        storage = SqliteStorage.open(path / "store.db")
        extractor = extractor_for(builtin_table().resources(), "/registry")
        cache = WatchCache()
        cache.resource(PREFIX)
        log = MemoryEventLog()
        # Without a watchfanout to ask, the snapshot comes from the store.
        snapshots = Snapshots(
            (), SnapshotAccess("", ""), storage, extractor, etcd_prefix="/registry"
        )
        lags: list[float] = []
        encryption = Encryption({}, StoredResources((), "/registry"))
        opener = Opener(encryption, extractor, etcd_prefix="/registry")
        flow = SharedEventFlow(snapshots, log, cache, opener, on_lag=lags.append)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await story(Replica(storage, log, cache, flow, lags))
        finally:
            await log.aclose()
            await storage.aclose()

    asyncio.run(main())


def test_a_replica_that_has_just_started_can_resume_what_others_began(tmp_path: Path) -> None:
    async def story(replica: Replica) -> None:
        first = await replica.write("a")
        await replica.write("b")
        last = await replica.write("c")
        async with replica.filled():
            await replica.log_reaches(last)
            async with replica.running():
                assert replica.cache.revision == last
                assert replica.names_since(first) == ["b", "c"]

    play(tmp_path, story)


def test_it_follows_and_says_how_late_events_were(tmp_path: Path) -> None:
    async def story(replica: Replica) -> None:
        async with replica.filled(), replica.running():
            last = await replica.write("a")
            assert await replica.cache.wait_for(last, PATIENCE_S)
            await until(lambda: bool(replica.lags))
            assert 0 <= replica.lags[0] < PATIENCE_S

    play(tmp_path, story)


def test_events_from_a_clock_that_is_ahead_came_at_once_and_not_before_they_were_sent() -> None:
    async def story() -> list[float]:
        log, lags = MemoryEventLog(), list[float]()
        measured = MeasuredLog(log, lags.append)
        for revision in (2, 3):
            ahead_s = time.time() + 60
            await log.append(Entry(Revision(revision - 1), Revision(revision), (), ahead_s))
        async with aclosing(measured.read(after=Revision(1))) as entries:
            await anext(entries)
            await anext(entries)
        return lags

    assert asyncio.run(story()) == [0]


def test_what_lies_before_the_log_is_refused_and_not_silently_left_out(tmp_path: Path) -> None:
    async def story(replica: Replica) -> None:
        first = await replica.write("a")
        second = await replica.write("b")
        last = await replica.write("c")
        async with replica.filled(after=second):
            await replica.log_reaches(last)
            async with replica.running():
                assert replica.names_since(second) == ["c"]
                with pytest.raises(Expired):
                    replica.names_since(first)

    play(tmp_path, story)


def test_a_gap_in_the_log_makes_it_load_anew_and_end_its_watches(tmp_path: Path) -> None:
    async def story(replica: Replica) -> None:
        async with replica.filled(), replica.running():
            first = await replica.write("a")
            assert await replica.cache.wait_for(first, PATIENCE_S)
        async with replica.running():
            with replica.cache.resource(PREFIX).watch(after=first) as watcher:
                gone = await replica.write("b")
                last = await replica.write("c")
                await replica.log.append(Entry(gone, last))
                await until(lambda: replica.flow.reloads == 1)
                assert await replica.cache.wait_for(last, PATIENCE_S)
                assert watcher.ended is not None
                assert len(replica.cache.resource(PREFIX)) == 3

    play(tmp_path, story)


@pytest.mark.parametrize("state", ["away", "emptied"])
def test_where_the_log_does_not_tell_the_past_the_storage_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    monkeypatch.setattr(eventflow, "PAST_TIMEOUT_S", 0.05)

    async def bounds(*_: object) -> Bounds | None:
        if state == "away":
            raise EventLogUnavailable("it is away")
        return None

    async def story(replica: Replica) -> None:
        monkeypatch.setattr(replica.log, "bounds", bounds)
        first = await replica.write("a")
        await replica.write("b")
        last = await replica.write("c")
        async with replica.running():
            assert replica.cache.revision == last
            assert replica.names_since(first) == ["b", "c"]

    play(tmp_path, story)


def test_a_past_that_cannot_be_read_ends_no_replica(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def trimmed(*_: object) -> None:
        raise Trimmed(Revision(1), Revision(2))  # as when keys were changed meanwhile

    monkeypatch.setattr(Snapshots, "tell_past", trimmed)

    async def story(replica: Replica) -> None:
        first = await replica.write("a")
        async with replica.running(), replica.filled(after=first):
            last = await replica.write("b")
            assert await replica.cache.wait_for(last, PATIENCE_S)

    play(tmp_path, story)


def test_a_replica_that_loaded_anew_can_resume_what_it_had_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eventflow, "PAST_TIMEOUT_S", 0.05)

    async def story(replica: Replica) -> None:
        async with replica.filled(), replica.running():
            first = await replica.write("a")
            assert await replica.cache.wait_for(first, PATIENCE_S)
        async with replica.running():
            gone = await replica.write("b")
            last = await replica.write("c")
            await replica.log.append(Entry(gone, last))
            await until(lambda: replica.flow.reloads >= 1)
            assert await replica.cache.wait_for(last, PATIENCE_S)
            await until(lambda: not replica.cache.is_backfilling)
            assert replica.names_since(first) == ["b", "c"]

    play(tmp_path, story)


def test_the_past_of_custom_resources_has_the_fields_of_their_definitions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past, "BACKFILL_REVISIONS", 2)

    async def story(replica: Replica) -> None:
        await replica.storage.create(CRD_KEY, definition(".spec.color"))
        for number in range(3):  # so that the definition is older than the past that is told
            last = await replica.write(f"c{number}")
        await replica.storage.create(SHIRT_KEY, SHIRT)
        await replica.write("d")
        async with replica.running():
            shirts = replica.cache.resource(b"/registry/stable.example.com/shirts/")
            (event,) = shirts.events_since(last)
            assert event.object.selection.fields == {"spec.color": "blue"}

    play(tmp_path, story)
