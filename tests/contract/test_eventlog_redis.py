"""RedisEventLog keeps the promises of every EventLog, and what only it promises."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from shared.eventlog import (
    Bounds,
    Entry,
    EventLog,
    EventLogClosed,
    EventLogError,
    EventLogUnavailable,
    Hole,
    Trimmed,
    UnknownFormat,
    pack_entry,
)
from shared.eventlog.redis import (
    AccessDenied,
    RedisEventLog,
    RedisEventLogOptions,
    RedisServer,
)
from shared.eventlog.redis.connection import Link
from shared.storage import Revision
from shared.tlsfiles import TlsFiles
from tests.contract.etcd_server import free_ports
from tests.contract.eventlog import PATIENCE_S, EventLogContract, entry, take
from tests.contract.redis_server import RedisProcess, start_redis
from tests.contract.test_storage_etcd import make_certificates

KEY = RedisEventLogOptions().key


@pytest.fixture(scope="module")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    redis = start_redis(tmp_path_factory.mktemp("redis"))
    yield redis
    redis.kill()


@pytest.fixture
def redis(shared_redis: RedisProcess) -> RedisProcess:
    shared_redis.do("FLUSHALL")
    return shared_redis


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisProcess]:
    """One that the test may kill."""
    redis = start_redis(tmp_path / "redis")
    yield redis
    redis.kill()


class TestRedisEventLog(EventLogContract):
    @pytest.fixture(autouse=True)
    def _redis(self, redis: RedisProcess) -> None:
        self.redis = redis

    def open_log(self, *, limit_bytes: int | None = None) -> AbstractAsyncContextManager[EventLog]:
        options = RedisEventLogOptions()
        if limit_bytes is not None:
            options = replace(options, limit_bytes=limit_bytes)
        return opened(self.redis.server, options)


@asynccontextmanager
async def opened(
    server: RedisServer, options: RedisEventLogOptions | None = None
) -> AsyncIterator[RedisEventLog]:
    log = RedisEventLog(server, options)
    yield log
    await log.aclose()


def run(
    server: RedisServer,
    test: Callable[[RedisEventLog], Awaitable[None]],
    options: RedisEventLogOptions | None = None,
) -> None:
    async def main() -> None:
        async with asyncio.timeout(20), opened(server, options) as log:
            await test(log)

    asyncio.run(main())


async def revisions(log: EventLog, *, after: int, until: int) -> list[int]:
    """What somebody who follows sees of the events after `after` up to `until`."""
    seen: list[int] = []
    position = after
    async with asyncio.timeout(PATIENCE_S), aclosing(log.read(after=Revision(after))) as entries:
        async for item in entries:
            assert item.previous <= position
            seen += [one.revision for one in item.events if one.revision > position]
            position = item.revision
            if position >= until:
                break
    return seen


async def append_all(log: EventLog, *items: Entry) -> None:
    for item in items:
        await log.append(item)


async def fill(log: EventLog, until: int, *, after: int = 0, step: int = 5) -> None:
    """Append up to `until` as a leader does: behind what is there, again whatever happens."""
    while True:
        try:
            bounds = await log.bounds()
            start = bounds.newest if bounds else after
            if start >= until:
                return
            for number in range(start, until, step):
                await log.append(entry(number, min(number + step, until)))
        except EventLogUnavailable:
            await asyncio.sleep(0.02)


# --- several leaders ----------------------------------------------------------------------


def test_two_leaders_at_once_leave_every_event_to_be_seen_once(redis: RedisProcess) -> None:
    async def test(log: RedisEventLog) -> None:
        async with opened(redis.server) as other, asyncio.TaskGroup() as tasks:
            following = tasks.create_task(revisions(log, after=0, until=400))
            tasks.create_task(append_all(log, *(entry(n, n + 4) for n in range(0, 400, 4))))
            tasks.create_task(append_all(other, *(entry(n, n + 5) for n in range(0, 400, 5))))
        assert following.result() == list(range(1, 401))

    run(redis.server, test)


def test_a_new_leader_trims_what_its_predecessor_has_left(redis: RedisProcess) -> None:
    options = RedisEventLogOptions(limit_bytes=500_000)

    async def test(log: RedisEventLog) -> None:
        await append_all(log, *(entry(n, n + 1, size=1000) for n in range(300)))
        async with opened(redis.server, options) as successor:
            await successor.append(entry(300, 301, size=1000))
            assert successor.length == 301
            assert successor.size_bytes == pytest.approx(log.size_bytes * 301 / 300, rel=0.2)
            await append_all(successor, *(entry(n, n + 1, size=1000) for n in range(301, 500)))
            assert successor.size_bytes <= options.limit_bytes
            assert successor.length == redis.do("XLEN", KEY) < 400
            # The first one again: it must not go on with what it believes.
            await log.append(entry(500, 501, size=1000))
            assert log.length == redis.do("XLEN", KEY)
            assert log.size_bytes == pytest.approx(successor.size_bytes, rel=0.2)

    run(redis.server, test)


# --- Redis dies, forgets, is cut off ------------------------------------------------------


def test_a_reader_goes_on_when_redis_comes_back_empty_and_is_filled_again(
    own_redis: RedisProcess,
) -> None:
    async def test(log: RedisEventLog) -> None:
        await fill(log, 50)
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(revisions(log, after=0, until=120))
            await asyncio.sleep(0.1)
            await asyncio.to_thread(own_redis.kill)
            await asyncio.sleep(0.1)
            await asyncio.to_thread(own_redis.start)
            await fill(log, 120, step=7)
        assert following.result() == list(range(1, 121))

    run(own_redis.server, test)


def test_a_reader_is_told_when_redis_comes_back_with_less_than_it_needs(
    own_redis: RedisProcess,
) -> None:
    async def test(log: RedisEventLog) -> None:
        await fill(log, 50)
        following = asyncio.create_task(revisions(log, after=0, until=100))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(own_redis.kill)
        await asyncio.to_thread(own_redis.start)
        await fill(log, 100, after=60)
        with pytest.raises(Trimmed) as caught:
            await following
        assert (caught.value.after, caught.value.oldest) == (50, 60)

    run(own_redis.server, test)


def test_who_appends_is_told_once_that_the_stream_has_been_flushed(redis: RedisProcess) -> None:
    async def test(log: RedisEventLog) -> None:
        await fill(log, 50)
        redis.do("FLUSHALL")
        with pytest.raises(EventLogUnavailable, match="gone"):
            await log.append(entry(50, 51))
        assert await log.bounds() is None
        assert log.length == 0
        assert await log.append(entry(40, 51))
        assert await log.bounds() == Bounds(Revision(40), Revision(51))
        assert log.length == 1

    run(redis.server, test)


def test_a_flushed_stream_that_is_filled_again_is_followed_without_a_gap(
    redis: RedisProcess,
) -> None:
    async def test(log: RedisEventLog) -> None:
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(revisions(log, after=0, until=300))
            for until in (100, 200, 300):
                await fill(log, until)
                redis.do("FLUSHALL")
                await fill(log, until, after=until // 2, step=3)
        assert following.result() == list(range(1, 301))

    run(redis.server, test)


def test_killed_in_the_middle_of_a_batch_the_stream_is_filled_and_nothing_is_lost(
    own_redis: RedisProcess,
) -> None:
    async def test(log: RedisEventLog) -> None:
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(revisions(log, after=0, until=2000))
            filling = tasks.create_task(fill(log, 2000, step=1))
            for _ in range(3):
                await asyncio.sleep(0.05)
                assert not filling.done()
                await asyncio.to_thread(own_redis.kill)
                await asyncio.to_thread(own_redis.start)
        assert following.result() == list(range(1, 2001))

    run(own_redis.server, test)


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


def test_redis_that_stays_away_ends_the_reader(own_redis: RedisProcess) -> None:
    async def test(log: RedisEventLog) -> None:
        await log.append(entry(0, 1))
        async with aclosing(log.read(after=Revision(0))) as entries:
            await anext(entries)
            own_redis.kill()
            started = time.monotonic()
            with pytest.raises(EventLogUnavailable):
                await anext(entries)
            assert 0.3 < time.monotonic() - started < 3

    run(own_redis.server, test, RedisEventLogOptions(patience_s=0.4))


def test_closing_ends_a_reader_that_waits_for_redis_to_come_back(own_redis: RedisProcess) -> None:
    async def test(log: RedisEventLog) -> None:
        await log.append(entry(0, 1))
        reading = asyncio.create_task(take(log, 2, after=0))
        await asyncio.sleep(0.1)
        own_redis.kill()
        await asyncio.sleep(0.2)
        await log.aclose()
        with pytest.raises(EventLogClosed):
            await reading
        for call in (log.bounds(), log.append(entry(1, 2)), take(log, 1, after=0)):
            with pytest.raises(EventLogClosed):
                await call

    run(own_redis.server, test)


def test_a_dead_server_is_unavailable_at_once() -> None:
    async def test(log: RedisEventLog) -> None:
        for call in (log.bounds(), log.append(entry(0, 1)), take(log, 1, after=0)):
            with pytest.raises(EventLogUnavailable):
                await call

    started = time.monotonic()
    run(RedisServer(host="127.0.0.1", port=free_ports()[0]), test)
    assert time.monotonic() - started < 3


def test_a_server_that_never_answers_is_unavailable_after_the_deadline() -> None:
    async def test(log: RedisEventLog) -> None:
        for call in (log.bounds(), log.append(entry(0, 1)), take(log, 1, after=0)):
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


@pytest.mark.parametrize(
    ("spoil", "mend"),
    [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
        ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
    ],
)
def test_a_redis_that_takes_no_writes_for_now_is_unavailable(
    own_redis: RedisProcess, spoil: str, mend: str
) -> None:
    async def test(log: RedisEventLog) -> None:
        await log.append(entry(0, 1))
        own_redis.do(*spoil.split())
        with pytest.raises(EventLogUnavailable):
            await log.append(entry(1, 2))
        assert await log.bounds() == Bounds(Revision(0), Revision(1))
        own_redis.do(*mend.split())
        assert await log.append(entry(1, 2))

    run(own_redis.server, test)


# --- trimming -----------------------------------------------------------------------------


def test_a_slow_reader_is_told_that_the_stream_was_trimmed_before_it(redis: RedisProcess) -> None:
    async def test(log: RedisEventLog) -> None:
        await append_all(log, *(entry(n, n + 1) for n in range(100)))
        async with aclosing(log.read(after=Revision(0))) as entries:
            assert (await anext(entries)).revision == 1
            redis.do("XTRIM", KEY, "MINID", "90")
            with pytest.raises(Trimmed) as caught:
                async for _ in entries:
                    pass
        assert caught.value.oldest == 89

    run(redis.server, test)


def test_a_reader_of_a_stream_that_was_emptied_is_told_so(redis: RedisProcess) -> None:
    async def test(log: RedisEventLog) -> None:
        await append_all(log, *(entry(n, n + 1) for n in range(10)))
        redis.do("XTRIM", KEY, "MAXLEN", 0)
        assert await log.bounds() is None
        with pytest.raises(Trimmed) as caught:
            await take(log, 1, after=4)
        assert (caught.value.after, caught.value.oldest) == (4, 10)

    run(redis.server, test, RedisEventLogOptions(block_s=0.05))


def test_a_hole_in_the_middle_is_no_trimming(redis: RedisProcess) -> None:
    async def test(log: RedisEventLog) -> None:
        await append_all(log, *(entry(n, n + 1) for n in range(10)))
        redis.do("XDEL", KEY, "5-0")
        with pytest.raises(Hole) as caught:
            await take(log, 10, after=0)
        assert (caught.value.after, caught.value.previous) == (4, 5)

    run(redis.server, test)


def test_entries_over_the_age_limit_go_when_the_next_one_comes(redis: RedisProcess) -> None:
    async def main() -> None:
        now = 100.0
        options = RedisEventLogOptions(limit_age_s=10)
        log = RedisEventLog(redis.server, options, clock=lambda: now)
        await log.append(entry(0, 1))
        now = 105.0
        await log.append(entry(1, 2))
        now = 112.0
        await log.append(entry(2, 3))
        assert await log.bounds() == Bounds(Revision(1), Revision(3))
        await log.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("size", [1_000, 4_300, 20_000])
def test_the_size_that_is_counted_is_what_redis_needs(redis: RedisProcess, size: int) -> None:
    async def test(log: RedisEventLog) -> None:
        await append_all(log, *(entry(n, n + 1, size=size) for n in range(300)))
        needed = redis.do("MEMORY", "USAGE", KEY, "SAMPLES", 0)
        assert log.size_bytes == pytest.approx(needed, rel=0.2)

    run(redis.server, test)


def test_entries_of_any_size_are_read_in_order(redis: RedisProcess) -> None:
    sizes = [10] * 150 + [3_000_000] * 3 + [40_000] * 20 + [10] * 100
    written = [entry(n, n + 1, size=size) for n, size in enumerate(sizes)]

    async def test(log: RedisEventLog) -> None:
        await append_all(log, *written)
        assert await take(log, len(written), after=0) == written

    run(redis.server, test)


# --- what somebody else has written -------------------------------------------------------

PACKED = pack_entry(entry(0, 1))


@pytest.mark.parametrize(
    ("raw_id", "fields"),
    [
        ("1-0", ("e", b"garbage")),
        ("1-0", ("e", PACKED[:-1])),
        ("1-0", ("e", b"\x94\x63" + PACKED[2:])),
        ("1-0", ("other", PACKED)),
        ("1-0", ("e", PACKED, "more", "x")),
        ("2-0", ("e", PACKED)),
        ("1-1", ("e", PACKED)),
    ],
)
def test_an_entry_that_is_none_of_ours_is_of_unknown_format(
    redis: RedisProcess, raw_id: str, fields: tuple[str | bytes, ...]
) -> None:
    async def test(log: RedisEventLog) -> None:
        redis.do("XADD", KEY, raw_id, *fields)
        with pytest.raises(UnknownFormat):
            await take(log, 1, after=0)
        with pytest.raises(UnknownFormat):
            await log.bounds()

    run(redis.server, test)


def test_a_key_that_is_no_stream_is_an_error_that_says_so(redis: RedisProcess) -> None:
    async def test(log: RedisEventLog) -> None:
        redis.do("SET", KEY, "x")
        for call in (log.bounds(), log.append(entry(0, 1)), take(log, 1, after=0)):
            with pytest.raises(EventLogError, match="wrong kind of value") as caught:
                await call
            assert not isinstance(caught.value, EventLogUnavailable)

    run(redis.server, test)


# --- where Redis is and who we are --------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("redis://", RedisServer()),
        ("redis://cache.example:7000/3", RedisServer(host="cache.example", port=7000, database=3)),
        ("redis://:p%2Fw@h", RedisServer(host="h", password="p/w")),
        ("redis://u:p%40w@[::1]:1", RedisServer(host="::1", port=1, username="u", password="p@w")),
        ("unix:///run/redis.sock", RedisServer(path="/run/redis.sock")),
    ],
)
def test_a_url_says_where_redis_is(url: str, server: RedisServer) -> None:
    assert RedisServer.from_url(url) == server


def test_a_user_and_password_of_their_own_go_before_those_in_the_url() -> None:
    server = RedisServer.from_url("redis://a:b@h", username="u", password="p")
    assert (server.username, server.password) == ("u", "p")


@pytest.mark.parametrize(
    "url", ["", "localhost:6379", "http://h", "redis://:sec/ret@h", "redis://h?password=secret"]
)
def test_a_url_that_is_none_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(EventLogError, match="Redis URL") as caught:
        RedisServer.from_url(url)
    assert "sec" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_tls_files_that_can_not_be_read_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(EventLogError, match="TLS files"):
        RedisServer.from_url("rediss://h", tls=TlsFiles(ca=tmp_path / "missing"))
    with pytest.raises(EventLogError, match="rediss://"):
        RedisServer.from_url("redis://h", tls=TlsFiles())


@pytest.fixture
def guarded_redis(own_redis: RedisProcess) -> RedisProcess:
    """Without a password one may do nothing, but `log` may do what a log needs."""
    commands = "+xadd +xlen +xtrim +xread +xinfo|stream +memory|usage"
    own_redis.do("ACL", "SETUSER", "log", "on", ">s3cret", f"~{KEY}", *commands.split())
    own_redis.do("ACL", "SETUSER", "reader", "on", ">s3cret", f"~{KEY}", "+xread", "+xinfo|stream")
    own_redis.do("CONFIG", "SET", "requirepass", "other")
    return own_redis


def test_users_need_no_more_than_what_is_documented(guarded_redis: RedisProcess) -> None:
    server = replace(guarded_redis.server, username="log", password="s3cret")

    async def test(log: RedisEventLog) -> None:
        await append_all(log, *(entry(n, n + 1, size=1000) for n in range(100)))
        async with opened(server, options) as successor:
            await successor.append(entry(100, 101))
        async with opened(replace(server, username="reader")) as reader:
            bounds = await reader.bounds()
            assert bounds is not None
            assert len(await revisions(reader, after=bounds.oldest, until=101)) < 100
            with pytest.raises(AccessDenied, match="xadd"):
                await reader.append(entry(101, 102))

    options = RedisEventLogOptions(limit_bytes=50_000)
    run(server, test, options)


@pytest.mark.parametrize(
    ("username", "password"), [("log", "wr0ng"), ("nobody", "wr0ng"), (None, "wr0ng"), (None, None)]
)
def test_a_wrong_password_is_an_error_that_says_so_and_not_what_it_was(
    guarded_redis: RedisProcess, username: str | None, password: str | None
) -> None:
    server = replace(guarded_redis.server, username=username, password=password)
    texts: list[str] = []

    async def test(log: RedisEventLog) -> None:
        for call in (log.bounds(), log.append(entry(0, 1)), take(log, 1, after=0)):
            with pytest.raises(AccessDenied) as caught:
                await call
            error: BaseException | None = caught.value
            while error is not None:
                texts.append(repr(error))
                error = error.__cause__
        texts.append(repr(log))

    run(server, test)
    assert "wr0ng" not in "".join([*texts, repr(server), str(server)])


def test_a_client_certificate_opens_a_tls_endpoint(tmp_path: Path) -> None:
    files = make_certificates(tmp_path)
    port = free_ports()[0]
    arguments = (
        *("--tls-port", str(port), "--tls-cert-file", str(files.cert)),
        *("--tls-key-file", str(files.key), "--tls-ca-cert-file", str(files.ca)),
        *("--requirepass", "s3cret"),
    )
    redis = start_redis(tmp_path / "redis", *arguments, port=0)
    url = f"rediss://:s3cret@127.0.0.1:{port}"
    tls = TlsFiles(files.ca, files.cert, files.key)

    async def test(log: RedisEventLog) -> None:
        await log.append(entry(0, 5, size=100_000))
        assert await take(log, 1, after=0) == [entry(0, 5, size=100_000)]

    async def refused(log: RedisEventLog) -> None:
        with pytest.raises(EventLogUnavailable):
            await log.bounds()

    try:
        run(RedisServer.from_url(url, tls=tls), test)
        run(RedisServer.from_url(url, tls=TlsFiles(ca=files.ca)), refused)
        run(RedisServer.from_url(url), refused)
        run(RedisServer.from_url(url.replace("rediss", "redis")), refused)
    finally:
        redis.kill()


def test_nothing_of_an_object_is_in_an_error(tmp_path: Path) -> None:
    """Redis quotes the beginning of a command that it does not know."""
    redis = start_redis(tmp_path / "redis", "--rename-command", "XADD", "")

    async def test(log: RedisEventLog) -> None:
        with pytest.raises(EventLogError, match="unknown command") as caught:
            await log.append(entry(0, 1, size=3))
        assert "xxx" not in str(caught.value)

    try:
        run(redis.server, test)
    finally:
        redis.kill()


def test_a_reader_that_may_be_late_reads_everything_all_the_same(redis: RedisProcess) -> None:
    async def test(log: RedisEventLog) -> None:
        async def write() -> None:
            for revision in range(2, 42):
                await log.append(entry(revision - 1, revision))
                await asyncio.sleep(0.002)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(write())
            assert await revisions(log, after=1, until=41) == list(range(2, 42))

    run(redis.server, test, RedisEventLogOptions(pause_s=0.02))


def test_the_event_loop_that_servers_run_on_will_do_with_and_without_tls(tmp_path: Path) -> None:
    files = make_certificates(tmp_path)
    port, tls_port = free_ports()
    arguments = (
        *("--tls-port", str(tls_port), "--tls-cert-file", str(files.cert)),
        *("--tls-key-file", str(files.key), "--tls-ca-cert-file", str(files.ca)),
        *("--tls-auth-clients", "no", "--unixsocket", str(tmp_path / "socket")),
    )
    redis = start_redis(tmp_path / "redis", *arguments, port=port)
    servers = [
        RedisServer.from_url(f"rediss://127.0.0.1:{tls_port}", tls=TlsFiles(ca=files.ca)),
        RedisServer.from_url(f"redis://127.0.0.1:{port}"),
        RedisServer.from_url(f"unix://{tmp_path / 'socket'}"),
    ]

    async def test() -> None:
        async with asyncio.timeout(PATIENCE_S):
            for number, server in enumerate(servers, 1):
                async with opened(server) as log:
                    await log.append(entry(5 * number - 5, 5 * number, size=100_000))
                    assert await revisions(log, after=0, until=5 * number)

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(test())
    finally:
        redis.kill()


def test_in_a_redis_with_less_memory_than_the_limit_the_oldest_entries_make_room(
    own_redis: RedisProcess,
) -> None:
    async def test(log: RedisEventLog) -> None:
        used = int(own_redis.do("INFO", "memory")["used_memory"])
        own_redis.do("CONFIG", "SET", "maxmemory", used + 3_000_000)
        own_redis.do("CONFIG", "SET", "maxmemory-policy", "noeviction")
        refusals = 0
        for revision in range(1, 401):
            while True:
                try:
                    assert await log.append(entry(revision - 1, revision, size=20_000))
                    break
                except EventLogUnavailable:
                    refusals += 1
                    assert refusals < 100
        bounds = await log.bounds()
        assert bounds is not None
        assert bounds.newest == 400
        assert await revisions(log, after=bounds.oldest, until=400)

    run(own_redis.server, test)
