"""Events flow again soon after a part died. The limits leave room for a busy machine; what it
takes on a quiet one is measured by `python -m tests.chaos.recovery`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.chaos import recovery
from tests.chaos.system import whole_system

LEASE_S = 3.0
SLACK_S = 9.0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_events_flow_again_after_a_part_died(runner: asyncio.Runner, tmp_path: Path) -> None:
    async def run() -> dict[str, dict[str, float]]:
        async with whole_system(tmp_path) as system:
            return {
                what: await recovery.pause(system, harm)
                for what, harm in recovery.HARMS.items()
                if harm in (recovery.kill_leader, recovery.flush) or "Redis" in what
            }

    pauses = runner.run(run())
    print(pauses)
    assert all(
        seconds < LEASE_S + SLACK_S
        for by_replica in pauses.values()
        for seconds in by_replica.values()
    ), pauses
