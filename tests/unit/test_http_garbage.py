"""What is no plain request, or never ends, is ignored or refused, and taken for no other."""

from __future__ import annotations

import asyncio
import json

import pytest

from services.apiserver.http import protocol as http
from services.apiserver.http.request import Receive, Scope, Send
from tests.unit.http_world import ANY_GET, GET, TIMEOUT_S, Connection, Served, Stream, echo, run


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
        async with served.stream() as connection:
            connection.send(b"\x00\x00\r\n\r\n")
            assert await connection.rest() == b""
            await stream.until_idle()

    run(stream, scenario)
