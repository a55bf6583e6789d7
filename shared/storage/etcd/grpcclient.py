"""gRPC's calls over one HTTP/2 connection: requests, streams, deadlines, statuses.

A Channel has the two methods that generated stubs ask of a channel, `unary_unary` and
`stream_stream`. Source of the wire form: grpc/grpc, doc/PROTOCOL-HTTP2.md.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from enum import IntEnum
from typing import Any
from urllib.parse import unquote, urlsplit

from shared.storage.etcd.http2 import (
    REFUSED_STREAM,
    STREAM_WINDOW_BYTES,
    ConnectionEnded,
    Fields,
    Http2Connection,
    StreamReset,
)

CONNECT_TIMEOUT_S = 5.0
RECONNECT_PAUSE_S = 0.1
"""How long calls fail at once after a connection could not be made."""
DEFAULT_PORT = 2379
DOUBT_AFTER_S = 0.5
"""A shorter call that had no answer says nothing of its connection."""

Metadata = Sequence[tuple[str, str]]


class StatusCode(IntEnum):
    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class RpcError(Exception):
    """A call that failed. `sent`: whether the server may have acted on it."""

    def __init__(self, code: StatusCode, details: str, *, sent: bool = True) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code = code
        self.details = details
        self.sent = sent


class _Call:
    """What a unary call and a stream have in common: the end, and how it came."""

    def __init__(self) -> None:
        self.id = 0
        self.window = 0
        self._status: Fields = {}

    def on_headers(self, fields: Fields) -> None:
        if b"grpc-status" in fields or fields.get(b":status", b"200") != b"200":
            self._status = fields

    def on_end(self) -> None:
        self.finish(error_of(self._status))

    def on_failure(self, error: ConnectionEnded | StreamReset) -> None:
        if isinstance(error, ConnectionEnded):
            self.finish(RpcError(StatusCode.UNAVAILABLE, str(error), sent=error.sent))
        elif error.code == REFUSED_STREAM:
            self.finish(RpcError(StatusCode.UNAVAILABLE, str(error), sent=False))
        else:
            self.finish(RpcError(StatusCode.INTERNAL, str(error)))

    def finish(self, error: RpcError | None) -> None:
        raise NotImplementedError


class _UnaryCall(_Call):
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.answer: asyncio.Future[bytes] = loop.create_future()
        self._chunks: list[bytes] = []
        self._uncredited = 0

    def on_data(self, data: bytes) -> int:
        self._chunks.append(data)
        self._uncredited += len(data)
        if self._uncredited < STREAM_WINDOW_BYTES // 4:
            return 0
        credit, self._uncredited = self._uncredited, 0
        return credit

    def finish(self, error: RpcError | None) -> None:
        if self.answer.done():
            return
        if error is None:
            data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
            if len(data) >= 5 and not data[0]:
                self.answer.set_result(data[5:])
                return
            error = RpcError(StatusCode.INTERNAL, "the server answered without a message")
        self.answer.set_exception(error)

    def expire(self) -> None:
        self.finish(RpcError(StatusCode.DEADLINE_EXCEEDED, "no answer in time"))


class StreamCall(_Call):
    """A stream of messages in both directions."""

    def __init__(
        self,
        channel: Channel,
        head: bytes,
        serialize: Callable[[Any], bytes],
        deserialize: Callable[[bytes], Any],
    ) -> None:
        super().__init__()
        self._channel = channel
        self._head = head
        self._serialize = serialize
        self._deserialize = deserialize
        self._connection: Http2Connection | None = None
        self._messages: deque[bytes] = deque()  # bounded by the stream's window
        self._data = bytearray()
        self._taken = 0
        """Bytes of the messages that have been read."""
        self._credited = 0
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._error: RpcError | None = None

    @property
    def has_message(self) -> bool:
        """Whether `read` would return without waiting."""
        return bool(self._messages)

    async def write(self, message: Any) -> None:
        """Send a message; the first one opens the stream.

        Raises:
            RpcError: the stream can't be opened, or has ended.
        """
        if self._ended:
            raise self._error or RpcError(StatusCode.UNAVAILABLE, "the stream has ended")
        data = prefixed(self._serialize(message))
        if self._connection is None:
            connection = await self._channel.connected()
            self._connection = connection
            connection.open(self, self._head, data, end=False)
        else:
            self._connection.send(self, data, end=False)

    async def read(self) -> Any | None:
        """Return the next message, None when the server has ended the stream.

        Raises:
            RpcError: it ended with an error.
        """
        while not self._messages:
            if self._ended:
                if self._error is not None:
                    raise self._error
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        data = self._messages.popleft()
        self._taken += len(data) + 5
        if self._connection is not None and (credit := self._credit()):
            self._connection.credit(self, credit)
        return self._deserialize(data)

    def cancel(self) -> None:
        if self._connection is not None:
            self._connection.reset(self)
        self.finish(RpcError(StatusCode.CANCELLED, "the stream was cancelled"))

    def on_data(self, data: bytes) -> int:
        buffer = self._data
        buffer += data
        while len(buffer) >= 5:
            end = 5 + int.from_bytes(buffer[1:5], "big")
            if len(buffer) < end:
                break
            self._messages.append(bytes(buffer[5:end]))
            del buffer[:end]
        if self._messages:
            self._wake()
            return 0
        return self._credit()

    def _credit(self) -> int:
        """Return how much more the server may send: as much as has been read, so that what
        waits here is bounded. If nothing waits, the beginning of a message counts as read: it
        may be larger than the window."""
        taken = self._taken if self._messages else self._taken + len(self._data)
        credit = taken - self._credited
        if credit < STREAM_WINDOW_BYTES // 4:
            return 0
        self._credited = taken
        return credit

    def finish(self, error: RpcError | None) -> None:
        if not self._ended:
            self._ended = True
            self._error = error
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Channel:
    """Calls to one server, over one connection that is made when it is needed."""

    def __init__(self, address: str, tls: ssl.SSLContext | None) -> None:
        """`address`: HOST:PORT, IPv6 in brackets.

        Raises:
            ValueError: it is none.
        """
        split = urlsplit(f"//{address}")
        if not split.hostname:
            raise ValueError(f"{address!r} names no host")
        self._host = split.hostname
        self._port = split.port or DEFAULT_PORT
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._connection: Http2Connection | None = None
        self._connecting: asyncio.Task[Http2Connection | RpcError] | None = None
        self._failed: tuple[float, RpcError] | None = None
        # Encoded as static table entries and plain literals (RFC 7541, 6.1 and 6.2.2).
        self._address = (
            b"\x83"  # :method POST
            + (b"\x86" if tls is None else b"\x87")  # :scheme
            + b"\x01%b" % text(address.encode())  # :authority
        )

    # -- what generated stubs call -----------------------------------------------------------

    def unary_unary(
        self,
        path: str,
        *,
        request_serializer: Callable[[Any], bytes],
        response_deserializer: Callable[[bytes], Any],
        **_: Any,
    ) -> Callable[..., Coroutine[Any, Any, Any]]:
        head = self._head(path)

        async def call(request: Any, *, timeout: float) -> Any:
            answer = await self._call(head, request_serializer(request), timeout)
            return response_deserializer(answer)

        return call

    def stream_stream(
        self,
        path: str,
        *,
        request_serializer: Callable[[Any], bytes],
        response_deserializer: Callable[[bytes], Any],
        **_: Any,
    ) -> Callable[..., StreamCall]:
        head = self._head(path)

        def open_stream(*, metadata: Metadata = ()) -> StreamCall:
            fields = b"".join(field(name.encode(), value.encode()) for name, value in metadata)
            return StreamCall(self, head + fields, request_serializer, response_deserializer)

        return open_stream

    unary_stream = stream_unary = stream_stream
    """Stubs are made of all the methods that a service has; etcd's of these are not used."""

    # -- calls -------------------------------------------------------------------------------

    async def _call(self, head: bytes, message: bytes, timeout_s: float) -> bytes:
        ends_at = self._loop.time() + timeout_s
        connection = self._connection
        if connection is None or not connection.usable or connection.full:
            try:
                async with asyncio.timeout(timeout_s):
                    connection = await self.connected()
            except TimeoutError:
                raise RpcError(
                    StatusCode.DEADLINE_EXCEEDED, "no connection in time", sent=False
                ) from None
            timeout_s = max(ends_at - self._loop.time(), 0.001)
        call = _UnaryCall(self._loop)
        timeout = field(b"grpc-timeout", b"%dm" % max(timeout_s * 1000, 1))
        connection.open(call, head + timeout, prefixed(message), end=True)
        began_at = self._loop.time()
        timer = self._loop.call_later(timeout_s, call.expire)
        try:
            return await call.answer
        finally:
            timer.cancel()
            connection.reset(call)
            if self._loop.time() - began_at >= max(timeout_s, DOUBT_AFTER_S):
                connection.doubt(began_at)

    async def connected(self) -> Http2Connection:
        """Return a connection with room for a stream; callers share the attempt.

        Raises:
            RpcError: UNAVAILABLE, it can't be made.
        """
        while True:
            connection = self._connection
            if connection is None or not connection.usable:
                self._fail_again()
                if self._connecting is None:
                    self._connecting = self._loop.create_task(self._connect(), name="connect")
                attempt = self._connecting
                # `wait`: a caller that gives up takes it from nobody else.
                await asyncio.wait((attempt,))
                if attempt.cancelled():
                    raise RpcError(StatusCode.UNAVAILABLE, "the channel was closed", sent=False)
                outcome = attempt.result()
                if isinstance(outcome, RpcError):
                    raise outcome
                connection = outcome
            if not connection.full:
                return connection
            await connection.room()

    def _fail_again(self) -> None:
        if self._failed is not None:
            until, error = self._failed
            if self._loop.time() < until:
                raise error
            self._failed = None

    async def _connect(self) -> Http2Connection | RpcError:
        connection: Http2Connection | None = None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await self._loop.create_connection(
                    lambda: Http2Connection(self._loop), self._host, self._port, ssl=self._tls
                )
                await connection.ready
        except (OSError, TimeoutError, ConnectionEnded) as error:
            if connection is not None:
                connection.close()
            details = f"failed to connect to {self._host}:{self._port}: {error or 'timeout'}"
            failure = RpcError(StatusCode.UNAVAILABLE, details, sent=False)
            self._failed = (self._loop.time() + RECONNECT_PAUSE_S, failure)
            return failure
        else:
            self._connection = connection
            return connection
        finally:
            self._connecting = None

    async def close(self) -> None:
        """End the connection; calls under way fail as UNAVAILABLE."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait((self._connecting,))
        if self._connection is not None:
            self._connection.close()

    def _head(self, path: str) -> bytes:
        return (
            self._address
            + b"\x04%b" % text(path.encode())  # :path, before all that are no pseudo fields
            + b"\x0f\x10%b" % text(b"application/grpc")  # content-type
            + b"\x0f\x2b%b" % text(b"kubefan")  # user-agent
            + field(b"te", b"trailers")
        )


def error_of(fields: Fields) -> RpcError | None:
    """Return the error that a call's last headers tell of."""
    status = fields.get(b"grpc-status")
    if status == b"0":
        return None
    if status is None:
        http = fields.get(b":status", b"none").decode("latin-1")
        return RpcError(StatusCode.UNAVAILABLE, f"no gRPC status; HTTP status {http}")
    details = unquote(fields.get(b"grpc-message", b"").decode("latin-1"))
    try:
        return RpcError(StatusCode(int(status)), details)
    except ValueError:
        return RpcError(StatusCode.UNKNOWN, f"gRPC status {status!r}: {details}")


def prefixed(message: bytes) -> bytes:
    """Return a message as it stands in a stream: not compressed, its length, itself."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def field(name: bytes, value: bytes) -> bytes:
    """Return an HPACK field without indexing, name and value as they are (RFC 7541, 6.2.2)."""
    return b"\0" + text(name) + text(value)


def text(value: bytes) -> bytes:
    """Return an HPACK string without Huffman coding (RFC 7541, 5.2)."""
    size = len(value)
    if size < 127:
        return bytes((size,)) + value
    head = bytearray((127,))
    size -= 127
    while size >= 128:
        head.append(size % 128 + 128)
        size //= 128
    head.append(size)
    return bytes(head) + value
