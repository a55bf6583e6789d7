"""Clients work while parts fail; then everything they recorded is checked.

python -m tests.chaos.run --seconds 120 --seed 7
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import uvloop

from shared.storage import Compacted, Revision, Storage, StorageError
from tests.chaos import checker
from tests.chaos.client import Connection
from tests.chaos.faults import Faults
from tests.chaos.history import EVERYTHING, Freshness, History, Listing, revisions
from tests.chaos.recorder import NAMESPACE, PREFIX, now
from tests.chaos.system import RunningSystem, is_ready, plain_replicas, relayed_system, whole_system
from tests.chaos.workload import (
    Load,
    World,
    finish,
    prepare,
    reader,
    same_everywhere,
    watchers,
    writer,
)

HEAL_S = 60.0
COMPACTION_POLL_S = 5.0


@dataclass(frozen=True, slots=True)
class Result:
    counts: dict[str, int]
    violations: tuple[checker.Violation, ...]
    longest_pause_s: float
    """Without any acknowledged write."""

    def __str__(self) -> str:
        lines = [f"{what:<60} {count:>9}" for what, count in self.counts.items()]
        lines.append(
            f"{'longest time without an acknowledged write':<60} {self.longest_pause_s:8.1f}s"
        )
        lines.append(f"{'violations':<60} {len(self.violations):>9}")
        lines += [f"  {violation}" for violation in self.violations[:40]]
        return "\n".join(lines)


async def chaos(system: RunningSystem, *, seconds: float, seed: int, load: Load) -> Result:
    """Run clients and faults for `seconds`, let all heal, and check what the clients saw."""
    history = History()
    world = World(system.access, system.replica_ports, history, load, seed)
    await prepare(world)
    watching = watchers(world)
    stop_faults, stop = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        watches = [tasks.create_task(one.run(), name="watcher") for one in watching]
        for number in range(load.writers):
            tasks.create_task(writer(world.client(f"writer-{number}"), stop))
        for number in range(load.readers):
            tasks.create_task(reader(world.client(f"reader-{number}"), stop))
        tasks.create_task(same_everywhere(world.client("comparer"), stop))
        tasks.create_task(note_compactions(system, history, stop))
        harm = tasks.create_task(Faults(system, history, seed).run(stop_faults))
        await asyncio.sleep(seconds)
        stop_faults.set()
        await harm
        unhealed = await not_ready(system)
        stop.set()
        await finish(world, watching)
        for watch in watches:
            watch.cancel()
    unhealed += await final_state(world, system)
    storage = await system.open_etcd()
    try:
        history.listings.append(await stored(storage))
        history.compactions.append((now(), await compacted_revision(storage)))
    finally:
        await storage.aclose()
    violations = (*unhealed, *checker.check(history))
    return Result(history.counts(), violations, _longest_pause(history))


async def note_compactions(system: RunningSystem, history: History, stop: asyncio.Event) -> None:
    """Ask etcd itself now and then what it has forgotten."""
    storage = await system.open_etcd()
    try:
        while not stop.is_set():
            with contextlib.suppress(StorageError):
                history.compactions.append((now(), await compacted_revision(storage)))
            await asyncio.sleep(COMPACTION_POLL_S)
    finally:
        await storage.aclose()


async def not_ready(system: RunningSystem) -> list[checker.Violation]:
    """Wait until every replica is ready again, and return who never was."""
    deadline = now() + HEAL_S
    violations = []
    for port in (*system.replica_ports, system.access.port):
        while not await is_ready(system.access, port):
            if now() > deadline:
                what = f"port {port} was not ready {HEAL_S:.0f} s after the last fault"
                violations.append(checker.Violation("recovery", what))
                break
            await asyncio.sleep(0.2)
    return violations


async def final_state(world: World, system: RunningSystem) -> list[checker.Violation]:
    """List all from every replica once more, and return who gave no list."""
    client = world.client("final")
    violations = []
    for number, port in enumerate(system.replica_ports, 1):
        connection = Connection(system.access, port)
        listing = await client.recorder.list(
            connection, f"replica {number}", EVERYTHING, Freshness.CONSISTENT
        )
        connection.close()
        if listing is None:
            violations.append(
                checker.Violation("recovery", f"replica {number} gave no list at the end")
            )
    return violations


async def stored(storage: Storage) -> Listing:
    """What the store itself holds, as a list."""
    began = now()
    prefix = f"/registry/configmaps/{NAMESPACE}/{PREFIX}".encode()
    page = await storage.list(prefix)
    return Listing(
        EVERYTHING,
        Freshness.CONSISTENT,
        0,
        page.revision,
        revisions([item.revision for item in page.items]),
        began,
        now(),
        "etcd",
    )


async def compacted_revision(storage: Storage) -> int:
    """Return up to which revision the store has forgotten its history."""
    try:
        await storage.get(b"/", revision=Revision(1))
    except Compacted as compacted:
        return compacted.oldest
    return 0


def _longest_pause(history: History) -> float:
    times = sorted(write.ended for write in history.writes if write.outcome == "ok")
    return max((after - before for before, after in pairwise(times)), default=0)


async def _run(arguments: argparse.Namespace, data_dir: Path) -> Result:
    shape: AbstractAsyncContextManager[RunningSystem] = SHAPES[arguments.shape](
        data_dir,
        arguments.replicas,
        f"--etcd-compaction-interval={arguments.etcd_compaction_interval}",
    )
    load = Load(writes_per_s=arguments.writes, reads_per_s=arguments.reads)
    async with shape as system:
        return await chaos(system, seconds=arguments.seconds, seed=arguments.seed, load=load)


SHAPES = {"relayed": relayed_system, "whole": whole_system, "plain": plain_replicas}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.run", description=__doc__)
    add = parser.add_argument
    add("--seconds", type=float, default=120.0, help="how long things go wrong")
    add("--seed", type=int, default=int(time.time()), help="decides what clients do and what fails")
    add("--replicas", type=int, default=3)
    add("--writes", type=float, default=60.0, help="a second, of all writers")
    add("--reads", type=float, default=20.0, help="a second, of all readers")
    add("--shape", choices=SHAPES, default="relayed")
    add("--etcd-compaction-interval", default="5m", help="how long the store keeps its history")
    add("--data-dir", type=Path, help="keeps logs and data there; must be empty")
    add("--report", type=Path, help="writes what was counted there as JSON")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}, {arguments.seconds:.0f} s", flush=True)
    with tempfile.TemporaryDirectory(prefix="kubefan-chaos-") as temporary:
        data_dir = arguments.data_dir or Path(temporary)
        data_dir.mkdir(parents=True, exist_ok=True)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(_run(arguments, data_dir))
    print(result)
    if arguments.report is not None:
        report = {
            "seed": arguments.seed,
            "seconds": arguments.seconds,
            "counts": result.counts,
            "longest_pause_s": result.longest_pause_s,
            "violations": [str(violation) for violation in result.violations],
        }
        arguments.report.write_text(json.dumps(report, indent=2) + "\n")
    return 1 if result.violations else 0


if __name__ == "__main__":
    sys.exit(main())
