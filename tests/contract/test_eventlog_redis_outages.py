"""Redis dies, forgets, takes no writes: readers go on without a gap or are told."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

import pytest

from shared.eventlog import Bounds, EventLogClosed, EventLogUnavailable, Trimmed
from shared.eventlog.redis import RedisEventLog, RedisEventLogOptions
from shared.storage import Revision
from tests.contract.eventlog import entry, take
from tests.contract.redis_log import calls, fill, revisions, run
from tests.contract.redis_server import RedisProcess


def test_a_reader_goes_on_when_redis_comes_back_empty_and_is_filled_again(
    own_redis: RedisProcess,
) -> None:
    async def test(log: RedisEventLog) -> None:
        await fill(log, 50)
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(revisions(log, after=0, until=120))
            await asyncio.sleep(0.1)
            await asyncio.to_thread(own_redis.kill)
            await asyncio.sleep(0.1)
            await asyncio.to_thread(own_redis.start)
            await fill(log, 120, step=7)
        assert following.result() == list(range(1, 121))

    run(own_redis.server, test)


def test_a_reader_is_told_when_redis_comes_back_with_less_than_it_needs(
    own_redis: RedisProcess,
) -> None:
    async def test(log: RedisEventLog) -> None:
        await fill(log, 50)
        following = asyncio.create_task(revisions(log, after=0, until=100))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(own_redis.kill)
        await asyncio.to_thread(own_redis.start)
        await fill(log, 100, after=60)
        with pytest.raises(Trimmed) as caught:
            await following
        assert (caught.value.after, caught.value.oldest) == (50, 60)

    run(own_redis.server, test)


def test_who_appends_is_told_once_that_the_stream_has_been_flushed(redis: RedisProcess) -> None:
    async def test(log: RedisEventLog) -> None:
        await fill(log, 50)
        redis.do("FLUSHALL")
        with pytest.raises(EventLogUnavailable, match="gone"):
            await log.append(entry(50, 51))
        assert await log.bounds() is None
        assert log.length == 0
        assert await log.append(entry(40, 51))
        assert await log.bounds() == Bounds(Revision(40), Revision(51))
        assert log.length == 1

    run(redis.server, test)


def test_a_flushed_stream_that_is_filled_again_is_followed_without_a_gap(
    redis: RedisProcess,
) -> None:
    async def test(log: RedisEventLog) -> None:
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(revisions(log, after=0, until=300))
            for until in (100, 200, 300):
                await fill(log, until)
                redis.do("FLUSHALL")
                await fill(log, until, after=until // 2, step=3)
        assert following.result() == list(range(1, 301))

    run(redis.server, test)


def test_killed_in_the_middle_of_a_batch_the_stream_is_filled_and_nothing_is_lost(
    own_redis: RedisProcess,
) -> None:
    async def test(log: RedisEventLog) -> None:
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(revisions(log, after=0, until=2000))
            filling = tasks.create_task(fill(log, 2000, step=1))
            for _ in range(3):
                await asyncio.sleep(0.05)
                assert not filling.done()
                await asyncio.to_thread(own_redis.kill)
                await asyncio.to_thread(own_redis.start)
        assert following.result() == list(range(1, 2001))

    run(own_redis.server, test)


def test_redis_that_stays_away_ends_the_reader(own_redis: RedisProcess) -> None:
    async def test(log: RedisEventLog) -> None:
        await log.append(entry(0, 1))
        async with aclosing(log.read(after=Revision(0))) as entries:
            await anext(entries)
            own_redis.kill()
            started = time.monotonic()
            with pytest.raises(EventLogUnavailable):
                await anext(entries)
            assert 0.3 < time.monotonic() - started < 3

    run(own_redis.server, test, RedisEventLogOptions(patience_s=0.4))


def test_closing_ends_a_reader_that_waits_for_redis_to_come_back(own_redis: RedisProcess) -> None:
    async def test(log: RedisEventLog) -> None:
        await log.append(entry(0, 1))
        reading = asyncio.create_task(take(log, 2, after=0))
        await asyncio.sleep(0.1)
        own_redis.kill()
        await asyncio.sleep(0.2)
        await log.aclose()
        with pytest.raises(EventLogClosed):
            await reading
        for call in calls(log):
            with pytest.raises(EventLogClosed):
                await call

    run(own_redis.server, test)


@pytest.mark.parametrize(
    ("spoil", "mend"),
    [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
        ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
    ],
)
def test_a_redis_that_takes_no_writes_for_now_is_unavailable(
    own_redis: RedisProcess, spoil: str, mend: str
) -> None:
    async def test(log: RedisEventLog) -> None:
        await log.append(entry(0, 1))
        own_redis.do(*spoil.split())
        with pytest.raises(EventLogUnavailable):
            await log.append(entry(1, 2))
        assert await log.bounds() == Bounds(Revision(0), Revision(1))
        own_redis.do(*mend.split())
        assert await log.append(entry(1, 2))

    run(own_redis.server, test)
