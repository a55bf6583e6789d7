"""The audit event of one request: what the stages tell of it, and how it is written.

Source: kube-apiserver v1.36.2, apiserver/pkg/audit (context.go, request.go, format.go),
apiserver/pkg/endpoints/filters (audit.go, authn_audit.go); fields: apis/audit/v1/types.go.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from services.apiserver.audit import objects
from services.apiserver.audit.metrics import AuditMetrics
from services.apiserver.audit.origin import origin_fields, shortened, source_addresses
from services.apiserver.audit.recording import (
    NAME_OF_LEVEL,
    PANIC,
    REQUEST_RECEIVED,
    RESPONSE_COMPLETE,
    RESPONSE_STARTED,
    Level,
    Recording,
)
from services.apiserver.audit.timestamps import go_duration, micro_time, rfc3339_nano
from services.apiserver.errors import InternalError
from services.apiserver.requestinfo import RequestInfo, UserInfo

if TYPE_CHECKING:
    from services.apiserver.request import AnyResponse, Request

DECISION = "authorization.k8s.io/decision"
REASON = "authorization.k8s.io/reason"
TRUNCATED = "audit.k8s.io/truncated"
LATENCY = "apiserver.latency.k8s.io/"
SLOW_NS = 500_000_000
"""Requests that take longer tell where their time went."""

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
        self._head = b'%b%b,"stage":"' % (_HEADS[level], orjson.dumps(request.audit_id))
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
                self._collected = []
                response.slices = self._copying(response.slices)
        if self._long_running:
            await self._tell(RESPONSE_STARTED)

    async def _copying(self, slices: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        assert self._collected is not None
        async for piece in slices:
            self._collected.append(piece)
            yield piece

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
            self._take_response()
        if now - self.received_ns > SLOW_NS:
            self._annotate_latencies(now)
        await self._tell(RESPONSE_COMPLETE)

    def _take_response(self) -> None:
        collected, self._collected = self._collected, None
        if collected:
            self._response_object = objects.response_json(
                b"".join(collected),
                self._headers,
                omit_managed_fields=self.recording.omit_managed_fields,
            )

    def _annotate_latencies(self, now: int) -> None:
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

    def _written(self, request_object: bytes | None, response_object: bytes | None) -> bytes:
        sent = answered = b""
        if request_object is not None:
            sent = b',"requestObject":' + request_object
        if response_object is not None:
            answered = b',"responseObject":' + response_object
        end = b'"}\n'
        if self._annotations:
            annotations = orjson.dumps(self._annotations, option=orjson.OPT_SORT_KEYS)
            end = b'","annotations":%b}\n' % annotations
        received = self._received
        stage = self.stage
        return b"".join(
            (
                self._head,
                stage.encode(),
                # What a request's events have in common is made once.
                self._middle or self._make_middle(),
                self._status_json() if self._code else b"",
                sent,
                answered,
                b',"requestReceivedTimestamp":"',
                received,
                b'","stageTimestamp":"',
                received if stage == REQUEST_RECEIVED else micro_time(time.time_ns()),
                end,
            )
        )

    def _make_middle(self) -> bytes:
        """Return the fields from requestURI to objectRef."""
        request = self._request
        info, headers = request.info, request.headers
        proxied = b"x-forwarded-for" in headers or b"x-real-ip" in headers
        client = request.scope.get("client")
        self._middle = b'","requestURI":%b,"verb":"%b"%b%b' % (
            orjson.dumps(request_uri(request)),
            info.verb.encode(),
            who(
                self._user,
                self._impersonated,
                self._constraint,
                client[0] if client else "",
                _first(request, b"x-forwarded-for") if proxied else None,
                _first(request, b"x-real-ip") if proxied else None,
                headers.get(b"user-agent"),
            ),
            b"" if self._ref is None else ref_json(info, self._ref),
        )
        return self._middle

    def _status_json(self) -> bytes:
        status = self._status
        if status is None:
            return b',"responseStatus":{"metadata":{},"code":%d}' % self._code
        told: Object = {"metadata": {}}
        for field in ("status", "message", "reason", "details"):
            if status.get(field) or (field == "details" and field in status):
                told[field] = status[field]
        told["code"] = self._code
        return b',"responseStatus":' + orjson.dumps(told)

    def legacy_line(self) -> str:
        """Return the event in the one-line format of old."""
        request = self._request
        user, other = self._user, self._impersonated
        client = request.scope.get("client")
        addresses = source_addresses(
            client[0] if client else "",
            (_first(request, b"x-forwarded-for") or b"").decode("latin-1"),
            (_first(request, b"x-real-ip") or b"").decode("latin-1"),
        )
        name = user.name if user is not None else ""
        groups = quoted_list(user.groups) if user is not None and name and user.groups else "<none>"
        values = {
            "id": request.audit_id,
            "stage": self.stage,
            "ip": addresses[0] if addresses else "<unknown>",
            "method": request.info.verb,
            "user": name or "<none>",
            "groups": groups,
            "as": "<self>" if other is None else other.name,
            "asgroups": "<lookup>" if other is None else quoted_list(other.groups),
            "user-agent": shortened(request.header(b"user-agent") or ""),
            "namespace": request.info.namespace or (self._ref or {}).get("namespace") or "<none>",
            "uri": request_uri(request),
            "response": str(self._code) if self._code else "<deferred>",
        }
        told = " ".join(f"{key}={quoted(value)}" for key, value in values.items())
        return f"{rfc3339_nano(self.received_ns)} AUDIT: {told}"


async def _both(one: Awaitable[bool], other: Awaitable[bool]) -> bool:
    stored = [await one, await other]
    return all(stored)


LINE_HEAD = b'{"kind":"Event","apiVersion":"audit.k8s.io/v1",'
"""What a list leaves out of its events."""
_HEADS = tuple(
    b'%b"level":"%b","auditID":' % (LINE_HEAD, NAME_OF_LEVEL[level].encode()) for level in Level
)
# Looking up members of an Enum costs more than all comparisons.
_REQUEST, _REQUEST_RESPONSE = int(Level.REQUEST), int(Level.REQUEST_RESPONSE)


def is_long_running(info: RequestInfo) -> bool:
    """Whether the answer goes on for as long as the client wants (LongRunningFunc)."""
    if not info.is_resource_request:
        return info.path.startswith("/debug/pprof/")
    return info.verb in LONG_RUNNING_VERBS or info.subresource in LONG_RUNNING_SUBRESOURCES


def request_uri(request: Request) -> str:
    """Return path and query as they were sent."""
    raw: bytes = request.scope.get("raw_path") or request.path.encode()
    query = request.query_string
    return (raw + b"?" + query if query else raw).decode("utf-8", "replace")


LONGEST_KEPT = 1024
"""Bytes of what a client says of itself; more is not remembered: anybody may say it."""


def who(
    user: UserInfo | None,
    impersonated: UserInfo | None,
    constraint: str,
    peer: str,
    forwarded_for: bytes | None,
    real_ip: bytes | None,
    user_agent: bytes | None,
) -> bytes:
    """Return the fields from user to userAgent."""
    size = len(forwarded_for or b"") + len(real_ip or b"") + len(user_agent or b"")
    told = _who if size <= LONGEST_KEPT else _who.__wrapped__
    return told(user, impersonated, constraint, peer, forwarded_for, real_ip, user_agent)


@lru_cache(maxsize=4096)
def _who(
    user: UserInfo | None,
    impersonated: UserInfo | None,
    constraint: str,
    peer: str,
    forwarded_for: bytes | None,
    real_ip: bytes | None,
    user_agent: bytes | None,
) -> bytes:
    """As `who`; remembered, as a client has many requests."""
    out = b',"user":' + user_json(user)
    if impersonated is not None:
        out += b',"impersonatedUser":' + user_json(impersonated)
        if constraint:
            metadata = {"impersonationConstraint": constraint}
            out += b',"authenticationMetadata":' + orjson.dumps(metadata)
    return out + origin_fields(peer, forwarded_for, real_ip, user_agent)


def user_json(user: UserInfo | None) -> bytes:
    """Return a user as authentication.k8s.io/v1 UserInfo prints it."""
    if user is None:
        return b"{}"
    value: dict[str, Any] = {
        "username": user.name,
        "uid": user.uid,
        "groups": user.groups,
        "extra": user.extra_as_dict(),
    }
    return orjson.dumps({key: one for key, one in value.items() if one})


def ref_json(info: RequestInfo, told: Mapping[str, str]) -> bytes:
    """Return `,"objectRef":{…}`: what the URL names, else what the object sent has `told`."""
    namespace, name = info.namespace, info.name
    if not told and namespace and name:
        # As below, for most requests: 0.6 us instead of 1.4.
        of = (info.resource, info.group, info.version, info.subresource)
        ends = _ref_ends if sum(map(len, of)) <= LONGEST_KEPT else _ref_ends.__wrapped__
        head, tail = ends(*of)
        parts = (head, orjson.dumps(namespace), b',"name":', orjson.dumps(name), tail)
        return b"".join(parts)
    ref = {
        "resource": info.resource,
        "namespace": namespace or told.get("namespace"),
        "name": name or told.get("name"),
        "uid": told.get("uid"),
        "apiGroup": info.group,
        "apiVersion": info.version,
        "resourceVersion": told.get("resourceVersion"),
        "subresource": info.subresource,
    }
    return b',"objectRef":' + orjson.dumps({key: value for key, value in ref.items() if value})


@lru_cache(maxsize=1024)
def _ref_ends(resource: str, group: str, version: str, subresource: str) -> tuple[bytes, bytes]:
    """Return an objectRef as far as its namespace, and from the end of its name on."""
    end = {"apiGroup": group, "apiVersion": version, "subresource": subresource}
    tail = orjson.dumps({key: value for key, value in end.items() if value})
    return b',"objectRef":{"resource":%b,"namespace":' % orjson.dumps(resource), b"," + tail[1:]


def quoted(text: str) -> str:
    """Return a text as Go's %q prints it."""
    return json.dumps(text, ensure_ascii=False)


def quoted_list(texts: Sequence[str]) -> str:
    return ",".join(map(quoted, texts))


def _first(request: Request, name: bytes) -> bytes | None:
    """Return the first of a header's values."""
    for header, value in request.scope["headers"]:
        if header == name:
            return bytes(value)
    return None
