"""WorkQueue: order, one key once, retries."""

from __future__ import annotations

import asyncio

import pytest

from services.controllers.client import ClientError
from services.controllers.controller import NotYet, run_workers
from services.controllers.workqueue import WorkQueue
from tests import fakeclock


async def drain(queue: WorkQueue) -> list[str]:
    keys = []
    while len(queue):
        keys.append(await queue.get())
        queue.done(keys[-1])
    return keys


def test_keys_come_out_in_the_order_they_were_added() -> None:
    async def scenario() -> list[str]:
        queue = WorkQueue("q")
        for key in ("c", "a", "b"):
            queue.add(key)
        return await drain(queue)

    assert fakeclock.run(scenario()) == ["c", "a", "b"]


def test_a_key_added_twice_while_it_waits_comes_out_once() -> None:
    async def scenario() -> list[str]:
        queue = WorkQueue("q")
        for key in ("a", "b", "a"):
            queue.add(key)
        return await drain(queue)

    assert fakeclock.run(scenario()) == ["a", "b"]


def test_a_key_added_during_its_work_comes_out_again_only_after_done() -> None:
    async def scenario() -> None:
        queue = WorkQueue("q")
        queue.add("a")
        key = await queue.get()
        queue.add("a")
        assert len(queue) == 0
        queue.done(key)
        assert await queue.get() == "a"

    fakeclock.run(scenario())


def test_get_waits_for_a_key() -> None:
    async def scenario() -> str:
        queue = WorkQueue("q")
        getting = asyncio.create_task(queue.get())
        await asyncio.sleep(1)
        assert not getting.done()
        queue.add("late")
        return await getting

    assert fakeclock.run(scenario()) == "late"


def test_a_cancelled_get_takes_no_key() -> None:
    async def scenario() -> list[str]:
        queue = WorkQueue("q")
        getting = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add("a")
        getting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await getting
        return await drain(queue)

    assert fakeclock.run(scenario()) == ["a"]


def test_two_waiting_workers_get_one_key_each() -> None:
    async def scenario() -> set[str]:
        queue = WorkQueue("q")
        workers = [asyncio.create_task(queue.get()) for _ in range(2)]
        await asyncio.sleep(0)
        queue.add("a")
        queue.add("b")
        return set(await asyncio.gather(*workers))

    assert fakeclock.run(scenario()) == {"a", "b"}


def test_a_delayed_key_comes_when_its_time_has_come() -> None:
    async def scenario() -> float:
        queue = WorkQueue("q")
        start = asyncio.get_running_loop().time()
        queue.add_after("a", 30)
        await queue.get()
        return asyncio.get_running_loop().time() - start

    assert fakeclock.run(scenario()) == pytest.approx(30)


@pytest.mark.parametrize("delays", [(5, 30), (30, 5)])
def test_of_two_delays_the_one_that_ends_first_counts_and_the_key_comes_once(
    delays: tuple[float, float],
) -> None:
    async def scenario() -> tuple[float, int]:
        queue = WorkQueue("q")
        start = asyncio.get_running_loop().time()
        for delay_s in delays:
            queue.add_after("a", delay_s)
        queue.done(await queue.get())
        came_after_s = asyncio.get_running_loop().time() - start
        await asyncio.sleep(60)
        return came_after_s, len(queue)

    came_after_s, left = fakeclock.run(scenario())
    assert came_after_s == pytest.approx(5)
    assert left == 0


def test_waits_of_a_failing_key_double_up_to_the_maximum_until_it_is_forgotten() -> None:
    async def scenario() -> list[float]:
        queue = WorkQueue("q", retry_initial_s=1, retry_maximum_s=5)
        loop = asyncio.get_running_loop()
        waits = []
        for attempt in range(6):
            if attempt == 5:
                queue.forget("a")
            start = loop.time()
            queue.add_rate_limited("a")
            queue.done(await queue.get())
            waits.append(loop.time() - start)
        return waits

    assert fakeclock.run(scenario()) == pytest.approx([1, 2, 4, 5, 5, 1])


def test_a_key_that_has_failed_a_thousand_times_still_waits_the_maximum() -> None:
    async def scenario() -> float:
        queue = WorkQueue("q", retry_initial_s=1, retry_maximum_s=5)
        for _ in range(2000):
            queue.add_rate_limited("a")
            queue.close()
        start = asyncio.get_running_loop().time()
        queue.add_rate_limited("a")
        await queue.get()
        return asyncio.get_running_loop().time() - start

    assert fakeclock.run(scenario()) == pytest.approx(5)


@pytest.mark.parametrize("failure", [NotYet("later"), ClientError("no answer")])
def test_workers_come_back_to_a_key_that_is_not_done_yet(failure: Exception) -> None:
    async def scenario() -> tuple[list[str], int]:
        queue = WorkQueue("q", retry_initial_s=1)
        seen: list[str] = []
        finished = asyncio.Event()

        async def reconcile(key: str) -> None:
            seen.append(key)
            if len(seen) < 3:
                raise failure
            finished.set()

        queue.add("a")
        workers = asyncio.create_task(run_workers(queue, reconcile, workers=2))
        await finished.wait()
        await asyncio.sleep(0)
        workers.cancel()
        return seen, queue.retries("a")

    assert fakeclock.run(scenario()) == (["a", "a", "a"], 0)


def test_a_bug_in_reconcile_ends_the_workers() -> None:
    async def scenario() -> None:
        queue = WorkQueue("q")

        async def reconcile(key: str) -> None:
            raise KeyError(key)

        queue.add("a")
        await run_workers(queue, reconcile, workers=2)

    with pytest.raises(ExceptionGroup) as caught:
        fakeclock.run(scenario())
    assert isinstance(caught.value.exceptions[0], KeyError)


def test_several_workers_never_have_one_key_at_the_same_time() -> None:
    async def scenario() -> int:
        queue = WorkQueue("q")
        in_work: set[str] = set()
        calls = 0

        async def reconcile(key: str) -> None:
            nonlocal calls
            assert key not in in_work
            in_work.add(key)
            await asyncio.sleep(1)
            in_work.discard(key)
            calls += 1

        workers = asyncio.create_task(run_workers(queue, reconcile, workers=3))
        for _ in range(20):
            queue.add("a")
            queue.add("b")
            await asyncio.sleep(0.3)
        await asyncio.sleep(5)
        workers.cancel()
        return calls

    assert fakeclock.run(scenario()) >= 8
