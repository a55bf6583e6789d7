"""Nobody notices that all replicas are restarted, but by a connection that ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.chaos.rolling import Result, rolling_restart
from tests.chaos.system import whole_system


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_watchers_resume_without_a_list_while_every_replica_is_restarted(
    runner: asyncio.Runner, tmp_path: Path
) -> None:
    async def run() -> Result:
        async with whole_system(tmp_path) as system:
            return await rolling_restart(system, tmp_path / "admin.kubeconfig", tmp_path)

    result = runner.run(run())
    print(result)
    assert not result.violations, result
    assert (result.watchers, result.gone, result.lists) == (500, 0, 0)
    assert result.resumes >= 300, "every watcher was on some replica"
    assert result.writes > 500
