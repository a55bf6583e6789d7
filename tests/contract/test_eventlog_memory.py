"""MemoryEventLog keeps the promises of every EventLog, and its own about age."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from shared.eventlog import Bounds, EventLog, MemoryEventLog, MemoryEventLogOptions
from shared.storage import Revision
from tests.contract.eventlog import EventLogContract, entry


class TestMemoryEventLog(EventLogContract):
    def open_log(self, *, limit_bytes: int | None = None) -> AbstractAsyncContextManager[EventLog]:
        @asynccontextmanager
        async def opened() -> AsyncIterator[EventLog]:
            options = MemoryEventLogOptions()
            if limit_bytes is not None:
                options = MemoryEventLogOptions(limit_bytes=limit_bytes)
            log = MemoryEventLog(options)
            yield log
            await log.aclose()

        return opened()


def test_entries_over_the_age_limit_go_when_the_next_one_comes() -> None:
    async def test() -> None:
        now = 100.0
        log = MemoryEventLog(MemoryEventLogOptions(limit_age_s=10), clock=lambda: now)
        await log.append(entry(0, 1))
        now = 105.0
        await log.append(entry(1, 2))
        now = 112.0
        await log.append(entry(2, 3))
        assert await log.bounds() == Bounds(Revision(1), Revision(3))

    asyncio.run(test())
