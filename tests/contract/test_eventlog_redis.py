"""RedisEventLog keeps the promises of every EventLog, and what only it promises."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

import pytest

from shared.eventlog import EventLog
from shared.eventlog.redis import RedisEventLog, RedisEventLogOptions
from tests.contract.eventlog import EventLogContract
from tests.contract.redis_server import RedisProcess, start_redis


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    redis = start_redis(tmp_path_factory.mktemp("redis"))
    yield redis
    redis.kill()


class TestRedisEventLog(EventLogContract):
    @pytest.fixture(autouse=True)
    def _redis(self, redis: RedisProcess) -> None:
        self.redis = redis
        redis.do("FLUSHALL")

    def open_log(self, *, limit_bytes: int | None = None) -> AbstractAsyncContextManager[EventLog]:
        @asynccontextmanager
        async def opened() -> AsyncIterator[EventLog]:
            options = RedisEventLogOptions()
            if limit_bytes is not None:
                options = RedisEventLogOptions(limit_bytes=limit_bytes)
            log = RedisEventLog(self.redis.server, options)
            yield log
            await log.aclose()

        return opened()
