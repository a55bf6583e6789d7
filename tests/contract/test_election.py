"""Leader election on a real etcd: one leads, and it is known when it does no more."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from shared.storage import StorageError
from shared.storage.etcd.election import Election, Holder, LeadershipLost
from tests.contract.etcd_server import EtcdProcess, start_etcd

LEASE_S = 2


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdProcess]:
    process = start_etcd(tmp_path_factory.mktemp("etcd"))
    yield process
    process.stop()


def run(etcd: EtcdProcess, story: Callable[[Election, Election], Awaitable[None]]) -> None:
    """Let two candidates for one key, one and two, play the story."""

    async def main() -> None:
        one, two = (
            Election([etcd.url], None, key=b"/election", value=value, lease_s=LEASE_S)
            for value in (b"one", b"two")
        )
        async with asyncio.timeout(20):
            try:
                await story(one, two)
            finally:
                holder = await one.holder()
                if holder is not None:
                    await one.revoke(holder.lease)
                await one.aclose()
                await two.aclose()

    asyncio.run(main())


async def led(election: Election) -> int:
    lease = await election.stand()
    assert isinstance(lease, int)
    return lease


def test_who_comes_first_leads_and_the_others_see_who_it_is(etcd: EtcdProcess) -> None:
    async def story(one: Election, two: Election) -> None:
        lease = await led(one)
        assert await two.stand() == Holder(b"one", lease)

    run(etcd, story)


def test_of_many_that_stand_at_once_one_wins(etcd: EtcdProcess) -> None:
    async def story(one: Election, two: Election) -> None:
        outcomes = await asyncio.gather(*(each.stand() for each in [one, two] * 5))
        assert sum(isinstance(outcome, int) for outcome in outcomes) == 1

    run(etcd, story)


def test_a_leader_that_holds_its_lease_keeps_it(etcd: EtcdProcess) -> None:
    async def story(one: Election, two: Election) -> None:
        lease = await led(one)
        holding = asyncio.create_task(one.hold(lease))
        await asyncio.sleep(LEASE_S + 1.5)
        assert await two.stand() == Holder(b"one", lease)
        holding.cancel()

    run(etcd, story)


def test_a_leader_that_does_not_is_followed_by_another(etcd: EtcdProcess) -> None:
    async def story(one: Election, two: Election) -> None:
        await led(one)
        while isinstance(await two.stand(), Holder):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        assert (await one.holder() or Holder(b"", 0)).value in (b"two", b"")

    run(etcd, story)


def test_a_leader_whose_lease_was_revoked_learns_that_it_has_lost(etcd: EtcdProcess) -> None:
    async def story(one: Election, two: Election) -> None:
        lease = await led(one)
        holding = asyncio.create_task(one.hold(lease))
        await two.revoke(lease)
        with pytest.raises(LeadershipLost):
            await holding
        await led(two)

    run(etcd, story)


def test_to_revoke_what_is_gone_is_no_error(etcd: EtcdProcess) -> None:
    async def story(one: Election, two: Election) -> None:
        lease = await led(one)
        await two.revoke(lease)
        await two.revoke(lease)

    run(etcd, story)


def test_a_leader_that_etcd_does_not_answer_gives_up_after_the_length_of_a_lease(
    tmp_path: Path,
) -> None:
    etcd = start_etcd(tmp_path)

    async def story() -> None:
        election = Election([etcd.url], None, key=b"/e", value=b"v", lease_s=LEASE_S)
        lease = await led(election)
        os.kill(etcd.pid, signal.SIGSTOP)
        try:
            with pytest.raises(LeadershipLost):
                await election.hold(lease)
            with pytest.raises(StorageError):
                await election.stand()
        finally:
            os.kill(etcd.pid, signal.SIGCONT)
        await election.aclose()

    async def bounded() -> None:
        async with asyncio.timeout(20):
            await story()

    try:
        asyncio.run(bounded())
    finally:
        etcd.kill()


def test_a_member_that_does_not_answer_costs_nobody_the_lead_while_another_does(
    etcd: EtcdProcess,
) -> None:
    async def story() -> None:
        silent = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        election = Election([etcd.url, url], None, key=b"/e", value=b"v", lease_s=LEASE_S)
        other = Election([url, etcd.url], None, key=b"/e", value=b"v", lease_s=LEASE_S)
        lease = await led(election)
        holding = asyncio.create_task(other.hold(lease))  # the silent one is its first
        await asyncio.sleep(LEASE_S + 1.5)
        assert await election.stand() == Holder(b"v", lease)
        assert not holding.done()
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
        await election.revoke(lease)
        await election.aclose()
        await other.aclose()
        silent.close()

    asyncio.run(story())
