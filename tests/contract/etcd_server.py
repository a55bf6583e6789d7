"""A real etcd for tests: on free ports, in a directory of the test's, killed at will."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from shared.tlsfiles import TlsFiles

START_S = 20.0


@dataclass
class EtcdProcess:
    """A running etcd with one member; `restart` brings it back on the same port and data."""

    data_dir: Path
    client_port: int
    peer_port: int
    arguments: tuple[str, ...]
    tls: TlsFiles | None = None
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.client_port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "etcd is not running"
        return self._process.pid

    def start(self) -> None:
        """Returns when etcd is healthy."""
        peer = f"http://127.0.0.1:{self.peer_port}"
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with (self.data_dir / "etcd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "etcd",
                    "--name=test",
                    f"--data-dir={self.data_dir / 'member'}",
                    f"--listen-client-urls={self.url}",
                    f"--advertise-client-urls={self.url}",
                    f"--listen-peer-urls={peer}",
                    f"--initial-advertise-peer-urls={peer}",
                    f"--initial-cluster=test={peer}",
                    "--max-request-bytes=8388608",
                    "--heartbeat-interval=50",
                    "--election-timeout=250",
                    *self.arguments,
                ],
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"]},
            )
        try:
            self._wait_until_healthy()
        except BaseException:
            self.kill()
            raise

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                health = urllib.request.urlopen(
                    f"{self.url}/health", timeout=1, context=self._tls_context()
                )
                with health as answer:
                    if b'"true"' in answer.read():
                        return
            except (urllib.error.URLError, OSError):
                pass
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                text = (self.data_dir / "etcd.log").read_text(errors="replace")
                raise RuntimeError(f"etcd did not start:\n{text[-2000:]}")
            time.sleep(0.02)

    def _tls_context(self) -> ssl.SSLContext | None:
        if self.tls is None:
            return None
        assert self.tls.cert is not None, "etcd's health is asked with a client certificate"
        context = ssl.create_default_context(cafile=self.tls.ca)
        context.load_cert_chain(self.tls.cert, self.tls.key)
        return context

    def kill(self) -> None:
        """kill -9, and wait for the end."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        if self._process is not None:
            self.stop()
        self.start()

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=10)
            self._process = None


def start_etcd(data_dir: Path, *arguments: str, tls: TlsFiles | None = None) -> EtcdProcess:
    """Start etcd with its data in `data_dir`; `arguments` are further flags of etcd's.

    `tls` is what a client needs if those flags ask for it.

    Without an etcd in PATH the test is skipped, in CI it fails.
    """
    if shutil.which("etcd") is None:
        if os.environ.get("CI"):
            pytest.fail("etcd is not installed")
        pytest.skip("etcd is not installed")
    client_port, peer_port = free_ports()
    etcd = EtcdProcess(data_dir, client_port, peer_port, arguments, tls)
    etcd.start()
    return etcd


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]
