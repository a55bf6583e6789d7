"""How late events are, and how long they pause when a part dies: measured at each replica.

python -m tests.chaos.recovery. All on one machine, the clients too. The lag of an event is counted
once from before its write was sent (an upper bound: it holds the write itself) and once from the
write's answer (a lower bound: an event may come before it). The commit in etcd lies in between.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from tests.chaos.client import Connection, Disconnected
from tests.chaos.history import UNCONDITIONAL, History, Outcome, Write
from tests.chaos.recorder import CONFIGMAPS, now
from tests.chaos.system import Part, RunningSystem, whole_system
from tests.chaos.workload import Client, Load, World, name_of, prepare

SETTLE_S = 3.0
PAUSE_S = 10.0
"""How long a leader hangs: longer than its lease."""
FLOW_TIMEOUT_S = 60.0

Harm = Callable[[RunningSystem], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Quantiles:
    """In milliseconds."""

    p50: float
    p99: float
    worst: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Quantiles:
        ordered = sorted(seconds)
        at = [ordered[min(int(len(ordered) * q), len(ordered) - 1)] for q in (0.5, 0.99, 1.0)]
        return cls(*(round(value * 1000, 1) for value in at))

    def __str__(self) -> str:
        return f"p50 {self.p50} ms, p99 {self.p99} ms, worst {self.worst} ms"


@dataclass(slots=True)
class Arrivals:
    """When each revision's event came to a watcher at one replica."""

    where: str
    port: int
    position: int
    times: dict[int, float] = field(default_factory=dict)

    async def follow(self, world: World) -> None:
        connection = Connection(world.access, self.port)
        while True:
            path = f"{CONFIGMAPS}?watch=1&resourceVersion={self.position}"
            try:
                async for line in connection.lines(path, silence_s=600):
                    arrived = now()
                    event = json.loads(line)
                    if event.get("type") not in ("ADDED", "MODIFIED", "DELETED"):
                        break
                    self.position = int(event["object"]["metadata"]["resourceVersion"])
                    self.times[self.position] = arrived
            except (Disconnected, TimeoutError):
                await asyncio.sleep(0.02)


@asynccontextmanager
async def measured(
    system: RunningSystem, writes_per_s: float
) -> AsyncIterator[tuple[World, list[Arrivals]]]:
    """A steady load of updates, and a watcher at each replica."""
    load = Load(objects=100, writers=8, writes_per_s=writes_per_s)
    world = World(system.access, (), History(), load, seed=1)
    await prepare(world)
    arrivals = [
        Arrivals(f"replica {number}", port, world.history.newest)
        for number, port in enumerate(system.replica_ports, 1)
    ]
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(one.follow(world)) for one in arrivals]
        for number in range(load.writers):
            client = world.client(f"writer-{number}")
            running.append(tasks.create_task(_update_steadily(client)))
        await asyncio.sleep(SETTLE_S)
        try:
            yield world, arrivals
        finally:
            for one in running:
                one.cancel()


async def _update_steadily(client: Client) -> None:
    """Patch at a fixed rate, whatever a single write takes."""
    load = client.world.load
    interval = load.writers / load.writes_per_s
    due = now() + client.dice.random() * interval
    try:
        while True:
            await asyncio.sleep(due - now())
            due = max(due + interval, now() - 1)
            # Every second object was made.
            name = name_of(client.dice.randrange(0, load.objects, 2))
            await client.recorder.write(client.connection(), "patch", name, UNCONDITIONAL, "a")
    finally:
        client.close()


@dataclass(frozen=True, slots=True)
class Lag:
    writes_per_s: float
    from_before: dict[str, Quantiles]
    from_answer: dict[str, Quantiles]

    def __str__(self) -> str:
        lines = [f"lag at {self.writes_per_s:.0f} acknowledged writes/s"]
        for where, quantiles in self.from_before.items():
            lines.append(f"  {where} from before the write: {quantiles}")
            lines.append(f"  {where} from its answer:       {self.from_answer[where]}")
        return "\n".join(lines)


async def lag(system: RunningSystem, *, seconds: float, writes_per_s: float = 200.0) -> Lag:
    async with measured(system, writes_per_s) as (world, arrivals):
        start = now()
        await asyncio.sleep(seconds)
        end = now()
        await asyncio.sleep(1)
    writes = [
        write
        for write in world.history.writes
        if write.outcome is Outcome.OK and start < write.began and write.ended < end
    ]
    return Lag(
        len(writes) / (end - start),
        {one.where: _lags(one, writes, lambda write: write.began) for one in arrivals},
        {one.where: _lags(one, writes, lambda write: write.ended) for one in arrivals},
    )


def _lags(
    arrivals: Arrivals, writes: Sequence[Write], since: Callable[[Write], float]
) -> Quantiles:
    return Quantiles.of([arrivals.times[write.revision] - since(write) for write in writes])


async def pause(system: RunningSystem, harm: Harm) -> dict[str, float]:
    """Do harm; return how long it took until events of later writes came, in seconds."""
    async with measured(system, 50.0) as (world, arrivals):
        await harm(system)
        harmed = now()
        pauses: dict[str, float] = {}
        while len(pauses) < len(arrivals) and now() < harmed + FLOW_TIMEOUT_S:
            await asyncio.sleep(0.05)
            # Only what was written afterwards: older events may still be on their way.
            later = [
                write.revision
                for write in reversed(world.history.writes)
                if write.outcome is Outcome.OK and write.began > harmed
            ]
            for one in arrivals:
                times = [one.times[revision] for revision in later if revision in one.times]
                if times and one.where not in pauses:
                    pauses[one.where] = round(min(times) - harmed, 2)
    assert len(pauses) == len(arrivals), f"events flow again only at {pauses}"
    return pauses


async def _leader(system: RunningSystem) -> Part:
    (leader,) = [
        part for part in system.parts() if part.role == "watchfanout" and await system.leads(part)
    ]
    return leader


async def kill_leader(system: RunningSystem) -> None:
    os.kill((await _leader(system)).pid, signal.SIGKILL)


async def pause_leader(system: RunningSystem) -> None:
    leader = await _leader(system)
    os.kill(leader.pid, signal.SIGSTOP)
    asyncio.get_running_loop().call_later(PAUSE_S, os.kill, leader.pid, signal.SIGCONT)


def kill(role: str) -> Harm:
    async def harm(system: RunningSystem) -> None:
        for part in system.parts():
            if part.role == role:
                os.kill(part.pid, signal.SIGKILL)

    return harm


async def flush(system: RunningSystem) -> None:
    await system.flush()


HARMS: dict[str, Harm] = {
    "the leading watchfanout is killed": kill_leader,
    "the leading watchfanout hangs": pause_leader,
    "Redis is killed and comes back empty": kill("redis"),
    "Redis is emptied": flush,
    "etcd is killed": kill("etcd"),
    "all replicas are killed": kill("apiserver"),
}


async def _run(arguments: argparse.Namespace, directory: Path) -> None:
    async with whole_system(directory, arguments.replicas) as system:
        print(await lag(system, seconds=arguments.seconds, writes_per_s=arguments.writes))
        for what, harm in HARMS.items():
            for _ in range(arguments.times):
                print(f"{what}: events again after {await pause(system, harm)} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.recovery", description=__doc__)
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30.0, help="of measuring the lag")
    parser.add_argument("--writes", type=float, default=200.0, help="a second, for the lag")
    parser.add_argument("--times", type=int, default=3, help="how often each harm is done")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="kubefan-recovery-") as directory,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_run(arguments, Path(directory)))


if __name__ == "__main__":
    main()
