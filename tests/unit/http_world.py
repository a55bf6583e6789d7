"""The HTTP server on a real socket, clients that write bytes, and applications behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import uvicorn

from services.apiserver.http.protocol import WRITER, ApiProtocol, ConnectionsState, StreamWriter
from services.apiserver.http.request import Receive, Scope, Send

App = Callable[[Scope, Receive, Send], Awaitable[None]]
TIMEOUT_S = 5.0
GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
ANY_GET = b'["GET", "/a", ""]'
"""What `echo` answers to GET."""


class Connection:
    """A client that writes bytes and reads answers one at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))

    async def head(self) -> tuple[int, dict[str, str]]:
        text = (await self._timed(self._reader.readuntil(b"\r\n\r\n"))).decode("latin-1")
        status, *lines = text.rstrip("\r\n").split("\r\n")
        pairs = (line.partition(": ") for line in lines)
        return int(status.split()[1]), {name.lower(): value for name, _, value in pairs}

    async def answer(self, *, body: bool = True) -> tuple[int, dict[str, str], bytes]:
        status, headers = await self.head()
        if not body or status < 200:
            return status, headers, b""
        if headers.get("transfer-encoding") == "chunked":
            return status, headers, await self._chunks()
        length = int(headers["content-length"])
        return status, headers, await self._timed(self._reader.readexactly(length))

    async def chunk(self) -> bytes:
        size = int(await self._timed(self._reader.readline()), 16)
        return (await self._timed(self._reader.readexactly(size + 2)))[:-2]

    async def rest(self) -> bytes:
        """Everything until the server closes the connection."""
        return await self._timed(self._reader.read())

    def close(self) -> None:
        self.writer.close()

    async def _chunks(self) -> bytes:
        out = b""
        while piece := await self.chunk():
            out += piece
        return out

    async def _timed(self, waiting: Awaitable[bytes]) -> bytes:
        async with asyncio.timeout(TIMEOUT_S):
            return await waiting


class Served:
    """A listening server."""

    def __init__(self, port: int, state: ConnectionsState) -> None:
        self._port = port
        self.state = state

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        connection = Connection(reader, writer)
        try:
            yield connection
        finally:
            writer.transport.abort()

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[Connection]:
        """Connect and ask; the answer's head has been read, its body goes on."""
        async with self.connect() as connection:
            connection.send(GET)
            await connection.head()
            yield connection

    async def exchange(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        async with self.connect() as connection:
            connection.send(request)
            return await connection.answer()


@asynccontextmanager
async def serving(app: App) -> AsyncIterator[Served]:
    config = uvicorn.Config(app, http=ApiProtocol, ws="none", lifespan="off", log_config=None)
    config.load()
    state = ConnectionsState()

    def protocol() -> ApiProtocol:
        return ApiProtocol(config=config, server_state=state, app_state={})

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    async with server:
        yield Served(server.sockets[0].getsockname()[1], state)
        for connection in list(state.connections):
            connection.transport.abort()
        for task in list(state.tasks):
            task.cancel()
        await asyncio.gather(*state.tasks, return_exceptions=True)


async def read_body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what it was asked; /chunks answers in chunks."""
    body = await read_body(receive)
    text = json.dumps([scope["method"], scope["path"], scope["query_string"].decode("latin-1")])
    answer = text.encode() + body
    headers = [(b"content-type", b"application/json")]
    if scope["path"] == "/chunks":
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer, "more_body": True})
        await send({"type": "http.response.body", "body": b"!"})
        return
    headers.append((b"content-length", b"%d" % len(answer)))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


class Stream:
    """An application whose answers stay open until their clients are gone, like watches."""

    def __init__(self) -> None:
        self.open = 0
        self.writers: list[StreamWriter] = []
        self._idle = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.open += 1
        self._idle.clear()
        self.writers.append(scope["extensions"][WRITER])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        self.open -= 1
        if not self.open:
            self._idle.set()

    async def until_idle(self) -> None:
        """Wait until every answer has ended."""
        async with asyncio.timeout(TIMEOUT_S):
            await self._idle.wait()


def run(app: App, scenario: Callable[[Served], Awaitable[None]]) -> None:
    async def main() -> None:
        async with serving(app) as served:
            await scenario(served)

    asyncio.run(main())
