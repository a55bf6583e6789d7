"""gRPC calls against a scripted HTTP/2 server: what a real etcd does only on bad days."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hpack import Decoder, Encoder

from shared.storage.etcd import grpcclient, http2
from shared.storage.etcd.grpcclient import Channel, RpcError, StatusCode, StreamCall

HEAD = struct.Struct(">HBBBI")
OK = [(b":status", b"200"), (b"content-type", b"application/grpc")]
PLAIN: Any = {"request_serializer": bytes, "response_deserializer": bytes}
DONE = [(b"grpc-status", b"0"), (b"grpc-message", b"")]


class Peer:
    """The server's side of one connection, frame by frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.decoder = Decoder()

    async def greet(self, settings: bytes = b"") -> None:
        assert await self.reader.readexactly(len(http2.PREFACE)) == http2.PREFACE
        self.send(http2.SETTINGS, 0, 0, settings)

    def send(self, kind: int, flags: int, stream: int, payload: bytes = b"") -> None:
        self.writer.write(http2.frame(kind, flags, stream, payload))

    def headers(self, stream: int, fields: list[tuple[bytes, bytes]], *, end: bool = False) -> None:
        flags = http2.END_HEADERS | (http2.END_STREAM if end else 0)
        self.send(http2.HEADERS, flags, stream, block(fields))

    def answer(self, stream: int, message: bytes) -> None:
        self.headers(stream, OK)
        data = grpcclient.prefixed(message)
        for at in range(0, len(data), http2.FRAME_LIMIT_BYTES):
            self.send(http2.DATA, 0, stream, data[at : at + http2.FRAME_LIMIT_BYTES])
        self.headers(stream, DONE, end=True)

    async def frame(self, *kinds: int) -> tuple[int, int, int, bytes]:
        """Return the next frame of those kinds: kind, flags, stream, payload."""
        while True:
            high, low, kind, flags, stream = HEAD.unpack(await self.reader.readexactly(9))
            payload = await self.reader.readexactly(high << 8 | low)
            if kind in kinds:
                return kind, flags, stream, payload

    async def request(self) -> tuple[int, bytes]:
        """Return the stream and the message of the next call."""
        _, _, stream, _ = await self.frame(http2.HEADERS)
        body = b""
        while True:
            _, flags, _, payload = await self.frame(http2.DATA)
            body += payload
            if flags & http2.END_STREAM:
                return stream, body[5:]


def block(fields: list[tuple[bytes, bytes]], *, huffman: bool = True) -> bytes:
    encoder = Encoder()
    encoder.header_table_size = 0
    encoded: bytes = encoder.encode(fields, huffman=huffman)
    return encoded


def run(
    serve: Callable[[Peer], Awaitable[None]], story: Callable[[Channel], Awaitable[None]]
) -> None:
    """Run the story against a server that treats every connection with `serve`."""

    serving: list[asyncio.Task[None] | None] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        try:
            await serve(Peer(reader, writer))
            await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        channel = Channel(f"127.0.0.1:{port}", None)
        try:
            async with asyncio.timeout(5):
                await story(channel)
        finally:
            await channel.close()
            server.close()
            await asyncio.gather(*(task for task in serving if task is not None))

    asyncio.run(main())


async def call(channel: Channel, message: bytes = b"question", timeout: float = 2.0) -> bytes:
    method = channel.unary_unary(
        "/svc/Method", request_serializer=bytes, response_deserializer=bytes
    )
    answer: bytes = await method(message, timeout=timeout)
    return answer


def stream(channel: Channel) -> StreamCall:
    method = channel.stream_stream(
        "/svc/Watch", request_serializer=bytes, response_deserializer=bytes
    )
    return method(metadata=(("hasleader", "true"),))


async def echo(peer: Peer) -> None:
    await peer.greet()
    while True:
        number, message = await peer.request()
        peer.answer(number, message)


def test_a_call_says_what_grpc_wants_to_hear() -> None:
    seen: dict[bytes, bytes] = {}

    async def serve(peer: Peer) -> None:
        await peer.greet()
        _, _, number, payload = await peer.frame(http2.HEADERS)
        seen.update(peer.decoder.decode(payload, raw=True))
        peer.answer(number, b"")

    async def story(channel: Channel) -> None:
        await call(channel)

    run(serve, story)
    assert list(seen)[:4] == [b":method", b":scheme", b":authority", b":path"]
    assert seen[b":path"] == b"/svc/Method"
    assert seen[b"content-type"] == b"application/grpc"
    assert seen[b"te"] == b"trailers"
    assert seen[b"grpc-timeout"] in (b"2000m", b"1999m", b"1998m")


