"""Client: every failure is one of its own errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from services.controllers.client import (
    AlreadyExists,
    Client,
    ClientError,
    Conflict,
    Expired,
    MethodNotSupported,
    NotFound,
    StatusError,
    Unreachable,
    status_error,
)
from shared.kubeconfig import ClusterAccess

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def connected(handler: Handler, **access: Any) -> AsyncIterator[Client]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with Client(ClusterAccess(server=server, **access), user_agent="test/1") as client:
            yield client
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (404, "NotFound", NotFound),
        (409, "Conflict", Conflict),
        (409, "AlreadyExists", AlreadyExists),
        (405, "MethodNotAllowed", MethodNotSupported),
        (410, "Expired", Expired),
        (410, "Gone", Expired),
        (410, "", Expired),
        (404, "", NotFound),
        (403, "Forbidden", StatusError),
        (500, "", StatusError),
    ],
)
def test_a_status_becomes_the_error_of_its_reason(
    code: int, reason: str, kind: type[StatusError]
) -> None:
    error = status_error({"code": code, "reason": reason, "message": "why"})
    assert type(error) is kind
    assert (error.code, error.reason, str(error)) == (code, reason, "why")


def test_requests_carry_body_token_and_user_agent_and_return_the_answer() -> None:
    async def handle(request: web.Request) -> web.Response:
        seen = {name: request.headers.get(name) for name in ("User-Agent", "Authorization")}
        return web.json_response(
            {**seen, "type": request.content_type, "body": await request.json()}
        )

    async def scenario() -> dict[str, Any]:
        async with connected(handle, token="secret") as client:
            return await client.merge_patch("/x", {"a": 1})

    assert asyncio.run(scenario()) == {
        "User-Agent": "test/1",
        "Authorization": "Bearer secret",
        "type": "application/merge-patch+json",
        "body": {"a": 1},
    }


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        ({"status": 404, "text": "404 page not found\n"}, NotFound, "404 page not found"),
        ({"status": 502}, StatusError, "HTTP 502"),
        ({"status": 302, "headers": {"Location": "/y"}}, StatusError, "HTTP 302"),
        ({"status": 200, "text": "not json"}, Unreachable, "the answer is not JSON"),
        ({"status": 200, "text": "[]"}, Unreachable, "the answer is not an object"),
    ],
)
def test_strange_answers_are_errors(
    answer: dict[str, Any], kind: type[ClientError], message: str
) -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(**answer)

    async def scenario() -> None:
        async with connected(handle) as client:
            await client.get("/x")

    with pytest.raises(kind, match=message):
        asyncio.run(scenario())


def test_no_server_is_unreachable() -> None:
    async def scenario() -> None:
        access = ClusterAccess(server="http://127.0.0.1:1")
        async with Client(access, user_agent="test") as client:
            await client.get("/x")

    with pytest.raises(Unreachable, match="GET /x"):
        asyncio.run(scenario())


def test_an_answer_that_takes_too_long_is_unreachable() -> None:
    async def handle(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        raise AssertionError("not waited for")

    async def scenario() -> None:
        async with connected(handle) as client:
            await client.request("GET", "/x", timeout_s=0.05)

    with pytest.raises(Unreachable):
        asyncio.run(scenario())


async def collect(client: Client) -> list[str]:
    seen = []
    async with aclosing(client.watch("/w", query={}, timeout_s=5)) as events:
        async for event in events:
            seen.append(event.type)
    return seen


def watch_answer(*chunks: bytes, cut: bool = False) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
            await asyncio.sleep(0.005)
        if cut and request.transport is not None:
            request.transport.abort()
        return response

    return handle


ADDED = b'{"type":"ADDED","object":{}}\n'


def test_events_are_whole_however_the_stream_is_cut_into_chunks() -> None:
    async def scenario() -> list[str]:
        chunks = (ADDED[:5], ADDED[5:-1], b"\n" + ADDED + ADDED[:9], ADDED[9:])
        async with connected(watch_answer(*chunks)) as client:
            return await collect(client)

    assert asyncio.run(scenario()) == ["ADDED"] * 3


@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        (watch_answer(ADDED, cut=True), Unreachable),
        (watch_answer(ADDED, b"nonsense\n"), Unreachable),
        (watch_answer(b'{"type":"ERROR","object":{"code":410,"reason":"Expired"}}\n'), Expired),
    ],
    ids=["cut", "not JSON", "ERROR event"],
)
def test_a_watch_that_breaks_says_how(handler: Handler, kind: type[ClientError]) -> None:
    async def scenario() -> None:
        async with connected(handler) as client:
            await collect(client)

    with pytest.raises(kind):
        asyncio.run(scenario())


def test_a_token_file_is_read_again_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.json_response({})

    async def scenario() -> None:
        token = tmp_path / "token"
        token.write_text("one\n")
        async with connected(handle, token_file=token) as client:
            await client.get("/x")
            token.write_text("two\n")
            await client.get("/x")
            monkeypatch.setattr("services.controllers.client.TOKEN_FILE_MAX_AGE_S", 0.0)
            await client.get("/x")

    asyncio.run(scenario())
    assert seen == ["Bearer one", "Bearer one", "Bearer two"]
