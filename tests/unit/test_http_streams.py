"""An answer that stays open: it learns that its client has gone, or reads too slowly."""

from __future__ import annotations

import asyncio

from tests.unit.http_world import GET, Served, Stream, run


def test_a_stream_learns_that_its_client_has_gone() -> None:
    stream = Stream()

    async def scenario(served: Served) -> None:
        async with served.stream() as connection:
            assert stream.open == 1
            connection.close()
            await stream.until_idle()

    run(stream, scenario)


def test_a_stream_learns_it_too_when_another_request_waits_behind_it() -> None:
    stream = Stream()

    async def scenario(served: Served) -> None:
        async with served.connect() as connection:
            connection.send(GET, GET, b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n")
            await connection.head()
            connection.close()
            await stream.until_idle()
        assert len(stream.writers) == 1, "nobody is left to answer the others for"

    run(stream, scenario)


def test_a_stream_writer_is_blocked_while_the_client_reads_nothing() -> None:
    stream = Stream()

    async def scenario(served: Served) -> None:
        async with served.stream() as slow, served.stream() as quick:
            slow_writer, quick_writer = stream.writers
            slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
            written = 0
            while not slow_writer.blocked and written < 1000:
                slow_writer.write(b"x" * 100_000)
                written += 1
                await asyncio.sleep(0)
            assert slow_writer.blocked
            assert not quick_writer.blocked
            quick_writer.write(b"event")
            assert await quick.chunk() == b"event"

    run(stream, scenario)


def test_writing_to_a_stream_whose_client_has_gone_does_nothing() -> None:
    stream = Stream()

    async def scenario(served: Served) -> None:
        async with served.stream():
            pass
        await stream.until_idle()
        stream.writers[0].write(b"event")
        assert not stream.writers[0].blocked

    run(stream, scenario)
