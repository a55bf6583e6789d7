"""A lean HTTPS client for load: one connection, one request at a time, bodies only counted."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from typing import cast

import httptools

NOTE = b'"note":"'


class Connection(asyncio.Protocol):
    """Create it with `open`."""

    def __init__(self, token: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._head = f"Host: bench\r\nAuthorization: Bearer {token}\r\nAccept: application/json\r\n"
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[int] | None = None
        self._watching = False
        self._line = b""
        self.delays: list[float] = []
        """Seconds between a write and its event here, of all events so far."""

    @classmethod
    async def open(cls, port: int, tls: ssl.SSLContext, token: str) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: cls(token), "127.0.0.1", port, ssl=tls)
        return connection

    async def request(
        self, method: str, path: str, body: bytes = b"", content_type: str = ""
    ) -> None:
        """Send a request and read its answer.

        Raises:
            RuntimeError: the answer is no success.
            ConnectionError: there is none.
        """
        head = f"{method} {path} HTTP/1.1\r\n{self._head}"
        if content_type:
            head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        status = await self._send(head.encode() + b"\r\n" + body)
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status}")

    async def watch(self, path: str) -> None:
        """Start a watch; `delays` gets its events."""
        self._watching = True
        status = await self._send(f"GET {path} HTTP/1.1\r\n{self._head}\r\n".encode())
        if status >= 300:
            raise RuntimeError(f"watch {path}: {status}")

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def _send(self, data: bytes) -> int:
        if self._transport is None:
            raise ConnectionError("closed")
        self._answer = self._loop.create_future()
        self._transport.write(data)
        return await self._answer

    # -- asyncio's and httptools' callbacks ---------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the server closed the connection"))

    def on_headers_complete(self) -> None:
        if self._watching:
            self._answered()

    def on_body(self, body: bytes) -> None:
        if not self._watching:
            return
        now = time.perf_counter_ns()
        *lines, self._line = (self._line + body).split(b"\n")
        for line in lines:
            at = line.find(NOTE) + len(NOTE)
            self.delays.append((now - int(line[at : line.index(b'"', at)])) / 1e9)

    def on_message_complete(self) -> None:
        self._answered()

    def _answered(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(self._parser.get_status_code())


def pod(number: int) -> bytes:
    """Return the body of a pod of 4.3 KB on the wire; one of 100 shares its label `shard`."""
    env = [{"name": f"VARIABLE_{k}", "value": f"value-of-variable-{k}"} for k in range(20)]
    container = {
        "name": "main",
        "image": "registry.example/app:v1",
        "command": ["/bin/app", "--serve"],
        "env": env,
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
    }
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"bench-{number}",
                "labels": {"app": "bench", "shard": str(number % 100)},
                "annotations": {"note": "load"},
            },
            "spec": {"automountServiceAccountToken": False, "containers": [container]},
        }
    ).encode()