def test_an_answer_in_single_bytes_is_the_same_answer() -> None:
    async def serve(peer: Peer) -> None:
        await peer.greet()
        number, message = await peer.request()
        whole = http2.frame(http2.HEADERS, http2.END_HEADERS, number, block(OK))
        whole += http2.frame(http2.DATA, 0, number, grpcclient.prefixed(message))
        whole += http2.frame(http2.HEADERS, 5, number, block(DONE))
        for at in range(len(whole)):
            peer.writer.write(whole[at : at + 1])
            await peer.writer.drain()
            await asyncio.sleep(0)

    async def story(channel: Channel) -> None:
        assert await call(channel, b"hello") == b"hello"

    run(serve, story)


def test_padding_priorities_and_continued_headers_are_understood() -> None:
    async def serve(peer: Peer) -> None:
        await peer.greet()
        number, message = await peer.request()
        fields = block(OK)
        padded = b"\x03" + b"\0\0\0\0\x10" + fields[:4] + b"\0\0\0"
        peer.send(http2.HEADERS, http2.PADDED | http2.PRIORITY, number, padded)
        peer.send(http2.CONTINUATION, http2.END_HEADERS, number, fields[4:])
        data = grpcclient.prefixed(message)
        peer.send(http2.DATA, http2.PADDED, number, b"\x02" + data + b"\0\0")
        peer.headers(number, DONE, end=True)

    async def story(channel: Channel) -> None:
        assert await call(channel, b"hello") == b"hello"

    run(serve, story)


@pytest.mark.parametrize(
    ("fields", "code", "details"),
    [
        (
            [(b"grpc-status", b"11"), (b"grpc-message", b"future %C3%BC 100%25")],
            StatusCode.OUT_OF_RANGE,
            "future ü 100%",
        ),
        ([(b"grpc-status", b"99")], StatusCode.UNKNOWN, "gRPC status b'99': "),
        ([(b":status", b"503")], StatusCode.UNAVAILABLE, "no gRPC status; HTTP status 503"),
    ],
)
def test_an_answer_without_a_message_is_its_status(
    fields: list[tuple[bytes, bytes]], code: StatusCode, details: str
) -> None:
    async def serve(peer: Peer) -> None:
        await peer.greet()
        number, _ = await peer.request()
        peer.headers(number, fields, end=True)

    async def story(channel: Channel) -> None:
        with pytest.raises(RpcError) as caught:
            await call(channel)
        assert (caught.value.code, caught.value.details) == (code, details)

    run(serve, story)


def test_a_request_larger_than_the_windows_waits_for_them() -> None:
    question = bytes(range(256)) * 1000

    async def serve(peer: Peer) -> None:
        await peer.greet()
        _, _, number, _ = await peer.frame(http2.HEADERS)
        body = b""
        while True:
            _, flags, _, payload = await peer.frame(http2.DATA)
            assert len(payload) <= http2.FRAME_LIMIT_BYTES
            body += payload
            if flags & http2.END_STREAM:
                break
            if len(body) == http2.INITIAL_WINDOW_BYTES:
                for window in (0, number):
                    peer.send(http2.WINDOW_UPDATE, 0, window, (200_000).to_bytes(4, "big"))
        peer.answer(number, body[5:])

    async def story(channel: Channel) -> None:
        assert await call(channel, question) == question

    run(serve, story)


def test_calls_beyond_the_servers_limit_wait_for_room() -> None:
    at_once = 0

    async def serve(peer: Peer) -> None:
        nonlocal at_once
        await peer.greet(struct.pack(">HI", http2.SETTING_MAX_CONCURRENT_STREAMS, 2))
        for _ in range(3):
            asked = [await peer.request() for _ in range(2)]
            await asyncio.sleep(0.01)
            at_once = max(at_once, len(asked))
            for number, message in asked:
                peer.answer(number, message)

    async def story(channel: Channel) -> None:
        questions = [b"%d" % number for number in range(6)]
        assert await asyncio.gather(*(call(channel, one) for one in questions)) == questions

    run(serve, story)
    assert at_once == 2


