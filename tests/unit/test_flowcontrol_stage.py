"""The stage: headers, refusals, waits that end well, in time, or with the client."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.apiserver.errors import TooManyRequests
from services.apiserver.flowcontrol import PriorityLevels, WorkEstimator
from services.apiserver.flowcontrol.config import level_config, schema_config
from services.apiserver.flowcontrol.dump import dump
from services.apiserver.flowcontrol.metrics import families
from services.apiserver.flowcontrol.work import ONE_SEAT, Work
from services.apiserver.http.protocol import WRITER
from services.apiserver.http.request import ClientDisconnected, Request
from services.apiserver.requestinfo import UserInfo
from services.apiserver.stages.flowcontrol import Admission, PriorityAndFairness
from tests import fakeclock
from tests.unit.flowtools import asking, level, schema, user

ALICE = UserInfo("alice", groups=("system:authenticated",))
MASTER = UserInfo("admin", groups=("system:masters",))


class Connection:
    """What tells the stage that the client has gone."""

    def __init__(self) -> None:
        self.callback: Any = None

    def on_disconnect(self, callback: Any) -> None:
        self.callback = callback


def fairness(
    *objects: dict[str, Any], seats: int = 1, timeout_s: float = 60.0
) -> PriorityAndFairness:
    """A server with `seats`, all alice's: catch-all's share is what rounding leaves."""
    levels = PriorityLevels(seats, asyncio.get_running_loop().time)
    objects = objects or (
        level("l", 1000, queues=1, length=2),
        schema("s", "l", 5, user("alice"), method="ByUser"),
    )
    found = [level_config(one) for one in objects if "type" in one["spec"]]
    levels.configure(
        [one for one in found if one is not None],
        [schema_config(one) for one in objects if "matchingPrecedence" in one["spec"]],
    )
    for one in levels.levels.values():
        one.queues.configure(one.config.queuing, seats)
    estimator = WorkEstimator(lambda group, resource: None)
    return PriorityAndFairness(levels, estimator, request_timeout_s=timeout_s)


def headers(request: Request) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in request.notices}


def test_an_answer_names_the_schema_and_the_level_by_uid() -> None:
    async def test() -> None:
        control, request = fairness(), asking(ALICE)
        control.admit(request).leave()
        assert headers(request) == {
            "x-kubernetes-pf-flowschema-uid": "uid of s",
            "x-kubernetes-pf-prioritylevel-uid": "uid of l",
        }

    fakeclock.run(test())


def test_a_refusal_names_them_too_and_says_when_to_come_back() -> None:
    async def test() -> None:
        control = fairness()
        for _ in range(3):
            control.admit(asking(ALICE))
        refused = asking(ALICE)
        with pytest.raises(TooManyRequests) as caught:
            control.admit(refused)
        assert headers(refused)["x-kubernetes-pf-prioritylevel-uid"] == "uid of l"
        assert caught.value.retry_after_s == 1
        assert caught.value.message == "Too many requests, please try again later."

    fakeclock.run(test())


def test_masters_neither_wait_nor_are_refused() -> None:
    async def test() -> None:
        control = fairness()
        for _ in range(3):
            control.admit(asking(ALICE))
        for _ in range(100):
            assert not control.admit(asking(MASTER)).waits

    fakeclock.run(test())


async def served(admission: Admission, seconds: float = 1.0) -> None:
    """As the pipeline does."""
    try:
        if admission.waits:
            await admission.wait()
        await asyncio.sleep(seconds)
    finally:
        admission.leave()


def test_who_waits_is_served_in_turn() -> None:
    async def test() -> None:
        control = fairness()
        loop = asyncio.get_running_loop()
        begin = loop.time()
        tasks = [asyncio.create_task(served(control.admit(asking(ALICE)))) for _ in range(3)]
        assert (control.reading, control.mutating) == (1, 0)
        await asyncio.gather(*tasks)
        assert loop.time() - begin == pytest.approx(3)
        assert (control.reading, control.mutating) == (0, 0)

    fakeclock.run(test())


@pytest.mark.parametrize(("timeout_s", "waits_s"), [(60.0, 15.0), (8.0, 2.0), (600.0, 60.0)])
def test_a_wait_ends_after_a_quarter_of_the_timeout(timeout_s: float, waits_s: float) -> None:
    async def test() -> None:
        control = fairness(timeout_s=timeout_s)
        control.admit(asking(ALICE))
        late = control.admit(asking(ALICE))
        begin = asyncio.get_running_loop().time()
        with pytest.raises(TooManyRequests):
            await served(late)
        assert asyncio.get_running_loop().time() - begin == pytest.approx(waits_s)
        queues = control.levels.levels["l"].queues
        assert (queues.waiting, queues.executing, queues.timed_out) == (0, 1, 1)

    fakeclock.run(test())


def test_who_goes_away_leaves_the_queue() -> None:
    async def test() -> None:
        control = fairness()
        control.admit(asking(ALICE))
        request, connection = asking(ALICE), Connection()
        request.scope["extensions"] = {WRITER: connection}
        waiting = asyncio.create_task(served(control.admit(request)))
        await asyncio.sleep(0)
        queues = control.levels.levels["l"].queues
        assert queues.waiting == 1
        connection.callback()
        assert queues.waiting == 0
        with pytest.raises(ClientDisconnected):
            await waiting
        assert connection.callback is None
        assert queues.cancelled == 1

    fakeclock.run(test())


@pytest.mark.parametrize("steps", range(6))
def test_cancelled_at_any_point_it_holds_nothing(steps: int) -> None:
    async def test() -> None:
        control = fairness()
        first = control.admit(asking(ALICE))

        async def write() -> None:
            await served(control.admit(asking(ALICE, "create")), 0)

        waiting = asyncio.create_task(write())
        for step in range(steps):
            if step == 2:
                first.leave()
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        first.leave()
        queues = control.levels.levels["l"].queues
        assert (queues.seats_in_use, queues.waiting, queues.executing) == (0, 0, 0)
        assert (control.reading, control.mutating) == (0, 0)

    fakeclock.run(test())


def test_a_watch_holds_its_seat_until_its_initial_events_are_out() -> None:
    async def test() -> None:
        control = fairness()
        queues = control.levels.levels["l"].queues
        watch = control.admit(asking(ALICE, "watch"))
        assert (queues.seats_in_use, control.reading) == (1, 1)
        watch.release()
        assert (queues.seats_in_use, control.reading) == (0, 0)
        info = asking(ALICE, "create", namespace="a").info
        assert control.estimator.watches.interested(info) == 1
        watch.leave()
        assert control.estimator.watches.interested(info) == 0
        assert (queues.seats_in_use, control.reading) == (0, 0)

    fakeclock.run(test())


def test_other_long_running_requests_pass_untouched() -> None:
    async def test() -> None:
        control, request = fairness(), asking(ALICE, "get", subresource="log")
        assert not control.admit(request).waits
        assert request.notices == []

    fakeclock.run(test())


def test_the_metrics_tell_what_happened() -> None:
    async def test() -> None:
        control = fairness()
        first = control.admit(asking(ALICE))
        second = asyncio.create_task(served(control.admit(asking(ALICE)), 0))
        control.admit(asking(ALICE))
        with pytest.raises(TooManyRequests):
            control.admit(asking(ALICE))
        await asyncio.sleep(0.3)
        first.leave()
        await second
        of_s = {"priority_level": "l", "flow_schema": "s"}
        values = {
            (one.name.removeprefix("apiserver_flowcontrol_"), *one.labels.values()): one.value
            for family in families(control.levels)
            for one in family.samples
            if one.labels.get("flow_schema", "s") == "s" and one.labels["priority_level"] == "l"
        }
        key = tuple(of_s.values())
        assert values["dispatched_requests_total", *key] == 3
        assert values["rejected_requests_total", *key, "queue-full"] == 1
        assert values["current_executing_requests", *key] == 1
        assert values["current_executing_seats", *key] == 1
        assert values["current_inqueue_requests", *key] == 0
        assert values["request_wait_duration_seconds_count", *key, "true"] == 3
        assert values["request_wait_duration_seconds_bucket", *key, "true", "0"] == 1
        assert values["request_wait_duration_seconds_sum", *key, "true"] == pytest.approx(0.6)
        assert values["current_limit_seats", "l"] == 1
        assert values["nominal_limit_seats", "l"] == 1

    fakeclock.run(test())


def shown(control: PriorityAndFairness) -> dict[tuple[str, ...], float]:
    """The metrics of the flow «s» in the level «l»: name and further labels to value."""
    return {
        (one.name.removeprefix("apiserver_flowcontrol_"), *list(one.labels.values())[2:]): one.value
        for family in families(control.levels)
        for one in family.samples
        if (one.labels.get("flow_schema"), one.labels.get("priority_level")) == ("s", "l")
    }


def test_the_metrics_tell_how_long_requests_had_their_seats() -> None:
    async def test() -> None:
        control = fairness(seats=10)
        for verb, seconds in (("get", 0.01), ("list", 0.3), ("watch", 0.03)):
            admitted = control.admit(asking(ALICE, verb))
            await asyncio.sleep(seconds)
            admitted.leave()
        values, name = shown(control), "request_execution_seconds"
        assert values[f"{name}_count", "regular"] == 2
        assert values[f"{name}_bucket", "regular", "0.02"] == 1
        assert values[f"{name}_sum", "regular"] == pytest.approx(0.31)
        assert values[f"{name}_count", "watch"] == 1
        assert values[f"{name}_bucket", "watch", "0.02"] == 0

    fakeclock.run(test())


class WideCreates(WorkEstimator):
    """Finds that a create takes three seats, everything else one."""

    def estimate(self, request: Request, level_seats: int) -> Work:
        return Work(3) if request.info.verb == "create" else ONE_SEAT


def test_the_metrics_tell_how_many_seats_all_requests_want_also_those_refused() -> None:
    async def test() -> None:
        control = fairness(seats=4)
        control.estimator = WideCreates(lambda group, resource: None)
        for verb in ("get", "list", "create"):
            control.admit(asking(ALICE, verb)).leave()
        holding = [control.admit(asking(ALICE)) for _ in range(4)]
        waiting = [control.admit(asking(ALICE, verb)) for verb in ("get", "create")]
        with pytest.raises(TooManyRequests):
            control.admit(asking(ALICE, "create"))
        values, name = shown(control), "work_estimated_seats"
        assert values[f"{name}_bucket", "1"] == 7
        assert values[f"{name}_bucket", "2"] == 7
        assert values[f"{name}_count",] == values[f"{name}_bucket", "4"] == 10
        assert values[f"{name}_sum",] == 7 + 3 * 3
        assert values["current_inqueue_seats",] == 1 + 3
        for one in (*waiting, *holding):
            one.leave()
        values = shown(control)
        assert values["current_inqueue_seats",] == 0
        assert values["request_wait_duration_seconds_count", "false"] == 3
        assert values[f"{name}_count",] == 10

    fakeclock.run(test())


def test_the_metrics_tell_of_a_wide_request_that_finds_too_few_free_seats() -> None:
    async def test() -> None:
        control = fairness(seats=3)
        control.estimator = WideCreates(lambda group, resource: None)
        first = control.admit(asking(ALICE))
        wide = control.admit(asking(ALICE, "create"))
        assert wide.waits
        assert shown(control)["request_dispatch_no_accommodation_total",] == 1
        first.leave()
        await wide.wait()
        wide.leave()

    fakeclock.run(test())


def test_the_dumps_show_levels_queues_and_who_waits() -> None:
    async def test() -> None:
        control = fairness()
        control.admit(asking(ALICE))
        control.admit(asking(ALICE, "create"))

        def rows(name: str) -> list[list[str]]:
            text = dump(control.levels, name)
            assert text is not None
            return [[cell.strip() for cell in line.split(",")] for line in text.splitlines()]

        assert ["l", "1", "false", "false", "1", "1", "1", "0", "0", "0"] in rows(
            "dump_priority_levels"
        )
        assert rows("dump_queues")[1][:5] == ["l", "0", "1", "1", "1"]
        assert rows("dump_requests")[1][:5] == ["l", "s", "0", "0", "alice"]
        assert dump(control.levels, "dump_nothing") is None

    fakeclock.run(test())
