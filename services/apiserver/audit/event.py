"""The audit event of one request: what the stages tell of it, and when it is told to backends.

Source: kube-apiserver v1.36.2, apiserver/pkg/audit (context.go, request.go, format.go),
apiserver/pkg/endpoints/filters (audit.go, authn_audit.go); fields: apis/audit/v1/types.go.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from services.apiserver.audit import eventtext, objects, storagetime
from services.apiserver.audit.eventtext import HEADS, STAGE, request_uri, status_field
from services.apiserver.audit.metrics import AuditMetrics
from services.apiserver.audit.recording import (
    PANIC,
    REQUEST_RECEIVED,
    RESPONSE_COMPLETE,
    RESPONSE_STARTED,
    Level,
    Recording,
)
from services.apiserver.audit.timestamps import go_duration, micro_time
from services.apiserver.errors import InternalError
from services.apiserver.requestinfo import RequestInfo, UserInfo

if TYPE_CHECKING:
    from services.apiserver.http.request import AnyResponse, Request

DECISION = "authorization.k8s.io/decision"
REASON = "authorization.k8s.io/reason"
TRUNCATED = "audit.k8s.io/truncated"
LATENCY = "apiserver.latency.k8s.io/"
SLOW_NS = 500_000_000
"""Requests that take longer tell where their time went."""

LIMIT_AT_ONCE = 64 * 1024
"""Bytes of an answer that are made JSON in the event loop: well below a millisecond, but 30 in
YAML. The larger ones have the answer behind them, and others to be served."""

LONG_RUNNING_VERBS = frozenset({"watch", "proxy"})
LONG_RUNNING_SUBRESOURCES = frozenset({"attach", "exec", "proxy", "log", "portforward"})

Object = dict[str, Any]


class Audit:
    """What the stages and handlers tell of a request. This one records nothing.

    `annotate` and `add_latency` are for everyone on the way; the rest has its one caller.
    """

    __slots__ = ()

    enabled = False
    """Whether anything is recorded: what is costly to tell can be left out otherwise."""

    def annotate(self, key: str, value: str) -> None:
        """Add an annotation; the first value of a key stays."""

    def add_latency(self, layer: str, ns: int) -> None:
        """Add to the time a request has spent in a layer, as in LATENCY + layer."""

    async def received(self) -> None:
        """The user is known. May end the recording, by the policy.

        Raises:
            InternalError: it must be recorded, and can't be.
        """

    def unauthenticated(self) -> None:
        """Nobody was found behind the request; the answer to it is due."""

    def impersonated(self, user: UserInfo, constraint: str) -> None:
        """The request goes on as another user, by a mode of impersonation ("" for the oldest)."""

    def sent(self, obj: Object, decoded: Callable[[Object], Object] | None = None) -> None:
        """An object came in the body. `decoded` makes of it what kube-apiserver sees then:
        with defaults; it is asked only where the object is recorded."""

    def patch(self, raw: bytes) -> None:
        """A patch came in the body."""

    def failed(self, status: Object) -> None:
        """An error will be answered, with this Status."""

    async def answering(self, response: AnyResponse) -> None:
        """The answer is about to be sent."""

    async def panicked(self, error: BaseException) -> None:
        """Something went wrong that nobody has thought of."""

    async def complete(self) -> None:
        """Nothing more will be sent."""


NO_AUDIT = Audit()


class Backend(Protocol):
    def accept(self, event: RequestAudit) -> Awaitable[bool] | None:
        """Take an event in its present state.

        Returns what the request has to wait for, as the backend's mode says; it is false where
        the event is lost and the mode says that this matters.
        """
        ...


class Recorder(Protocol):
    """What an event needs of the auditor."""

    @property
    def backends(self) -> Sequence[Backend]: ...

    @property
    def metrics(self) -> AuditMetrics: ...

    def decide(self, user: UserInfo | None, info: RequestInfo) -> Recording: ...


class RequestAudit(Audit):
    """Records one request. Until `received` or `unauthenticated` it only collects."""

    enabled = True

    # Defaults in the class: of what there is to know of a request, most have little.
    level: int = Level.NONE
    recording: Recording
    stage = ""
    _started = False
    _long_running = False
    _user: UserInfo | None = None
    _impersonated: UserInfo | None = None
    _constraint = ""
    _latencies: dict[str, int] | None = None
    _ref: dict[str, str] | None = None
    _request_object: bytes | None = None
    _response_object: bytes | None = None
    _collected: list[bytes] | None = None
    _headers: objects.Headers = ()
    _status: Object | None = None
    _code = 0
    _authenticated_ns = 0
    _response_started_ns = 0
    # Parts of the event's text.
    _head = b""
    _received = b""
    _middle = b""
    _line = b""

    def __init__(self, recorder: Recorder, request: Request) -> None:
        self._recorder = recorder
        self._request = request
        self._annotations: dict[str, str] = {}
        self._in_storage = storagetime.begin()
        self.received_ns = time.time_ns()

    # -- what is told ------------------------------------------------------------------

    def annotate(self, key: str, value: str) -> None:
        self._annotations.setdefault(key, value)

    def add_latency(self, layer: str, ns: int) -> None:
        if self._latencies is None:
            self._latencies = {}
        self._latencies[layer] = self._latencies.get(layer, 0) + ns

    async def received(self) -> None:
        request = self._request
        self._authenticated_ns = time.time_ns()
        self._user = request.user
        if not self._begin():
            return
        info = request.info
        self._long_running = is_long_running(info)
        waiting = self._emit(REQUEST_RECEIVED)
        if waiting is not None and not await waiting:
            request.audit = NO_AUDIT
            self._recorder.metrics.rejected += 1
            raise InternalError(
                f'Internal Server Error: "{request_uri(request)}": failed to store audit event'
            )

    def unauthenticated(self) -> None:
        if self._begin():
            # One event tells of the refusal: that its answer begins.
            self._long_running = True

    def _begin(self) -> bool:
        """Ask the policy; return whether anything is recorded."""
        request = self._request
        info = request.info
        recording = self.recording = self._recorder.decide(self._user, info)
        level = self.level = recording.level
        if not level:
            request.audit = NO_AUDIT
            return False
        self._started = True
        if info.is_resource_request:
            self._ref = {}
        self._head = b"%b%b%b" % (HEADS[level], orjson.dumps(request.audit_id), STAGE)
        self._received = micro_time(self.received_ns)
        return True

    def impersonated(self, user: UserInfo, constraint: str) -> None:
        self._impersonated = user
        self._constraint = constraint
        self._middle = b""

    def sent(self, obj: Object, decoded: Callable[[Object], Object] | None = None) -> None:
        if self._ref is not None:
            self._name(obj.get("metadata"))
        if self.level >= _REQUEST:
            self._request_object = objects.request_json(
                obj if decoded is None else decoded(obj),
                omit_managed_fields=self.recording.omit_managed_fields,
            )

    def _name(self, meta: Any) -> None:
        """Let the event name the object by what its metadata adds to the URL."""
        info, ref = self._request.info, self._ref
        assert ref is not None
        if isinstance(meta, dict):
            told = {"namespace": info.namespace, "name": info.name}
            for field in ("namespace", "name", "uid", "resourceVersion"):
                if meta.get(field) and not told.get(field):
                    ref[field] = meta[field]
                    self._middle = b""

    def patch(self, raw: bytes) -> None:
        if self.level >= _REQUEST:
            self._request_object = objects.patch_json(raw)

    def failed(self, status: Object) -> None:
        self._status = status
        if self.level >= _REQUEST_RESPONSE:
            self._response_object = orjson.dumps(status)

    async def answering(self, response: AnyResponse) -> None:
        self._code = response.status
        self._headers = response.headers
        self._response_started_ns = time.time_ns()
        if not self._started:
            return
        body: bytes | None = getattr(response, "body", None)
        # A Status answers what changes something; that of an error is known.
        if body is not None and self._status is None and self._request.method != "GET":
            self._status = objects.response_status(body, response.headers)
        if self.level >= _REQUEST_RESPONSE:
            if body is not None:
                self._collected = [body]
            elif hasattr(response, "slices"):
                response.slices = self._copying(response.slices)
        if self._long_running:
            await self._tell(RESPONSE_STARTED)

    async def _copying(self, slices: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        collected: list[bytes] = []
        async for piece in slices:
            collected.append(piece)
            yield piece
        # Not before it is whole: what breaks off is no object.
        self._collected = collected

    async def panicked(self, error: BaseException) -> None:
        if not self._started:
            return
        self._started = False
        self._code = 500
        self._status = {
            "status": "Failure",
            "message": f"APIServer panic'd: {type(error).__name__}: {error}",
            "reason": "InternalError",
        }
        await self._tell(PANIC)

    async def complete(self) -> None:
        # Request and event know each other: left so, only the collector would free them, with
        # all that they hold.
        self._request.audit = NO_AUDIT
        if not self._started or self._user is None:
            return
        self._started = False
        now = time.time_ns()
        if not self._code:
            self._code = 200
            self._status = {"status": "Success", "message": "Connection closed early"}
            if self._long_running:
                await self._tell(RESPONSE_STARTED)
        if self.level >= _REQUEST_RESPONSE and self._response_object is None:
            await self._take_response()
        if now - self.received_ns > SLOW_NS:
            self._annotate_latencies(now)
        waiting = self._emit(RESPONSE_COMPLETE)
        if waiting is not None:
            await waiting

    async def _take_response(self) -> None:
        collected, self._collected = self._collected, None
        if not collected:
            return
        read = partial(
            objects.response_json,
            b"".join(collected),
            self._headers,
            omit_managed_fields=self.recording.omit_managed_fields,
        )
        large = sum(map(len, collected)) > LIMIT_AT_ONCE
        self._response_object = await asyncio.to_thread(read) if large else read()

    def _annotate_latencies(self, now: int) -> None:
        self.add_latency("etcd", self._in_storage.ns)
        self.add_latency("authentication", self._authenticated_ns - self.received_ns)
        if self._response_started_ns:
            self.add_latency("response-write", now - self._response_started_ns)
        for layer, ns in (self._latencies or {}).items():
            if ns:
                self.annotate(LATENCY + layer, go_duration(ns))
        self.annotate(f"{LATENCY}total", go_duration(now - self.received_ns))

    async def _tell(self, stage: str) -> None:
        waiting = self._emit(stage)
        if waiting is not None:
            await waiting

    def _emit(self, stage: str) -> Awaitable[bool] | None:
        """Give the event to the backends; return what is to be waited for, None for nothing."""
        if stage in self.recording.omit_stages:
            return None
        self.stage = stage
        self._line = b""
        recorder = self._recorder
        recorder.metrics.events += 1
        waiting: Awaitable[bool] | None = None
        for backend in recorder.backends:
            one = backend.accept(self)
            if one is not None:
                waiting = one if waiting is None else _both(waiting, one)
        return waiting

    # -- how it is written -------------------------------------------------------------

    def line(self) -> bytes:
        """Return the event as a line of JSON."""
        if not self._line:
            self._line = self._written(self._request_object, self._response_object)
        return self._line

    def truncated_line(self) -> bytes:
        """Return the event like `line`, without the objects and with a mark of that."""
        self._annotations[TRUNCATED] = "true"
        return self._written(None, None)

    def legacy_line(self) -> str:
        """Return the event in the one-line format of old."""
        return eventtext.legacy_line(
            self._request,
            self.stage,
            received_ns=self.received_ns,
            user=self._user,
            impersonated=self._impersonated,
            namespace=(self._ref or {}).get("namespace", ""),
            code=self._code,
        )

    def _written(self, request_object: bytes | None, response_object: bytes | None) -> bytes:
        stage, code, received = self.stage, self._code, self._received
        # What a request's events have in common is made once.
        middle = self._middle
        if not middle:
            middle = self._middle = eventtext.middle(
                self._request, self._user, self._impersonated, self._constraint, self._ref
            )
        told = status_field(self._status, code) if code else b""
        if request_object is not None:
            told += b',"requestObject":' + request_object
        if response_object is not None:
            told += b',"responseObject":' + response_object
        end = b'"}\n'
        if self._annotations:
            annotations = orjson.dumps(self._annotations, option=orjson.OPT_SORT_KEYS)
            end = b'","annotations":%b}\n' % annotations
        parts = (
            self._head,
            stage.encode(),
            middle,
            told,
            b',"requestReceivedTimestamp":"',
            received,
            b'","stageTimestamp":"',
            received if stage == REQUEST_RECEIVED else micro_time(time.time_ns()),
            end,
        )
        return b"".join(parts)


async def _both(one: Awaitable[bool], other: Awaitable[bool]) -> bool:
    stored = [await one, await other]
    return all(stored)


# Looking up members of an Enum costs more than all comparisons.
_REQUEST, _REQUEST_RESPONSE = int(Level.REQUEST), int(Level.REQUEST_RESPONSE)


def is_long_running(info: RequestInfo) -> bool:
    """Whether the answer goes on for as long as the client wants (LongRunningFunc)."""
    if not info.is_resource_request:
        return info.path.startswith("/debug/pprof/")
    return info.verb in LONG_RUNNING_VERBS or info.subresource in LONG_RUNNING_SUBRESOURCES
