"""HTTP/1.1 over uvicorn's httptools protocol, with a leaner way out.

What differs from uvicorn's own cycle: headers and the first part of the body leave in one
write (one TLS record, one packet for most answers), headers are our own and not checked again,
and a stream may write without a task switch. Measured: see docs/performance.md.
"""

from __future__ import annotations

import asyncio
import http
import logging
from collections.abc import Callable, Sized
from typing import Any
from urllib.parse import unquote

import httptools
import orjson
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from services.apiserver.authentication.handshake import peer_of_connection
from services.apiserver.authentication.peer import PEER, Peer
from services.apiserver.errors import BadRequest, to_status

log = logging.getLogger("kubefan.apiserver.http")

MAXIMUM_HEADER_BYTES = 1024 * 1024
"""Go's default limit (http.DefaultMaxHeaderBytes), as in kube-apiserver."""
CLOSING_TIMEOUT_S = 1.0
HEAD_TIMEOUT_S = 32.0
"""How long a request's head may take; kube-apiserver's ReadHeaderTimeout."""
MAXIMUM_WAITING = 64
"""Requests (count) of one connection that may wait for their turn; behind them nothing is read,
or a client that never reads its answers would fill the memory with questions."""
WRITER = "kubefan.writer"
"""Key in scope["extensions"]: the StreamWriter of this request's answer."""

STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
    for status in http.HTTPStatus
}


class ConnectionsState(ServerState):
    """What all connections of one server share."""

    draining = False
    """Set when the server is about to stop: each answer is then the last on its connection, so
    that clients go elsewhere between two requests, and not in the middle of one."""


class StreamWriter:
    """Writes parts of a started, chunked answer at once; for answers that are streams.

    The caller looks at `blocked` first: while it is true the socket takes no more, and what
    is written piles up in memory.
    """

    __slots__ = ("_cycle",)

    def __init__(self, cycle: OneWriteCycle) -> None:
        self._cycle = cycle

    @property
    def blocked(self) -> bool:
        return self._cycle.flow.write_paused

    def on_disconnect(self, callback: Callable[[], None] | None) -> None:
        """Call back when the client goes away: at once if it has gone. None: no more."""
        self._cycle.on_disconnect = callback
        if callback is not None and self._cycle.disconnected:
            callback()

    def write(self, body: bytes) -> None:
        """Write one chunk; nothing happens once the client is gone."""
        cycle = self._cycle
        if not cycle.disconnected:
            cycle.transport.write(b"%x\r\n%b\r\n" % (len(body), body))


