"""Leader election: what may be done with a lease, and the loop that does it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.controllers.client import Conflict, NotFound, Unreachable
from services.controllers.leaderelection import (
    Decision,
    LeaderElectionOptions,
    LeaderElector,
    LeadershipLost,
    LeaseRecord,
    Observation,
    decide,
    next_record,
    observe,
)
from tests import fakeclock

HELD_BY_B = LeaseRecord("b", 15, "t0", "t1", 2)


@pytest.mark.parametrize(
    ("record", "now", "decision"),
    [
        pytest.param(HELD_BY_B, 114.9, Decision.WAIT, id="held by another, still fresh"),
        pytest.param(HELD_BY_B, 115.0, Decision.ACQUIRE, id="unrenewed for its duration"),
        pytest.param(LeaseRecord("", 1), 100.0, Decision.ACQUIRE, id="given back"),
        pytest.param(LeaseRecord("a", 15), 100.0, Decision.RENEW, id="ours"),
        pytest.param(LeaseRecord("a", 15), 900.0, Decision.RENEW, id="ours and old"),
    ],
)
def test_decide(record: LeaseRecord, now: float, decision: Decision) -> None:
    assert decide(Observation(record, since=100.0), identity="a", now=now) is decision


def test_an_unchanged_record_keeps_its_age() -> None:
    seen = observe(None, HELD_BY_B, 100.0)
    assert observe(seen, HELD_BY_B, 110.0).since == 100.0


def test_a_renewed_record_is_young_again() -> None:
    seen = observe(None, HELD_BY_B, 100.0)
    renewed = LeaseRecord("b", 15, "t0", "t2", 2)
    assert observe(seen, renewed, 110.0) == Observation(renewed, 110.0)


def test_a_new_lease_has_no_transitions() -> None:
    options = LeaderElectionOptions(identity="a")
    record = next_record(Decision.ACQUIRE, None, options=options, time="t")
    assert record == LeaseRecord("a", 15, "t", "t", 0)


def test_taking_over_counts_a_transition_and_sets_both_times() -> None:
    options = LeaderElectionOptions(identity="a")
    record = next_record(Decision.ACQUIRE, HELD_BY_B, options=options, time="t")
    assert record == LeaseRecord("a", 15, "t", "t", 3)


def test_renewing_changes_the_renew_time_only() -> None:
    options = LeaderElectionOptions(identity="b")
    record = next_record(Decision.RENEW, HELD_BY_B, options=options, time="t")
    assert record == LeaseRecord("b", 15, "t0", "t", 2)


def test_a_record_survives_the_way_through_a_lease() -> None:
    assert LeaseRecord.from_lease({"spec": HELD_BY_B.as_spec()}) == HELD_BY_B


def test_a_lease_without_a_spec_is_free() -> None:
    assert LeaseRecord.from_lease({"metadata": {}}) == LeaseRecord()


class LeaseServer:
    """One Lease with optimistic concurrency, in place of a Client; `down` refuses everything."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.down = False
        self.reads = 0

    async def get(self, path: str) -> dict[str, Any]:
        self._check()
        self.reads += 1
        if self.lease is None:
            raise NotFound({"code": 404})
        return self.lease

    async def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self._check()
        assert self.lease is None
        return self._store(body, version=1)

    async def update(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self._check()
        assert self.lease is not None
        version = self.lease["metadata"]["resourceVersion"]
        if body["metadata"]["resourceVersion"] != version:
            raise Conflict({"code": 409})
        return self._store(body, version=int(version) + 1)

    @property
    def holder(self) -> str:
        return LeaseRecord.from_lease(self.lease or {}).holder

    def _store(self, body: dict[str, Any], *, version: int) -> dict[str, Any]:
        metadata = {**body["metadata"], "resourceVersion": str(version)}
        self.lease = {**body, "metadata": metadata}
        return self.lease

    def _check(self) -> None:
        if self.down:
            raise Unreachable("down")


def elector(server: LeaseServer, identity: str) -> LeaderElector:
    return LeaderElector(server, LeaderElectionOptions(identity=identity))  # type: ignore[arg-type]


def test_the_first_to_come_creates_the_lease_and_leads() -> None:
    server = LeaseServer()
    fakeclock.run(elector(server, "a").acquire())
    assert server.holder == "a"


def test_a_follower_takes_over_after_the_leader_stops_renewing() -> None:
    async def scenario() -> float:
        server = LeaseServer()
        await elector(server, "a").acquire()
        start = asyncio.get_running_loop().time()
        await elector(server, "b").acquire()
        assert server.holder == "b"
        return asyncio.get_running_loop().time() - start

    assert 15 <= fakeclock.run(scenario()) <= 15 + 2 * 2.2


def test_a_follower_waits_while_the_leader_renews() -> None:
    async def scenario() -> tuple[str, bool]:
        server = LeaseServer()
        leader = elector(server, "a")
        await leader.acquire()
        holding = asyncio.create_task(leader.hold())
        following = asyncio.create_task(elector(server, "b").acquire())
        await asyncio.sleep(300)
        took_over = following.done()
        holding.cancel()
        following.cancel()
        return server.holder, took_over

    assert fakeclock.run(scenario()) == ("a", False)


def test_a_leader_renews_without_reading() -> None:
    async def scenario() -> int:
        server = LeaseServer()
        leader = elector(server, "a")
        await leader.acquire()
        before = server.reads
        holding = asyncio.create_task(leader.hold())
        await asyncio.sleep(60)
        holding.cancel()
        return server.reads - before

    assert fakeclock.run(scenario()) == 0


def test_a_leader_that_cannot_renew_gives_up_before_the_lease_expires() -> None:
    async def scenario() -> float:
        server = LeaseServer()
        leader = elector(server, "a")
        await leader.acquire()
        start = asyncio.get_running_loop().time()
        server.down = True
        with pytest.raises(LeadershipLost):
            await leader.hold()
        return asyncio.get_running_loop().time() - start

    assert fakeclock.run(scenario()) < 15


def test_a_leader_survives_a_short_outage() -> None:
    async def scenario() -> bool:
        server = LeaseServer()
        leader = elector(server, "a")
        await leader.acquire()
        holding = asyncio.create_task(leader.hold())
        await asyncio.sleep(10)
        server.down = True
        await asyncio.sleep(5)
        server.down = False
        await asyncio.sleep(60)
        leading = not holding.done()
        holding.cancel()
        return leading

    assert fakeclock.run(scenario())


def test_a_leader_whose_lease_was_taken_stops() -> None:
    async def scenario() -> None:
        server = LeaseServer()
        leader = elector(server, "a")
        await leader.acquire()
        assert server.lease is not None
        server._store({**server.lease, "spec": HELD_BY_B.as_spec()}, version=9)
        with pytest.raises(LeadershipLost, match="b has the lease"):
            await leader.hold()

    fakeclock.run(scenario())


def test_a_released_lease_is_taken_at_once() -> None:
    async def scenario() -> float:
        server = LeaseServer()
        leader = elector(server, "a")
        await leader.acquire()
        await leader.release()
        start = asyncio.get_running_loop().time()
        await elector(server, "b").acquire()
        return asyncio.get_running_loop().time() - start

    assert fakeclock.run(scenario()) == 0


def test_somebody_elses_lease_is_not_released() -> None:
    async def scenario() -> str:
        server = LeaseServer()
        await elector(server, "a").acquire()
        waiting = elector(server, "b")
        assert not await waiting._try()
        await waiting.release()
        return server.holder

    assert fakeclock.run(scenario()) == "a"