def test_what_a_leaving_server_has_not_begun_was_not_sent() -> None:
    connections = 0

    async def serve(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        if connections > 1:
            return await echo(peer)
        await peer.greet()
        first, message = await peer.request()
        await peer.request()
        peer.send(http2.GOAWAY, 0, 0, first.to_bytes(4, "big") + bytes(4))
        peer.answer(first, message)

    async def story(channel: Channel) -> None:
        began, refused = await asyncio.gather(
            call(channel, b"began"), call(channel, b"late"), return_exceptions=True
        )
        assert began == b"began"
        assert isinstance(refused, RpcError)
        assert (refused.code, refused.sent) == (StatusCode.UNAVAILABLE, False)
        assert await call(channel, b"elsewhere") == b"elsewhere"

    run(serve, story)
    assert connections == 2


@pytest.mark.parametrize(
    ("code", "status", "sent"),
    [
        (http2.REFUSED_STREAM, StatusCode.UNAVAILABLE, False),
        (2, StatusCode.INTERNAL, True),
    ],
)
def test_a_reset_stream_fails_its_call_alone(code: int, status: StatusCode, sent: bool) -> None:
    async def serve(peer: Peer) -> None:
        await peer.greet()
        number, _ = await peer.request()
        peer.send(http2.RST_STREAM, 0, number, code.to_bytes(4, "big"))
        number, message = await peer.request()
        peer.answer(number, message)

    async def story(channel: Channel) -> None:
        with pytest.raises(RpcError) as caught:
            await call(channel)
        assert (caught.value.code, caught.value.sent) == (status, sent)
        assert await call(channel, b"next") == b"next"

    run(serve, story)


def test_a_lost_connection_fails_what_was_sent_and_the_next_call_makes_another() -> None:
    connections = 0

    async def serve(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        if connections > 1:
            return await echo(peer)
        await peer.greet()
        await peer.request()
        peer.writer.transport.abort()

    async def story(channel: Channel) -> None:
        with pytest.raises(RpcError) as caught:
            await call(channel)
        assert (caught.value.code, caught.value.sent) == (StatusCode.UNAVAILABLE, True)
        assert await call(channel, b"again") == b"again"

    run(serve, story)


def test_who_does_not_speak_http2_is_unavailable_and_got_nothing() -> None:
    async def serve(peer: Peer) -> None:
        peer.writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def story(channel: Channel) -> None:
        with pytest.raises(RpcError, match="failed to connect") as caught:
            await call(channel)
        assert (caught.value.code, caught.value.sent) == (StatusCode.UNAVAILABLE, False)

    run(serve, story)


def test_a_call_out_of_time_tells_the_server() -> None:
    reset: list[int] = []

    async def serve(peer: Peer) -> None:
        await peer.greet()
        await peer.request()
        _, _, number, payload = await peer.frame(http2.RST_STREAM)
        reset.append(int.from_bytes(payload, "big"))
        # What comes too late belongs to nobody.
        peer.answer(number, b"late")
        number, message = await peer.request()
        peer.answer(number, message)

    async def story(channel: Channel) -> None:
        with pytest.raises(RpcError) as caught:
            await call(channel, timeout=0.02)
        assert caught.value.code is StatusCode.DEADLINE_EXCEEDED
        assert await call(channel, b"next") == b"next"

    run(serve, story)
    assert reset == [http2.CANCEL]


def test_a_stream_carries_messages_both_ways_and_ends() -> None:
    async def serve(peer: Peer) -> None:
        await peer.greet()
        _, _, number, payload = await peer.frame(http2.HEADERS)
        assert (b"hasleader", b"true") in peer.decoder.decode(payload, raw=True)
        peer.headers(number, OK)
        for _ in range(2):
            _, _, _, message = await peer.frame(http2.DATA)
            peer.send(http2.DATA, 0, number, message + message)
        peer.headers(number, DONE, end=True)

    async def story(channel: Channel) -> None:
        watch = stream(channel)
        await watch.write(b"one")
        assert [await watch.read() for _ in range(2)] == [b"one", b"one"]
        await watch.write(b"two")
        assert [await watch.read() for _ in range(3)] == [b"two", b"two", None]
        with pytest.raises(RpcError):
            await watch.write(b"three")

    run(serve, story)


def test_a_server_may_send_as_much_as_is_read_and_a_message_larger_than_the_window() -> None:
    size = 3 * http2.STREAM_WINDOW_BYTES
    message = grpcclient.prefixed(b"x" * size)
    stopped: list[int] = []
    has_stopped = asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.greet()
        _, _, number, _ = await peer.frame(http2.HEADERS)
        window = http2.STREAM_WINDOW_BYTES
        credits: asyncio.Queue[int] = asyncio.Queue()

        async def listen() -> None:
            while True:
                _, _, which, payload = await peer.frame(http2.WINDOW_UPDATE)
                if which == number:
                    credits.put_nowait(int.from_bytes(payload, "big"))

        listener = asyncio.create_task(listen())
        try:
            for part in (message, grpcclient.prefixed(b"y" * 1000) * 9000):
                for at in range(0, len(part), 16_000):
                    piece = part[at : at + 16_000]
                    while window < len(piece):
                        try:
                            window += await asyncio.wait_for(credits.get(), 0.3)
                        except TimeoutError:
                            stopped.append(at)
                            has_stopped.set()
                            return
                    window -= len(piece)
                    peer.send(http2.DATA, 0, number, piece)
                    await peer.writer.drain()
        finally:
            listener.cancel()
            await asyncio.wait((listener,))

    async def story(channel: Channel) -> None:
        watch = stream(channel)
        await watch.write(b"go")
        assert len(await watch.read() or b"") == size
        await watch.read()
        await has_stopped.wait()  # nobody reads the rest: the server has to stop

    run(serve, story)
    assert 0 < stopped[0] < 2 * http2.STREAM_WINDOW_BYTES


def test_a_cancelled_stream_is_reset() -> None:
    reset = asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.greet()
        await peer.frame(http2.RST_STREAM)
        reset.set()

    async def story(channel: Channel) -> None:
        watch = stream(channel)
        await watch.write(b"go")
        watch.cancel()
        with pytest.raises(RpcError):
            await watch.read()
        await reset.wait()

    run(serve, story)


@pytest.mark.parametrize("alive", [True, False])
def test_a_silent_server_is_pinged_and_left_if_it_says_nothing(
    alive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http2, "KEEPALIVE_S", 0.05)
    monkeypatch.setattr(http2, "KEEPALIVE_ANSWER_S", 0.05)

    async def serve(peer: Peer) -> None:
        await peer.greet()
        number, message = await peer.request()
        for _ in range(3):
            _, _, _, payload = await peer.frame(http2.PING)
            if alive:
                peer.send(http2.PING, http2.ACK, 0, payload)
        peer.answer(number, message)

    async def story(channel: Channel) -> None:
        if alive:
            assert await call(channel, b"patience") == b"patience"
        else:
            with pytest.raises(RpcError, match="does not answer pings"):
                await call(channel)

    run(serve, story)


def test_a_servers_ping_is_answered() -> None:
    async def serve(peer: Peer) -> None:
        await peer.greet()
        number, _ = await peer.request()
        peer.send(http2.PING, 0, 0, b"12345678")
        _, flags, _, payload = await peer.frame(http2.PING)
        assert flags & http2.ACK
        peer.answer(number, payload)

    async def story(channel: Channel) -> None:
        assert await call(channel) == b"12345678"

    run(serve, story)


@pytest.mark.parametrize("size", [0, 1, 126, 127, 128, 254, 255, 5000])
def test_strings_of_every_length_are_encoded_as_hpack_has_them(size: int) -> None:
    encoded = grpcclient.field(b"name", b"v" * size)
    assert [tuple(one) for one in Decoder().decode(encoded, raw=True)] == [(b"name", b"v" * size)]


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [("etcd:2379", "etcd", 2379), ("[::1]:12", "::1", 12), ("10.0.0.1", "10.0.0.1", 2379)],
)
def test_addresses_name_a_host_and_perhaps_a_port(address: str, host: str, port: int) -> None:
    async def main() -> None:
        channel = Channel(address, None)
        assert (channel._host, channel._port) == (host, port)

    asyncio.run(main())
