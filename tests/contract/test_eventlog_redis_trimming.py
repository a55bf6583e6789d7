"""The stream is kept within its bounds, and readers are told of what is gone."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from shared.eventlog import Bounds, EventLogUnavailable, Hole, Trimmed
from shared.eventlog.redis import RedisEventLog, RedisEventLogOptions
from shared.storage import Revision
from tests.contract.eventlog import entry, take
from tests.contract.redis_log import KEY, append_all, opened, revisions, run
from tests.contract.redis_server import RedisProcess


def test_a_slow_reader_is_told_that_the_stream_was_trimmed_before_it(redis: RedisProcess) -> None:
    async def test(log: RedisEventLog) -> None:
        await append_all(log, *(entry(n, n + 1) for n in range(100)))
        async with aclosing(log.read(after=Revision(0))) as entries:
            assert (await anext(entries)).revision == 1
            redis.do("XTRIM", KEY, "MINID", "90")
            with pytest.raises(Trimmed) as caught:
                async for _ in entries:
                    pass
        assert caught.value.oldest == 89

    run(redis.server, test)


def test_a_reader_of_a_stream_that_was_emptied_is_told_so(redis: RedisProcess) -> None:
    async def test(log: RedisEventLog) -> None:
        await append_all(log, *(entry(n, n + 1) for n in range(10)))
        redis.do("XTRIM", KEY, "MAXLEN", 0)
        assert await log.bounds() is None
        with pytest.raises(Trimmed) as caught:
            await take(log, 1, after=4)
        assert (caught.value.after, caught.value.oldest) == (4, 10)

    run(redis.server, test, RedisEventLogOptions(block_s=0.05))


def test_a_hole_in_the_middle_is_no_trimming(redis: RedisProcess) -> None:
    async def test(log: RedisEventLog) -> None:
        await append_all(log, *(entry(n, n + 1) for n in range(10)))
        redis.do("XDEL", KEY, "5-0")
        with pytest.raises(Hole) as caught:
            await take(log, 10, after=0)
        assert (caught.value.after, caught.value.previous) == (4, 5)

    run(redis.server, test)


def test_entries_over_the_age_limit_go_when_the_next_one_comes(redis: RedisProcess) -> None:
    async def main() -> None:
        now = 100.0
        options = RedisEventLogOptions(limit_age_s=10)
        log = RedisEventLog(redis.server, options, clock=lambda: now)
        await log.append(entry(0, 1))
        now = 105.0
        await log.append(entry(1, 2))
        now = 112.0
        await log.append(entry(2, 3))
        assert await log.bounds() == Bounds(Revision(1), Revision(3))
        await log.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("size", [1_000, 4_300, 20_000])
def test_the_size_that_is_counted_is_what_redis_needs(redis: RedisProcess, size: int) -> None:
    async def test(log: RedisEventLog) -> None:
        await append_all(log, *(entry(n, n + 1, size=size) for n in range(300)))
        needed = redis.do("MEMORY", "USAGE", KEY, "SAMPLES", 0)
        assert log.size_bytes == pytest.approx(needed, rel=0.2)

    run(redis.server, test)


def test_a_new_leader_trims_what_its_predecessor_has_left(redis: RedisProcess) -> None:
    options = RedisEventLogOptions(limit_bytes=500_000)

    async def test(log: RedisEventLog) -> None:
        await append_all(log, *(entry(n, n + 1, size=1000) for n in range(300)))
        async with opened(redis.server, options) as successor:
            await successor.append(entry(300, 301, size=1000))
            assert successor.length == 301
            assert successor.size_bytes == pytest.approx(log.size_bytes * 301 / 300, rel=0.2)
            await append_all(successor, *(entry(n, n + 1, size=1000) for n in range(301, 500)))
            assert successor.size_bytes <= options.limit_bytes
            assert successor.length == redis.do("XLEN", KEY) < 400
            # The first one again: it must not go on with what it believes.
            await log.append(entry(500, 501, size=1000))
            assert log.length == redis.do("XLEN", KEY)
            assert log.size_bytes == pytest.approx(successor.size_bytes, rel=0.2)

    run(redis.server, test)


def test_in_a_redis_with_less_memory_than_the_limit_the_oldest_entries_make_room(
    own_redis: RedisProcess,
) -> None:
    async def test(log: RedisEventLog) -> None:
        used = int(own_redis.do("INFO", "memory")["used_memory"])
        own_redis.do("CONFIG", "SET", "maxmemory", used + 3_000_000)
        own_redis.do("CONFIG", "SET", "maxmemory-policy", "noeviction")
        refusals = 0
        for revision in range(1, 401):
            while True:
                try:
                    assert await log.append(entry(revision - 1, revision, size=20_000))
                    break
                except EventLogUnavailable:
                    refusals += 1
                    assert refusals < 100
        bounds = await log.bounds()
        assert bounds is not None
        assert bounds.newest == 400
        assert await revisions(log, after=bounds.oldest, until=400)

    run(own_redis.server, test)
