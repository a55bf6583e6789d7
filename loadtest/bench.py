"""What the server spends: one row a work, CPU of the server process per operation.

    python loadtest/bench.py [--etcd] [--pods 10000] [WORK ...]

Starts a server on this machine, embedded or with an etcd of its own, fills it with pods and
puts it under each work in turn. CPU per operation is the figure to compare: throughput and
latency depend on what else the machine does, and this client shares it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parent))
from loadclient import Connection, pod

ROOT = Path(__file__).parent.parent
PODS = "/api/v1/namespaces/default/pods"
TOKEN = "bench"
CLIENTS = 16
WATCHERS = 500
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Server:
    """The process under test."""

    process: int
    port: int
    ready_s: float

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS

    def memory_mb(self) -> float:
        status = Path(f"/proc/{self.process}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@dataclass(frozen=True, slots=True)
class Load:
    """Makes operations for one work."""

    server: Server
    tls: ssl.SSLContext
    pods: int

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        opened = await Connection.open(self.server.port, self.tls, TOKEN)
        try:
            yield opened
        finally:
            opened.close()

    async def repeat(
        self, operation: Callable[[Connection, int], Awaitable[None]], times: int, clients: int
    ) -> list[float]:
        """Run the operation `times` times from so many clients; returns the seconds of each."""
        numbers = iter(range(times))
        took: list[float] = []

        async def client() -> None:
            async with self.connection() as connection:
                for number in numbers:
                    started = time.perf_counter()
                    await operation(connection, number)
                    took.append(time.perf_counter() - started)

        await asyncio.gather(*(client() for _ in range(clients)))
        return took


created = count()


async def create(connection: Connection, number: int) -> None:
    await connection.request("POST", PODS, pod(next(created)), "application/json")


class Works:
    """The works by name; each returns the seconds of its operations."""

    def __init__(self, load: Load) -> None:
        self._load = load

    async def create(self) -> list[float]:
        return await self._load.repeat(create, 2000, CLIENTS)

    async def get(self) -> list[float]:
        async def get(connection: Connection, number: int) -> None:
            await connection.request("GET", f"{PODS}/{self._name(number)}")

        return await self._load.repeat(get, 8000, CLIENTS)

    async def patch(self) -> list[float]:
        return await self._load.repeat(self._patch, 2000, CLIENTS)

    async def list(self) -> list[float]:
        return await self._lists("", 5)

    async def list_limit_500(self) -> list[float]:
        return await self._lists("?limit=500", 50)

    async def list_label_1_percent(self) -> list[float]:
        return await self._lists("?labelSelector=shard%3D7", 50)

    async def watch_saturated(self) -> list[float]:
        """500 watchers, as many writes as go; an operation is a delivered event."""
        return await self._watched(lambda: self._load.repeat(self._patch, 300, 8), 300)

    async def watch_50_writes_a_second(self) -> list[float]:
        async def writes() -> list[float]:
            async with self._load.connection() as connection:
                due = time.perf_counter()
                for number in range(250):
                    due += 1 / 50
                    await asyncio.sleep(due - time.perf_counter())
                    await self._patch(connection, number)
            return []

        return await self._watched(writes, 250)

    async def _watched(self, write: Callable[[], Awaitable[object]], writes: int) -> list[float]:
        watchers = [
            await Connection.open(self._load.server.port, self._load.tls, TOKEN)
            for _ in range(WATCHERS)
        ]
        try:
            await asyncio.gather(
                *(
                    one.watch(
                        f"{PODS}?watch=1&resourceVersion=0&"
                        "sendInitialEvents=false&resourceVersionMatch="
                        "NotOlderThan"
                    )
                    for one in watchers
                )
            )
            await write()
            deadline = time.perf_counter() + 30
            while any(len(one.delays) < writes for one in watchers):
                if time.perf_counter() > deadline:
                    raise SystemExit("events are missing")
                await asyncio.sleep(0.02)
            return [delay for one in watchers for delay in one.delays]
        finally:
            for one in watchers:
                one.close()

    async def _lists(self, query: str, times: int) -> list[float]:
        async def read(connection: Connection, number: int) -> None:
            await connection.request("GET", PODS + query)

        return await self._load.repeat(read, times, 1)

    async def _patch(self, connection: Connection, number: int) -> None:
        # The watchers tell from it how long ago it was sent.
        body = b'{"metadata":{"annotations":{"note":"%d"}}}' % time.perf_counter_ns()
        path = f"{PODS}/{self._name(number)}"
        await connection.request("PATCH", path, body, "application/merge-patch+json")

    def _name(self, number: int) -> str:
        return f"bench-{number * 7919 % self._load.pods}"


WORKS = (
    "get", "list", "list_limit_500", "list_label_1_percent", "create", "patch",
    "watch_saturated", "watch_50_writes_a_second",
)  # fmt: skip


async def measure(server: Server, pods: int, names: list[str]) -> None:
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    load = Load(server, tls, pods)
    works = Works(load)
    print(f"ready after {server.ready_s:.2f} s, {server.memory_mb():.0f} MB")
    await load.repeat(create, pods, CLIENTS)
    print(f"with {pods} pods: {server.memory_mb():.0f} MB\n")
    print("| work | CPU ms/op | op/s | p50 ms | p99 ms | MB |")
    print("|---|---|---|---|---|---|")
    for name in names:
        cpu_s, started = server.cpu_s(), time.perf_counter()
        took = await getattr(works, name)()
        cpu_ms = (server.cpu_s() - cpu_s) * 1000 / len(took)
        rate = len(took) / (time.perf_counter() - started)
        cuts = statistics.quantiles(took, n=100)
        print(
            f"| {name.replace('_', ' ')} | {cpu_ms:.3g} | {rate:.0f} | {cuts[49] * 1000:.1f} "
            f"| {cuts[98] * 1000:.1f} | {server.memory_mb():.0f} |",
            flush=True,
        )


@contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process as long as the context lasts."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()


@contextmanager
def etcd(directory: Path) -> Iterator[str]:
    """Run an etcd; gives its URL."""
    if shutil.which("etcd") is None:
        raise SystemExit("there is no etcd on this machine")
    client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    command = [
        "etcd",
        "--data-dir",
        str(directory / "etcd"),
        "--initial-cluster",
        f"default={peer}",
    ]
    for name, url in (
        ("--listen-client-urls", client),
        ("--advertise-client-urls", client),
        ("--listen-peer-urls", peer),
        ("--initial-advertise-peer-urls", peer),
    ):
        command += [name, url]
    with running(command, directory / "etcd.log"):
        wait_for_port(int(client.rpartition(":")[2]))
        yield client


@contextmanager
def apiserver(directory: Path, flags: list[str]) -> Iterator[Server]:
    port = free_port()
    tokens = directory / "tokens.csv"
    tokens.write_text(f'{TOKEN},bench,1,"system:masters"\n')
    command = [sys.executable, "-m", "services.apiserver", "--bind-address=127.0.0.1"]
    command += [f"--secure-port={port}", f"--data-dir={directory / 'data'}"]
    command += [f"--token-auth-file={tokens}", "--authorization-mode=Node,RBAC"]
    command += ["--disable-admission-plugins=ServiceAccount", *flags]
    started = time.perf_counter()
    with running(command, directory / "apiserver.log") as process:
        asyncio.run(until_ready(port))
        yield Server(process.pid, port, time.perf_counter() - started)


async def until_ready(port: int) -> None:
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    for _ in range(3000):
        try:
            connection = await Connection.open(port, tls, TOKEN)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        try:
            await connection.request("GET", "/readyz")
            return
        except (ConnectionError, RuntimeError):
            await asyncio.sleep(0.01)
        finally:
            connection.close()
    raise SystemExit("the server does not become ready")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def wait_for_port(port: int) -> None:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("etcd does not start")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--etcd", action="store_true", help="with an etcd of its own")
    parser.add_argument("--pods", type=int, default=10_000, help="how many pods there are")
    parser.add_argument("works", nargs="*", metavar="WORK", help=f"of: {', '.join(WORKS)}")
    options = parser.parse_args()
    names = options.works or list(WORKS)
    if unknown := set(names) - set(WORKS):
        parser.error(f"no such work: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="kubefan-bench-") as name:
        directory = Path(name)
        if options.etcd:
            with etcd(directory) as url, apiserver(directory, [f"--etcd-servers={url}"]) as server:
                uvloop.run(measure(server, options.pods, names))
        else:
            with apiserver(directory, []) as server:
                uvloop.run(measure(server, options.pods, names))


if __name__ == "__main__":
    main()