class OneWriteCycle(RequestResponseCycle):
    """One request and its response."""

    _head: bytes | None = None
    on_disconnect: Callable[[], None] | None = None

    async def send(self, message: Any) -> None:
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self.response_started = True
            self.waiting_for_100_continue = False
            self._head = self._head_bytes(message["status"], message["headers"])
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        head, self._head = self._head, None
        if self.scope["method"] == "HEAD":
            body = b""
        elif self.chunked_encoding:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                body += b"0\r\n\r\n"
        if head is not None:
            body = head + body
        if body:
            self.transport.write(body)
        if not more:
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive:
                close(self.transport)
            self.on_response()

    def _head_bytes(self, status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
        parts = [STATUS_LINES[status]]
        for name, value in self.default_headers:
            parts += (name, b": ", value, b"\r\n")
        # HTTP/1.0 knows no chunks: there the connection's end is the answer's.
        chunked = status not in (204, 304) and self.scope["http_version"] != "1.0"
        for name, value in headers:
            if name == b"content-length":
                chunked = False
            parts += (name, b": ", value, b"\r\n")
        self.chunked_encoding = chunked and self.scope["method"] != "HEAD"
        if self.chunked_encoding:
            parts.append(b"transfer-encoding: chunked\r\n")
        if not self.keep_alive:
            parts.append(b"connection: close\r\n")
        parts.append(b"\r\n")
        return b"".join(parts)


class WaitingFlow(FlowControl):
    """Reads on only while there is room for another waiting request."""

    def __init__(self, transport: asyncio.Transport, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if len(self._waiting) < MAXIMUM_WAITING:
            super().resume_reading()


class ApiProtocol(HttpToolsProtocol):
    """One connection.

    `cycle` is the newest request; `_active` the one that is being answered, which differs
    while a pipelining client's requests wait in `pipeline`.
    """

    server_state: ConnectionsState
    _header_bytes = 0
    _kept_bytes = 0
    """Read since the parser last handed on something else than headers: it keeps what it has of
    one, and a chunk's head has no limit of its own."""
    _active: OneWriteCycle | None = None
    _in_head = True
    _head_timer: asyncio.TimerHandle | None = None
    _deaf = False
    _peer: Peer | None = None
    """Who the client is by its certificate; None without one."""
    _answered_at = 0.0
    """When the last answer was complete, by the loop's clock."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = WaitingFlow(transport, self.pipeline)
        self._peer = peer_of_connection(transport.get_extra_info("ssl_object"))
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_arrived()
        # Every request learns of it, not the newest alone: a watch before it would never end.
        for cycle, _ in self.pipeline:
            cycle.disconnected = True
        self.pipeline.clear()
        active = self._active
        if active is not None and not active.response_complete:
            active.disconnected = True
            active.message_event.set()
            if active.on_disconnect is not None:
                active.on_disconnect()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        # Cycles of references would keep the TLS buffers, 46 KB a connection, until a full
        # collection, which is rare here (startup/memory.py). Requests that still run hold what
        # they need.
        for one in (active, self.cycle):
            if one is not None:
                one.scope = {}  # type: ignore[typeddict-item]  # nobody looks at it again
        self._active = None
        self.cycle = None  # type: ignore[assignment]
        self.transport = None  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        while data:
            try:
                self.parser.feed_data(data)
                break
            except httptools.HttpParserUpgrade as upgrade:
                # To what is not served, so it is ignored (RFC 9110, 7.8): HTTP/1.1 goes on.
                data = data[upgrade.args[0] :]
            except httptools.HttpParserError as error:
                log.debug("no HTTP request", extra={"why": str(error)})
                self.send_400_response("Invalid HTTP request received.")
                return
        self._kept_bytes += len(data)
        if self._kept_bytes > MAXIMUM_HEADER_BYTES:
            self.send_400_response("Invalid HTTP request received.")
            return
        if self._in_head and self._head_timer is None:
            self._await_head()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.close)

    def _head_arrived(self) -> None:
        self._in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def on_response_complete(self) -> None:
        # As uvicorn's, but the keep-alive timer runs on, and looks at the clock when it is due:
        # a new timer for each request costs 2 us.
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._answered_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._close_when_idle(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        if self.cycle.response_complete:
            left_s = self._answered_at + self.timeout_keep_alive - self.loop.time()
        else:
            left_s = self.timeout_keep_alive
        if left_s > 0:
            self._close_when_idle(left_s)
        elif not self.transport.is_closing():
            close(self.transport)

    def _close_when_idle(self, after_s: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            after_s, self.timeout_keep_alive_handler
        )

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._active = cycle
        super()._start_asgi_task(cycle, app)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._header_bytes = self._kept_bytes = 0
        self._in_head = True

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        # As uvicorn's, called once less: requests have many headers.
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAXIMUM_HEADER_BYTES:
            raise httptools.HttpParserError("the request's headers are too large")
        if not self._in_head:
            return  # a trailer is no header: proxies pass it on, and look for none in it
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def _count(self, size: int) -> None:
        """End a request whose head has no end, before it fills the memory."""
        self._header_bytes += size
        if self._header_bytes > MAXIMUM_HEADER_BYTES:
            raise httptools.HttpParserError("the request's headers are too large")

    def on_body(self, body: bytes) -> None:
        self._kept_bytes = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        self._head_arrived()
        self._kept_bytes = 0
        parser, scope = self.parser, self.scope
        if parser.should_upgrade() and self._has_body():
            # The parser takes the body for what follows the upgrade, a proxy for a body: it would
            # be the next request, and could say it comes from anybody.
            raise httptools.HttpParserError("an upgrade with a body")
        version = parser.get_http_version()
        scope["method"] = parser.get_method().decode("ascii")
        scope["http_version"] = version
        url = httptools.parse_url(self.url)
        raw_path = url.path or b"/"
        path = raw_path.decode("ascii", "replace")
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = raw_path
        scope["query_string"] = url.query or b""
        existing = self.cycle
        cycle = OneWriteCycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0"
            and parser.should_keep_alive()
            and not self.server_state.draining,
            on_response=self.on_response_complete,
        )
        extensions: dict[str, Any] = {WRITER: StreamWriter(cycle)}
        if self._peer is not None:
            extensions[PEER] = self._peer
        scope["extensions"] = extensions
        self.cycle = cycle
        if existing is None or existing.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            # The next request of a pipelining client waits for its turn. Reading goes on where
            # it can: nothing else tells that the client has gone.
            self.pipeline.appendleft((cycle, self.app))
            if len(self.pipeline) >= MAXIMUM_WAITING:
                self.flow.pause_reading()

    def _has_body(self) -> bool:
        return any(
            name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0"))
            for name, value in self.headers
        )

    def shutdown(self) -> None:
        """End the connection once what is being answered has been; called when the server stops."""
        if self.cycle is None or self.cycle.response_complete:
            close(self.transport)
        else:
            self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP request; the connection can't be used any more."""
        self._deaf = True
        newest, active = self.cycle, self._active
        whole = newest is not None and not newest.response_complete and not newest.more_body
        if whole and not (newest.response_started and newest.chunked_encoding):
            # Whole requests came before: they get their answers, unless one is a stream.
            newest.keep_alive = False
            return
        if active is not None and not active.response_complete:
            if active is not newest or active.response_started:
                # Where another answer is due, or under way, a 400 would be taken for it.
                close(self.transport)
                return
            active.disconnected = True
            active.message_event.set()
        body = orjson.dumps(to_status(BadRequest(msg))) + b"\n"
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (len(body), body)
        )
        close(self.transport)


def close(transport: asyncio.Transport) -> None:
    """Close a connection, soon even if the client does not take leave.

    TLS waits for the other side's closing message; one that is idle, or gone, sends none, and
    would hold up the stop of the server for half a minute.
    """
    transport.close()
    asyncio.get_running_loop().call_later(CLOSING_TIMEOUT_S, transport.abort)
