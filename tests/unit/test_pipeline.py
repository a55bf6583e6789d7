"""The pipeline: stages in order, one answer to each request, every error a Status."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from services.apiserver.authorization import Decision
from services.apiserver.errors import Conflict, Unauthorized
from services.apiserver.http.request import (
    AnyResponse,
    ClientDisconnected,
    Message,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    StreamingResponse,
)
from services.apiserver.metrics import Metrics
from services.apiserver.pipeline import Pipeline
from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.apiserver.stages.flowcontrol import InFlight
from shared.storage import FutureRevision, Revision, StorageUnavailable

POD = "/api/v1/namespaces/ns/pods/a"
Handler = Callable[[Request], Awaitable[AnyResponse]]


class Permits:
    """An authorizer that allows all, or nothing."""

    def __init__(self, allowed: bool) -> None:
        self._decision = Decision(allowed, "")

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        return self._decision


class Asked:
    """What a request led to."""

    def __init__(self, messages: list[Message]) -> None:
        self.messages = messages
        head = messages[0] if messages else {"status": 0, "headers": ()}
        self.status: int = head["status"]
        self.headers = {name.decode(): value.decode() for name, value in head["headers"]}
        self.body = b"".join(message.get("body", b"") for message in messages[1:])

    @property
    def told(self) -> tuple[int, Any, Any]:
        status = json.loads(self.body)
        assert (status["kind"], status["status"]) == ("Status", "Failure")
        assert status["code"] == self.status
        return status["code"], status.get("reason"), status["message"]


class World:
    """A pipeline whose ends are a test's own."""

    def __init__(
        self,
        resources: Handler | None = None,
        *,
        allowed: bool = True,
        known: bool = True,
        limit: int = 10,
        timeout_s: float = 5.0,
    ) -> None:
        self.metrics = Metrics()
        self.in_flight = InFlight(limit_reading=limit, limit_mutating=limit)
        self.seen: list[str] = []
        self.handling = asyncio.Event()
        self._known = known
        self._resources = resources or self._answer
        self.pipeline = Pipeline(
            authenticate=self._authenticate,
            authorizers=(Permits(allowed),),
            flow_control=self.in_flight,
            resources=self._handle,
            plain=self._plain,
            metrics=self.metrics,
            request_timeout_s=timeout_s,
        )

    async def _authenticate(self, request: Request) -> UserInfo:
        self.seen.append("authenticate")
        if not self._known:
            raise Unauthorized("Unauthorized")
        return UserInfo("user")

    async def _handle(self, request: Request) -> AnyResponse:
        self.seen.append("handle")
        self.handling.set()
        return await self._resources(request)

    async def _answer(self, request: Request) -> AnyResponse:
        return Response(200, b"{}")

    async def _plain(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append("plain")
        await Response(200, b"ok").send(send, ())

    async def ask(
        self, method: str = "GET", path: str = POD, query: bytes = b"", accept: bytes = b""
    ) -> Asked:
        messages: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            messages.append(message)

        headers = [(b"accept", accept)] if accept else []
        scope: Scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query,
            "headers": headers,
        }
        await self.pipeline(scope, receive, send)
        return Asked(messages)


def ask(world: World, *arguments: Any, **named: Any) -> Asked:
    return asyncio.run(world.ask(*arguments, **named))


def failing(error: BaseException) -> Handler:
    async def handler(request: Request) -> AnyResponse:
        raise error

    return handler


def test_a_resource_request_passes_all_stages() -> None:
    world = World()
    asked = ask(world)
    assert (asked.status, asked.body) == (200, b"{}")
    assert world.seen == ["authenticate", "handle"]


def test_the_first_of_repeated_headers_counts() -> None:
    """As in Go: whoever stands in front and looked at it has seen the same."""

    async def nothing() -> Message:
        raise AssertionError

    names = (b"accept", b"audit-id")
    headers = [(name, value) for value in (b"first", b"second") for name in names]
    request = Request(
        {"method": "GET", "path": "/", "query_string": b"", "headers": headers}, nothing
    )
    assert (request.header(b"accept"), request.audit_id) == ("first", "first")


def test_any_other_request_goes_to_the_plain_routes() -> None:
    world = World()
    assert ask(world, path="/version").body == b"ok"
    assert world.seen == ["authenticate", "plain"]


def test_who_is_not_known_gets_no_further() -> None:
    world = World(known=False)
    assert ask(world).told == (401, "Unauthorized", "Unauthorized")
    assert world.seen == ["authenticate"]


@pytest.mark.parametrize("path", [POD, "/metrics"])
def test_who_may_not_gets_no_further(path: str) -> None:
    world = World(allowed=False)
    assert ask(world, path=path).told[:2] == (403, "Forbidden")
    assert world.seen == ["authenticate"]


def test_a_refusal_says_who_may_not_do_what() -> None:
    asked = ask(World(allowed=False), "PUT", "/apis/apps/v1/namespaces/ns/deployments/a/scale")
    assert asked.told[2] == (
        'deployments.apps "a" is forbidden: User "user" cannot update resource '
        '"deployments/scale" in API group "apps" in the namespace "ns"'
    )
    assert json.loads(asked.body)["details"] == {
        "name": "a",
        "group": "apps",
        "kind": "deployments",
    }


