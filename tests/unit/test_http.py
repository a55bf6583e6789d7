"""HTTP/1.1 as the server speaks it, on real sockets: bytes in, bytes out."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from services.apiserver.http import protocol as http
from services.apiserver.http.protocol import WRITER, ApiProtocol, ConnectionsState
from services.apiserver.http.request import Receive, Scope, Send

App = Callable[[Scope, Receive, Send], Awaitable[None]]
TIMEOUT_S = 5.0


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

    async def _timed(self, waiting: Any) -> Any:
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
        self.writers: list[http.StreamWriter] = []
        self.idle = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.open += 1
        self.idle.clear()
        self.writers.append(scope["extensions"][WRITER])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        self.open -= 1
        if not self.open:
            self.idle.set()


def run(app: App, scenario: Callable[[Served], Awaitable[None]]) -> None:
    async def main() -> None:
        async with serving(app) as served:
            await scenario(served)

    asyncio.run(main())


GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/a/b?x=1&y=%20", "/a/b", "x=1&y=%20"),
        (b"/a%20b/%C3%A4", "/a b/ä", ""),
        (b"/a%2Fb", "/a/b", ""),
        (b"/..%2f..", "/../..", ""),
        (b"/%FF", "/\ufffd", ""),
        (b"/%zz%", "/%zz%", ""),
        (b"/a?%FF", "/a", "%FF"),
        (b"http://elsewhere/a?b", "/a", "b"),
        (b"*", "*", ""),
    ],
)
def test_the_path_is_decoded_and_the_query_is_not(target: bytes, path: str, query: str) -> None:
    async def scenario(served: Served) -> None:
        request = b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n" % target
        _, _, body = await served.exchange(request)
        assert json.loads(body) == ["GET", path, query]

    run(echo, scenario)


def test_pipelined_requests_are_answered_in_order() -> None:
    async def scenario(served: Served) -> None:
        async with served.connect() as connection:
            connection.send(
                b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\n",
                b"POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
                b"GET /chunks HTTP/1.1\r\nHost: h\r\n\r\n",
                b"GET /4 HTTP/1.1\r\nHost: h\r\n\r\n",
            )
            bodies = [(await connection.answer())[2] for _ in range(4)]
        assert bodies == [
            b'["GET", "/1", ""]',
            b'["POST", "/2", ""]abc',
            b'["GET", "/chunks", ""]!',
            b'["GET", "/4", ""]',
        ]

    run(echo, scenario)


def test_a_client_that_sends_more_requests_than_may_wait_gets_all_answers() -> None:
    async def scenario(served: Served) -> None:
        async with served.connect() as connection:
            count = http.MAXIMUM_WAITING * 20
            connection.send(GET * count)
            for _ in range(count):
                assert (await connection.answer())[0] == 200

    run(echo, scenario)


def test_requests_without_end_are_not_read_while_nothing_is_answered() -> None:
    """Memory for waiting requests is bounded by what was already on its way."""

    async def scenario(served: Served) -> None:
        async with served.connect() as connection:
            connection.send(GET)
            await connection.head()
            connection.writer.transport.set_write_buffer_limits(high=0)
            connection.send(GET * 2_000_000)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await connection.writer.drain()

    run(Stream(), scenario)


def test_a_head_request_has_the_headers_and_no_body() -> None:
    async def scenario(served: Served) -> None:
        async with served.connect() as connection:
            connection.send(GET.replace(b"GET", b"HEAD"), GET)
            status, headers, _ = await connection.answer(body=False)
            assert (status, headers["content-length"]) == (200, "18")
            # The next answer begins right behind it.
            assert await connection.answer() == (200, headers | {"content-length": "17"}, ANY_GET)

    run(echo, scenario)


ANY_GET = b'["GET", "/a", ""]'


def test_a_chunked_request_body_is_put_together() -> None:
    async def scenario(served: Served) -> None:
        async with served.connect() as connection:
            connection.send(b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in (b"3\r\nabc\r\n", b"1;x=y\r\nd\r\n", b"0\r\nTrailer: t\r\n\r\n"):
                connection.send(piece)
                await asyncio.sleep(0)
            assert (await connection.answer())[2] == b'["POST", "/a", ""]abcd'

    run(echo, scenario)


def test_a_client_that_expects_100_is_told_to_continue() -> None:
    async def scenario(served: Served) -> None:
        async with served.connect() as connection:
            connection.send(
                b"POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
            )
            assert (await connection.answer())[0] == 100
            connection.send(b"ab")
            assert (await connection.answer())[2] == b'["POST", "/a", ""]ab'

    run(echo, scenario)


@pytest.mark.parametrize(
    ("request_line", "header", "stays"),
    [
        (b"GET /a HTTP/1.1", b"Host: h", True),
        (b"GET /a HTTP/1.1", b"Connection: keep-alive", True),
        (b"GET /a HTTP/1.1", b"Connection: close", False),
        (b"GET /a HTTP/1.0", b"Host: h", False),
    ],
)
def test_a_connection_stays_open_unless_the_client_wants_it_closed(
    request_line: bytes, header: bytes, stays: bool
) -> None:
    async def scenario(served: Served) -> None:
        async with served.connect() as connection:
            connection.send(b"%b\r\n%b\r\n\r\n" % (request_line, header))
            _, headers, body = await connection.answer()
            assert body == ANY_GET
            assert headers.get("connection") == (None if stays else "close")
            if stays:
                connection.send(GET)
                assert (await connection.answer())[0] == 200
            else:
                assert await connection.rest() == b""

    run(echo, scenario)


def test_an_http_1_0_client_gets_no_chunks() -> None:
    async def scenario(served: Served) -> None:
        async with served.connect() as connection:
            connection.send(b"GET /chunks HTTP/1.0\r\n\r\n")
            _, headers = await connection.head()
            assert "transfer-encoding" not in headers
            assert await connection.rest() == b'["GET", "/chunks", ""]!'

    run(echo, scenario)


@pytest.mark.parametrize(
    "upgrade",
    [
        b"Connection: Upgrade\r\nUpgrade: websocket",
        b"Connection: Upgrade\r\nUpgrade: SPDY/3.1",
        b"Connection: upgrade\r\nUpgrade: h2c",
    ],
)
def test_an_upgrade_is_ignored_and_what_follows_is_answered(upgrade: bytes) -> None:
    async def scenario(served: Served) -> None:
        async with served.connect() as connection:
            connection.send(b"GET /1 HTTP/1.1\r\nHost: h\r\n%b\r\n\r\n" % upgrade, GET)
            assert (await connection.answer())[2] == b'["GET", "/1", ""]'
            assert (await connection.answer())[2] == ANY_GET

    run(echo, scenario)


@pytest.mark.parametrize("body", [b"Content-Length: %d", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("start", [b"POST /1", b"GET /1", b"CONNECT h:1"])
def test_the_body_of_an_upgrade_is_not_taken_for_the_next_request(
    start: bytes, body: bytes
) -> None:
    """A proxy passes it on as a body; as a request it could come from anybody."""
    asked: list[str] = []

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope["path"])
        await echo(scope, receive, send)

    async def scenario(served: Served) -> None:
        smuggled = b"GET /smuggled HTTP/1.1\r\nHost: h\r\nX-Remote-User: admin\r\n\r\n"
        head = b"%b HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n" % start
        async with served.connect() as connection:
            length = body % len(smuggled) if b"%" in body else body
            connection.send(head, length, b"\r\n\r\n", smuggled)
            assert (await connection.answer())[0] == 400
            assert await connection.rest() == b""
        assert asked == []

    run(counting, scenario)


def test_a_trailer_is_no_header() -> None:
    """Proxies pass trailers on, and take out of the headers alone what clients may not say."""
    seen: list[bytes] = []

    async def telling(scope: Scope, receive: Receive, send: Send) -> None:
        await echo(scope, receive, send)  # reads the body, and with it the trailers
        seen.extend(name for name, _ in scope["headers"])

    async def scenario(served: Served) -> None:
        head = b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        trailers = b"X-Remote-User: admin\r\nX-Remote-Group: system:masters\r\n"
        status, _, _ = await served.exchange(head + b"1\r\na\r\n0\r\n" + trailers + b"\r\n")
        assert status == 200
        assert seen == [b"host", b"transfer-encoding"]

    run(telling, scenario)


@pytest.mark.parametrize(
    "start",
    [
        b"GET / HTTP/1.1\r\nLong: ",
        b"GET / HTTP/1.1\r\nLong",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nLong: ",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;long",
    ],
)
def test_a_header_without_end_is_not_collected(start: bytes) -> None:
    async def flood(connection: Connection) -> None:
        connection.send(start)
        for _ in range(64):
            connection.send(b"x" * 2**18)
            async with asyncio.timeout(TIMEOUT_S):
                await connection.writer.drain()

    async def scenario(served: Served) -> None:
        async with served.connect() as connection:
            with pytest.raises(ConnectionError):
                await flood(connection)

    run(echo, scenario)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS where none is spoken
        b"hello\r\n\r\n",
        b"get / HTTP/1.1\r\n\r\n",
        b"GET /a HTTP/9.9\r\n\r\n",
        b"GET a HTTP/1.1\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1 x\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nA\x00: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n: empty\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"GET / HTTP/1.1\r\nLong: " + b"x" * (http.MAXIMUM_HEADER_BYTES + 1) + b"\r\n\r\n",
        b"GET /" + b"x" * (http.MAXIMUM_HEADER_BYTES + 1) + b" HTTP/1.1\r\n\r\n",
    ],
    ids=lambda value: repr(value[:40]),
)
def test_what_is_no_http_request_gets_a_status_and_the_connection_is_closed(garbage: bytes) -> None:
    async def scenario(served: Served) -> None:
        async with served.connect() as connection:
            connection.send(garbage)
            status, headers, body = await connection.answer()
            assert (status, headers["connection"]) == (400, "close")
            told = json.loads(body)
            assert (told["kind"], told["code"], told["reason"]) == ("Status", 400, "BadRequest")
            assert await connection.rest() == b""
        assert (await served.exchange(GET))[2] == ANY_GET

    run(echo, scenario)


def test_garbage_behind_a_request_does_not_get_into_its_answer() -> None:
    """The request is answered as ever, and then the connection ends."""

    async def scenario(served: Served) -> None:
        async with served.connect() as connection:
            connection.send(GET, b"\x00\x00\r\n\r\n" * 1000)
            assert (await connection.answer())[2] == ANY_GET
            assert await connection.rest() == b""

    run(echo, scenario)


def test_garbage_on_an_open_stream_ends_it_without_another_answer() -> None:
    stream = Stream()

    async def scenario(served: Served) -> None:
        async with served.connect() as connection:
            connection.send(GET)
            await connection.head()
            connection.send(b"\x00\x00\r\n\r\n")
            assert await connection.rest() == b""
            async with asyncio.timeout(TIMEOUT_S):
                await stream.idle.wait()

    run(stream, scenario)


def test_a_stream_learns_that_its_client_has_gone() -> None:
    stream = Stream()

    async def scenario(served: Served) -> None:
        async with served.connect() as connection:
            connection.send(GET)
            await connection.head()
            assert stream.open == 1
            connection.close()
            async with asyncio.timeout(TIMEOUT_S):
                await stream.idle.wait()

    run(stream, scenario)


def test_a_stream_learns_it_too_when_another_request_waits_behind_it() -> None:
    stream = Stream()

    async def scenario(served: Served) -> None:
        async with served.connect() as connection:
            connection.send(GET, GET, b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n")
            await connection.head()
            connection.close()
            async with asyncio.timeout(TIMEOUT_S):
                await stream.idle.wait()
        assert len(stream.writers) == 1, "nobody is left to answer the others for"

    run(stream, scenario)


def test_a_stream_writer_is_blocked_while_the_client_reads_nothing() -> None:
    stream = Stream()

    async def scenario(served: Served) -> None:
        async with served.connect() as slow, served.connect() as quick:
            for connection in (slow, quick):
                connection.send(GET)
                await connection.head()
            slow_writer, quick_writer = stream.writers
            slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
            written = 0
            while not slow_writer.blocked and written < 1000:
                slow_writer.write(b"x" * 100_000)
                written += 1
                await asyncio.sleep(0)
            assert slow_writer.blocked
            assert not quick_writer.blocked
            quick_writer.write(b"event")
            assert await quick.chunk() == b"event"

    run(stream, scenario)


def test_writing_to_a_stream_whose_client_has_gone_does_nothing() -> None:
    stream = Stream()

    async def scenario(served: Served) -> None:
        async with served.connect() as connection:
            connection.send(GET)
            await connection.head()
        async with asyncio.timeout(TIMEOUT_S):
            await stream.idle.wait()
        stream.writers[0].write(b"event")
        assert not stream.writers[0].blocked

    run(stream, scenario)


@pytest.mark.parametrize("sent", [b"", b"GET /a HTTP/1.1\r\nHos", GET + b"GET /"])
def test_a_head_that_does_not_come_ends_the_connection(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "HEAD_TIMEOUT_S", 0.05)

    async def scenario(served: Served) -> None:
        async with served.connect() as connection:
            connection.send(sent)
            rest = await connection.rest()
            assert rest.count(b"200 OK") == sent.count(b"\r\n\r\n")

    run(echo, scenario)


def test_a_slow_body_is_not_a_slow_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "HEAD_TIMEOUT_S", 0.05)

    async def scenario(served: Served) -> None:
        async with served.connect() as connection:
            connection.send(b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na")
            await asyncio.sleep(0.1)
            connection.send(b"b")
            assert (await connection.answer())[2] == b'["POST", "/a", ""]ab'
            await asyncio.sleep(0.1)
            connection.send(GET)
            assert (await connection.answer())[2] == ANY_GET

    run(echo, scenario)


def test_the_end_of_the_server_lets_an_answer_be_finished() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        protocols[0].shutdown()
        await echo(scope, receive, send)

    protocols: list[ApiProtocol] = []

    async def scenario(served: Served) -> None:
        async with served.connect() as connection:
            connection.send(GET)
            status, headers, _ = await connection.answer()
            assert (status, headers["connection"]) == (200, "close")
            assert await connection.rest() == b""

    class Recorded(ApiProtocol):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            protocols.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{__name__}.ApiProtocol", Recorded)
        run(slow, scenario)


def test_a_closed_connection_leaves_nothing_to_the_garbage_collector() -> None:
    seen: list[weakref.ref[Any]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(weakref.ref(receive.__self__))  # type: ignore[attr-defined]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def play() -> None:
        async with serving(app) as server:
            for _ in range(3):
                await server.exchange(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(TIMEOUT_S):
                while any(one() is not None for one in seen):  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(0.01)
            assert len(seen) == 3

    gc.collect()
    gc.disable()
    try:
        asyncio.run(play())
    finally:
        gc.enable()


def test_a_server_about_to_stop_ends_each_connection_after_its_next_answer() -> None:
    async def scenario(served: Served) -> None:
        async with served.connect() as connection:
            connection.send(GET)
            assert "connection" not in (await connection.answer())[1]
            served.state.draining = True
            connection.send(GET)
            status, headers, _ = await connection.answer()
            assert (status, headers["connection"]) == (200, "close")
            assert await connection.rest() == b""

    run(echo, scenario)
