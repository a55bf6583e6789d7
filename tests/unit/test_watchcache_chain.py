"""From a write to a watcher through everything in between, with the embedded store."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from shared.eventlog import MemoryEventLog
from shared.fanout import Follower, load_snapshot
from shared.objects import ExtractionRule, Extractor, Selection
from shared.storage import Revision
from shared.storage.sqlite import SqliteStorage
from shared.watchcache import WatchCache

PREFIX = b"/registry/"
PODS = b"/registry/pods/"
RULES = [ExtractionRule(PODS, {"status.phase": (("status", "phase"), "")})]
PATIENCE_S = 20


@dataclass
class Chain:
    storage: SqliteStorage
    cache: WatchCache

    async def caught_up(self) -> None:
        assert await self.cache.wait_for(await self.storage.current_revision(), PATIENCE_S)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Chain]:
    storage = SqliteStorage.open(path)
    log = MemoryEventLog()
    cache = WatchCache()
    cache.resource(PODS)
    extractor = Extractor(RULES)
    try:
        snapshot = await load_snapshot(storage, extractor, etcd_prefix="/registry")
        await cache.load(snapshot)
        follower = Follower(storage, log, extractor, etcd_prefix="/registry")
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(follower.run(after=snapshot.revision)),
                tasks.create_task(cache.follow(log)),
            ]
            yield Chain(storage, cache)
            for task in running:
                task.cancel()
    finally:
        await storage.aclose()


def pod(name: str, phase: str, turn: int) -> bytes:
    return orjson.dumps(
        {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {"name": name, "annotations": {"turn": str(turn)}},
            "status": {"phase": phase},
        }
    )


async def write_much(storage: SqliteStorage, name: str, seed: int) -> None:
    """Create, update and delete one pod many times."""
    chance = random.Random(seed)
    key = PODS + b"default/" + name.encode()
    at: Revision | None = None
    for turn in range(60):
        value = pod(name, chance.choice(["Pending", "Running"]), turn)
        if at is None:
            at = await storage.create(key, value)
        elif chance.random() < 0.2:
            await storage.delete(key, expected=at)
            at = None
        else:
            at = await storage.update(key, value, expected=at)


def running(_: bytes, selection: Selection) -> bool:
    return selection.fields["status.phase"] == "Running"


def test_watchers_rebuild_the_state_of_the_store(tmp_path: Path) -> None:
    async def test() -> None:
        async with opened(tmp_path / "store.db") as chain:
            pods = chain.cache.resource(PODS)
            everything = pods.watch(after=None)
            selected = pods.watch(after=None, matches=running)
            await asyncio.gather(
                *(write_much(chain.storage, f"p{number}", number) for number in range(8))
            )
            await chain.caught_up()
            page = await chain.storage.list(PODS)
            stored = {item.key: (item.revision, orjson.loads(item.value)) for item in page.items}
            assert [item.key for item in pods.scan(PODS)] == sorted(stored)
            for watcher, wanted in (
                (everything, stored),
                (
                    selected,
                    {k: v for k, v in stored.items() if v[1]["status"]["phase"] == "Running"},
                ),
            ):
                rebuilt: dict[bytes, int] = {}
                last = 0
                for event in watcher.drain():
                    item = event.object
                    assert item.revision > last
                    last = item.revision
                    assert (item.key in rebuilt) == (event.type != "ADDED")
                    if event.type == "DELETED":
                        del rebuilt[item.key]
                    else:
                        rebuilt[item.key] = item.revision
                assert rebuilt == {key: revision for key, (revision, _) in wanted.items()}

    asyncio.run(test())


def test_a_restarted_cache_reads_the_same_objects(tmp_path: Path) -> None:
    async def test() -> None:
        async with opened(tmp_path / "store.db") as chain:
            await asyncio.gather(
                *(write_much(chain.storage, f"p{number}", number) for number in range(4))
            )
            await chain.caught_up()
            before = [(item.key, item.wire) for item in chain.cache.resource(PODS).scan(PODS)]
        async with opened(tmp_path / "store.db") as chain:
            after = [(item.key, item.wire) for item in chain.cache.resource(PODS).scan(PODS)]
        assert after == before

    asyncio.run(test())


def test_an_expired_key_is_deleted_for_watchers_too(tmp_path: Path) -> None:
    async def test() -> None:
        async with opened(tmp_path / "store.db") as chain:
            pods = chain.cache.resource(PODS)
            watcher = pods.watch(after=None)
            key = PODS + b"default/brief"
            await chain.storage.create(key, pod("brief", "Running", 0), ttl_s=1)
            events = []
            deadline = asyncio.get_running_loop().time() + PATIENCE_S
            while len(events) < 2:
                batch = await watcher.next(deadline)
                assert batch
                events.extend(batch)
            assert [event.type for event in events] == ["ADDED", "DELETED"]
            assert events[1].object.revision > events[0].object.revision
            assert pods.get(key) is None

    asyncio.run(test())
