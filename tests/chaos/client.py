"""A client that sends each request exactly once, so that what it records is what happened.

HTTP libraries repeat a PUT whose connection broke, and the second answer (409) then hides that
the first was done. Here a broken connection is always told. It is lean too: hundreds of watches
fit into one process.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

READ_BYTES = 256 * 1024


class Disconnected(Exception):
    """No answer: the connection could not be made, or broke."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach the system: from its kubeconfig."""

    host: str
    port: int
    tls: ssl.SSLContext
    token: str

    @classmethod
    def from_kubeconfig(cls, path: Path) -> Access:
        config = yaml.safe_load(path.read_text())
        cluster = config["clusters"][0]["cluster"]
        host, _, port = cluster["server"].removeprefix("https://").partition(":")
        tls = ssl.create_default_context(cafile=cluster["certificate-authority"])
        return cls(host, int(port), tls, config["users"][0]["user"]["token"])


class Connection:
    """One connection, opened when it is needed; after an error the next request opens another."""

    def __init__(self, access: Access, port: int | None = None) -> None:
        self._access = access
        self._port = port if port is not None else access.port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        timeout_s: float = 10.0,
    ) -> Answer:
        """Send one request and read its answer.

        Raises:
            Disconnected: there was no whole answer.
            TimeoutError: not within `timeout_s`.
        """
        answered = False
        try:
            async with asyncio.timeout(timeout_s):
                reader = await self._send(method, path, body, content_type)
                status, headers = await _head(reader)
                data = await _body(reader, headers)
                answered = headers.get("connection") != "close"
                return Answer(status, data)
        except (OSError, EOFError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise Disconnected(repr(error)) from error
        finally:
            if not answered:
                self.close()

    async def lines(
        self, path: str, *, open_timeout_s: float = 10.0, silence_s: float = 30.0
    ) -> AsyncGenerator[bytes, None]:
        """Yield the lines of a streamed answer until it ends; an error's body is one line.

        Raises:
            Disconnected: the stream broke off.
            TimeoutError: it did not begin, or was silent for `silence_s`.
        """
        try:
            async with asyncio.timeout(open_timeout_s):
                reader = await self._send("GET", path, None, "application/json")
                status, headers = await _head(reader)
                refusal = await _body(reader, headers) if status != 200 else None
            if refusal is not None:
                yield refusal
                return
            rest = b""
            while True:
                async with asyncio.timeout(silence_s):
                    size = int(await reader.readuntil(b"\r\n"), 16)
                    chunk = await reader.readexactly(size + 2)
                if size == 0:
                    return
                *lines, rest = (rest + chunk[:-2]).split(b"\n")
                for line in lines:
                    yield line
        except (OSError, EOFError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise Disconnected(repr(error)) from error
        finally:
            self.close()

    def close(self) -> None:
        if self._streams is not None:
            # Not waited for: the peer may be gone, or stopped.
            self._streams[1].transport.abort()
            self._streams = None

    async def _send(
        self, method: str, path: str, body: Any, content_type: str
    ) -> asyncio.StreamReader:
        if self._streams is None:
            self._streams = await asyncio.open_connection(
                self._access.host, self._port, ssl=self._access.tls, limit=READ_BYTES
            )
        reader, writer = self._streams
        data = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self._access.host}:{self._port}\r\n"
            f"Authorization: Bearer {self._access.token}\r\nAccept: application/json\r\n"
            f"Content-Type: {content_type}\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        writer.write(head.encode() + data)
        await writer.drain()
        return reader


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(first.split()[1]), headers


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    chunks: list[bytes] = []
    while True:
        size = int(await reader.readuntil(b"\r\n"), 16)
        chunk = await reader.readexactly(size + 2)
        if size == 0:
            return b"".join(chunks)
        chunks.append(chunk[:-2])
