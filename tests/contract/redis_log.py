"""An event log in Redis that is open for the length of a test, filled and followed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from shared.eventlog import Entry, EventLog, EventLogUnavailable
from shared.eventlog.redis import RedisEventLog, RedisEventLogOptions, RedisServer
from shared.storage import Revision
from tests.contract.eventlog import PATIENCE_S, entry, take

KEY = RedisEventLogOptions().key


@asynccontextmanager
async def opened(
    server: RedisServer, options: RedisEventLogOptions | None = None
) -> AsyncIterator[RedisEventLog]:
    log = RedisEventLog(server, options)
    yield log
    await log.aclose()


def run(
    server: RedisServer,
    test: Callable[[RedisEventLog], Awaitable[None]],
    options: RedisEventLogOptions | None = None,
) -> None:
    async def main() -> None:
        async with asyncio.timeout(20), opened(server, options) as log:
            await test(log)

    asyncio.run(main())


async def revisions(log: EventLog, *, after: int, until: int) -> list[int]:
    """What somebody who follows sees of the events after `after` up to `until`."""
    seen: list[int] = []
    position = after
    async with asyncio.timeout(PATIENCE_S), aclosing(log.read(after=Revision(after))) as entries:
        async for item in entries:
            assert item.previous <= position
            seen += [one.revision for one in item.events if one.revision > position]
            position = item.revision
            if position >= until:
                break
    return seen


async def append_all(log: EventLog, *items: Entry) -> None:
    for item in items:
        await log.append(item)


async def fill(log: EventLog, until: int, *, after: int = 0, step: int = 5) -> None:
    """Append up to `until` as a leader does: behind what is there, again whatever happens."""
    while True:
        try:
            bounds = await log.bounds()
            start = bounds.newest if bounds else after
            if start >= until:
                return
            for number in range(start, until, step):
                await log.append(entry(number, min(number + step, until)))
        except EventLogUnavailable:
            await asyncio.sleep(0.02)


def calls(log: EventLog) -> Iterator[Awaitable[Any]]:
    """Make a call of each kind, one when the one before was awaited."""
    yield log.bounds()
    yield log.append(entry(0, 1))
    yield take(log, 1, after=0)
