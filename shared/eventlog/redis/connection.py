"""Where Redis is, one connection to it, and its errors in our words."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

import hiredis
from redis.asyncio.connection import SSLConnection, parse_url

from shared.eventlog.errors import EventLogError, EventLogUnavailable
from shared.eventlog.redis.wire import Broken, Command, Wire
from shared.tlsfiles import TlsFiles

_TEMPORARY = (
    "BUSY ",  # a script runs
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",  # Redis can't write its own files and refuses ours
    "NOREPLICAS",
    "READONLY",  # it has become a replica
    "TRYAGAIN",
    "UNBLOCKED",
)


_DENIED = (
    "NOAUTH ",
    "NOPERM ",
    "WRONGPASS ",
    "ERR AUTH ",  # a password where none is configured, or a user to a Redis before 6
    "ERR Client sent AUTH",
    "ERR invalid password",
)
NO_TIMEOUT_S = 86_400.0


class AccessDenied(EventLogError):
    """Redis knows no such user, or does not allow it what the log needs."""


class OutOfMemory(EventLogUnavailable):
    """Redis has reached its maxmemory and takes nothing more."""


class Refused(EventLogError):
    """Redis answered with an error that has no other name here."""


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
        tls: TlsFiles | None = None,
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
        connection_class = found.pop("connection_class", None)
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
            tls=_context(tls or TlsFiles()) if secure else None,
        )

    def __str__(self) -> str:
        return f"{self.path or f'{self.host}:{self.port}'}/{self.database}"

    async def connect(self) -> Wire:
        """Return a connection, logged in.

        Raises:
            AccessDenied, Refused: Redis does not let us in.
            EventLogUnavailable, OSError, TimeoutError, Broken: it can't be reached.
        """
        wire = await Wire.open(host=self.host, port=self.port, path=self.path, tls=self.tls)
        greeting: list[Command] = []
        if self.password is not None:
            user = () if self.username is None else (self.username.encode(),)
            greeting.append((b"AUTH", *user, self.password.encode()))
        if self.database:
            greeting.append((b"SELECT", self.database))
        try:
            if greeting:
                # The caller bounds it.
                for reply in await wire.ask(greeting, NO_TIMEOUT_S):
                    if isinstance(reply, hiredis.ReplyError):
                        raise translate(str(reply))
        except BaseException:
            wire.close()
            raise
        return wire


def _context(files: TlsFiles) -> ssl.SSLContext:
    try:
        return files.context()
    except OSError as error:
        raise EventLogError(f"can't read the TLS files for Redis: {error}") from error


class Link:
    """One connection, made when it is needed, for one task at a time."""

    def __init__(self, server: RedisServer, timeout_s: float) -> None:
        self._server = server
        self._timeout_s = timeout_s
        self._wire: Wire | None = None
        self._connecting: asyncio.Task[Wire] | None = None

    def __repr__(self) -> str:
        state = "connected" if self.is_connected else "not connected"
        return f"<Link to {self._server}, {state}>"

    @property
    def is_connected(self) -> bool:
        return self._wire is not None and self._wire.is_open

    async def ask(self, *commands: Command, wait_s: float = 0.0) -> list[Any]:
        """Return the answers to `commands`, which are sent together.

        `wait_s` is how long the commands themselves may wait. After any error but a refusal
        the connection is closed; cancelled, too.

        Raises:
            AccessDenied, Refused: the first refusal; what came behind it was done.
            EventLogUnavailable: the commands may or may not have been done.
        """
        wire = self._wire
        if wire is None or not wire.is_open:
            wire = await self._connect()
        try:
            replies = await wire.ask(commands, self._timeout_s + wait_s)
        except BaseException as error:
            # Half an answer may be on its way: nothing more can be asked here.
            wire.close()
            self._wire = None
            if isinstance(error, (Broken, TimeoutError)):
                raise self._unavailable(error) from error
            raise
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                raise translate(str(reply))
        return replies

    def check_not_lost(self) -> None:
        """Say once that the connection has ended since the last answer.

        Raises:
            EventLogUnavailable: it has; the next `ask` makes another.
        """
        wire = self._wire
        if wire is not None and not wire.is_open:
            self._wire = None
            raise EventLogUnavailable(f"Redis at {self._server}: the connection was lost")

    async def _connect(self) -> Wire:
        # A task, so that `close` can end it.
        self._connecting = asyncio.create_task(self._open(), name="connect to Redis")
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._connecting
        except asyncio.CancelledError:
            if self._connecting.cancelled() and not _is_being_cancelled():
                raise EventLogUnavailable(f"Redis at {self._server}: closed") from None
            raise
        except (Broken, TimeoutError, OSError) as error:
            raise self._unavailable(error) from error
        finally:
            self._connecting.cancel()
            self._connecting = None

    async def _open(self) -> Wire:
        # Kept here, so that `close` finds it though who waits was cancelled in this moment.
        self._wire = await self._server.connect()
        return self._wire

    async def close(self) -> None:
        """A call in progress ends as EventLogUnavailable."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._wire is not None:
            self._wire.close()

    def _unavailable(self, error: BaseException) -> EventLogUnavailable:
        why = str(error) or "no answer in time"
        return EventLogUnavailable(f"Redis at {self._server}: {why}")


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def translate(text: str) -> EventLogError:
    """Redis 6.2 to 8: the first word of an error says what it is."""
    # Behind these words Redis quotes what it was sent, which may be an object.
    shown = text.partition(", with args beginning with")[0]
    if text.startswith(_DENIED):
        return AccessDenied(f"Redis: {shown}")
    if text.startswith("OOM"):
        return OutOfMemory(f"Redis: {shown}")
    if text.startswith(_TEMPORARY):
        return EventLogUnavailable(f"Redis: {shown}")
    return Refused(f"Redis: {shown}")
