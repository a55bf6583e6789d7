"""How long a replica of a large cluster takes to start, and what an object costs it in memory.

    python -m loadtest.replica_start [--objects 100000]

Starts `kubefan up --replicas 1`, writes pods of 4.3 KB straight into its etcd, then asks the
replica to end; its supervisor starts it again, and it loads the state from a watchfanout.
Prints the time until /readyz, where the state came from, and the memory an object takes beside
its serialised size, in the replica and in the watchfanouts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import aiohttp

from loadtest.bench_watchcache import pod
from loadtest.fanout import System, reached, running
from shared.storage import Revision
from shared.storage.etcd import EtcdStorage

WRITERS = 32


async def fill(storage: EtcdStorage, objects: int) -> Revision:
    """Create the pods; returns the newest revision."""
    newest = Revision(0)
    names = iter(range(objects))

    async def writer() -> None:
        nonlocal newest
        for number in names:
            key = b"/registry/pods/default/start-%06d" % number
            newest = max(newest, await storage.create(key, pod(number)))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(WRITERS):
            tasks.create_task(writer())
    return newest


def memory_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def replica(data_dir: Path) -> dict[str, Any]:
    processes = json.loads((data_dir / "system.json").read_text())["processes"]
    return next(one for one in processes if one["role"] == "apiserver")


async def restart(data_dir: Path, session: aiohttp.ClientSession, system: System) -> float:
    """End the replica; returns the seconds from the new one's start until it is ready."""
    before = replica(data_dir)["pid"]
    os.kill(before, signal.SIGTERM)
    while replica(data_dir)["pid"] == before:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    start = time.monotonic()
    while True:
        try:
            if await system.is_ready(session):
                return time.monotonic() - start
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.02)


async def measure(system: System, data_dir: Path, objects: int) -> None:
    storage = await system.storage()
    idle = {one["name"]: memory_bytes(one["pid"]) for one in system.processes}
    async with aiohttp.ClientSession() as session:
        empty_s = await restart(data_dir, session, system)
        start = time.monotonic()
        newest = await fill(storage, objects)
        print(f"{objects} objects written in {time.monotonic() - start:.0f} s")
        await reached(system, session, newest)
        took_s = await restart(data_dir, session, system)
        await reached(system, session, newest)
    await storage.aclose()
    size = len(pod(0))
    print(f"ready in {took_s:.1f} s (with nothing: {empty_s:.1f} s); an object is {size} bytes")
    for process in json.loads((data_dir / "system.json").read_text())["processes"]:
        if process["role"] in ("apiserver", "watchfanout"):
            each = (memory_bytes(process["pid"]) - idle[process["name"]]) / objects
            print(f"  {process['name']}: {each:.0f} bytes an object, {each / size:.2f} x its size")
    for line in (data_dir / "log").read_text(errors="replace").splitlines():
        if "loaded from" in line:
            print(f"  {line.strip()}")


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=100_000)
    given = parser.parse_args()
    with running(1) as system:
        asyncio.run(measure(system, system.data_dir, given.objects))


if __name__ == "__main__":
    main()
