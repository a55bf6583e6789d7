"""etcd comes back as it was earlier, as after a restore: whoever knows more than it says so.

What they know never was, by then, and would be shown as the newest state.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from services.apiserver.events import flow as eventflow
from services.apiserver.events.flow import OwnEventFlow, SharedEventFlow
from services.apiserver.events.snapshots import Snapshots
from services.apiserver.registry.backend import Backend
from services.watchfanout.leading import Leader
from services.watchfanout.standby import Candidate, Standby
from services.watchfanout.state import State
from shared.eventlog.redis import RedisEventLog
from shared.fanout import extractor_for
from shared.fanout.client import SnapshotAccess
from shared.fanout.opening import Opener
from shared.resources import builtin_table
from shared.storage import ChangeBatch, Revision, WentBack
from shared.storage.encryption import Encryption, StoredResources
from shared.storage.etcd import EtcdStorage
from shared.storage.etcd.election import Election
from shared.watchcache import WatchCache
from shared.watchcache.watcher import EndReason
from tests.contract.etcd_server import EtcdProcess, start_etcd
from tests.contract.redis_server import RedisProcess
from tests.contract.watchfanout_world import PREFIX, World, until

PATIENCE_S = 30.0
NOBODY = SnapshotAccess("", "")


class RestoredEtcd:
    """An etcd that can be brought back to where it was."""

    def __init__(self, process: EtcdProcess) -> None:
        self.process = process
        self._backup = process.data_dir / "backup"

    @property
    def url(self) -> str:
        return self.process.url

    def save(self) -> None:
        self.process.stop()
        shutil.copytree(self.process.data_dir / "member", self._backup)
        self.process.start()

    def restore(self) -> None:
        self.process.stop()
        shutil.rmtree(self.process.data_dir / "member")
        self._backup.rename(self.process.data_dir / "member")
        self.process.start()


Story = Callable[[RestoredEtcd, World], Awaitable[None]]


def play(directory: Path, redis: RedisProcess, story: Story) -> None:
    process = start_etcd(directory / "etcd", "--unsafe-no-fsync")

    async def main() -> None:
        storage = await EtcdStorage.open(process.url)
        log = RedisEventLog(redis.server)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await story(RestoredEtcd(process), World(storage, log, redis))
        finally:
            await log.aclose()
            await storage.aclose()

    try:
        asyncio.run(main())
    finally:
        process.kill()


async def saved(etcd: RestoredEtcd, world: World) -> Revision:
    """Return how far etcd has come after it was saved."""
    await world.write("saved")
    await asyncio.to_thread(etcd.save)
    for number in range(5):
        newest = await world.write(f"lost-{number}")
    return newest


def opener() -> Opener:
    extractor = extractor_for(builtin_table().resources(), "/registry")
    return Opener(
        Encryption({}, StoredResources((), "/registry")), extractor, etcd_prefix="/registry"
    )


@asynccontextmanager
async def running(work: Awaitable[object]) -> AsyncIterator[asyncio.Future[object]]:
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_an_open_watch_says_so(tmp_path: Path, redis: RedisProcess) -> None:
    async def story(etcd: RestoredEtcd, world: World) -> None:
        newest = await saved(etcd, world)
        watch = world.storage.watch(b"", after=Revision(1))
        position = Revision(0)
        while position < newest:
            position = (await anext(watch)).revision
        await asyncio.to_thread(etcd.restore)
        with pytest.raises(WentBack) as caught:
            await anext(watch)
        assert caught.value.revision == newest
        assert caught.value.current < newest

    play(tmp_path, redis, story)


def test_a_watch_of_what_has_not_come_yet_waits(tmp_path: Path, redis: RedisProcess) -> None:
    async def story(etcd: RestoredEtcd, world: World) -> None:
        current = await world.write("a")
        watch = world.storage.watch(b"", after=Revision(current + 1))
        async with running(anext(watch)) as first:
            await asyncio.sleep(0.2)
            await asyncio.to_thread(etcd.process.restart)
            await asyncio.sleep(0.5)
            await world.write("b")
            last = await world.write("c")
            batch = cast("ChangeBatch", await first)
        assert [change.revision for change in batch.changes] == [last]

    play(tmp_path, redis, story)


def test_the_leader_ends(tmp_path: Path, redis: RedisProcess) -> None:
    async def story(etcd: RestoredEtcd, world: World) -> None:
        newest = await saved(etcd, world)
        state = State()
        extractor = extractor_for(builtin_table().resources(), "/registry")
        leader = Leader(world.storage, world.log, state, extractor, etcd_prefix="/registry")
        async with running(leader.run()) as leading:
            await until(lambda: state.revision >= newest)
            await asyncio.to_thread(etcd.restore)
            with pytest.raises(WentBack):
                await leading

    play(tmp_path, redis, story)


def test_a_standby_ends(tmp_path: Path, redis: RedisProcess) -> None:
    async def story(etcd: RestoredEtcd, world: World) -> None:
        elections = [
            Election(
                [etcd.url],
                None,
                key=b"/election",
                # Somebody listens there.
                value=Candidate(name, f"https://127.0.0.1:{etcd.process.client_port}").to_bytes(),
                lease_s=60,
            )
            for name in ("leader", "me")
        ]
        assert isinstance(await elections[0].stand(), int)
        await saved(etcd, world)
        state = State()
        await world.led("last", state)
        standby = Standby(
            Candidate("me", "https://127.0.0.1:2"), elections[1], world.log, state, NOBODY
        )
        async with running(standby.run()) as standing:
            await until(lambda: standby.leader is not None)
            await asyncio.to_thread(etcd.restore)
            with pytest.RaisesGroup(WentBack):
                await standing
        for election in elections:
            await election.aclose()

    play(tmp_path, redis, story)


def test_a_replica_reads_from_etcd_and_ends(
    tmp_path: Path, redis: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eventflow, "LOOK_BACK_S", 0.5)

    async def story(etcd: RestoredEtcd, world: World) -> None:
        newest = await saved(etcd, world)
        extractor = extractor_for(builtin_table().resources(), "/registry")
        snapshots = Snapshots((), NOBODY, world.storage, extractor, etcd_prefix="/registry")
        cache = WatchCache()
        backend = Backend(world.storage, cache, extractor, etcd_prefix="/registry")
        flow = SharedEventFlow(snapshots, world.log, cache, opener())
        async with running(flow.run()) as following:
            await flow.ready.wait()
            assert cache.revision == newest
            assert await backend.fresh()
            watcher = cache.resource(PREFIX).watch(after=newest)
            await asyncio.to_thread(etcd.restore)
            assert not await backend.fresh()
            with pytest.RaisesGroup(WentBack):
                await following
            assert watcher.ended is EndReason.CLOSED

    play(tmp_path, redis, story)


def test_a_server_that_follows_etcd_itself_ends(tmp_path: Path, redis: RedisProcess) -> None:
    async def story(etcd: RestoredEtcd, world: World) -> None:
        newest = await saved(etcd, world)
        extractor = extractor_for(builtin_table().resources(), "/registry")
        cache = WatchCache()
        flow = OwnEventFlow(world.storage, cache, extractor, opener(), etcd_prefix="/registry")
        async with running(flow.run()) as following:
            await flow.ready.wait()
            assert cache.revision == newest
            await asyncio.to_thread(etcd.restore)
            with pytest.RaisesGroup(WentBack, flatten_subgroups=True):
                await following

    play(tmp_path, redis, story)
