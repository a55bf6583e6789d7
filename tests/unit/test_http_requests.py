"""A request over HTTP/1.1 is read whole and answered as its client understands."""

from __future__ import annotations

import asyncio
import json

import pytest

from services.apiserver.http.request import Receive, Scope, Send
from tests.unit.http_world import ANY_GET, GET, Served, echo, run


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


def test_a_head_request_has_the_headers_and_no_body() -> None:
    async def scenario(served: Served) -> None:
        async with served.connect() as connection:
            connection.send(GET.replace(b"GET", b"HEAD"), GET)
            status, headers, _ = await connection.answer(body=False)
            assert (status, headers["content-length"]) == (200, "18")
            # The next answer begins right behind it.
            assert await connection.answer() == (200, headers | {"content-length": "17"}, ANY_GET)

    run(echo, scenario)


def test_a_chunked_request_body_is_put_together() -> None:
    async def scenario(served: Served) -> None:
        async with served.connect() as connection:
            connection.send(b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in (b"3\r\nabc\r\n", b"1;x=y\r\nd\r\n", b"0\r\nTrailer: t\r\n\r\n"):
                connection.send(piece)
                await asyncio.sleep(0)
            assert (await connection.answer())[2] == b'["POST", "/a", ""]abcd'

    run(echo, scenario)


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


def test_an_http_1_0_client_gets_no_chunks() -> None:
    async def scenario(served: Served) -> None:
        async with served.connect() as connection:
            connection.send(b"GET /chunks HTTP/1.0\r\n\r\n")
            _, headers = await connection.head()
            assert "transfer-encoding" not in headers
            assert await connection.rest() == b'["GET", "/chunks", ""]!'

    run(echo, scenario)
