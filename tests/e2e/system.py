"""Real processes for tests: an API server, a whole system, an etcd, on free ports."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_TIMEOUT_S = 40.0
STOP_TIMEOUT_S = 20.0

NO_ACCOUNTS = "--disable-admission-plugins=ServiceAccount"
"""For an API server without controllers: nobody makes the accounts that pods run as."""

KUBEFAN = (sys.executable, "-P", "-m", "services")


class DidNotStart(AssertionError):
    """A process ended or stayed silent; the message holds the end of its output."""


@dataclass(frozen=True, slots=True)
class Part:
    """A process of a system, as its system.json tells."""

    role: str
    name: str
    pid: int | None
    port: int | None
    restarts: int


@dataclass(frozen=True, slots=True)
class Server:
    """A running API server, or a whole system. `log` is where its output goes."""

    process: subprocess.Popen[bytes]
    port: int
    data_dir: Path
    log: Path

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        return self.data_dir / "admin.kubeconfig"

    @property
    def system(self) -> dict[str, Any]:
        """The system.json of `kubefan up`."""
        document: dict[str, Any] = json.loads((self.data_dir / "system.json").read_text())
        return document

    def parts(self) -> dict[str, Part]:
        """Return the processes of `kubefan up` by name."""
        return {part["name"]: Part(**part) for part in self.system["processes"]}

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a part."""
        pid = self.parts()[name].pid
        assert pid is not None, f"{name} does not run"
        os.kill(pid, number)

    def wait_restarted(self, before: Part, *, timeout_s: float = START_TIMEOUT_S) -> Part:
        """Wait until a part runs again and, where it is an API server, is ready."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            part = self.parts()[before.name]
            if part.pid is not None and part.restarts > before.restarts:
                url = f"https://127.0.0.1:{part.port}"
                if part.role != "apiserver" or _answers(url, "/readyz"):
                    return part
            time.sleep(0.05)
        raise AssertionError(f"{before.name} was not restarted:\n{_tail(self.log)}")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def apiserver(data_dir: Path, *flags: str) -> Iterator[Server]:
    """Run `kubefan apiserver` alone until the block ends."""
    with _serving("apiserver", data_dir, "--bind-address=127.0.0.1", *flags) as server:
        yield server


@contextmanager
def system(data_dir: Path, *flags: str) -> Iterator[Server]:
    """Run `kubefan up` until the block ends."""
    with _serving("up", data_dir, *flags) as server:
        yield server


@contextmanager
def replicated(data_dir: Path, replicas: int, *flags: str) -> Iterator[Server]:
    """Run `kubefan up --replicas` until the block ends; it starts when all parts are ready."""
    with system(data_dir, f"--replicas={replicas}", *flags) as server:
        _wait(server.process, server.log, lambda: "export KUBECONFIG=" in server.log.read_text())
        yield server


@contextmanager
def etcd(data_dir: Path) -> Iterator[str]:
    """Run an etcd that forgets nothing but speed (no fsync); yield its URL."""
    command = shutil.which("etcd")
    if command is None:
        raise DidNotStart("there is no etcd here: install Debian's etcd-server")
    url, peer_url = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    data_dir.mkdir(parents=True, exist_ok=True)
    arguments = [
        f"--data-dir={data_dir / 'etcd'}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=default={peer_url}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]
    with _process([command, *arguments], data_dir / "etcd.log") as process:
        _wait(process, data_dir / "etcd.log", lambda: _answers(url, "/health"))
        yield url


@contextmanager
def _serving(command: str, data_dir: Path, *flags: str) -> Iterator[Server]:
    data_dir.mkdir(parents=True, exist_ok=True)
    port = free_port()
    log = data_dir / f"{command}.log"
    arguments = [f"--data-dir={data_dir}", f"--secure-port={port}", *flags]
    with _process([*KUBEFAN, command, *arguments], log) as process:
        server = Server(process, port, data_dir, log)
        # Not everywhere may anybody ask.
        token = data_dir / "certs" / "admin.token"
        _wait(process, log, lambda: _answers(server.url, "/readyz", token))
        yield server


@contextmanager
def _process(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(
                f"{command[0]} did not stop within {STOP_TIMEOUT_S:.0f} s:\n{_tail(log)}"
            ) from None


def _wait(process: subprocess.Popen[bytes], log: Path, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DidNotStart(f"ended with exit code {process.returncode}:\n{_tail(log)}")
        if ready():
            return
        time.sleep(0.05)
    raise DidNotStart(f"not ready after {START_TIMEOUT_S:.0f} s:\n{_tail(log)}")


def _answers(url: str, path: str, token: Path | None = None) -> bool:
    scheme, _, address = url.partition("://")
    connection: http.client.HTTPConnection
    if scheme == "https":
        # Its certificate is made by the process we wait for.
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(address, timeout=5, context=context)
    else:
        connection = http.client.HTTPConnection(address, timeout=5)
    headers = {}
    if token is not None and token.exists():
        headers["Authorization"] = f"Bearer {token.read_text().strip()}"
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _tail(log: Path, lines: int = 40) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
