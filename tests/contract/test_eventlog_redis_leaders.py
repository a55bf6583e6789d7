"""Several who append in turn: what one knew of the stream counts for nothing when it is back."""

from __future__ import annotations

import asyncio

from shared.eventlog import Bounds
from shared.eventlog.redis import RedisEventLog, RedisEventLogOptions
from shared.storage import Revision
from tests.contract.eventlog import entry
from tests.contract.redis_log import KEY, append_all
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
