"""Two minutes of faults: no promise is broken, and enough happened to say so."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.chaos.run import Result, chaos
from tests.chaos.system import relayed_system
from tests.chaos.workload import Load

SEED = int(os.environ.get("KUBEFAN_CHAOS_SEED", "7"))
SECONDS = 120.0


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_promises_hold_while_parts_die_hang_and_are_cut_off(
    runner: asyncio.Runner, tmp_path: Path
) -> None:
    """A failure is found again with KUBEFAN_CHAOS_SEED, as far as timing allows."""

    async def run() -> Result:
        async with relayed_system(tmp_path) as system:
            return await chaos(system, seconds=SECONDS, seed=SEED, load=Load())

    result = runner.run(run())
    print(result)
    assert not result.violations, f"seed {SEED}:\n{result}"
    counts = result.counts
    assert counts["410"] == 0
    assert counts["update ok"] > 500, result
    assert counts["watch lines"] > 5_000, result
    assert sum(count for what, count in counts.items() if what.startswith("fault")) > 12, result
