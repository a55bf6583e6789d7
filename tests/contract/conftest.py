"""A Redis for every test: an emptied one that all share, or one of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.redis_server import RedisProcess, start_redis


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    redis = start_redis(tmp_path_factory.mktemp("redis"))
    yield redis
    redis.kill()


@pytest.fixture
def redis(shared_redis: RedisProcess) -> RedisProcess:
    shared_redis.do("FLUSHALL")
    return shared_redis


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisProcess]:
    """One that the test may kill."""
    redis = start_redis(tmp_path / "redis")
    yield redis
    redis.kill()
