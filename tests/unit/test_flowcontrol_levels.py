"""How the server's seats are divided, lent and borrowed, and what refusals tell."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.apiserver.flowcontrol import ONE_SEAT, PriorityLevels, Tally, Ticket
from services.apiserver.flowcontrol.allocation import Claim, Unsolvable, allocate
from services.apiserver.flowcontrol.config import level_config, schema_config
from services.apiserver.flowcontrol.demand import SeatDemand
from services.apiserver.flowcontrol.retryafter import RetryAfter
from services.apiserver.kinds.platform.flowcontrolbootstrap import flow_control_objects
from services.apiserver.requestinfo import UserInfo
from services.apiserver.stages.resolve import request_info
from tests import fakeclock
from tests.unit.flowtools import level, schema, user


def configure(levels: PriorityLevels, *objects: dict[str, Any]) -> None:
    found = [level_config(one) for one in objects if "type" in one["spec"]]
    levels.configure(
        [one for one in found if one is not None],
        [schema_config(one) for one in objects if "matchingPrecedence" in one["spec"]],
    )


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_default_levels_of_a_server_with_600_seats() -> None:
    levels = PriorityLevels(600)
    configure(levels, *(obj for _, obj in flow_control_objects()))
    assert {
        name: (one.minimum, one.nominal, one.maximum, one.max_seats)
        for name, one in levels.levels.items()
    } == {
        "exempt": (0, 0, 600, 0),
        "catch-all": (13, 13, 613, 0),
        "system": (50, 74, 674, 12),
        "node-high": (73, 98, 698, 15),
        "leader-election": (25, 25, 625, 4),
        "workload-high": (49, 98, 698, 15),
        "workload-low": (24, 245, 845, 37),
        "global-default": (24, 49, 649, 8),
    }
    nominal = sum(one.nominal for one in levels.levels.values())
    assert sum(one.queues.limit for one in levels.levels.values()) == pytest.approx(nominal, abs=4)


def test_without_objects_there_are_the_mandatory_levels() -> None:
    levels = PriorityLevels(10)
    assert levels.levels["catch-all"].queues.limit == 10
    assert [one.schema.name for one in levels.routes] == ["exempt", "catch-all"]


def test_a_busy_level_borrows_what_idle_ones_lend_and_gives_it_back() -> None:
    clock = Clock()
    levels = PriorityLevels(100, clock)
    configure(
        levels,
        level("busy", 50, queues=4, lendablePercent=0),
        level("idle", 45, queues=4, lendablePercent=60),
    )
    busy, idle = levels.levels["busy"], levels.levels["idle"]
    tickets: list[Ticket] = []

    async def flood() -> None:
        for number in range(40 + busy.queues.limit):
            tickets.append(busy.queues.start((number % 4,), ONE_SEAT, Tally()))

    asyncio.run(flood())
    clock.now += 10
    levels.adjust()
    assert busy.queues.limit > 60
    assert idle.queues.limit >= idle.minimum == 18
    assert busy.queues.limit + idle.queues.limit <= 101
    for ticket in tickets:
        ticket.leave()
    for _ in range(20):
        tickets = [idle.queues.start((one % 4,), ONE_SEAT, Tally()) for one in range(18)]
        clock.now += 10
        levels.adjust()
        for ticket in tickets:
            ticket.leave()
    assert idle.queues.limit >= 18
    assert busy.queues.limit >= 50


def test_a_borrowing_limit_holds() -> None:
    clock = Clock()
    levels = PriorityLevels(100, clock)
    configure(
        levels,
        level("busy", 50, queues=2, length=200, borrowingLimitPercent=10),
        level("idle", 45, lendablePercent=100),
    )
    busy = levels.levels["busy"]

    async def flood() -> None:
        for number in range(120):
            busy.queues.start((number % 2,), ONE_SEAT, Tally())

    asyncio.run(flood())
    clock.now += 10
    levels.adjust()
    assert busy.queues.limit == busy.maximum == 55


def test_a_removed_level_stays_until_it_is_idle() -> None:
    async def test() -> None:
        levels = PriorityLevels(10, asyncio.get_running_loop().time)
        configure(levels, level("l", 95, queues=1), schema("s", "l", 5, user("*")))
        state = levels.levels["l"]
        tally = levels.routes[1].tally
        tickets = [state.queues.start((0,), ONE_SEAT, tally) for _ in range(12)]
        waiting = [one for one in tickets if one.granted is not None]
        assert waiting
        configure(levels)
        assert state.quiescing
        for ticket in tickets:
            ticket.leave()
        assert all(one.granted is None for one in waiting)
        levels.adjust()
        assert set(levels.levels) == {"exempt", "catch-all"}

    fakeclock.run(test())


def test_a_level_may_change_while_it_is_busy() -> None:
    async def test() -> None:
        levels = PriorityLevels(10, asyncio.get_running_loop().time)
        configure(levels, level("l", 95, queues=4))
        queues = levels.levels["l"].queues
        tickets = [queues.start((one % 4,), ONE_SEAT, Tally()) for one in range(20)]
        configure(levels, level("l", 5))
        assert levels.levels["l"].queues is queues
        for ticket in tickets:
            ticket.leave()
        assert queues.idle
        assert queues.seats_in_use == 0

    fakeclock.run(test())


def test_the_same_configuration_again_changes_nothing() -> None:
    clock = Clock()
    levels = PriorityLevels(10, clock)
    configure(levels, level("l"))
    demand = levels.levels["l"].queues.demand
    demand.set(5, clock.now)
    configure(levels, level("l"))
    assert demand.maximum == 5
    assert demand.high_watermark == 0


# -- demand ----------------------------------------------------------------------------


def test_demand_is_weighted_by_time() -> None:
    demand = SeatDemand(0.0)
    demand.set(4, 2.0)
    demand.set(0, 7.0)
    demand.end_period(10.0)
    assert demand.average == pytest.approx(2.0)
    assert demand.deviation == pytest.approx(2.0)
    assert demand.high_watermark == 4
    assert demand.smoothed == pytest.approx(4.0)
    demand.end_period(20.0)
    assert (demand.average, demand.high_watermark) == (0.0, 0)
    assert demand.smoothed == pytest.approx(4.0 * 0.977)


# -- allocation ------------------------------------------------------------------------

claims = st.lists(
    st.tuples(st.floats(0, 50), st.floats(0, 50), st.floats(0, 100)).map(
        lambda three: Claim(three[0], three[0] + three[1], three[0] + three[2])
    ),
    min_size=1,
    max_size=8,
)


@given(claims, st.floats(0, 1))
def test_an_allocation_keeps_the_bounds_and_the_proportions(
    wanted: list[Claim], part: float
) -> None:
    low, high = sum(one.low for one in wanted), sum(one.high for one in wanted)
    total = low + (high - low) * part
    shares = allocate(total, wanted)
    assert sum(shares) == pytest.approx(total, abs=1e-6)
    for share, one in zip(shares, wanted, strict=True):
        assert one.low - 1e-9 <= share <= one.high + 1e-9
    free = [
        share / max(one.target, 0.001)
        for share, one in zip(shares, wanted, strict=True)
        if one.low + 1e-9 < share < one.high - 1e-9
    ]
    assert all(math.isclose(one, free[0], rel_tol=1e-6, abs_tol=1e-9) for one in free)


def test_an_impossible_sum_is_told() -> None:
    with pytest.raises(Unsolvable):
        allocate(10, [Claim(1, 2, 3)])


# -- retry after -----------------------------------------------------------------------


def test_refusals_name_longer_waits_under_pressure_and_shorter_ones_after() -> None:
    retry, told = RetryAfter(), []
    for second in range(1000, 1100):
        for _ in range(100):
            seconds = retry.refused(second)
        told.append(seconds)
    assert told[0] == 1
    assert sorted(set(told)) == [1, 2, 4, 8, 16, 32]
    assert told == sorted(told)
    calm = [retry.refused(2000 + 40 * number) for number in range(40)]
    assert calm == sorted(calm, reverse=True)
    assert calm[-1] == 1


ALICE = UserInfo("alice", groups=("system:authenticated",))


def test_where_requests_go_that_name_a_megabyte_is_not_remembered() -> None:
    """Anybody may send them; thousands would fill the memory."""
    levels = PriorityLevels(600)
    configure(levels, *(obj for _, obj in flow_control_objects()))
    long = "x" * 100_000
    for path in (f"/{long}", f"/api/v1/namespaces/{long}/pods", f"/api/v1/{long}"):
        plan = levels.plan(ALICE, request_info("GET", path, {}))
        assert plan.level is levels.levels["global-default"]
    assert len(max(map(repr, (levels._plans, levels._routes)), key=len)) < 10_000
    assert not any(long in hands for hands in (one._hands for one in levels.routes))
