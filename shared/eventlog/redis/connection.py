"""Where Redis is, one connection to it, and redis-py's errors in our words."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from redis import exceptions
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)

from shared.eventlog.errors import EventLogError, EventLogUnavailable

T = TypeVar("T")

Command = Sequence[bytes | int]

_TEMPORARY = (
    "BUSY ",  # a script runs
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",  # Redis can't write its own files and refuses ours
    "NOREPLICAS",
    "OOM",
    "READONLY",  # it has become a replica
    "TRYAGAIN",
    "UNBLOCKED",
)


_DENIED = (
    exceptions.AuthenticationError,
    exceptions.AuthenticationWrongNumberOfArgsError,
    exceptions.AuthorizationError,
    exceptions.NoPermissionError,
)


class AccessDenied(EventLogError):
    """Redis knows no such user, or does not allow it what the log needs."""


class Refused(EventLogError):
    """Redis answered with an error that has no other name here."""


@dataclass(frozen=True, slots=True)
class RedisTls:
    """PEM files. Without `ca` the system's authorities are trusted, with it only that one."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.cert is not None:
                context.load_cert_chain(self.cert, self.key)
        except OSError as error:
            raise EventLogError(f"can't read the TLS files for Redis: {error}") from error
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisServer:
    """One Redis and who we are to it; its repr can be logged."""

    host: str = "localhost"
    port: int = 6379
    path: str | None = None
    """A Unix socket, instead of host and port."""
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        tls: RedisTls | None = None,
    ) -> Self:
        """Parse `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`, `rediss://` for TLS.

        Or `unix:///PATH`. `username` and `password` go before those in the URL.

        Raises:
            EventLogError: it is none of these, or a TLS file can't be read.
        """
        try:
            found: dict[str, Any] = {**parse_url(url)}
            if urlsplit(url).query:
                raise ValueError
        except ValueError:  # whose text may quote a password with a slash in it
            raise EventLogError(
                "a Redis URL is redis://, rediss:// or unix:// without parameters, and what is "
                "special in a password is written as %XX"
            ) from None
        connection_class = found.pop("connection_class", Connection)
        secure = connection_class is SSLConnection
        if tls is not None and not secure:
            raise EventLogError("TLS files for Redis are given, but its URL is not rediss://")
        return cls(
            host=found.pop("host", "localhost"),
            port=found.pop("port", 6379),
            path=found.pop("path", None),
            database=found.pop("db", 0),
            username=username or found.pop("username", None),
            password=password or found.pop("password", None),
            tls=(tls or RedisTls()).context() if secure else None,
        )

    def __str__(self) -> str:
        return f"{self.path or f'{self.host}:{self.port}'}/{self.database}"

    def connection(self, connect_timeout_s: float) -> AbstractConnection:
        """Return a connection of redis-py's, not connected yet, that never tries again."""
        options: dict[str, Any] = {
            "db": self.database,
            "username": self.username,
            "password": self.password,
            "socket_timeout": None,  # ours is around a call; theirs, around its parts, cost 30 us
            "socket_connect_timeout": connect_timeout_s,
            "socket_read_size": 2**18,
            "protocol": 2,
            "driver_info": None,
        }
        if self.path is not None:
            return UnixDomainSocketConnection(path=self.path, **options)
        if self.tls is None:
            return Connection(host=self.host, port=self.port, **options)
        connection = SSLConnection(host=self.host, port=self.port, **options)
        connection.ssl_context.context = self.tls  # theirs trusts the system's authorities too
        return connection


class Link:
    """One connection, made when it is needed, for one task at a time."""

    def __init__(self, server: RedisServer, timeout_s: float) -> None:
        self._server = server
        self._timeout_s = timeout_s
        self._connection = server.connection(timeout_s)

    def __repr__(self) -> str:
        state = "connected" if self._connection.is_connected else "not connected"
        return f"<Link to {self._server}, {state}>"

    @property
    def is_connected(self) -> bool:
        return bool(self._connection.is_connected)

    async def connect(self) -> None:
        """Raises as `ask`; nothing is done if it is connected already."""
        if not self._connection.is_connected:
            connected: Awaitable[None] = self._connection.connect()  # type: ignore[no-untyped-call]
            await self._guarded(connected, self._timeout_s)

    async def ask(self, *commands: Command, wait_s: float = 0.0) -> list[Any]:
        """Return the answers to `commands`, which are sent together.

        `wait_s` is how long the commands themselves may wait. After any error but a refusal
        the connection is closed; cancelled, too.

        Raises:
            AccessDenied, Refused: the first refusal; what came behind it was done.
            EventLogUnavailable: the commands may or may not have been done.
        """
        await self.connect()
        replies = await self._guarded(self._replies(commands), self._timeout_s + wait_s)
        for reply in replies:
            if isinstance(reply, exceptions.RedisError):
                raise translate(reply) from reply
        return replies

    async def close(self) -> None:
        """A call in progress ends as EventLogUnavailable."""
        await self._connection.disconnect(nowait=True)

    async def _replies(self, commands: Sequence[Command]) -> list[Any]:
        connection = self._connection
        await connection.send_packed_command(connection.pack_commands(commands))
        replies: list[Any] = []
        for _ in commands:
            try:
                replies.append(await connection.read_response())
            except exceptions.ResponseError as error:  # the connection goes on
                replies.append(error)
        return replies

    async def _guarded(self, work: Awaitable[T], timeout_s: float) -> T:
        try:
            async with asyncio.timeout(timeout_s):
                return await work
        except BaseException as error:
            # Half an answer may be on its way: nothing more can be asked here.
            await self.close()
            if isinstance(error, exceptions.RedisError):
                raise translate(error) from error
            if isinstance(error, (TimeoutError, OSError)):
                raise EventLogUnavailable(f"Redis at {self._server} does not answer") from error
            raise


def translate(error: exceptions.RedisError) -> EventLogError:
    """Redis 6.2 to 8: the first word of an error says what it is."""
    # Behind these words Redis quotes what it was sent, which may be an object.
    text = str(error).partition(", with args beginning with")[0]
    code = getattr(error, "status_code", None) or ""
    if isinstance(error, _DENIED):
        return AccessDenied(f"Redis: {text}")
    if isinstance(error, exceptions.ResponseError) and not f"{code} {text}".lstrip().startswith(
        _TEMPORARY
    ):
        return Refused(f"Redis: {text}")
    return EventLogUnavailable(f"Redis: {text}")
