"""The buffer before a backend: what requests wait for, what is lost, what is told of it."""

from __future__ import annotations

import asyncio

import pytest

from services.apiserver.audit.backend import Batching, Mode, Throttle
from services.apiserver.errors import InternalError
from services.apiserver.http.request import Request, Response
from tests.unit.audit_world import Collected, World

ONLY_RECEIVED = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [ResponseComplete]
rules: [{level: Metadata}]
"""


async def serve(request: Request) -> None:
    await request.audit.received()
    await request.audit.answering(Response(200, b'{"kind":"Pod"}'))
    await request.audit.complete()


def test_everything_taken_is_delivered_before_the_end() -> None:
    async def run() -> World:
        async with World(batching=Batching(wait_s=60, limit_batch=7)) as world:
            for number in range(100):
                await serve(world.request(f"/api/v1/namespaces/ns/pods/{number}"))
        return world

    world = asyncio.run(run())
    names = [event["objectRef"]["name"] for event in world.destination.events]
    assert names == [str(number) for number in range(100) for _ in range(2)]
    assert max(map(len, world.destination.batches)) <= 7
    assert world.destination.closed
    assert not world.metrics.errors


def test_batch_mode_never_waits_and_counts_what_is_lost() -> None:
    async def run() -> World:
        destination = Collected()
        destination.open.clear()
        batching = Batching(limit_buffer=10, limit_batch=1, wait_s=0)
        async with World(mode="batch", destination=destination, batching=batching) as world:
            await serve(world.request())
            await asyncio.sleep(0.01)  # one event is under way, held back by the destination
            for _ in range(10):
                await serve(world.request())
            destination.open.set()
        return world

    world = asyncio.run(run())
    assert len(world.destination.events) == 11
    assert world.metrics.errors == {"buffered": 11}
    assert world.metrics.events == 22


def test_blocking_mode_waits_for_room_and_loses_nothing() -> None:
    async def run() -> World:
        destination = Collected()
        destination.open.clear()
        batching = Batching(limit_buffer=4, limit_batch=2, wait_s=0)
        async with World(destination=destination, batching=batching) as world:
            serving = asyncio.gather(*(serve(world.request()) for _ in range(20)))
            await asyncio.sleep(0.02)
            assert not serving.done()
            destination.open.set()
            await serving
        return world

    world = asyncio.run(run())
    assert len(world.destination.events) == 40
    assert not world.metrics.errors


def test_strict_mode_refuses_a_request_that_can_not_be_recorded() -> None:
    async def run() -> World:
        destination = Collected()
        async with World(
            mode="blocking-strict", destination=destination, policy=ONLY_RECEIVED
        ) as world:
            await serve(world.request())
            assert len(destination.events) == 1
            destination.fails = True
            request = world.request()
            with pytest.raises(InternalError, match="failed to store audit event"):
                await request.audit.received()
            assert not request.audit.enabled
            destination.fails = False
            await serve(world.request())
        return world

    world = asyncio.run(run())
    assert world.metrics.rejected == 1
    assert world.metrics.errors == {"log": 1}
    assert len(world.destination.events) == 2


def test_who_waits_for_an_event_does_not_wait_for_a_batch() -> None:
    """Not even one that came while the batch before was under way."""

    async def run() -> None:
        destination = Collected()
        batching = Batching(wait_s=30)
        async with World(mode="blocking-strict", destination=destination, batching=batching) as w:
            destination.open.clear()
            first = asyncio.create_task(w.request().audit.received())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            second = asyncio.create_task(w.request().audit.received())
            await asyncio.sleep(0)
            destination.open.set()
            async with asyncio.timeout(2):
                await asyncio.gather(first, second)
        assert [len(batch) for batch in destination.batches] == [1, 1]

    asyncio.run(run())


@pytest.mark.parametrize("mode", ["blocking", "batch"])
def test_other_modes_only_count_what_can_not_be_written(mode: Mode) -> None:
    async def run() -> World:
        destination = Collected()
        destination.fails = True
        async with World(mode=mode, destination=destination) as world:
            await serve(world.request())
        return world

    world = asyncio.run(run())
    assert world.metrics.errors == {"log": 2}
    assert world.metrics.rejected == 0


def test_a_blocking_webhook_makes_requests_wait_until_it_has_the_event() -> None:
    async def run() -> World:
        destination = Collected(waits_for_delivery=True, limit_deliveries=4)
        destination.open.clear()
        async with World(destination=destination, batching=Batching(wait_s=60)) as world:
            serving = asyncio.create_task(serve(world.request()))
            await asyncio.sleep(0.02)
            assert not serving.done()
            destination.open.set()
            await asyncio.wait_for(serving, 5)
            assert len(destination.events) == 2
        return world

    asyncio.run(run())


def test_events_after_the_end_are_counted_as_lost() -> None:
    async def run() -> World:
        async with World() as world:
            request = world.request()
        await serve(request)
        return world

    assert asyncio.run(run()).metrics.errors == {"buffered": 2}


def test_what_is_in_the_buffer_is_delivered_when_the_server_fails() -> None:
    async def run() -> World:
        world = World(batching=Batching(wait_s=60))
        task = asyncio.create_task(world.auditor.run())
        await asyncio.sleep(0)
        await serve(world.request())
        await asyncio.sleep(0.01)
        await serve(world.request())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return world

    world = asyncio.run(run())
    assert len(world.destination.events) == 4
    assert world.destination.closed


def test_too_large_events_go_without_their_objects() -> None:
    async def run() -> World:
        async with World("RequestResponse", limit_event_bytes=2000) as world:
            for size in (10, 5000):
                request = world.request(method="PUT")
                await request.audit.received()
                request.audit.sent({"metadata": {}, "data": "x" * size})
                await request.audit.complete()
            long = world.request(f"/api/v1/pods?x={'y' * 3000}")
            await serve(long)
        return world

    world = asyncio.run(run())
    small, large = (event for event in world.destination.events if "responseStatus" in event)
    assert small["requestObject"]["data"] == "x" * 10
    assert "requestObject" not in large
    assert large["annotations"] == {"audit.k8s.io/truncated": "true"}
    assert world.metrics.errors == {"truncate": 2}


def test_batches_are_bounded_in_bytes() -> None:
    async def run() -> World:
        batching = Batching(limit_batch_bytes=1000, wait_s=60)
        async with World(batching=batching) as world:
            await asyncio.gather(*(serve(world.request()) for _ in range(10)))
        return world

    world = asyncio.run(run())
    assert len(world.destination.events) == 20
    assert max(map(len, world.destination.batches)) <= 3


def test_a_throttle_lets_a_burst_through_and_then_a_rate() -> None:
    async def run() -> float:
        throttle = Throttle(qps=100, burst=5)
        loop = asyncio.get_running_loop()
        started = loop.time()
        for _ in range(5):
            await throttle.wait()
        assert loop.time() - started < 0.01
        for _ in range(5):
            await throttle.wait()
        return loop.time() - started

    assert 0.04 <= asyncio.run(run()) < 1.0
