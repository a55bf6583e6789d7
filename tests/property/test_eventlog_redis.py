"""Whatever is appended and read, the Redis log and the one in memory say the same."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import aclosing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.eventlog import (
    Entry,
    EventLog,
    EventLogError,
    EventLogUnavailable,
    MemoryEventLog,
    MemoryEventLogOptions,
)
from shared.eventlog.redis import RedisEventLog, RedisEventLogOptions
from shared.storage import Revision
from tests.contract.eventlog import event
from tests.contract.redis_server import RedisProcess, start_redis

PATIENCE_S = 10
LIMIT_AGE_S = 25.0
STEP_S = 10.0
"""No entry is ever so old that the one trims it and the other, which trims a little more, not."""

appends = st.tuples(st.just("append"), st.integers(-4, 2), st.integers(1, 5), st.integers(0, 3))
reads = st.tuples(st.just("read"), st.integers(0, 12))
steps = st.lists(
    appends | appends | reads | st.just(("bounds",)) | st.just(("wait",)), min_size=5, max_size=40
)
keys = itertools.count()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    redis = start_redis(tmp_path_factory.mktemp("redis"))
    yield redis
    redis.kill()


class Clock:
    """One for both logs."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@settings(max_examples=150, deadline=None)
@given(steps)
def test_both_logs_behave_alike(redis: RedisProcess, steps: list[tuple[str | int, ...]]) -> None:
    asyncio.run(compare(redis, steps))


async def compare(redis: RedisProcess, steps: list[tuple[str | int, ...]]) -> None:
    clock = Clock()
    memory = MemoryEventLog(MemoryEventLogOptions(limit_age_s=LIMIT_AGE_S), clock=clock)
    options = RedisEventLogOptions(key=f"log{next(keys)}", limit_age_s=LIMIT_AGE_S)
    stream = RedisEventLog(redis.server, options, clock=clock)
    appended: list[Entry] = []
    newest = 0
    for step in steps:
        match step:
            case ("append", int(offset), int(length), int(events)):
                entry = made_entry(max(newest + offset, 0), length, events)
                accepted = await memory.append(entry)
                try:
                    assert await stream.append(entry) is accepted
                except EventLogUnavailable:
                    # What is behind a gap is given up, to be filled: a gap comes of two that
                    # append, and the log in memory has only one.
                    assert not accepted
                    follows = next(one for one in appended if one.revision > entry.previous)
                    assert follows.previous > entry.previous
                    assert await stream.bounds() is None
                    memory = MemoryEventLog(
                        MemoryEventLogOptions(limit_age_s=LIMIT_AGE_S), clock=clock
                    )
                    appended.clear()
                if accepted:
                    appended.append(entry)
                newest = max(newest, entry.revision)
            case ("read", int(back)):
                after = max(newest - back, 0)
                assert await whole(stream, after) == await whole(memory, after)
            case ("bounds",):
                assert await stream.bounds() == await memory.bounds()
            case _:
                clock.now += STEP_S
    assert await stream.bounds() == await memory.bounds()
    assert await whole(stream, 0) == await whole(memory, 0)
    redis.do("DEL", options.key)
    await stream.aclose()


def made_entry(previous: int, length: int, events: int) -> Entry:
    revisions = range(previous + 1, previous + length + 1)
    return Entry(
        Revision(previous),
        Revision(previous + length),
        tuple(event(revision) for revision in revisions[max(length - events, 0) :]),
    )


async def whole(log: EventLog, after: int) -> list[object]:
    """All that a reader gets without waiting, and how it ends."""
    bounds = await log.bounds()
    seen: list[object] = []
    if bounds is None or after >= bounds.newest:
        return seen
    try:
        async with asyncio.timeout(PATIENCE_S), aclosing(log.read(after=Revision(after))) as items:
            async for item in items:
                seen.append(item)
                if item.revision >= bounds.newest:
                    break
    except EventLogError as error:
        seen.append((type(error), error.args))
    return seen
