"""etcd sees one watch and one listing in all, whatever the number of replicas: etcd's own word."""

from __future__ import annotations

import asyncio
import os
import signal
import urllib.request
from pathlib import Path

import pytest

from tests.chaos.client import Connection
from tests.chaos.history import EVERYTHING, UNCONDITIONAL, Freshness, History
from tests.chaos.recorder import now
from tests.chaos.system import RunningSystem, is_ready, relayed_system, samples
from tests.chaos.workload import Load, World, name_of, prepare

OBJECTS = 600
FILLING = 8_000
WRITES = 300
REPLICAS = (1, 3) if os.environ.get("CI") else (1, 3, 6)
RESTART_TIMEOUT_S = 60.0


def etcd_metrics(system: RunningSystem) -> dict[str, float]:
    with urllib.request.urlopen(f"{system.etcd['servers']}/metrics") as answer:
        return samples(answer.read().decode())


def watches(system: RunningSystem) -> float:
    return etcd_metrics(system)["etcd_debugging_mvcc_watcher_total"]


def sent_bytes(system: RunningSystem) -> float:
    return etcd_metrics(system)["etcd_network_client_grpc_sent_bytes_total"]


def cpu_seconds(system: RunningSystem) -> float:
    return etcd_metrics(system)["process_cpu_seconds_total"]


async def restart_replicas(system: RunningSystem) -> None:
    before = {part.pid for part in system.parts() if part.role == "apiserver"}
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    deadline = now() + RESTART_TIMEOUT_S
    while now() < deadline:
        parts = [one for one in system.parts() if one.role == "apiserver" and one.pid not in before]
        if len(parts) == len(before):
            ready = [await is_ready(system.access, part.port or 0) for part in parts]
            if all(ready):
                return
        await asyncio.sleep(0.1)
    raise AssertionError(f"not ready again after {RESTART_TIMEOUT_S:.0f} s")


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("replicas", REPLICAS)
def test_etcd_has_one_watch_and_is_listed_by_the_leader_alone(
    runner: asyncio.Runner, tmp_path: Path, replicas: int
) -> None:
    """Replicas that start read no objects from etcd: what it sends them is a small part of that."""

    async def run() -> None:
        async with relayed_system(tmp_path, replicas) as system:
            world = World(
                system.access, (), History(), Load(objects=OBJECTS, filling=FILLING), seed=1
            )
            await prepare(world)
            assert watches(system) == 1
            held = OBJECTS / 2 * FILLING
            before = sent_bytes(system)
            await restart_replicas(system)
            client = world.client("reader")
            for number, port in enumerate(system.replica_ports, 1):
                connection = Connection(system.access, port)
                listing = await client.recorder.list(
                    connection, f"replica {number}", EVERYTHING, Freshness.CONSISTENT
                )
                connection.close()
                assert listing is not None
                assert len(listing.items) == OBJECTS / 2
            sent = sent_bytes(system) - before
            assert sent < held / 4, f"etcd sent {sent:.0f} of {held:.0f} bytes"
            assert watches(system) == 1
            cpu = cpu_seconds(system)
            for number in range(WRITES):
                await client.recorder.write(
                    client.connection(), "patch", name_of(number // 2 * 2), UNCONDITIONAL, "a"
                )
            client.close()
            cost = (cpu_seconds(system) - cpu) / WRITES * 1000
            print(f"{replicas} replicas: etcd sent {sent:.0f} bytes, {cost:.2f} ms CPU a write")

    runner.run(run())
