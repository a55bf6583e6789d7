"""Where Redis is, who we are there, and that no error tells a secret."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from shared.eventlog import EventLogError, EventLogUnavailable
from shared.eventlog.redis import AccessDenied, RedisEventLog, RedisEventLogOptions, RedisServer
from shared.tlsfiles import TlsFiles
from tests.contract.etcd_server import free_ports
from tests.contract.eventlog import PATIENCE_S, entry, take
from tests.contract.redis_log import KEY, append_all, calls, opened, revisions, run
from tests.contract.redis_server import RedisProcess, start_redis
from tests.contract.test_storage_etcd import make_certificates


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
        for call in calls(log):
            with pytest.raises(AccessDenied) as caught:
                await call
            error: BaseException | None = caught.value
            while error is not None:
                texts.append(repr(error))
                error = error.__cause__
        texts.append(repr(log))

    run(server, test)
    assert "wr0ng" not in "".join([*texts, repr(server), str(server)])


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


def tls_arguments(files: TlsFiles, port: int) -> tuple[str, ...]:
    return (
        *("--tls-port", str(port), "--tls-cert-file", str(files.cert)),
        *("--tls-key-file", str(files.key), "--tls-ca-cert-file", str(files.ca)),
    )


def test_a_client_certificate_opens_a_tls_endpoint(tmp_path: Path) -> None:
    files = make_certificates(tmp_path)
    port = free_ports()[0]
    arguments = (*tls_arguments(files, port), "--requirepass", "s3cret")
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


def test_the_event_loop_that_servers_run_on_will_do_with_and_without_tls(tmp_path: Path) -> None:
    files = make_certificates(tmp_path)
    port, tls_port = free_ports()
    arguments = (
        *tls_arguments(files, tls_port),
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
