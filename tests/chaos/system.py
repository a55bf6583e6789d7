"""The system under test: real processes, and relays between them that can be cut."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from redis.asyncio import Redis

from shared.storage.etcd import EtcdStorage
from shared.tlsfiles import TlsFiles
from tests.chaos.client import Access, Connection, Disconnected
from tests.chaos.relay import Relay
from tests.chaos.sockets import owner
from tests.e2e.system import free_port

KUBEFAN = (sys.executable, "-P", "-m", "services")
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
RESTART_DELAY_S = 0.3


class DidNotStart(AssertionError):
    pass


@dataclass(frozen=True, slots=True)
class Part:
    """A process as it is now: another one after it died and was started again."""

    role: str
    name: str
    pid: int
    port: int | None


Processes = Callable[[], Sequence[Part]]


class System(Protocol):
    """What the workload and the faults need to know of the system."""

    @property
    def access(self) -> Access:
        """Through the load balancer."""
        ...

    @property
    def replica_ports(self) -> Sequence[int]: ...

    @property
    def links(self) -> Mapping[str, Relay]:
        """By what they lead to."""
        ...

    def parts(self) -> Sequence[Part]: ...

    async def flush(self) -> None:
        """Empty the event log's Redis."""
        ...

    async def leads(self, part: Part) -> bool:
        """Tell whether a watchfanout is the one that leads."""
        ...


class Kept:
    """A process that is started again whenever it ends, unless it is `fragile`."""

    def __init__(
        self, role: str, name: str, command: Sequence[str], *, port: int | None, log: Path
    ) -> None:
        self.role = role
        self.name = name
        self.port = port
        self.log = log
        self.starts = 0
        self._command = command
        self._process: asyncio.subprocess.Process | None = None

    @property
    def part(self) -> Part | None:
        if self._process is None or self._process.returncode is not None:
            return None
        return Part(self.role, self.name, self._process.pid, self.port)

    async def run(self) -> None:
        """Until cancelled; the process is gone then."""
        try:
            while True:
                with self.log.open("ab") as output:
                    self._process = await asyncio.create_subprocess_exec(
                        *self._command, stdout=output, stderr=output
                    )
                self.starts += 1
                await self._process.wait()
                await asyncio.sleep(RESTART_DELAY_S)
        finally:
            if self.part is not None and self._process is not None:
                self._process.send_signal(signal.SIGCONT)  # faults may have left it paused
                self._process.terminate()
                await _gone(self._process)

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])


async def _gone(process: asyncio.subprocess.Process) -> None:
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


@dataclass(frozen=True, slots=True)
class RunningSystem:
    access: Access
    replica_ports: Sequence[int]
    links: Mapping[str, Relay]
    kept: Sequence[Kept]
    etcd: Mapping[str, str]
    """How to reach etcd itself: servers, cafile, certfile, keyfile."""
    redis: Mapping[str, str]
    """How to reach Redis itself: url, password_file, cafile; empty where there is none."""
    system_file: Path | None = None
    """Of `kubefan up`, which supervises more parts than `kept`."""
    watchfanout: Mapping[str, str] | None = None

    def parts(self) -> list[Part]:
        parts = [part for one in self.kept if (part := one.part) is not None]
        if self.system_file is not None:
            parts += parts_of(json.loads(self.system_file.read_text()))
        return parts

    def open_redis(self) -> Redis:
        password = self.redis["password_file"]
        secure: dict[str, Any] = (
            {"ssl_ca_certs": self.redis["cafile"]} if self.redis["cafile"] else {}
        )
        return Redis.from_url(
            self.redis["url"],
            password=Path(password).read_text().strip() if password else None,
            socket_timeout=2,
            **secure,
        )

    async def flush(self) -> None:
        async with self.open_redis() as redis:
            await redis.flushall()

    async def open_etcd(self) -> EtcdStorage:
        files = (self.etcd.get(name) for name in ("cafile", "certfile", "keyfile"))
        tls = TlsFiles(*(Path(file) if file else None for file in files))
        secure = self.etcd["servers"].startswith("https:")
        return await EtcdStorage.open((self.etcd["servers"],), tls=tls if secure else None)

    async def leads(self, part: Part) -> bool:
        """Tell whether a watchfanout is the one that leads."""
        metrics = await self.metrics(part)
        return metrics.get("kubefan_watchfanout_leading") == 1

    async def metrics(self, part: Part) -> dict[str, float]:
        """Return what a watchfanout measures; nothing if it does not answer."""
        assert self.watchfanout is not None
        connection = Connection(_watchfanout_access(self.watchfanout, part))
        try:
            answer = await connection.request("GET", "/metrics", timeout_s=1)
        except (Disconnected, TimeoutError):
            return {}
        finally:
            connection.close()
        return samples(answer.body.decode()) if answer.status == 200 else {}


