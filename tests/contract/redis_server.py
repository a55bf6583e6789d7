"""A real Redis for tests: on a free port, keeping nothing, killed and emptied at will."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis

from shared.eventlog.redis import RedisServer
from tests.contract.etcd_server import free_ports

START_S = 20.0


@dataclass
class RedisProcess:
    """A running Redis without persistence; `start` after `kill` brings it back empty."""

    directory: Path
    port: int
    arguments: tuple[str, ...] = ()
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def server(self) -> RedisServer:
        return RedisServer.from_url(self.url)

    @property
    def pid(self) -> int:
        assert self._process is not None, "Redis is not running"
        return self._process.pid

    def start(self) -> None:
        """Returns when Redis accepts connections."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "redis-server",
                    *("--port", str(self.port), "--bind", "127.0.0.1"),
                    *("--save", "", "--appendonly", "no", "--dir", str(self.directory)),
                    *self.arguments,
                ],
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"]},
            )
        try:
            self._wait_until_listening()
        except BaseException:
            self.kill()
            raise

    def _wait_until_listening(self) -> None:
        deadline = time.monotonic() + START_S
        port = self.port or int(self.arguments[self.arguments.index("--tls-port") + 1])
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                pass
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                text = (self.directory / "redis.log").read_text(errors="replace")
                raise RuntimeError(f"Redis did not start:\n{text[-2000:]}")
            time.sleep(0.01)

    def do(self, *command: str | bytes | int) -> Any:
        """The answer to one command."""
        with redis.Redis(port=self.port, protocol=2) as client:
            return client.execute_command(*command)

    def kill(self) -> None:
        """kill -9, and wait for the end."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(timeout=10)
            self._process = None


def start_redis(directory: Path, *arguments: str, port: int | None = None) -> RedisProcess:
    """Start Redis; `arguments` are further options of its own. Port 0 is for TLS alone.

    Without a redis-server in PATH the test is skipped, in CI it fails.
    """
    if shutil.which("redis-server") is None:
        if os.environ.get("CI"):
            pytest.fail("redis-server is not installed")
        pytest.skip("redis-server is not installed")
    process = RedisProcess(directory, free_ports()[0] if port is None else port, arguments)
    process.start()
    return process