def test_beyond_the_limit_the_client_is_asked_to_come_back() -> None:
    async def scenario() -> None:
        world = World(waiting, limit=1)
        first = asyncio.create_task(world.ask())
        await world.handling.wait()
        refused = await world.ask()
        assert refused.told[:2] == (429, "TooManyRequests")
        assert refused.headers["retry-after"] == "1"
        # A watch is not counted: it lasts.
        watch = asyncio.create_task(world.ask(path="/api/v1/pods", query=b"watch=1"))
        release.set()
        assert (await first).status == (await watch).status == 200
        assert world.in_flight.reading == 0

    release = asyncio.Event()

    async def waiting(request: Request) -> AnyResponse:
        await release.wait()
        return Response(200, b"{}")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("error", "told", "retry"),
    [
        (Conflict("changed meanwhile"), (409, "Conflict", "changed meanwhile"), None),
        (
            StorageUnavailable("etcd is away"),
            (503, "ServiceUnavailable", "the storage did not answer: etcd is away"),
            "1",
        ),
        (
            FutureRevision(Revision(9), Revision(5)),
            (504, "Timeout", "Too large resource version: 9, current: 5"),
            "1",
        ),
    ],
)
def test_an_error_becomes_its_status(error: Exception, told: Any, retry: str | None) -> None:
    world = World(failing(error))
    asked = ask(world)
    assert asked.told == told
    assert asked.headers.get("retry-after") == retry
    assert world.in_flight.reading == 0


def test_an_error_that_nobody_expected_is_logged_and_tells_nothing_of_the_inside(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(failing(KeyError("secret")))
    asked = ask(world)
    assert asked.told == (500, "InternalError", "Internal error occurred: KeyError")
    assert b"secret" not in asked.body
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert world.metrics.panics == 1
    assert world.in_flight.reading == 0


def test_a_request_that_takes_too_long_ends() -> None:
    async def forever(request: Request) -> AnyResponse:
        await asyncio.Event().wait()
        raise AssertionError

    world = World(forever, timeout_s=0.02)
    assert ask(world).told == (
        504,
        "Timeout",
        "request did not complete within the allotted timeout",
    )
    assert world.in_flight.reading == 0


def test_a_cancelled_request_is_cancelled_and_not_timed_out() -> None:
    """The server stops, or the connection's task is ended: no answer is made up."""

    async def scenario() -> None:
        world = World(forever)
        task = asyncio.create_task(world.ask())
        await world.handling.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert world.in_flight.reading == 0

    async def forever(request: Request) -> AnyResponse:
        await asyncio.Event().wait()
        raise AssertionError

    asyncio.run(scenario())


def test_a_slow_answer_that_has_begun_is_not_timed_out() -> None:
    async def slices() -> AsyncIterator[bytes]:
        for _ in range(4):
            await asyncio.sleep(0.02)
            yield b"x"

    async def slow(request: Request) -> AnyResponse:
        return StreamingResponse(200, slices())

    assert ask(World(slow, timeout_s=0.03)).body == b"xxxx"


def test_nobody_is_answered_who_has_gone() -> None:
    world = World(failing(ClientDisconnected()))
    assert ask(world).messages == []
    assert world.in_flight.reading == 0


def test_an_error_in_the_middle_of_an_answer_ends_the_connection() -> None:
    """A second answer within the first would be taken for its content."""

    async def slices() -> AsyncIterator[bytes]:
        yield b"x"
        raise KeyError

    async def broken(request: Request) -> AnyResponse:
        return StreamingResponse(200, slices())

    with pytest.raises(KeyError):
        ask(World(broken))


@pytest.mark.parametrize("path", [POD, "/version"])
@pytest.mark.parametrize("known", [True, False])
def test_every_answer_has_an_audit_id_of_its_own(path: str, known: bool) -> None:
    world = World(known=known)
    ids = {ask(world, path=path).headers["audit-id"] for _ in range(5)}
    assert len(ids) == 5


@pytest.mark.parametrize(
    ("accept", "content_type", "begin"),
    [
        (b"", "application/json", b'{"kind":"Status"'),
        (b"text/html", "application/json", b'{"kind":"Status"'),
        (b"application/yaml", "application/yaml", b"apiVersion: v1\n"),
        (b"application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf", b"k8s\x00"),
        (
            b"application/json;as=Table;g=meta.k8s.io;v=v1,application/json",
            "application/json",
            b"{",
        ),
    ],
)
def test_errors_are_written_as_the_client_reads(
    accept: bytes, content_type: str, begin: bytes
) -> None:
    asked = ask(World(failing(Conflict("no"))), accept=accept)
    assert (asked.status, asked.headers["content-type"]) == (409, content_type)
    assert asked.body.startswith(begin)


def test_what_is_answered_is_counted_without_names_that_clients_make_up() -> None:
    world = World(failing(Conflict("no")))

    async def scenario() -> None:
        for name in ("a", "b", "c"):
            await world.ask(path=f"/api/v1/namespaces/{name}/made-up-{name}/x")

    asyncio.run(scenario())
    text = world.metrics.exposition().decode()
    assert "made-up" not in text
    (line,) = (one for one in text.splitlines() if one.startswith("apiserver_request_total{"))
    assert line.endswith(" 3.0")