def _watchfanout_access(where: Mapping[str, str], part: Part) -> Access:
    token = Path(where["token_file"]).read_text().strip()
    tls = ssl.create_default_context(cafile=where["cafile"])
    return Access("127.0.0.1", part.port or 0, tls, token)


def samples(text: str) -> dict[str, float]:
    """Read Prometheus' text format: each name, with its labels as they stand there."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def parts_of(system: dict[str, Any]) -> list[Part]:
    """Return the running processes that a system.json names."""
    return [
        Part(one["role"], one.get("name", one["role"]), one["pid"], one.get("port"))
        for one in system["processes"]
        if one["pid"]
    ]


def missing_programs(*names: str) -> list[str]:
    return [name for name in names if shutil.which(name) is None]


@asynccontextmanager
async def plain_replicas(
    data_dir: Path, replicas: int = 3, *flags: str
) -> AsyncIterator[RunningSystem]:
    """Run API servers that each follow one etcd themselves, behind a relay as load balancer."""
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        kept: list[Kept] = []

        def processes() -> list[Part]:
            return [part for one in kept if (part := one.part) is not None]

        etcd, link = await _etcd(stack, tasks, data_dir, processes)
        kept.append(etcd)
        ports = []
        for number in range(1, replicas + 1):
            name = f"apiserver-{number}"
            port = free_port()
            command = [
                *(*KUBEFAN, "apiserver", f"--data-dir={data_dir}", f"--secure-port={port}"),
                *("--bind-address=127.0.0.1", f"--etcd-servers=http://127.0.0.1:{link.port}"),
                *flags,
            ]
            log = data_dir / f"{name}.log"
            server = Kept("apiserver", name, command, port=port, log=log)
            _keep(stack, tasks, server)
            kept.append(server)
            # One after the other: the first makes the certificates that all use.
            await _until_ready(data_dir / "admin.kubeconfig", port, server)
            ports.append(port)
        balancer = Relay("load balancer", ports)
        await balancer.start()
        stack.callback(balancer.close)
        access = replace(Access.from_kubeconfig(data_dir / "admin.kubeconfig"), port=balancer.port)
        yield RunningSystem(
            access=access,
            replica_ports=ports,
            links={"etcd": link},
            kept=kept,
            etcd={"servers": f"http://127.0.0.1:{etcd.port}"},
            redis={},
        )


@asynccontextmanager
async def whole_system(
    data_dir: Path, replicas: int = 3, *flags: str
) -> AsyncIterator[RunningSystem]:
    """Run `kubefan up` with all that belongs to it; `flags` are the API server's."""
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        await _up(stack, tasks, data_dir, replicas, *flags)
        yield _supervised(data_dir, links={}, kept=())


@asynccontextmanager
async def relayed_system(
    data_dir: Path, replicas: int = 3, *flags: str
) -> AsyncIterator[RunningSystem]:
    """Run `kubefan up` with an etcd and a Redis that it reaches through relays."""
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        file = data_dir / "system.json"

        def processes() -> list[Part]:
            return parts_of(json.loads(file.read_text())) if file.exists() else []

        etcd, etcd_link = await _etcd(stack, tasks, data_dir, processes)
        redis, redis_link = await _redis(stack, tasks, data_dir, processes)
        links = (
            f"--etcd-servers=http://127.0.0.1:{etcd_link.port}",
            f"--event-log-url=redis://127.0.0.1:{redis_link.port}",
        )
        await _up(stack, tasks, data_dir, replicas, *links, *flags)
        system = _supervised(
            data_dir, links={"etcd": etcd_link, "redis": redis_link}, kept=(etcd, redis)
        )
        yield replace(
            system,
            etcd={"servers": f"http://127.0.0.1:{etcd.port}"},
            redis={"url": f"redis://127.0.0.1:{redis.port}", "password_file": "", "cafile": ""},
        )


