"""A replica that alone is cut off from the log catches up all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.apiserver.events import flow as eventflow
from services.apiserver.events.flow import SharedEventFlow
from services.apiserver.events.snapshots import Snapshots
from services.watchfanout.state import State
from shared.eventlog import Entry
from shared.eventlog.redis import RedisEventLog, RedisEventLogOptions, RedisServer
from shared.fanout import extractor_for
from shared.fanout.client import SnapshotAccess
from shared.fanout.opening import Opener
from shared.resources import builtin_table
from shared.storage import Revision
from shared.storage.encryption import Encryption, StoredResources
from shared.watchcache import WatchCache
from shared.watchcache.watcher import EndReason
from tests.chaos.relay import Relay
from tests.contract.test_snapshots import TOKEN, serving
from tests.contract.watchfanout_world import PREFIX, Play, World, etcd, play, redis, until

__all__ = ["etcd", "play", "redis"]

OPTIONS = RedisEventLogOptions(patience_s=0.5, timeout_s=0.5)
CONFIGMAPS = b"/registry/configmaps/"


@asynccontextmanager
async def replica(world: World, watchfanout: str, redis: str) -> AsyncIterator[SharedEventFlow]:
    extractor = extractor_for(builtin_table().resources(), "/registry")
    snapshots = Snapshots(
        (watchfanout,), SnapshotAccess("", TOKEN), world.storage, extractor, etcd_prefix="/registry"
    )
    log = RedisEventLog(RedisServer.from_url(redis), OPTIONS)
    opener = Opener(
        Encryption({}, StoredResources((), "/registry")), extractor, etcd_prefix="/registry"
    )
    cache = WatchCache()
    cache.resource(CONFIGMAPS)
    flow = SharedEventFlow(snapshots, log, cache, opener)
    task = asyncio.create_task(flow.run())
    try:
        await flow.ready.wait()
        yield flow
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await log.aclose()


def test_it_gets_what_the_others_have_from_a_watchfanout(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eventflow, "ALONE_S", 1.0)

    async def story(world: World) -> None:
        link = Relay("link to Redis", [world.redis.port])
        await link.start()
        state = State()
        async with world.leader(state), serving(state) as url:
            first = await world.deliver("a")
            await until(lambda: state.revision >= first)
            async with replica(world, url, f"redis://127.0.0.1:{link.port}") as flow:
                cache = flow._cache
                watcher = cache.resource(CONFIGMAPS).watch(after=first)
                link.cut()
                second = await world.deliver("b")
                assert await cache.wait_for(second, 10)
                assert watcher.ended is EndReason.EXPIRED
                # The client resumes where it was, and has missed nothing.
                await until(lambda: not cache.is_backfilling)
                events = cache.resource(CONFIGMAPS).events_since(first)
                assert [event.object.key for event in events] == [PREFIX + b"b"]
                third = await world.deliver("c")
                assert await cache.wait_for(third, 10)
                link.mend()
                reloads = flow.reloads
                fourth = await world.deliver("d")
                assert await cache.wait_for(fourth, 10)
                assert flow.reloads == reloads
        link.close()

    play(story)


def test_where_nobody_has_the_log_nobody_loads_anew(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eventflow, "ALONE_S", 0.5)

    async def story(world: World) -> None:
        state = State()
        async with world.leader(state), serving(state) as url:
            first = await world.deliver("a")
            await until(lambda: state.revision >= first)
            async with replica(world, url, world.redis.url) as flow:
                watcher = flow._cache.resource(CONFIGMAPS).watch(after=first)
                world.redis.kill()
                await world.write("b")
                await asyncio.sleep(4)
                assert flow.reloads == 0
                world.redis.start()
                last = await world.write("c")
                assert await flow._cache.wait_for(last, 10)
                assert watcher.ended is None
                assert flow.reloads == 0

    play(story)


def test_a_log_that_no_snapshot_reaches_is_not_tried_without_pause(play: Play) -> None:
    """As of an etcd that was restored, while no watchfanout is there to throw it away."""

    async def story(world: World) -> None:
        await world.write("a")
        await world.log.append(Entry(Revision(900), Revision(901)))
        async with replica(world, "http://127.0.0.1:1", world.redis.url) as flow:
            before = flow.reloads
            await asyncio.sleep(3)
            assert flow.reloads - before <= 6

    play(story)
