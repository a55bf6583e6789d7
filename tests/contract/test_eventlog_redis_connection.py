"""The connection to Redis is cut, silent or not wanted any more; nothing is read twice or lost."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shared.eventlog import Bounds, EventLogUnavailable
from shared.eventlog.redis import RedisEventLog, RedisEventLogOptions, RedisServer
from shared.eventlog.redis.connection import Link
from shared.storage import Revision
from tests.contract.etcd_server import free_ports
from tests.contract.eventlog import PATIENCE_S, entry, take
from tests.contract.redis_log import KEY, append_all, calls, opened, revisions, run
from tests.contract.redis_server import RedisProcess


def test_a_reader_whose_connection_is_cut_goes_on_and_who_appends_is_told(
    redis: RedisProcess,
) -> None:
    async def test(log: RedisEventLog) -> None:
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(revisions(log, after=0, until=3))
            for number in range(3):
                await log.append(entry(number, number + 1))
                await asyncio.sleep(0.05)
                redis.do("CLIENT", "KILL", "TYPE", "normal")
                with pytest.raises(EventLogUnavailable):
                    await log.append(entry(number, number + 1))
        assert following.result() == [1, 2, 3]

    run(redis.server, test)


@pytest.mark.parametrize("cut_after_bytes", [1, 100, 5_000, 70_000])
def test_half_an_answer_is_asked_for_again(redis: RedisProcess, cut_after_bytes: int) -> None:
    written = [entry(n, n + 1, size=9_000) for n in range(20)]

    async def test(log: RedisEventLog) -> None:
        await append_all(log, *written)
        whole = await answer_bytes(redis)
        async with (
            cutting_proxy(redis.port, whole + cut_after_bytes) as port,
            opened(RedisServer(host="127.0.0.1", port=port)) as cut,
        ):
            assert await take(cut, 20, after=0) == written

    run(redis.server, test)


async def answer_bytes(redis: RedisProcess) -> int:
    """The size of the first answer that a reader gets, about the stream."""
    reader, writer = await asyncio.open_connection("127.0.0.1", redis.port)
    writer.write(b"XINFO STREAM %b\r\n" % KEY.encode())
    size = len(await reader.read(2**20))
    writer.close()
    return size


@asynccontextmanager
async def cutting_proxy(target: int, cut_after_bytes: int) -> AsyncIterator[int]:
    """A way to `target` that lets so many bytes through to its first client, all to others."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        left = cut_after_bytes if connections == 1 else 2**30
        from_redis, to_redis = await asyncio.open_connection("127.0.0.1", target)

        async def forward() -> None:
            while data := await reader.read(2**16):
                to_redis.write(data)
            to_redis.close()  # which ends the loop below

        forwarding = asyncio.create_task(forward())
        try:
            while left > 0 and (data := await from_redis.read(min(left, 2**16))):
                left -= len(data)
                writer.write(data)
        finally:
            writer.close()
            to_redis.close()
            forwarding.cancel()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
    assert connections == 2


def test_a_dead_server_is_unavailable_at_once() -> None:
    async def test(log: RedisEventLog) -> None:
        for call in calls(log):
            with pytest.raises(EventLogUnavailable):
                await call

    started = time.monotonic()
    run(RedisServer(host="127.0.0.1", port=free_ports()[0]), test)
    assert time.monotonic() - started < 3


def test_a_server_that_never_answers_is_unavailable_after_the_deadline() -> None:
    async def test(log: RedisEventLog) -> None:
        for call in calls(log):
            with pytest.raises(EventLogUnavailable):
                await call

    options = RedisEventLogOptions(timeout_s=0.2, block_s=0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        run(RedisServer(host="127.0.0.1", port=silent.getsockname()[1]), test, options)


def test_a_server_that_is_no_redis_is_unavailable() -> None:
    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with opened(RedisServer(host="127.0.0.1", port=port)) as log:
                with pytest.raises(EventLogUnavailable):
                    await log.bounds()

    asyncio.run(main())


def test_an_append_that_is_cancelled_leaves_nothing_behind_that_the_next_would_read(
    redis: RedisProcess,
) -> None:
    async def test(log: RedisEventLog) -> None:
        await log.append(entry(0, 1))
        redis.do("CLIENT", "PAUSE", 200, "WRITE")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await log.append(entry(1, 2))
        await asyncio.sleep(0.3)
        assert await log.append(entry(1, 3))
        assert await log.bounds() == Bounds(Revision(0), Revision(3))

    run(redis.server, test)


def test_a_connection_that_nobody_waits_for_any_more_when_it_is_made_is_closed() -> None:
    async def test() -> None:
        ended = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            ended.set()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        link = Link(RedisServer(host="127.0.0.1", port=server.sockets[0].getsockname()[1]), 5.0)
        asking = asyncio.create_task(link.ask((b"PING",)))
        while (connecting := link._connecting) is None or not connecting.done():  # noqa: ASYNC110
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await link.close()
        async with asyncio.timeout(PATIENCE_S):
            await ended.wait()
        server.close()

    asyncio.run(test())
