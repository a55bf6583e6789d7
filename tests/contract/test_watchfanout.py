"""The leader of the watchfanouts between a real etcd and a real Redis, both killed at will."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.local.plan import KUBEFAN
from services.local.secretfiles import secret_files
from services.watchfanout.service import ELECTION_KEY
from services.watchfanout.state import State
from shared.eventlog import Hole, Trimmed
from shared.fanout.transfer import receive
from shared.storage.etcd import EtcdStorage
from shared.storage.etcd.election import Election, Holder
from tests.contract.etcd_server import EtcdProcess, free_ports, start_etcd
from tests.contract.redis_server import RedisProcess
from tests.contract.watchfanout_world import (
    PATIENCE_S,
    PREFIX,
    Play,
    World,
    configmap,
    etcd,
    play,
    redis,
    until,
)

__all__ = ["etcd", "play", "redis"]


@asynccontextmanager
async def another_etcd(data_dir: Path, world: World) -> AsyncIterator[World]:
    """A world that has the Redis in common with `world`, and in its etcd a longer history."""
    etcd = start_etcd(data_dir, "--unsafe-no-fsync")
    try:
        storage = await EtcdStorage.open(etcd.url)
        for number in range(20):
            await storage.create(PREFIX + b"x%d" % number, configmap("x"))
        yield World(storage, world.log, world.redis)
        await storage.aclose()
    finally:
        etcd.kill()


def test_an_empty_log_is_filled_with_what_etcd_still_knows(play: Play) -> None:
    async def story(world: World) -> None:
        for name in ("a", "b", "c"):
            last = await world.write(name)
        async with world.leader():
            assert await world.names(after=1, until=last) == ["a", "b", "c"]
            last = await world.write("d")
            assert await world.names(after=1, until=last) == ["a", "b", "c", "d"]

    play(story)


def test_what_etcd_has_compacted_is_not_in_it_and_the_rest_is(play: Play) -> None:
    async def story(world: World) -> None:
        revisions = [await world.write(name) for name in ("a", "b", "c", "d")]
        await world.storage.compact(revisions[1])
        async with world.leader():
            assert await world.names(after=revisions[1], until=revisions[3]) == ["c", "d"]
            with pytest.raises(Trimmed):
                await world.names(after=1, until=revisions[3])

    play(story)


def test_the_next_leader_goes_on_behind_the_last_entry(play: Play) -> None:
    async def story(world: World) -> None:
        await world.led("a")
        await world.write("b")  # while nobody leads
        async with world.leader() as leader:
            last = await world.write("c")
            assert await world.names(after=1, until=last) == ["a", "b", "c"]
            assert leader.refills == 0

    play(story)


def test_two_leaders_at_once_are_one_to_readers(play: Play) -> None:
    async def story(world: World) -> None:
        async with world.leader(), world.leader():
            expected = [f"n{number}" for number in range(100)]
            for name in expected:
                last = await world.write(name)
            assert await world.names(after=1, until=last) == expected

    play(story)


def test_a_log_that_was_emptied_is_filled_again_and_readers_go_on(play: Play) -> None:
    async def story(world: World) -> None:
        async with world.leader() as leader:
            first = await world.deliver("a")
            world.redis.do("FLUSHALL")
            await world.write("b")
            last = await world.write("c")
            assert await world.names(after=first, until=last) == ["b", "c"]
            assert await world.names(after=1, until=last) == ["a", "b", "c"]
            assert leader.refills == 2

    play(story)


def test_a_redis_that_was_killed_is_filled_again_when_it_is_back(play: Play) -> None:
    async def story(world: World) -> None:
        async with world.leader():
            await world.deliver("a")
            world.redis.kill()
            await world.write("b")  # writes do not need it
            await asyncio.sleep(0.3)
            world.redis.start()
            last = await world.write("c")
            assert await world.names(after=1, until=last) == ["a", "b", "c"]

    play(story)


def test_a_log_that_ends_before_what_etcd_knows_shows_readers_a_hole(play: Play) -> None:
    async def story(world: World) -> None:
        first = await world.led("a")
        await world.write("b")
        compacted = await world.write("c")
        last = await world.write("d")
        await world.storage.compact(compacted)
        async with world.leader():
            with pytest.raises((Hole, Trimmed)):
                await world.names(after=first, until=last)
            assert await world.names(after=compacted, until=last) == ["d"]

    play(story)


def test_the_log_of_another_etcd_is_thrown_away(play: Play, tmp_path: Path) -> None:
    async def story(world: World) -> None:
        async with another_etcd(tmp_path / "other", world) as elsewhere:
            await elsewhere.led("a")
        last = await world.write("mine")
        async with world.leader() as leader:
            await until(lambda: leader.refills == 1)
            assert await world.names(after=1, until=last) == ["mine"]

    play(story)


def test_a_state_of_another_etcd_is_thrown_away_with_its_log(play: Play, tmp_path: Path) -> None:
    async def story(world: World) -> None:
        state = State()
        async with another_etcd(tmp_path / "other", world) as elsewhere:
            await elsewhere.led("elsewhere", state)
        async with world.leader(state) as leader:
            await until(lambda: leader.refills == 1)
            last = await world.write("mine")
            assert await world.names(after=1, until=last) == ["mine"]
            await until(lambda: state.is_loaded and state.revision >= last)
            snapshot = await receive(state.snapshot())
        assert snapshot.revision == last
        assert [item.key for item in snapshot.objects] == [PREFIX + b"mine"]

    play(story)


def test_the_state_follows_and_is_given_as_a_snapshot(play: Play) -> None:
    async def story(world: World) -> None:
        await world.write("a")
        state = State()
        async with world.leader(state):
            last = await world.write("b")
            await until(lambda: state.revision >= last)
            snapshot = await receive(state.snapshot())
        assert snapshot.revision == last
        assert [item.key for item in snapshot.objects] == [PREFIX + b"a", PREFIX + b"b"]

    play(story)


def test_a_state_that_is_behind_the_log_reads_on_there_and_not_in_etcd(play: Play) -> None:
    async def story(world: World) -> None:
        state = State()
        await world.led("a", state)
        await world.led("b")  # by another
        lists = 0
        original = world.storage.list

        async def counted(*arguments: object, **options: object) -> object:
            nonlocal lists
            lists += 1
            return await original(*arguments, **options)  # type: ignore[arg-type]

        world.storage.list = counted  # type: ignore[method-assign,assignment]
        async with world.leader(state):
            last = await world.write("c")
            await until(lambda: state.revision >= last)
        assert lists == 0
        assert len(state) == 3

    play(story)


def test_a_state_that_cannot_read_on_in_the_log_is_loaded_from_etcd(play: Play) -> None:
    async def story(world: World) -> None:
        state = State()
        await world.led("a", state)
        middle = await world.write("b")
        # As a leader of another version has written it, and died.
        world.redis.do("XADD", "kubefan:events", f"{middle}-0", "e", "not ours")
        async with world.leader(state):
            last = await world.write("c")
            await until(lambda: state.revision >= last)
        assert len(state) == 3

    play(story)


def command(etcd: EtcdProcess, redis: RedisProcess, directory: Path) -> tuple[str, ...]:
    """Return what starts a watchfanout as a process."""
    secrets = secret_files(directory / "pki")
    port, _ = free_ports()
    return (
        *KUBEFAN,
        "watchfanout",
        f"--etcd-servers={etcd.url}",
        f"--redis-url={redis.url}",
        f"--tls-cert-file={secrets.watchfanout.certificate}",
        f"--tls-private-key-file={secrets.watchfanout.key}",
        f"--token-file={secrets.watchfanout_token}",
        f"--secure-port={port}",
        "--lease-duration=60s",
    )


def test_a_store_in_protobuf_ends_it_with_a_line_that_says_so(
    etcd: EtcdProcess, redis: RedisProcess, tmp_path: Path
) -> None:
    async def write() -> None:
        storage = await EtcdStorage.open(etcd.url)
        await storage.create(PREFIX + b"a", b"k8s\x00\n\x06secret")
        await storage.aclose()

    asyncio.run(write())
    done = subprocess.run(
        command(etcd, redis, tmp_path), capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
    assert "kubefan watchfanout: the store holds protobuf values" in done.stderr


def test_a_leader_that_is_told_to_end_gives_its_lease_back(
    etcd: EtcdProcess, redis: RedisProcess, tmp_path: Path
) -> None:
    log = tmp_path / "watchfanout.log"

    async def holder() -> Holder | None:
        election = Election([etcd.url], None, key=ELECTION_KEY.encode(), value=b"", lease_s=2)
        try:
            return await election.holder()
        finally:
            await election.aclose()

    with log.open("wb") as output:
        process = subprocess.Popen(command(etcd, redis, tmp_path), stderr=output)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while "filled" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert asyncio.run(holder()) is not None
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        assert asyncio.run(holder()) is None
    finally:
        process.kill()
        process.wait()


def test_a_log_that_another_version_began_is_begun_anew(play: Play) -> None:
    async def story(world: World) -> None:
        world.redis.do("XADD", "kubefan:events", "1-0", "e", b"\x93\x63\x00\x01")
        last = await world.write("a")
        async with world.leader() as leader:
            await until(lambda: leader.refills == 1)
            assert await world.names(after=1, until=last) == ["a"]

    play(story)
