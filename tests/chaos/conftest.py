"""The tests here need the whole system's programs: skipped without, but not in CI."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest
import uvloop

from tests.chaos.system import missing_programs


@pytest.fixture(scope="session")
def programs() -> None:
    """etcd, Redis and HAProxy."""
    missing = missing_programs("etcd", "redis-server", "haproxy")
    if missing and os.environ.get("CI"):
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


@pytest.fixture
def runner(programs: None) -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner
