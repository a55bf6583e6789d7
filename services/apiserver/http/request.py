"""Request and the responses: what flows through the pipeline, above ASGI and below the handlers."""

from __future__ import annotations

import random
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from services.apiserver.audit import NO_AUDIT, Audit
from services.apiserver.errors import BadRequest, RequestTooLarge
from services.apiserver.requestinfo import RequestInfo, UserInfo
from shared.resources import Resource

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

MAXIMUM_BODY_BYTES = 3 * 1024 * 1024
"""kube-apiserver's limit of a request body (config.MaxRequestBodyBytes)."""

JSON_CONTENT = (b"content-type", b"application/json")
NO_CACHE = (b"cache-control", b"no-cache, private")


class Request:
    """One request on its way through the stages; each stage fills in what it finds out."""

    __slots__ = (
        "_body",
        "_query",
        "audit",
        "audit_id",
        "headers",
        "info",
        "method",
        "notices",
        "on_initialized",
        "path",
        "query_string",
        "receive",
        "resource",
        "scope",
        "user",
        "warnings",
    )

    info: RequestInfo
    user: UserInfo

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query_string: bytes = scope["query_string"]
        # The first of repeated headers wins, as in Go; the stages that must see all read
        # scope["headers"].
        self.headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))
        self.resource: Resource | None = None
        """What the URL names, once that is known to exist."""
        self.notices: list[Header] = []
        """Headers that the answer carries, whatever it is."""
        self.on_initialized: Callable[[], None] | None = None
        """Called by a watch when its initial events are out."""
        self.warnings: list[str] = []
        """What was warned of on the way; an error tells it, too."""
        self.audit: Audit = NO_AUDIT
        given = self.headers.get(b"audit-id")
        self.audit_id = given.decode("latin-1") if given else new_uuid()
        """The client's own, if it sent one."""
        self._query: Mapping[str, Sequence[str]] | None = None
        self._body: bytes | None = None

    @property
    def query(self) -> Mapping[str, Sequence[str]]:
        """The query's values by name, in order; a name without "=" has the value "".

        Raises:
            BadRequest: more parameters than any client sends.
        """
        if self._query is None:
            text = self.query_string
            parse = parse_query if len(text) <= LONGEST_KEPT_QUERY else parse_query.__wrapped__
            self._query = parse(text)
        return self._query

    def parameter(self, name: str) -> str | None:
        """Return the first value of a query parameter, None where it is not given."""
        values = self.query.get(name)
        return values[0] if values else None

    def header(self, name: bytes) -> str | None:
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    async def body(self, limit_bytes: int = MAXIMUM_BODY_BYTES) -> bytes:
        """Read the whole body.

        Raises:
            RequestTooLarge: it is longer than `limit_bytes`; the rest is not read.
            ClientDisconnected: the client went away before it had sent all.
        """
        if self._body is not None:
            return self._body
        length = self.headers.get(b"content-length")
        if length is not None and length.isdigit() and int(length) > limit_bytes:
            raise _too_large(limit_bytes)
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        body: bytes = message.get("body", b"")
        if message.get("more_body"):
            chunks = [body]
            size = len(body)
            while message.get("more_body"):
                message = await self.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnected
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > limit_bytes:
                    raise _too_large(limit_bytes)
            body = b"".join(chunks)
        self._body = bytes(body)
        return self._body


class ClientDisconnected(Exception):
    """The client closed the connection; nobody is left to answer."""


def _too_large(limit_bytes: int) -> RequestTooLarge:
    return RequestTooLarge(f"Request entity too large: limit is {limit_bytes}")


def new_uuid() -> str:
    """Return a random UUID (version 4); about five times cheaper than uuid.uuid4."""
    bits = random.getrandbits(128)
    text = f"{(bits & ~(0xF000 << 64) | (4 << 76)) & ~(3 << 62) | (2 << 62):032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


LONGEST_KEPT_QUERY = 2048
"""Bytes. Longer ones are not remembered: anybody can send them, and a thousand are a gigabyte."""
EMPTY_QUERY: Mapping[str, Sequence[str]] = {}


@lru_cache(maxsize=1024)
def parse_query(query_string: bytes) -> Mapping[str, Sequence[str]]:
    """Return the values of each parameter in order. Invalid escapes are left as they are."""
    if not query_string:
        return EMPTY_QUERY
    try:
        pairs = urllib.parse.parse_qsl(
            query_string.decode("latin-1"), keep_blank_values=True, max_num_fields=1000
        )
    except ValueError as error:
        raise BadRequest(str(error)) from error
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


@dataclass(slots=True)
class Response:
    """A whole answer in memory. `content-length` is added; everything else is in `headers`."""

    status: int
    body: bytes
    headers: Sequence[Header] = (JSON_CONTENT,)

    async def send(self, send: Send, extra: Sequence[Header]) -> None:
        headers = [*self.headers, *extra, (b"content-length", b"%d" % len(self.body))]
        for name, _ in self.headers:
            if name == b"cache-control":
                break
        else:
            headers.append(NO_CACHE)
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


@dataclass(slots=True)
class StreamingResponse:
    """An answer that goes out in slices, so that no slice holds the event loop for long.

    `length` is the exact size where it is known, otherwise the answer is chunked.
    """

    status: int
    slices: AsyncIterator[bytes]
    headers: Sequence[Header] = (JSON_CONTENT,)
    length: int | None = None

    async def send(self, send: Send, extra: Sequence[Header]) -> None:
        headers = [*self.headers, NO_CACHE, *extra]
        if self.length is not None:
            headers.append((b"content-length", b"%d" % self.length))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        async for piece in self.slices:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


@dataclass(slots=True)
class StreamResponse:
    """An answer that writes itself: a watch. `run` gets send after the headers are out."""

    status: int
    run: Callable[[Receive, Send], Awaitable[None]]
    receive: Receive
    headers: Sequence[Header] = (JSON_CONTENT,)

    async def send(self, send: Send, extra: Sequence[Header]) -> None:
        headers = [*self.headers, NO_CACHE, *extra]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await self.run(self.receive, send)


AnyResponse = Response | StreamingResponse | StreamResponse
