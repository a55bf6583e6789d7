"""One HTTP/2 connection as a gRPC client needs it: frames, windows, pings (RFC 9113).

Written for this store because a call through grpc.aio costs the event loop's process four times
as much (docs/performance.md): there every call passes gRPC's own threads and completion queue.
What gRPC does without is left out: server push, priorities, the dynamic header table.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from typing import Protocol, cast

from hpack import Decoder, HPACKError

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEAD = struct.Struct(">HBBBI")
"""Length in 16 + 8 bits, type, flags, stream."""
HEAD_BYTES = 9
FRAME_LIMIT_BYTES = 16_384
"""The largest frame either side may send: the default, which nobody here raises."""
INITIAL_WINDOW_BYTES = 65_535
STREAM_WINDOW_BYTES = 4 * 2**20
"""What a server may send on one stream beyond what has been taken: a watch's backlog."""
LARGEST_WINDOW_BYTES = 2**31 - 1
LARGEST_ID = 2**31 - 1
HEADERS_LIMIT_BYTES = 64 * 1024

KEEPALIVE_S = 10.0
"""Silence after which a ping asks whether the peer is alive; etcd allows one every 5 s."""
KEEPALIVE_ANSWER_S = 5.0

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
WINDOW_UPDATE, CONTINUATION = 8, 9
ACK = END_STREAM = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITY = 0x20
SETTING_HEADER_TABLE_SIZE, SETTING_ENABLE_PUSH = 1, 2
SETTING_MAX_CONCURRENT_STREAMS, SETTING_INITIAL_WINDOW_SIZE = 3, 4
NO_ERROR, REFUSED_STREAM, CANCEL = 0, 7, 8

Fields = dict[bytes, bytes]


class ConnectionEnded(Exception):
    """The connection is gone. `sent`: whether the server may have seen the stream's request."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


class StreamReset(Exception):
    """The server ended the stream without an answer; `code` is HTTP/2's."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the server reset the stream (HTTP/2 error {code})")
        self.code = code


class Stream(Protocol):
    """A call, as the connection sees it. None of these may raise."""

    id: int
    window: int
    """Bytes that may still be sent."""

    def on_headers(self, fields: Fields) -> None: ...

    def on_data(self, data: bytes) -> int:
        """Take the data; returns how many bytes the server may send more."""
        ...

    def on_end(self) -> None:
        """The server has said everything."""
        ...

    def on_failure(self, error: ConnectionEnded | StreamReset) -> None: ...


