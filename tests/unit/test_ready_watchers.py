"""Drains run soon, once each, in order, and never for long at a time."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from shared.storage import Revision
from shared.watchcache import ReadyWatchers, WatchCache
from tests.unit.watchcache_world import PODS, added, entry


def test_drains_run_in_order_after_the_dispatch() -> None:
    async def test() -> None:
        ready = ReadyWatchers(asyncio.get_running_loop())
        cache = WatchCache()
        pods = cache.resource(PODS)
        taken: list[tuple[int, int]] = []

        def connect(number: int) -> None:
            def drain() -> None:
                taken.append((number, len(watcher.drain())))

            watcher = pods.watch(after=Revision(0), on_ready=partial(ready.add, drain))

        for number in range(3):
            connect(number)
        cache.apply(entry(0, added(PODS + b"ns/a", 1), added(PODS + b"ns/b", 2)))
        assert taken == []
        await asyncio.sleep(0)
        assert taken == [(0, 2), (1, 2), (2, 2)]

    asyncio.run(test())


def test_many_drains_let_others_run_in_between() -> None:
    async def test() -> None:
        ready = ReadyWatchers(asyncio.get_running_loop())
        for _ in range(100):
            ready.add(partial(time.sleep, 0.0005))  # a drain that writes
        await asyncio.sleep(0)
        assert 0 < len(ready) < 100
        async with asyncio.timeout(10):
            while len(ready):  # noqa: ASYNC110 - what it shows is that the loop turns
                await asyncio.sleep(0)

    asyncio.run(test())


def test_a_drain_that_fails_does_not_stop_the_others() -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        failures: list[object] = []
        loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))
        ready = ReadyWatchers(loop)
        done = asyncio.Event()

        def fail() -> None:
            raise ZeroDivisionError

        ready.add(fail)
        ready.add(done.set)
        await asyncio.wait_for(done.wait(), 5)
        assert [type(failure) for failure in failures] == [ZeroDivisionError]

    asyncio.run(test())
