"""The system under test: real processes, and relays between them that can be cut."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from redis.asyncio import Redis

from tests.chaos.client import Access, Connection, Disconnected
from tests.chaos.relay import Relay
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


class System(Protocol):
    """What the workload and the faults need to know of the system."""

    @property
    def access(self) -> Access:
        """Through the load balancer."""
        ...

    @property
    def replica_ports(self) -> Sequence[int]: ...

    @property
    def etcd_url(self) -> str:
        """Of etcd itself, past the relay."""
        ...

    @property
    def links(self) -> Mapping[str, Relay]:
        """By what they lead to."""
        ...

    def parts(self) -> Sequence[Part]: ...

    async def flush(self) -> None:
        """Empty the event log's Redis, if there is one."""
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
    etcd_url: str
    links: Mapping[str, Relay]
    kept: Sequence[Kept]
    system_file: Path | None = None
    """Of `kubefan up`, which supervises more parts than `kept`."""
    redis_url: str = ""

    def parts(self) -> list[Part]:
        parts = [part for one in self.kept if (part := one.part) is not None]
        if self.system_file is not None:
            parts += parts_of(self.system_file)
        return parts

    async def flush(self) -> None:
        if not self.redis_url:
            return
        async with Redis.from_url(self.redis_url, socket_timeout=2) as redis:
            await redis.flushall()


def parts_of(system_file: Path) -> list[Part]:
    """Return the processes that a system.json names."""
    system = json.loads(system_file.read_text())
    return [
        Part(one["role"], one.get("name", one["role"]), one["pid"], one.get("port"))
        for one in system["processes"]
        if one["pid"]
    ]


def missing_programs(*names: str) -> list[str]:
    return [name for name in names if shutil.which(name) is None]


@asynccontextmanager
async def plain_replicas(data_dir: Path, replicas: int = 3) -> AsyncIterator[RunningSystem]:
    """Run API servers that each follow one etcd themselves, behind a relay as load balancer."""
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        etcd, link = await _etcd(stack, tasks, data_dir)
        kept = [etcd]
        ports = []
        for number in range(1, replicas + 1):
            name = f"apiserver-{number}"
            port = free_port()
            command = [
                *(*KUBEFAN, "apiserver", f"--data-dir={data_dir}", f"--secure-port={port}"),
                *("--bind-address=127.0.0.1", f"--etcd-servers=http://127.0.0.1:{link.port}"),
            ]
            log = data_dir / f"{name}.log"
            server = Kept("apiserver", name, command, port=port, log=log)
            _keep(stack, tasks, server)
            # One after the other: the first makes the certificates that all use.
            await _until_ready(data_dir / "admin.kubeconfig", port, server)
            kept.append(server)
            ports.append(port)
        balancer = Relay("load balancer", ports)
        await balancer.start()
        stack.callback(balancer.close)
        access = replace(Access.from_kubeconfig(data_dir / "admin.kubeconfig"), port=balancer.port)
        yield RunningSystem(
            access=access,
            replica_ports=ports,
            etcd_url=f"http://127.0.0.1:{etcd.port}",
            links={"etcd": link},
            kept=kept,
        )


async def _etcd(
    stack: AsyncExitStack, tasks: asyncio.TaskGroup, data_dir: Path
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
    link = Relay("etcd", [port])
    await link.start()
    stack.callback(link.close)
    return etcd, link


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


async def leads(part: Part) -> bool:
    """Tell whether a watchfanout is the one that leads."""
    raise NotImplementedError
