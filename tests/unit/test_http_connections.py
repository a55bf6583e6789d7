"""A connection: how many requests it carries, how long it waits, when it ends."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from services.apiserver.http import protocol as http
from services.apiserver.http.request import Receive, Scope, Send
from tests.unit.http_world import ANY_GET, GET, TIMEOUT_S, Served, Stream, echo, run, serving


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
        async with served.stream() as connection:
            connection.writer.transport.set_write_buffer_limits(high=0)
            connection.send(GET * 2_000_000)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await connection.writer.drain()

    run(Stream(), scenario)


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
    servers: list[Served] = []

    async def ending(scope: Scope, receive: Receive, send: Send) -> None:
        (connection,) = servers[0].state.connections
        connection.shutdown()
        await echo(scope, receive, send)

    async def scenario(served: Served) -> None:
        servers.append(served)
        async with served.connect() as connection:
            connection.send(GET)
            status, headers, _ = await connection.answer()
            assert (status, headers["connection"]) == (200, "close")
            assert await connection.rest() == b""

    run(ending, scenario)


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
