"""The request pipeline: what every request passes, from first to last.

    panic and errors → Status      `__call__`
    RequestInfo                    stages/resolve.py
    authentication                 stages/authentication.py
    audit                          audit/, told of what follows by request.audit
    impersonation                  stages/impersonation.py
    priority and fairness          stages/flowcontrol.py, flowcontrol/
    authorization                  stages/authorization.py
    handler                        handlers/ for resources, routes.py for all else

Source of the order: kube-apiserver v1.36.2, apiserver/pkg/server/config.go
(DefaultBuildHandlerChain).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson

from services.apiserver.audit.auditor import Auditor
from services.apiserver.authorization import Authorizer
from services.apiserver.codec import protobuf
from services.apiserver.errors import (
    ApiError,
    InternalError,
    NotAuthorized,
    Timeout,
    Unauthorized,
    to_status,
)
from services.apiserver.http.negotiation import negotiate_error
from services.apiserver.http.request import (
    AnyResponse,
    ClientDisconnected,
    Header,
    Message,
    Receive,
    Request,
    Response,
    Scope,
    Send,
)
from services.apiserver.metrics import Metrics, RequestKey, now_s
from services.apiserver.read.representation import warning_headers
from services.apiserver.registry.interpret import interpret
from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.apiserver.stages.authorization import authorize
from services.apiserver.stages.flowcontrol import Admission, FlowControl
from services.apiserver.stages.impersonation import impersonate
from services.apiserver.stages.resolve import resolve_request_info
from shared.storage import StorageError

log = logging.getLogger("kubefan.apiserver")

ResourceHandler = Callable[[Request], Awaitable[AnyResponse]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class Pipeline:
    """The ASGI application. Lifespan and plain routes are `plain`'s, resources `resources`'."""

    def __init__(
        self,
        *,
        authenticate: Callable[[Request], Awaitable[UserInfo]],
        authorizers: Sequence[Authorizer],
        flow_control: FlowControl,
        resources: ResourceHandler,
        plain: AsgiApp,
        metrics: Metrics,
        request_timeout_s: float,
        auditor: Auditor | None = None,
    ) -> None:
        self._authenticate = authenticate
        self._authorizers = authorizers
        self._flow_control = flow_control
        self._resources = resources
        self._plain = plain
        self._metrics = metrics
        self._request_timeout_s = request_timeout_s
        self._auditor = auditor
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._plain(scope, receive, send)
            return
        started = now_s()
        request = Request(scope, receive)
        if self._auditor is not None:
            self._auditor.begin(request)
        answer = Answer(send, request)
        try:
            await self._handle(request, answer)
        except ClientDisconnected:
            return
        except ApiError as error:
            await answer.error(error)
        except StorageError as error:
            await answer.error(interpret(error))
        except Exception as error:
            # The last line of defence, kube-apiserver's panic filter: the client gets a Status,
            # the log the trace, and the server goes on with the others.
            self._metrics.panics += 1
            log.exception("unexpected error", extra={"method": request.method})
            await request.audit.panicked(error)
            if answer.started:
                raise
            await answer.error(InternalError(f"Internal error occurred: {type(error).__name__}"))
        finally:
            if answer.status:
                key = metric_key(request)
                self._metrics.request(key, answer.status, now_s() - started)
            if request.audit.enabled:
                await request.audit.complete()

    async def _handle(self, request: Request, answer: Answer) -> None:
        # Each stage relies on those above it.
        await resolve_request_info(request)
        try:
            request.user = await self._authenticate(request)
        except Unauthorized:
            request.audit.unauthenticated()
            raise
        if request.audit.enabled:
            await request.audit.received()
        await impersonate(self._authorizers, request)
        info = request.info
        admission = self._flow_control.admit(request)
        try:
            if admission.waits:
                queued = now_s()
                await admission.wait()
                request.audit.add_latency("apf-queue-wait", int((now_s() - queued) * 1e9))
            if info.verb == "watch":
                await self._watch(request, answer, admission)
            else:
                await self._serve(request, answer, admission)
        finally:
            admission.leave()

    async def _watch(self, request: Request, answer: Answer, admission: Admission) -> None:
        # Long-running: not timed out here, it ends by its own rules.
        request.on_initialized = admission.release
        await authorize(self._authorizers, request.user, request.info, request.audit)
        response = await self._resources(request)
        key = metric_key(request)
        self._metrics.long_running(key, 1)
        try:
            await self._send(answer, response, admission)
        finally:
            self._metrics.long_running(key, -1)

    async def _serve(self, request: Request, answer: Answer, admission: Admission) -> None:
        info = request.info
        self._metrics.serving += 1
        try:
            # After authentication: the answer is about the user.
            await authorize(self._authorizers, request.user, info, request.audit)
            loop = self._loop
            if loop is None:
                loop = self._loop = asyncio.get_running_loop()
            with RequestTimeout(self._request_timeout_s, loop):
                if info.is_resource_request:
                    response = await self._resources(request)
                else:
                    response = await self._plain_answer(request)
            # A slow reader may take as long as it wants for what is ready.
            if type(response) is Response:
                admission.release()
                await answer.send(response)
            else:
                await self._send(answer, response, admission)
        finally:
            self._metrics.serving -= 1

    async def _send(self, answer: Answer, response: AnyResponse, admission: Admission) -> None:
        """Send what is made while it is sent; a reader who is slow at that may not hold up others
        for longer than a request may take."""
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._request_timeout_s, admission.release)
        try:
            await answer.send(response)
        finally:
            timer.cancel()

    async def _plain_answer(self, request: Request) -> Response:
        """Return what a plain route answers: its routes write ASGI messages of their own."""
        status, headers, parts = 500, [], []

        async def collect(message: Message) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status, headers = message["status"], list(message.get("headers", ()))
            else:
                parts.append(message.get("body", b""))

        await self._plain(request.scope, request.receive, collect)
        kept = [header for header in headers if header[0] != b"content-length"]
        return Response(status, b"".join(parts), kept)


class RequestTimeout:
    """Ends what takes too long with a Timeout.

    asyncio.timeout does the same for 5 us a request; this takes 1.6, for want of states that it
    is never in here: it is neither nested in another nor moved.
    """

    __slots__ = ("_expired", "_loop", "_seconds", "_task", "_timer")

    def __init__(self, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        # Given, because to ask for the running loop is a system call (getpid).
        self._loop = loop
        self._seconds = seconds
        self._expired = False

    def __enter__(self) -> None:
        loop = self._loop
        self._task = asyncio.current_task(loop)
        self._timer = loop.call_later(self._seconds, self._expire)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        self._timer.cancel()
        if self._expired and kind is asyncio.CancelledError:
            assert self._task is not None
            if self._task.uncancel() == 0:  # else somebody else wants its end as well
                raise Timeout(
                    "request did not complete within the allotted timeout", details={}
                ) from error

    def _expire(self) -> None:
        assert self._task is not None
        self._expired = True
        self._task.cancel()


class Answer:
    """The one answer to a request: refuses a second start, adds the headers that all carry."""

    __slots__ = ("_request", "_send", "started", "status")

    def __init__(self, send: Send, request: Request) -> None:
        self._send = send
        self._request = request
        self.status = 0
        self.started = False

    async def send(self, response: AnyResponse) -> None:
        self.status = response.status
        self.started = True
        if self._request.audit.enabled:
            await self._request.audit.answering(response)
        await response.send(self._send, self._extra())

    async def error(self, error: ApiError) -> None:
        """Answer with the Status of `error`, if nothing has been sent."""
        if self.started:
            raise error
        request = self._request
        request.notices += warning_headers(request.warnings)
        if request.audit.enabled:
            request.audit.failed(to_status(error))
        await self.send(error_response(error, request.header(b"accept")))

    def _extra(self) -> Sequence[Header]:
        return ((b"audit-id", self._request.audit_id.encode("latin-1")), *self._request.notices)


def error_response(error: ApiError, accept: str | None) -> Response:
    """Return the one form that every error takes on the wire."""
    status: dict[str, Any] = to_status(error)
    media = negotiate_error(accept)
    headers: list[Header] = [(b"content-type", media.content_type.encode())]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % error.retry_after_s))
    if isinstance(error, NotAuthorized):
        headers.append((b"x-content-type-options", b"nosniff"))
    if media.format == "protobuf":
        return Response(error.code, protobuf.encode(status), headers)
    if media.format == "yaml":
        import yaml  # only error texts for people

        return Response(error.code, yaml.safe_dump(status).encode(), headers)
    return Response(error.code, orjson.dumps(status) + b"\n", headers)


def metric_key(request: Request) -> RequestKey:
    """Return the labels a request is counted under.

    Names that no resource has are left out, or any client could make up labels without end.
    """
    resource = request.resource
    if resource is None:
        return (request.method, "", "", "", "", "")
    info: RequestInfo = request.info
    scope = "resource" if info.name else "namespace" if info.namespace else "cluster"
    return (info.verb.upper(), info.group, info.version, info.resource, info.subresource, scope)
