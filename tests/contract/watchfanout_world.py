"""Leaders of the watchfanouts between a real etcd and a real Redis, and readers of what they write.

The fixtures are for modules that import them: each test may kill its own etcd and Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from services.watchfanout.leading import Leader
from services.watchfanout.state import State
from shared.eventlog.redis import RedisEventLog
from shared.fanout import extractor_for
from shared.resources import builtin_table
from shared.storage import Revision
from shared.storage.etcd import EtcdStorage
from tests.contract.etcd_server import EtcdProcess, start_etcd
from tests.contract.redis_server import RedisProcess

PATIENCE_S = 20.0
PREFIX = b"/registry/configmaps/default/"


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[EtcdProcess]:
    process = start_etcd(tmp_path / "etcd", "--unsafe-no-fsync")
    yield process
    process.kill()


@pytest.fixture
def redis(own_redis: RedisProcess) -> RedisProcess:
    return own_redis


def configmap(name: str, turn: int = 0) -> bytes:
    return orjson.dumps(
        {
            "kind": "ConfigMap",
            "apiVersion": "v1",
            "metadata": {"name": name, "namespace": "default"},
            "data": {"turn": str(turn)},
        }
    )


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


@dataclass
class World:
    storage: EtcdStorage
    log: RedisEventLog
    redis: RedisProcess

    async def write(self, name: str) -> Revision:
        return await self.storage.create(PREFIX + name.encode(), configmap(name))

    @asynccontextmanager
    async def leader(self, state: State | None = None) -> AsyncIterator[Leader]:
        """Lead until the block ends; with a log of its own, as another process has."""
        extractor = extractor_for(builtin_table().resources(), "/registry")
        log = RedisEventLog(self.redis.server)
        leader = Leader(
            self.storage,
            log,
            State() if state is None else state,
            extractor,
            etcd_prefix="/registry",
        )
        leading = asyncio.create_task(leader.run())
        try:
            yield leader
        finally:
            leading.cancel()
            await asyncio.gather(leading, return_exceptions=True)
            await log.aclose()

    async def deliver(self, name: str) -> Revision:
        """Write, and wait until readers of the log have it from whoever leads."""
        revision = await self.write(name)
        await self.names(after=1, until=revision)
        return revision

    async def led(self, name: str, state: State | None = None) -> Revision:
        """Lead for a while: until `name` is written and delivered, and known to the state."""
        async with self.leader(state):
            revision = await self.deliver(name)
            await until(lambda: state is None or state.revision >= revision)
        return revision

    async def names(self, *, after: int, until: Revision) -> list[str]:
        """Return what a reader sees of the names written after `after`, up to `until`."""
        seen: list[str] = []
        position = after
        async with aclosing(self.log.read(after=Revision(after))) as entries:
            async for entry in entries:
                for event in entry.events:
                    if event.revision > position and event.key.startswith(PREFIX):
                        seen.append(event.key.removeprefix(PREFIX).decode())
                position = max(position, entry.revision)
                if position >= until:
                    break
        return seen


@pytest.fixture
def play(etcd: EtcdProcess, redis: RedisProcess) -> Callable[..., None]:
    def run(story: Callable[[World], Awaitable[None]]) -> None:
        async def main() -> None:
            storage = await EtcdStorage.open(etcd.url)
            log = RedisEventLog(redis.server)
            try:
                async with asyncio.timeout(2 * PATIENCE_S):
                    await story(World(storage, log, redis))
            finally:
                await log.aclose()
                await storage.aclose()

        asyncio.run(main())

    return run


Play = Callable[[Callable[[World], Awaitable[None]]], None]
