"""Every replica is restarted, one after the other, under many watchers and a steady load of writes.

python -m tests.chaos.rolling: nobody may notice but by a connection that ends.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import pickle
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import uvloop

from tests.chaos import checker
from tests.chaos.crowd import selection_of
from tests.chaos.history import History, Outcome
from tests.chaos.recorder import now
from tests.chaos.system import Part, RunningSystem, is_ready, whole_system
from tests.chaos.workload import Load, World, last_writes, prepare, writer

CROWDS = 2
"""Processes of watchers."""
RESTART_TIMEOUT_S = 60.0
CALM_S = 2.0


@dataclass(frozen=True, slots=True)
class Result:
    watchers: int
    events: int
    resumes: int
    gone: int
    lists: int
    writes: int
    writes_without_answer: int
    restarts_s: tuple[float, ...]
    """From SIGTERM until it was ready again, of each replica."""
    failures: dict[str, int]
    violations: tuple[checker.Violation, ...]

    def __str__(self) -> str:
        lines = [
            f"{self.watchers} watchers: {self.events} events, {self.resumes} resumes, "
            f"{self.gone} times 410, {self.lists} lists",
            f"{self.writes} writes, {self.writes_without_answer} of them without an answer",
            f"restarts: {', '.join(f'{seconds:.1f} s' for seconds in self.restarts_s)}",
            f"without answer: {self.failures}",
            f"{len(self.violations)} violations",
        ]
        return "\n".join([*lines, *(f"  {violation}" for violation in self.violations[:20])])


async def rolling_restart(
    system: RunningSystem,
    kubeconfig: Path,
    directory: Path,
    *,
    watchers: int = 500,
    writes_per_s: float = 100.0,
) -> Result:
    load = Load(writers=8, writes_per_s=writes_per_s)
    world = World(system.access, (), History(), load, seed=1)
    await prepare(world)
    start = world.history.newest
    share = watchers // CROWDS
    files = [directory / f"crowd-{number}" for number in range(CROWDS)]
    crowds = [await _crowd(kubeconfig, start, share, file) for file in files]
    stop = asyncio.Event()
    restarts = []
    try:
        async with asyncio.TaskGroup() as tasks:
            for number in range(load.writers):
                tasks.create_task(writer(world.client(f"writer-{number}"), stop))
            await asyncio.sleep(CALM_S)
            for part in [part for part in system.parts() if part.role == "apiserver"]:
                restarts.append(await _restart(system, part))
                await asyncio.sleep(CALM_S)
            stop.set()
        selections = {selection_of(number) for number in range(share)}
        targets = await last_writes(world, selections)
        line = json.dumps({one.query: revision for one, revision in targets.items()})
        for crowd in crowds:
            await crowd.communicate(line.encode() + b"\n")
    finally:
        for crowd in crowds:
            if crowd.returncode is None:
                crowd.kill()
    history = world.history
    for file in files:
        _merge(history, file)
    segments = [segment for watch in history.watches for segment in watch.segments]
    return Result(
        watchers=len(history.watches),
        events=sum(map(len, segments)),
        resumes=sum(segment.resumes for segment in segments),
        gone=len(history.gone),
        lists=len(segments) - len(history.watches),
        writes=len(history.writes),
        writes_without_answer=sum(one.outcome is Outcome.UNKNOWN for one in history.writes),
        restarts_s=tuple(restarts),
        failures=dict(history.failures),
        violations=checker.check(history),
    )


async def _crowd(
    kubeconfig: Path, revision: int, watchers: int, file: Path
) -> asyncio.subprocess.Process:
    """Start a crowd; returns when all of it watches."""
    crowd = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.crowd"),
        *(str(kubeconfig), str(revision), str(watchers), str(file)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert crowd.stdout is not None
    assert await crowd.stdout.readline() == b"watching\n"
    return crowd


async def _restart(system: RunningSystem, part: Part) -> float:
    """End a replica in peace and wait until its successor is ready; return how long that took."""
    began = now()
    os.kill(part.pid, signal.SIGTERM)
    assert part.port is not None
    while now() < began + RESTART_TIMEOUT_S:
        there = [one for one in system.parts() if one.name == part.name and one.pid != part.pid]
        if there and await is_ready(system.access, part.port):
            return now() - began
        await asyncio.sleep(0.05)
    raise AssertionError(f"{part.name} was not ready again after {RESTART_TIMEOUT_S:.0f} s")


def _merge(history: History, file: Path) -> None:
    """Add what a crowd saw."""
    theirs: History = pickle.loads(file.read_bytes())
    history.watches += theirs.watches
    history.gone += theirs.gone
    history.failures.update(theirs.failures)
    history.contradictions += theirs.contradictions
    for seen in (theirs.seen, theirs.seen_deleted):
        for revision, what in seen.items():
            history.see(revision, what, file.name)


async def _run(arguments: argparse.Namespace, directory: Path) -> Result:
    async with whole_system(directory, arguments.replicas) as system:
        return await rolling_restart(
            system,
            directory / "admin.kubeconfig",
            directory,
            watchers=arguments.watchers,
            writes_per_s=arguments.writes,
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.rolling", description=__doc__)
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--watchers", type=int, default=500)
    parser.add_argument("--writes", type=float, default=100.0, help="a second")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="kubefan-rolling-") as directory,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        result = runner.run(_run(arguments, Path(directory)))
    print(result)
    return 1 if result.violations or result.gone else 0


if __name__ == "__main__":
    sys.exit(main())