class Http2Connection(asyncio.Protocol):
    """The protocol of one connection. A stream is given to `open`, and gets what arrives."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self.ready: asyncio.Future[None] = loop.create_future()
        """Done when the server has spoken HTTP/2, or with ConnectionEnded when it won't."""
        self.usable = True
        """Whether new streams may be opened."""
        self._streams: dict[int, Stream] = {}
        self._next_id = 1
        self._most_streams = LARGEST_ID
        self._waiting: deque[asyncio.Future[None]] = deque()  # bounded by the calls there are
        self._window = INITIAL_WINDOW_BYTES
        self._stream_window = INITIAL_WINDOW_BYTES
        # What the windows did not let through, by stream; bounded by the calls there are.
        self._unsent: dict[Stream, tuple[bytearray, bool]] = {}
        self._outgoing: list[bytes] = []
        self._received = 0
        self._rest = b""
        self._headers = b""
        self._headers_end_stream = False
        self._headers_of = 0
        self._decoder = Decoder()
        self._decoder.max_allowed_table_size = 0
        self._decoder.header_table_size = 0
        self._decoded: dict[bytes, Fields] = {}
        self._heard_at = self._last_frame_at = loop.time()
        self._keepalive = loop.call_later(KEEPALIVE_S, self._check_alive)

    def __repr__(self) -> str:
        state = "usable" if self.usable else "ending"
        return f"<Http2Connection {state}, {len(self._streams)} streams>"

    @property
    def full(self) -> bool:
        """Whether the server takes no more streams now; see `room`."""
        return len(self._streams) >= self._most_streams

    async def room(self) -> None:
        """Wait until a stream has ended."""
        waiter = self._loop.create_future()
        self._waiting.append(waiter)
        await waiter

    # -- sending ---------------------------------------------------------------------------

    def open(self, stream: Stream, headers: bytes, body: bytes, *, end: bool) -> None:
        """Start a stream: `headers` is an encoded block, `end` says that `body` is all."""
        stream.id = number = self._next_id
        self._next_id += 2
        if self._next_id > LARGEST_ID:
            self.usable = False
        stream.window = self._stream_window
        self._streams[number] = stream
        head = frame(HEADERS, END_HEADERS, number, headers)
        size = len(body)
        if size <= FRAME_LIMIT_BYTES and size <= stream.window and size <= self._window:
            stream.window -= size
            self._window -= size
            # One write, so that most calls are one packet.
            if body or end:
                head += frame(DATA, END_STREAM if end else 0, number, body)
            self._write(head)
        else:
            self._write(head)
            self.send(stream, body, end=end)

    def send(self, stream: Stream, data: bytes, *, end: bool) -> None:
        """Send data as far as the windows let it through now, the rest when they do."""
        if stream.id not in self._streams:
            return
        waiting, _ = self._unsent.get(stream, (bytearray(), False))
        waiting += data
        self._unsent[stream] = (waiting, end)
        self._flush()

    def reset(self, stream: Stream) -> None:
        """Tell the server that nobody waits for the stream any more."""
        if self._forget(stream):
            self._write(frame(RST_STREAM, 0, stream.id, CANCEL.to_bytes(4, "big")))

    def credit(self, stream: Stream, size: int) -> None:
        """Let the server send `size` bytes more on the stream."""
        if stream.id in self._streams:
            self._write(frame(WINDOW_UPDATE, 0, stream.id, size.to_bytes(4, "big")))

    def close(self) -> None:
        """End the connection; streams that are open fail."""
        self._end("the connection was closed")

    def _flush(self) -> None:
        for stream in tuple(self._unsent):
            data, end = self._unsent[stream]
            while data:
                size = min(len(data), FRAME_LIMIT_BYTES, stream.window, self._window)
                if size <= 0:
                    break
                stream.window -= size
                self._window -= size
                flags = END_STREAM if end and size == len(data) else 0
                self._write(frame(DATA, flags, stream.id, bytes(data[:size])))
                del data[:size]
            if not data:
                del self._unsent[stream]

    def _write(self, data: bytes) -> None:
        # What one turn of the loop sends leaves together: uvloop would make a system call of
        # each write, 5 us against 0.8 us for 3 KB.
        if not self._outgoing:
            self._loop.call_soon(self._write_out)
        self._outgoing.append(data)

    def _write_out(self) -> None:
        if self._transport is not None:
            self._transport.write(b"".join(self._outgoing))
        self._outgoing.clear()

    # -- receiving -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        settings = b"".join(
            setting.to_bytes(2, "big") + value.to_bytes(4, "big")
            for setting, value in (
                (SETTING_HEADER_TABLE_SIZE, 0),
                (SETTING_ENABLE_PUSH, 0),
                (SETTING_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES),
            )
        )
        widening = LARGEST_WINDOW_BYTES - INITIAL_WINDOW_BYTES
        self._write(
            PREFACE
            + frame(SETTINGS, 0, 0, settings)
            + frame(WINDOW_UPDATE, 0, 0, widening.to_bytes(4, "big"))
        )

    def connection_lost(self, error: Exception | None) -> None:
        self._end(f"the connection was lost: {error}" if error else "the connection was lost")

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._last_frame_at = self._loop.time()
        if self._rest:
            data = self._rest + data
        at = 0
        try:
            while len(data) - at >= HEAD_BYTES:
                high, low, kind, flags, stream_id = FRAME_HEAD.unpack_from(data, at)
                length = high << 8 | low
                if length > FRAME_LIMIT_BYTES:
                    raise ValueError(f"a frame of {length} bytes")
                end = at + HEAD_BYTES + length
                if end > len(data):
                    break
                self._on_frame(kind, flags, stream_id & LARGEST_ID, data[at + HEAD_BYTES : end])
                at = end
            self._rest = data[at:]
        except (ValueError, IndexError, HPACKError) as error:
            self._end(f"the server does not speak HTTP/2: {error}")

    def _on_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == DATA:
            self._on_data(flags, stream_id, payload)
        elif kind == HEADERS:
            self._headers = without_padding(flags, payload)[5 if flags & PRIORITY else 0 :]
            self._headers_of = stream_id
            self._headers_end_stream = bool(flags & END_STREAM)
            if flags & END_HEADERS:
                self._on_headers()
        elif kind == CONTINUATION:
            self._headers += payload
            if len(self._headers) > HEADERS_LIMIT_BYTES:
                raise ValueError("headers without end")
            if flags & END_HEADERS:
                self._on_headers()
        elif kind == WINDOW_UPDATE:
            self._on_window_update(stream_id, int.from_bytes(payload[:4], "big"))
        elif kind == PING:
            if not flags & ACK:
                self._write(frame(PING, ACK, 0, payload))
        elif kind == SETTINGS:
            if not flags & ACK:
                self._on_settings(payload)
        elif kind == RST_STREAM:
            stream = self._streams.get(stream_id)
            if stream is not None:
                self._forget(stream)
                stream.on_failure(StreamReset(int.from_bytes(payload[:4], "big")))
        elif kind == GOAWAY:
            self._on_goaway(int.from_bytes(payload[:4], "big") & LARGEST_ID)

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        self._received += size
        if self._received > LARGEST_WINDOW_BYTES // 2:
            self._write(frame(WINDOW_UPDATE, 0, 0, self._received.to_bytes(4, "big")))
            self._received = 0
        stream = self._streams.get(stream_id)
        if stream is None:
            return  # of a stream that has been reset
        data = without_padding(flags, payload)
        credit = stream.on_data(data) + size - len(data)
        if flags & END_STREAM:
            self._forget(stream)
            stream.on_end()
        elif credit:
            self.credit(stream, credit)

    def _on_headers(self) -> None:
        block, self._headers = self._headers, b""
        # Without a dynamic table equal blocks mean equal fields, and most calls end alike.
        fields = self._decoded.get(block)
        if fields is None:
            fields = {
                bytes(name): bytes(value) for name, value in self._decoder.decode(block, True)
            }
            if len(self._decoded) < 64:
                self._decoded[block] = fields
        stream = self._streams.get(self._headers_of)
        if stream is None:
            return
        stream.on_headers(fields)
        if self._headers_end_stream:
            self._forget(stream)
            stream.on_end()

    def _on_window_update(self, stream_id: int, size: int) -> None:
        if stream_id == 0:
            self._window += size
        elif (stream := self._streams.get(stream_id)) is not None:
            stream.window += size
        if self._unsent:
            self._flush()

    def _on_settings(self, payload: bytes) -> None:
        for at in range(0, len(payload), 6):
            setting = int.from_bytes(payload[at : at + 2], "big")
            value = int.from_bytes(payload[at + 2 : at + 6], "big")
            if setting == SETTING_INITIAL_WINDOW_SIZE:
                change = value - self._stream_window
                self._stream_window = value
                for stream in self._streams.values():
                    stream.window += change
            elif setting == SETTING_MAX_CONCURRENT_STREAMS:
                self._most_streams = value
        self._write(frame(SETTINGS, ACK, 0, b""))
        if not self.ready.done():
            self.ready.set_result(None)
        self._flush()

    def _on_goaway(self, last_id: int) -> None:
        """The server stops: what it has not begun is refused, the rest it still answers."""
        self.usable = False
        for stream in [one for number, one in self._streams.items() if number > last_id]:
            self._forget(stream)
            stream.on_failure(ConnectionEnded("the server is going away", sent=False))
        if not self._streams:
            self._end("the server went away")

    # -- ends ------------------------------------------------------------------------------

    def _forget(self, stream: Stream) -> bool:
        self._unsent.pop(stream, None)
        known = self._streams.pop(stream.id, None) is not None
        while self._waiting and not self.full:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                break
        if not self.usable and not self._streams:
            self._loop.call_soon(self._end, "every stream has ended")
        return known

    def _end(self, reason: str) -> None:
        self.usable = False
        self._keepalive.cancel()
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        if not self.ready.done():
            self.ready.set_exception(ConnectionEnded(reason, sent=False))
        streams, self._streams = self._streams, {}
        self._unsent.clear()
        for stream in streams.values():
            stream.on_failure(ConnectionEnded(reason, sent=True))
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)

    def doubt(self, since: float) -> None:
        """End the connection if nothing has come since then, when a call began that had no answer.

        Calls that come one by one leave no time for a ping, and a connection that the network has
        forgotten would else be used for as long as TCP tries.
        """
        if self.usable and self._last_frame_at < since:
            self._end("nothing came from the server for the length of a call")

    def _check_alive(self) -> None:
        """Ping a silent peer while somebody waits for it, and end what does not answer."""
        silent_s = self._loop.time() - self._heard_at
        if silent_s >= KEEPALIVE_S + KEEPALIVE_ANSWER_S and self._streams:
            self._end("the server does not answer pings")
            return
        if silent_s < KEEPALIVE_S:
            delay_s = KEEPALIVE_S - silent_s
        elif self._streams:
            self._write(frame(PING, 0, 0, b"kubefan!"))
            delay_s = KEEPALIVE_ANSWER_S
        else:
            # etcd takes pings without a call for an attack; silence means nothing then.
            self._heard_at = self._loop.time()
            delay_s = KEEPALIVE_S
        self._keepalive = self._loop.call_later(delay_s, self._check_alive)


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    length = len(payload)
    return FRAME_HEAD.pack(length >> 8, length & 0xFF, kind, flags, stream_id) + payload


def without_padding(flags: int, payload: bytes) -> bytes:
    if not flags & PADDED:
        return payload
    return payload[1 : len(payload) - payload[0]]
