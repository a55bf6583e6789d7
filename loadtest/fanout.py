"""What one change costs on its way from etcd to every replica, and how many there can be.

    python -m loadtest.fanout [--replicas 1 3 6] [--seconds 10] [--rate 0] [--objects 1000]

Starts `kubefan up --replicas N` for each N, writes pods of 4.3 KB straight into its etcd (at
--rate a second, 0: as fast as etcd takes them) and waits until every replica has them all.
Prints for each kind of process the CPU in microseconds an event, the events a second with all
replicas keeping up, the lag from the watchfanout to the caches, and what etcd itself counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from loadtest.bench_watchcache import pod
from shared import kubeconfig
from shared.storage import Revision
from shared.storage.etcd import EtcdStorage
from shared.tlsfiles import TlsFiles

KUBEFAN = (sys.executable, "-P", "-m", "services")
START_TIMEOUT_S = 60.0
WRITERS = 16
PORT = 16443
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class System:
    """A running system, as its system.json describes it."""

    def __init__(self, data_dir: Path, description: Mapping[str, Any]) -> None:
        self.data_dir = data_dir
        self.processes: list[dict[str, Any]] = description["processes"]
        self._etcd = description["etcd"]
        self._access = kubeconfig.load(data_dir / "admin.kubeconfig")

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU time by kind of process; apiserver: of all replicas together."""
        seconds: dict[str, float] = defaultdict(float)
        for process in self.processes:
            fields = Path(f"/proc/{process['pid']}/stat").read_text().rpartition(")")[2].split()
            seconds[process["role"]] += (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND
        return seconds

    async def storage(self) -> EtcdStorage:
        files = (Path(self._etcd[name]) for name in ("cafile", "certfile", "keyfile"))
        return await EtcdStorage.open(self._etcd["servers"], tls=TlsFiles(*files))

    async def etcd_metrics(self, session: aiohttp.ClientSession) -> str:
        context = TlsFiles(
            *(Path(self._etcd[name]) for name in ("cafile", "certfile", "keyfile"))
        ).context()
        context.set_alpn_protocols(["http/1.1"])
        async with session.get(f"{self._etcd['servers']}/metrics", ssl=context) as answer:
            return await answer.text()

    async def is_ready(self, session: aiohttp.ClientSession) -> bool:
        """Whether the load balancer finds a replica that says it is ready."""
        context = self._access.ssl_context()
        assert isinstance(context, ssl.SSLContext)
        async with session.get(f"{self._access.server}/readyz", ssl=context) as answer:
            return answer.status == 200

    async def replica_metrics(self, session: aiohttp.ClientSession) -> list[str]:
        context = self._access.ssl_context()
        assert isinstance(context, ssl.SSLContext)
        headers = {"Authorization": f"Bearer {self._access.token}"}
        texts = []
        for process in self.processes:
            if process["role"] == "apiserver":
                url = f"https://127.0.0.1:{process['port']}/metrics"
                async with session.get(url, ssl=context, headers=headers) as answer:
                    texts.append(await answer.text())
        return texts


@contextmanager
def running(replicas: int) -> Iterator[System]:
    """Run a system of its own until the block ends."""
    with tempfile.TemporaryDirectory(prefix="kubefan-fanout-") as folder:
        data_dir = Path(folder)
        command = [*KUBEFAN, "up", f"--replicas={replicas}", f"--data-dir={data_dir}"]
        command += ["--controllers=", f"--secure-port={PORT}"]
        with (data_dir / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise SystemExit((data_dir / "log").read_text()[-2000:])
            yield System(data_dir, json.loads((data_dir / "system.json").read_text()))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(START_TIMEOUT_S)


async def measure(system: System, replicas: int, seconds: float, rate: int, objects: int) -> None:
    storage = await system.storage()
    async with aiohttp.ClientSession() as session:
        keys = [b"/registry/pods/default/fanout-%d" % number for number in range(objects)]
        known: dict[bytes, Revision] = {}
        for key in keys:
            known[key] = await storage.create(key, pod(0))
        await reached(system, session, max(known.values()))
        before, lag_before = system.cpu_s(), lags(await system.replica_metrics(session))
        start = time.monotonic()
        written = await write(storage, known, seconds, rate)
        wrote_s = time.monotonic() - start
        await reached(system, session, max(known.values()))
        took_s = time.monotonic() - start
        after, lag_after = system.cpu_s(), lags(await system.replica_metrics(session))
        etcd = await system.etcd_metrics(session)
    await storage.aclose()
    cost = {role: (after[role] - before[role]) / written * 1e6 for role in sorted(after)}
    per_replica = cost.pop("apiserver") / replicas
    print(
        f"{replicas} replicas: {written} events, {written / took_s:.0f}/s "
        f"(behind at the end {(took_s - wrote_s) * 1000:.0f} ms); us CPU an event: a replica "
        f"{per_replica:.0f}, " + ", ".join(f"{role} {us:.0f}" for role, us in cost.items())
    )
    print(f"  lag {quantiles(lag_before, lag_after)}")
    for name in ("etcd_debugging_mvcc_watcher_total", "etcd_debugging_mvcc_watch_stream_total"):
        print(f"  {name} {value_of(etcd, name):.0f}")


async def write(
    storage: EtcdStorage, known: dict[bytes, Revision], seconds: float, rate: int
) -> int:
    """Update the keys in turn for so long; returns how many writes there were."""
    end = time.monotonic() + seconds
    start = time.monotonic()
    count = 0

    async def writer(keys: list[bytes]) -> None:
        nonlocal count
        turn = 0
        while time.monotonic() < end:
            for key in keys:
                turn += 1
                if rate:
                    await asyncio.sleep(max(start + count / rate - time.monotonic(), 0))
                if time.monotonic() >= end:
                    return
                count += 1
                known[key] = await storage.update(key, pod(0, turn=turn), expected=known[key])

    keys = list(known)
    writers = WRITERS if not rate else 1
    async with asyncio.TaskGroup() as tasks:
        for number in range(writers):
            tasks.create_task(writer(keys[number::writers]))
    return count


async def reached(system: System, session: aiohttp.ClientSession, revision: Revision) -> None:
    """Wait until every replica has reached `revision`."""
    while True:
        texts = await system.replica_metrics(session)
        if all(value_of(text, "kubefan_cache_revision") >= revision for text in texts):
            return
        await asyncio.sleep(0.02)


def value_of(text: str, name: str) -> float:
    found = re.search(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def lags(texts: list[str]) -> dict[float, float]:
    """Return the cumulative counts of the fan-out lag by upper bound, of all replicas."""
    counts: dict[float, float] = defaultdict(float)
    for text in texts:
        for bound, count in re.findall(
            r'^kubefan_fanout_lag_seconds_bucket{le="(\S+)"} (\S+)$', text, re.MULTILINE
        ):
            counts[float(bound)] += float(count)
    return counts


def quantiles(before: Mapping[float, float], after: Mapping[float, float]) -> str:
    """Return the upper bounds below which half and 99 % of the entries were."""
    counts = {bound: count - before.get(bound, 0.0) for bound, count in sorted(after.items())}
    total = max(counts.values(), default=0.0)
    if not total:
        return "not known"
    shown = []
    for share in (0.5, 0.99):
        bound = next(bound for bound, count in counts.items() if count >= share * total)
        shown.append(f"p{share * 100:.0f} <= {bound * 1000:g} ms")
    return ", ".join(shown)


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 3, 6])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=int, default=0, help="writes a second; 0: no limit")
    parser.add_argument("--objects", type=int, default=1000)
    given = parser.parse_args()
    for replicas in given.replicas:
        with running(replicas) as system:
            asyncio.run(measure(system, replicas, given.seconds, given.rate, given.objects))


if __name__ == "__main__":
    main()