async def _up(
    stack: AsyncExitStack, tasks: asyncio.TaskGroup, data_dir: Path, replicas: int, *flags: str
) -> None:
    port = free_port()
    command = [
        *(*KUBEFAN, "up", f"--replicas={replicas}", f"--data-dir={data_dir}"),
        *(f"--secure-port={port}", *flags),
    ]
    up = Kept("up", "up", command, port=port, log=data_dir / "up.log")
    _keep(stack, tasks, up)
    await _until_ready(data_dir / "admin.kubeconfig", port, up)
    system = json.loads((data_dir / "system.json").read_text())
    for part in parts_of(system):
        if part.role == "apiserver" and part.port is not None:
            await _until_ready(data_dir / "admin.kubeconfig", part.port, up)


def _supervised(
    data_dir: Path, *, links: Mapping[str, Relay], kept: Sequence[Kept]
) -> RunningSystem:
    file = data_dir / "system.json"
    system = json.loads(file.read_text())
    ports = [part.port for part in parts_of(system) if part.role == "apiserver" and part.port]
    return RunningSystem(
        access=Access.from_kubeconfig(data_dir / "admin.kubeconfig"),
        replica_ports=ports,
        links=links,
        kept=kept,
        etcd=system["etcd"],
        redis=system["redis"],
        system_file=file,
        watchfanout=system["watchfanout"],
    )


async def _redis(
    stack: AsyncExitStack, tasks: asyncio.TaskGroup, data_dir: Path, processes: Processes
) -> tuple[Kept, Relay]:
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--loglevel", "warning"]
    command += ["--save", "", "--appendonly", "no", "--dir", str(data_dir)]
    redis = Kept("redis", "redis", command, port=port, log=data_dir / "redis.log")
    _keep(stack, tasks, redis)
    return redis, await _link(stack, "redis", port, processes)


async def _etcd(
    stack: AsyncExitStack, tasks: asyncio.TaskGroup, data_dir: Path, processes: Processes
) -> tuple[Kept, Relay]:
    """Start etcd, and the relay through which the system is to reach it."""
    port, peer_port = free_port(), free_port()
    url, peer_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
    command = [
        "etcd",
        f"--data-dir={data_dir / 'etcd'}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=default={peer_url}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]
    etcd = Kept("etcd", "etcd", command, port=port, log=data_dir / "etcd.log")
    _keep(stack, tasks, etcd)
    return etcd, await _link(stack, "etcd", port, processes)


async def _link(stack: AsyncExitStack, name: str, port: int, processes: Processes) -> Relay:
    """Start a relay that knows by name which of the `processes` has connected."""

    def whose(client_port: int) -> str:
        names = {part.pid: part.name for part in processes()}
        return names.get(owner(client_port, link.port, names) or 0, "")

    link = Relay(name, [port], whose)
    await link.start()
    stack.callback(link.close)
    return link


def _keep(stack: AsyncExitStack, tasks: asyncio.TaskGroup, kept: Kept) -> None:
    running = tasks.create_task(kept.run(), name=f"keep {kept.name}")

    async def stop() -> None:
        running.cancel()
        await asyncio.wait([running])

    stack.push_async_callback(stop)


async def _until_ready(kubeconfig: Path, port: int, kept: Kept) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and kept.starts <= 1:
        access = _access(kubeconfig)
        if access is not None and await is_ready(access, port):
            return
        await asyncio.sleep(0.1)
    raise DidNotStart(f"{kept.name} was not ready:\n{kept.tail()}")


def _access(kubeconfig: Path) -> Access | None:
    return Access.from_kubeconfig(kubeconfig) if kubeconfig.exists() else None


async def is_ready(access: Access, port: int) -> bool:
    connection = Connection(access, port)
    try:
        return (await connection.request("GET", "/readyz", timeout_s=5)).status == 200
    except (Disconnected, TimeoutError):
        return False
    finally:
        connection.close()
