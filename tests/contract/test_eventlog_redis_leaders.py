"""Several who append in turn: what one knew of the stream counts for nothing when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared.eventlog import Bounds, EventLogUnavailable
from shared.eventlog.redis import RedisEventLog, RedisEventLogOptions
from shared.storage import Revision
from tests.contract.eventlog import entry
from tests.contract.redis_log import KEY, append_all, fill, opened, revisions
from tests.contract.redis_server import RedisProcess


def test_entries_of_another_appender_are_not_as_old_as_those_they_came_after(
    redis: RedisProcess,
) -> None:
    async def main() -> None:
        now = 100.0
        options = RedisEventLogOptions(limit_age_s=10)
        one, other = (RedisEventLog(redis.server, options, clock=lambda: now) for _ in range(2))
        await append_all(one, entry(0, 1), entry(1, 2), entry(2, 3))
        now = 200.0
        await other.bounds()
        await append_all(other, entry(3, 4), entry(4, 5))
        # As many as one has left behind: they could be taken for those.
        redis.do("XTRIM", KEY, "MAXLEN", 3)
        await one.bounds()
        await one.append(entry(5, 6))
        assert await one.bounds() == Bounds(Revision(2), Revision(6))
        await one.aclose()
        await other.aclose()

    asyncio.run(main())


async def two_logs(
    redis: RedisProcess, story: Callable[[RedisEventLog, RedisEventLog], Awaitable[None]]
) -> None:
    async with opened(redis.server) as one, opened(redis.server) as other:
        await story(one, other)


def test_a_gap_that_one_of_two_left_in_a_log_that_was_emptied_is_filled(
    redis: RedisProcess,
) -> None:
    async def story(one: RedisEventLog, other: RedisEventLog) -> None:
        await fill(one, 60)
        redis.do("FLUSHALL")
        await other.bounds()
        await append_all(other, entry(0, 10), entry(10, 20))
        await one.append(entry(60, 61))  # it has not noticed
        with pytest.raises(EventLogUnavailable, match="gap"):
            await other.append(entry(20, 30))
        await fill(other, 62)
        assert await revisions(other, after=0, until=62) == list(range(1, 63))

    asyncio.run(two_logs(redis, story))


def test_who_is_behind_leaves_a_log_that_was_trimmed_as_it_is(redis: RedisProcess) -> None:
    async def story(one: RedisEventLog, other: RedisEventLog) -> None:
        await append_all(one, *(entry(n, n + 1) for n in range(10)))
        redis.do("XTRIM", KEY, "MAXLEN", 3)
        assert not await other.append(entry(2, 5))
        assert await one.bounds() == Bounds(Revision(7), Revision(10))

    asyncio.run(two_logs(redis, story))


def test_who_is_behind_leaves_a_log_that_goes_on_as_it_is(redis: RedisProcess) -> None:
    async def story(one: RedisEventLog, other: RedisEventLog) -> None:
        await append_all(one, entry(0, 4), entry(4, 8), entry(8, 12))
        for item in (entry(4, 8), entry(5, 6), entry(2, 9), entry(11, 12)):
            assert not await other.append(item)
        assert await one.bounds() == Bounds(Revision(0), Revision(12))

    asyncio.run(two_logs(redis, story))
