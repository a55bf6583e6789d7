"""A leader that is cut off from one of its stores alone, or whose stores come back as they were."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from services.local.plan import KUBEFAN
from services.local.secretfiles import secret_files
from services.watchfanout.service import ELECTION_KEY
from shared.eventlog.redis import RedisEventLogOptions
from shared.storage.etcd.election import Election, Holder
from tests.chaos.relay import Relay
from tests.contract.etcd_server import EtcdProcess, free_ports
from tests.contract.redis_server import RedisProcess
from tests.contract.watchfanout_world import Play, World, etcd, play, redis, until

__all__ = ["etcd", "play", "redis"]

KEY = RedisEventLogOptions().key


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


@contextmanager
def watchfanout(etcd: str, redis: str, directory: Path, *flags: str) -> Iterator[None]:
    """Run one as a process, until the block ends."""
    secrets = secret_files(directory / "pki")
    port, _ = free_ports()
    command = (
        *(*KUBEFAN, "watchfanout", f"--etcd-servers={etcd}", f"--redis-url={redis}"),
        f"--tls-cert-file={secrets.watchfanout.certificate}",
        f"--tls-private-key-file={secrets.watchfanout.key}",
        f"--token-file={secrets.watchfanout_token}",
        f"--peer-cafile={secrets.ca}",
        f"--secure-port={port}",
        *flags,
    )
    with (directory / "watchfanouts.log").open("ab") as output:
        process = subprocess.Popen(command, stderr=output)
        try:
            yield
        finally:
            process.kill()
            process.wait()


async def leader_of(etcd: EtcdProcess, *, but: Sequence[int] = ()) -> Holder:
    """Wait until somebody leads, with another lease than those of before."""
    election = Election([etcd.url], None, key=ELECTION_KEY.encode(), value=b"", lease_s=2)
    try:
        while (holder := await election.holder()) is None or holder.lease in but:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        return holder
    finally:
        await election.aclose()


def test_a_leader_that_alone_cannot_reach_the_log_lets_another_lead(
    etcd: EtcdProcess, redis: RedisProcess, play: Play, tmp_path: Path
) -> None:
    async def story(world: World) -> None:
        link = Relay("link to Redis", [redis.port])
        await link.start()
        with ExitStack() as processes:
            cut_off = f"redis://127.0.0.1:{link.port}"
            processes.enter_context(watchfanout(etcd.url, cut_off, tmp_path, "--identity=one"))
            assert b"one" in (await leader_of(etcd)).value
            await world.deliver("a")
            processes.enter_context(watchfanout(etcd.url, redis.url, tmp_path, "--identity=two"))
            link.cut()
            await world.deliver("b")
            assert b"two" in (await leader_of(etcd)).value
        link.close()

    play(story)


def test_two_of_one_name_do_not_take_the_lead_from_each_other_again_and_again(
    etcd: EtcdProcess, redis: RedisProcess, play: Play, tmp_path: Path
) -> None:
    async def story(world: World) -> None:
        with ExitStack() as processes:
            leases: list[int] = []
            for _ in range(2):
                name = "--identity=both"
                processes.enter_context(watchfanout(etcd.url, redis.url, tmp_path, name))
                leases.append((await leader_of(etcd, but=leases)).lease)
            await asyncio.sleep(3)
            assert (await leader_of(etcd)).lease == leases[-1]

    play(story)


@pytest.mark.parametrize("new_ones_too", [False, True])
def test_what_a_frozen_link_held_back_comes_to_a_log_that_was_emptied_meanwhile(
    play: Play, new_ones_too: bool
) -> None:
    async def story(world: World) -> None:
        link = Relay("link to Redis", [world.redis.port])
        await link.start()
        cut_off = World(world.storage, world.log, replace(world.redis, port=link.port))
        async with cut_off.leader() as leader:
            await world.deliver("a")
            link.freeze(new_ones_too=new_ones_too)
            await world.write("b")  # waits in the link, for longer than the leader does
            await asyncio.sleep(0.5)
            world.redis.do("FLUSHALL")
            if not new_ones_too:
                await until(lambda: leader.refills == 2)
            link.mend()
            last = await world.write("c")
            assert await world.names(after=1, until=last) == ["a", "b", "c"]
            assert leader.refills == 2
        link.close()

    play(story)
