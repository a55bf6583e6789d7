"""RedisEventLog keeps the promises of every EventLog, whoever else writes into the stream."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest

from shared.eventlog import EventLog, EventLogError, EventLogUnavailable, UnknownFormat, pack_entry
from shared.eventlog.redis import RedisEventLog, RedisEventLogOptions
from tests.contract.eventlog import EventLogContract, entry, take
from tests.contract.redis_log import KEY, append_all, calls, opened, revisions, run
from tests.contract.redis_server import RedisProcess


class TestRedisEventLog(EventLogContract):
    @pytest.fixture(autouse=True)
    def _redis(self, redis: RedisProcess) -> None:
        self.redis = redis

    def open_log(self, *, limit_bytes: int | None = None) -> AbstractAsyncContextManager[EventLog]:
        options = RedisEventLogOptions()
        if limit_bytes is not None:
            options = replace(options, limit_bytes=limit_bytes)
        return opened(self.redis.server, options)


def test_two_leaders_at_once_leave_every_event_to_be_seen_once(redis: RedisProcess) -> None:
    async def test(log: RedisEventLog) -> None:
        async with opened(redis.server) as other, asyncio.TaskGroup() as tasks:
            following = tasks.create_task(revisions(log, after=0, until=400))
            tasks.create_task(append_all(log, *(entry(n, n + 4) for n in range(0, 400, 4))))
            tasks.create_task(append_all(other, *(entry(n, n + 5) for n in range(0, 400, 5))))
        assert following.result() == list(range(1, 401))

    run(redis.server, test)


def test_entries_of_any_size_are_read_in_order(redis: RedisProcess) -> None:
    sizes = [10] * 150 + [3_000_000] * 3 + [40_000] * 20 + [10] * 100
    written = [entry(n, n + 1, size=size) for n, size in enumerate(sizes)]

    async def test(log: RedisEventLog) -> None:
        await append_all(log, *written)
        assert await take(log, len(written), after=0) == written

    run(redis.server, test)


def test_a_reader_that_may_be_late_reads_everything_all_the_same(redis: RedisProcess) -> None:
    async def test(log: RedisEventLog) -> None:
        async def write() -> None:
            for revision in range(2, 42):
                await log.append(entry(revision - 1, revision))
                await asyncio.sleep(0.002)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(write())
            assert await revisions(log, after=1, until=41) == list(range(2, 42))

    run(redis.server, test, RedisEventLogOptions(pause_s=0.02))


PACKED = pack_entry(entry(0, 1))


@pytest.mark.parametrize(
    ("raw_id", "fields"),
    [
        ("1-0", ("e", b"garbage")),
        ("1-0", ("e", PACKED[:-1])),
        ("1-0", ("e", b"\x94\x63" + PACKED[2:])),
        ("1-0", ("other", PACKED)),
        ("1-0", ("e", PACKED, "more", "x")),
        ("2-0", ("e", PACKED)),
        ("1-1", ("e", PACKED)),
    ],
)
def test_an_entry_that_is_none_of_ours_is_of_unknown_format(
    redis: RedisProcess, raw_id: str, fields: tuple[str | bytes, ...]
) -> None:
    async def test(log: RedisEventLog) -> None:
        redis.do("XADD", KEY, raw_id, *fields)
        with pytest.raises(UnknownFormat):
            await take(log, 1, after=0)
        with pytest.raises(UnknownFormat):
            await log.bounds()

    run(redis.server, test)


def test_a_key_that_is_no_stream_is_an_error_that_says_so(redis: RedisProcess) -> None:
    async def test(log: RedisEventLog) -> None:
        redis.do("SET", KEY, "x")
        for call in calls(log):
            with pytest.raises(EventLogError, match="wrong kind of value") as caught:
                await call
            assert not isinstance(caught.value, EventLogUnavailable)

    run(redis.server, test)
