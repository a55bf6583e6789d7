"""The pipeline tells the audit of a request what becomes of it."""

from __future__ import annotations

import asyncio
from typing import Any

from services.apiserver.authentication import Authenticated, NotedAuthenticated
from services.apiserver.authentication.requestheader import HeaderFilter
from services.apiserver.authorization import AlwaysAllow
from services.apiserver.errors import NotFound, Unauthorized
from services.apiserver.http.request import (
    AnyResponse,
    ClientDisconnected,
    Message,
    Receive,
    Request,
    Response,
    Scope,
    Send,
)
from services.apiserver.metrics import Metrics
from services.apiserver.pipeline import Pipeline
from services.apiserver.requestinfo import UserInfo
from services.apiserver.stages.authentication import AuthenticationStage
from services.apiserver.stages.flowcontrol import InFlight
from tests.unit.audit_world import ALICE, World


def events_of(failure: BaseException | None = None, *, known: bool = True) -> list[dict[str, Any]]:
    """Return the events of a request to a handler that fails so."""

    async def authenticate(request: Request) -> UserInfo:
        if not known:
            raise Unauthorized("Unauthorized")
        return ALICE

    async def handle(request: Request) -> AnyResponse:
        if failure is not None:
            raise failure
        return Response(200, b"{}")

    async def plain(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("not a plain route")

    async def run() -> World:
        async with World() as world:
            pipeline = Pipeline(
                authenticate=authenticate,
                authorizers=(AlwaysAllow(),),
                flow_control=InFlight(limit_reading=5, limit_mutating=5),
                resources=handle,
                plain=plain,
                metrics=Metrics(),
                request_timeout_s=5,
                auditor=world.auditor,
            )
            await pipeline(SCOPE, receive, send)
        return world

    return asyncio.run(run()).destination.events


SCOPE: Scope = {
    "type": "http",
    "method": "GET",
    "path": "/api/v1/namespaces/ns/pods/web",
    "query_string": b"",
    "headers": [],
}


async def receive() -> Message:
    return {"type": "http.request", "body": b""}


async def send(message: Message) -> None:
    pass


def stages(events: list[dict[str, Any]]) -> list[str]:
    return [event["stage"] for event in events]


def test_an_answer_completes_the_request() -> None:
    events = events_of()
    assert stages(events) == ["RequestReceived", "ResponseComplete"]
    assert events[1]["responseStatus"] == {"metadata": {}, "code": 200}
    assert events[1]["annotations"] == {
        "authorization.k8s.io/decision": "allow",
        "authorization.k8s.io/reason": "",
    }


def test_an_error_completes_the_request_with_its_status() -> None:
    events = events_of(NotFound("gone"))
    assert stages(events) == ["RequestReceived", "ResponseComplete"]
    assert events[1]["responseStatus"]["message"] == "gone"


def test_an_unexpected_error_is_a_panic() -> None:
    events = events_of(KeyError("x"))
    assert stages(events) == ["RequestReceived", "Panic"]
    assert events[1]["responseStatus"]["code"] == 500


def test_a_client_that_has_gone_is_recorded() -> None:
    events = events_of(ClientDisconnected())
    assert stages(events) == ["RequestReceived", "ResponseComplete"]
    assert events[1]["responseStatus"]["message"] == "Connection closed early"


def test_a_refused_client_is_recorded_once() -> None:
    events = events_of(known=False)
    assert stages(events) == ["ResponseStarted"]
    assert events[0]["responseStatus"]["code"] == 401


def test_what_is_noted_of_credentials_is_in_every_event_of_the_request() -> None:
    class Noted:
        async def authenticate(self, request: Request) -> Authenticated:
            return NotedAuthenticated(ALICE, (), (("authentication.k8s.io/stale-token", "late"),))

    async def run() -> list[dict[str, Any]]:
        stage = AuthenticationStage(Noted(), None, HeaderFilter(b"authorization", []))
        async with World() as world:
            request = world.request()
            request.user = await stage(request)
            await request.audit.received()
            await request.audit.answering(Response(200, b"{}"))
            await request.audit.complete()
        return world.destination.events

    events = asyncio.run(run())
    assert [event["stage"] for event in events] == ["RequestReceived", "ResponseComplete"]
    for event in events:
        assert event["annotations"] == {"authentication.k8s.io/stale-token": "late"}
