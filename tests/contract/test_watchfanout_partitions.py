"""A leader that is cut off from one of its stores alone, or whose stores come back as they were."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.eventlog.redis import RedisEventLogOptions
from tests.contract.etcd_server import EtcdProcess, start_etcd
from tests.contract.redis_server import RedisProcess
from tests.contract.test_watchfanout import Play, World, play

__all__ = ["play"]

KEY = RedisEventLogOptions().key


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[EtcdProcess]:
    process = start_etcd(tmp_path / "etcd", "--unsafe-no-fsync")
    yield process
    process.kill()


@pytest.fixture
def redis(own_redis: RedisProcess) -> RedisProcess:
    return own_redis


def test_a_redis_that_came_back_as_it_was_earlier_lacks_nothing_that_etcd_knows(
    play: Play,
) -> None:
    async def story(world: World) -> None:
        async with world.leader():
            first = await world.deliver("a")
            world.redis.do("COPY", KEY, "earlier")
            await world.deliver("b")
            # As after a restart from its own files, or on a replica that has become the master:
            # while nothing is being asked.
            world.redis.do("RENAME", "earlier", KEY)
            world.redis.do("CLIENT", "KILL", "TYPE", "normal")
            await asyncio.sleep(0.2)
            last = await world.write("c")
            assert await world.names(after=first, until=last) == ["b", "c"]

    play(story)
