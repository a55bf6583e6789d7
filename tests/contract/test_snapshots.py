"""Which snapshots a replica takes: those from where the storage still tells how to go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn
from prometheus_client import CollectorRegistry

from services.apiserver.events.snapshots import Snapshots
from services.watchfanout.http import Routes
from services.watchfanout.state import State
from shared.fanout import extractor_for, load_snapshot
from shared.fanout.client import SnapshotAccess
from shared.resources import builtin_table
from shared.storage import Revision
from shared.storage.etcd import EtcdStorage
from tests.contract.etcd_server import EtcdProcess, free_ports, start_etcd
from tests.contract.watchfanout_world import PREFIX, configmap, until

TOKEN = "secret"
PATIENCE_S = 20.0


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[EtcdProcess]:
    process = start_etcd(tmp_path / "etcd", "--unsafe-no-fsync")
    yield process
    process.kill()


@asynccontextmanager
async def serving(state: State) -> AsyncIterator[str]:
    """Have a watchfanout's routes give the state; yields its URL."""
    port, _ = free_ports()
    routes = Routes(state, CollectorRegistry(), token=TOKEN, why_not_ready=str)
    server = uvicorn.Server(uvicorn.Config(routes.application(), port=port, log_config=None))
    task = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


async def state_of(storage: EtcdStorage) -> State:
    extractor = extractor_for(builtin_table().resources(), "/registry")
    state = State()
    await state.load(await load_snapshot(storage, extractor, etcd_prefix="/registry"))
    return state


Story = Callable[[EtcdStorage], Awaitable[None]]


def play(etcd: EtcdProcess, story: Story) -> None:
    async def main() -> None:
        storage = await EtcdStorage.open(etcd.url)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await story(storage)
        finally:
            await storage.aclose()

    asyncio.run(main())


async def write(storage: EtcdStorage, name: str) -> Revision:
    return await storage.create(PREFIX + name.encode(), configmap(name))


async def taken(storage: EtcdStorage, url: str) -> Revision:
    """Return the revision of the snapshot that a replica takes while the log tells nothing."""
    extractor = extractor_for(builtin_table().resources(), "/registry")
    access = SnapshotAccess("", TOKEN)
    snapshots = Snapshots((url,), access, storage, extractor, etcd_prefix="/registry")
    return (await snapshots.newest(at_least=Revision(0))).revision


def test_one_from_which_the_storage_tells_how_to_go_on_is_taken(etcd: EtcdProcess) -> None:
    async def story(storage: EtcdStorage) -> None:
        await write(storage, "a")
        state = await state_of(storage)
        last = await write(storage, "b")
        await storage.compact(state.revision)
        async with serving(state) as url:
            assert await taken(storage, url) == state.revision < last

    play(etcd, story)


def test_one_older_than_what_the_storage_still_knows_is_not(etcd: EtcdProcess) -> None:
    async def story(storage: EtcdStorage) -> None:
        await write(storage, "a")
        state = await state_of(storage)
        await write(storage, "b")
        last = await write(storage, "c")
        await storage.compact(last)
        async with serving(state) as url:
            assert await taken(storage, url) == last

    play(etcd, story)


def test_one_of_another_storage_that_is_further_is_not(etcd: EtcdProcess, tmp_path: Path) -> None:
    async def elsewhere(storage: EtcdStorage) -> State:
        for name in ("a", "b", "c"):
            await write(storage, name)
        return await state_of(storage)

    async def story(storage: EtcdStorage) -> None:
        other = start_etcd(tmp_path / "other", "--unsafe-no-fsync")
        try:
            other_storage = await EtcdStorage.open(other.url)
            state = await elsewhere(other_storage)
            await other_storage.aclose()
        finally:
            other.kill()
        last = await write(storage, "mine")
        async with serving(state) as url:
            assert await taken(storage, url) == last < state.revision

    play(etcd, story)
