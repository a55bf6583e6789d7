"""The audit event of one request: what the stages tell of it, and how it is written.

Source: kube-apiserver v1.36.2, apiserver/pkg/audit (context.go, request.go, format.go),
apiserver/pkg/endpoints/filters (audit.go, authn_audit.go); fields: apis/audit/v1/types.go.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from services.apiserver.audit import objects
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
    async def accept(self, event: RequestAudit) -> bool:
        """Take an event in its present state; wait as the backend's mode says.

        Returns False where it is lost and the mode says that this matters.
        """
        ...


class Recorder(Protocol):
    """What an event needs of the auditor."""

    @property
    def backends(self) -> Sequence[Backend]: ...

    def decide(self, user: UserInfo | None, info: RequestInfo) -> Recording: ...

    def count_event(self) -> None: ...

    def count_rejected(self) -> None: ...


class RequestAudit(Audit):
    """Records one request. Until `received` or `unauthenticated` it only collects."""

    __slots__ = (
        "_about",
        "_annotations",
        "_code",
        "_collected",
        "_constraint",
        "_encoded",
        "_headers",
        "_impersonated",
        "_latencies",
        "_long_running",
        "_recorder",
        "_ref",
        "_request",
        "_request_object",
        "_response_object",
        "_response_started_ns",
        "_started",
        "_status",
        "_user",
        "level",
        "received_ns",
        "recording",
        "stage",
        "stage_ns",
    )

    enabled = True

    def __init__(self, recorder: Recorder, request: Request) -> None:
        self._recorder = recorder
        self._request = request
        self.received_ns = time.time_ns()
        self.level = Level.NONE
        self.stage = ""
        self.stage_ns = 0
        self._started = False
        self._long_running = False
        self._user: UserInfo | None = None
        self._impersonated: UserInfo | None = None
        self._constraint = ""
        self._annotations: dict[str, str] = {}
        self._latencies: dict[str, int] = {}
        self._ref: dict[str, str] | None = None
        self._request_object: bytes | None = None
        self._response_object: bytes | None = None
        self._collected: list[bytes] | None = None
        self._headers: objects.Headers = ()
        self._status: Object | None = None
        self._code = 0
        self._response_started_ns = 0
        self._about = b""
        self._encoded: bytes | None = None

    # -- what is told ------------------------------------------------------------------

    def annotate(self, key: str, value: str) -> None:
        self._annotations.setdefault(key, value)

    def add_latency(self, layer: str, ns: int) -> None:
        self._latencies[layer] = self._latencies.get(layer, 0) + ns

    async def received(self) -> None:
        request = self._request
        self.add_latency("authentication", time.time_ns() - self.received_ns)
        self._user = request.user
        if not self._begin():
            return
        info = request.info
        self._long_running = is_long_running(info)
        if not await self._emit(REQUEST_RECEIVED):
            request.audit = NO_AUDIT
            self._recorder.count_rejected()
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
        self.level = recording.level
        if recording.level is Level.NONE:
            request.audit = NO_AUDIT
            return False
        self._started = True
        if info.is_resource_request:
            self._ref = {
                "resource": info.resource,
                "namespace": info.namespace,
                "name": info.name,
                "apiGroup": info.group,
                "apiVersion": info.version,
                "subresource": info.subresource,
            }
        self._about = b'","requestURI":%b,"verb":%b,"user":%b' % (
            orjson.dumps(request_uri(request)),
            orjson.dumps(info.verb),
            user_json(self._user),
        )
        return True

    def impersonated(self, user: UserInfo, constraint: str) -> None:
        self._impersonated = user
        self._constraint = constraint

    def sent(self, obj: Object, decoded: Callable[[Object], Object] | None = None) -> None:
        ref = self._ref
        meta = obj.get("metadata")
        if ref is not None and isinstance(meta, dict):
            for field in ("namespace", "name", "uid", "resourceVersion"):
                value = meta.get(field)
                if value and not ref.get(field):
                    ref[field] = value
        if self.level >= Level.REQUEST:
            self._request_object = objects.request_json(
                obj if decoded is None else decoded(obj),
                omit_managed_fields=self.recording.omit_managed_fields,
            )

    def patch(self, raw: bytes) -> None:
        if self.level >= Level.REQUEST:
            self._request_object = objects.patch_json(raw)

    def failed(self, status: Object) -> None:
        self._status = status
        if self.level >= Level.REQUEST_RESPONSE:
            self._response_object = orjson.dumps(status)

    async def answering(self, response: AnyResponse) -> None:
        self._code = response.status
        self._headers = response.headers
        self._response_started_ns = time.time_ns()
        if not self._started:
            return
        body: bytes | None = getattr(response, "body", None)
        if body is not None:
            if self._status is None:
                self._status = objects.response_status(body, response.headers)
            self._collected = [body]
        elif self.level >= Level.REQUEST_RESPONSE and hasattr(response, "slices"):
            self._collected = []
            response.slices = self._copying(response.slices)
        if self._long_running:
            await self._emit(RESPONSE_STARTED)

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
        await self._emit(PANIC)

    async def complete(self) -> None:
        if not self._started or self._user is None:
            return
        self._started = False
        now = time.time_ns()
        if not self._code:
            self._code = 200
            self._status = {"status": "Success", "message": "Connection closed early"}
            if self._long_running:
                await self._emit(RESPONSE_STARTED)
        else:
            self.add_latency("response-write", now - self._response_started_ns)
        if self.level >= Level.REQUEST_RESPONSE and self._response_object is None:
            self._take_response()
        if now - self.received_ns > SLOW_NS:
            self._annotate_latencies(now)
        await self._emit(RESPONSE_COMPLETE)

    def _take_response(self) -> None:
        collected, self._collected = self._collected, None
        if collected:
            self._response_object = objects.response_json(
                b"".join(collected),
                self._headers,
                omit_managed_fields=self.recording.omit_managed_fields,
            )

    def _annotate_latencies(self, now: int) -> None:
        for layer, ns in self._latencies.items():
            if ns:
                self.annotate(LATENCY + layer, go_duration(ns))
        self.annotate(f"{LATENCY}total", go_duration(now - self.received_ns))

    async def _emit(self, stage: str) -> bool:
        if stage in self.recording.omit_stages:
            return True
        self.stage = stage
        self.stage_ns = self.received_ns if stage == REQUEST_RECEIVED else time.time_ns()
        self._encoded = None
        recorder = self._recorder
        recorder.count_event()
        stored = True
        for backend in recorder.backends:
            stored = await backend.accept(self) and stored
        return stored

    # -- how it is written -------------------------------------------------------------

    def encoded(self) -> bytes:
        """Return the event as JSON from its second field on, `"level":…}`; in a list it has
        neither kind nor apiVersion."""
        if self._encoded is None:
            self._encoded = self._body(self._request_object, self._response_object)
        return self._encoded

    def truncated(self) -> bytes:
        """Return the event like `encoded`, without the objects and with a mark of that."""
        self._annotations[TRUNCATED] = "true"
        return self._body(None, None)

    def _body(self, request_object: bytes | None, response_object: bytes | None) -> bytes:
        request = self._request
        headers = request.headers
        client = request.scope.get("client")
        parts = [
            _HEADS[self.level],
            orjson.dumps(request.audit_id),
            b',"stage":"',
            self.stage.encode(),
            self._about,
        ]
        if self._impersonated is not None:
            parts += (b',"impersonatedUser":', user_json(self._impersonated))
            if self._constraint:
                metadata = {"impersonationConstraint": self._constraint}
                parts += (b',"authenticationMetadata":', orjson.dumps(metadata))
        if b"x-forwarded-for" in headers or b"x-real-ip" in headers:
            forwarded_for = _first(request, b"x-forwarded-for")
            real_ip = _first(request, b"x-real-ip")
        else:
            forwarded_for = real_ip = None
        parts.append(
            origin_fields(
                client[0] if client else "", forwarded_for, real_ip, request.header(b"user-agent")
            )
        )
        if self._ref is not None:
            parts += (b',"objectRef":', ref_json(self._ref))
        if self._code:
            parts += (b',"responseStatus":', self._status_json())
        if request_object is not None:
            parts += (b',"requestObject":', request_object)
        if response_object is not None:
            parts += (b',"responseObject":', response_object)
        parts += (
            b',"requestReceivedTimestamp":"',
            micro_time(self.received_ns),
            b'","stageTimestamp":"',
            micro_time(self.stage_ns),
        )
        if self._annotations:
            parts += (
                b'","annotations":',
                orjson.dumps(self._annotations, option=orjson.OPT_SORT_KEYS),
                b"}",
            )
        else:
            parts.append(b'"}')
        return b"".join(parts)

    def _status_json(self) -> bytes:
        status = self._status
        if status is None:
            return b'{"metadata":{},"code":%d}' % self._code
        told: Object = {"metadata": {}}
        for field in ("status", "message", "reason", "details"):
            if status.get(field) or (field == "details" and field in status):
                told[field] = status[field]
        told["code"] = self._code
        return orjson.dumps(told)

    def legacy_line(self) -> str:
        """Return the event in the one-line format of old."""
        request = self._request
        user, other = self._user, self._impersonated
        client = request.scope.get("client")
        addresses = source_addresses(
            client[0] if client else "",
            _first(request, b"x-forwarded-for"),
            _first(request, b"x-real-ip"),
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
            "namespace": (self._ref or {}).get("namespace") or "<none>",
            "uri": request_uri(request),
            "response": str(self._code) if self._code else "<deferred>",
        }
        told = " ".join(f"{key}={quoted(value)}" for key, value in values.items())
        return f"{rfc3339_nano(self.received_ns)} AUDIT: {told}"


_HEADS = {
    level: b'"level":"%b","auditID":' % name.encode() for level, name in NAME_OF_LEVEL.items()
}


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


@lru_cache(maxsize=1024)
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


_REF_FIELDS = (
    "resource",
    "namespace",
    "name",
    "uid",
    "apiGroup",
    "apiVersion",
    "resourceVersion",
    "subresource",
)


def ref_json(ref: Mapping[str, str]) -> bytes:
    return orjson.dumps({field: ref[field] for field in _REF_FIELDS if ref.get(field)})


def quoted(text: str) -> str:
    """Return a text as Go's %q prints it."""
    return json.dumps(text, ensure_ascii=False)


def quoted_list(texts: Sequence[str]) -> str:
    return ",".join(map(quoted, texts))


def _first(request: Request, name: bytes) -> str | None:
    """Return the first of a header's values."""
    for header, value in request.scope["headers"]:
        if header == name:
            return str(value.decode("latin-1"))
    return None
