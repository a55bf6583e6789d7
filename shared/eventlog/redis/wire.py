"""One connection to Redis: questions out, answers in, by hiredis and nothing in between.

A change in the store wakes every replica for one short answer, so what a turn costs is what the
fan-out costs: through redis-py's asyncio connection it took about twice the CPU.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any, cast

import hiredis

Command = tuple[bytes | int, ...]


class Broken(Exception):
    """The connection ended, or what came was not Redis' protocol; nothing more can be asked."""


class Wire(asyncio.Protocol):
    """One question at a time; it may be of several commands."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._transport: asyncio.Transport | None = None
        self._replies: list[Any] = []
        self._wanted = 0
        self._answer: asyncio.Future[list[Any]] | None = None
        self._end = ""
        """Why it ended; "" while it is open."""

    def __repr__(self) -> str:
        return f"<Wire {self._end or 'open'}>"

    @property
    def is_open(self) -> bool:
        return not self._end

    @classmethod
    async def open(
        cls, *, host: str, port: int, path: str | None, tls: ssl.SSLContext | None
    ) -> Wire:
        """Connect; raises OSError."""
        loop = asyncio.get_running_loop()
        if path is not None:
            _, wire = await loop.create_unix_connection(cls, path)
        else:
            _, wire = await loop.create_connection(
                cls, host, port, ssl=tls, server_hostname=host if tls is not None else None
            )
        return wire

    async def ask(self, commands: Sequence[Command], timeout_s: float) -> list[Any]:
        """Return the replies in order; a refused command's is a hiredis.ReplyError.

        After any error the connection is of no use any more.

        Raises:
            Broken: it ended.
            TimeoutError: the replies were not there in time.
        """
        if self._transport is None or self._end:
            raise Broken(self._end or "not connected")
        self._replies, self._wanted = [], len(commands)
        answer = self._answer = self._loop.create_future()
        timer = self._loop.call_later(timeout_s, self._expire, answer)
        packed = [hiredis.pack_command(command) for command in commands]  # type: ignore[arg-type]
        self._transport.write(b"".join(packed))
        try:
            replies: list[Any] = await answer
            return replies
        finally:
            timer.cancel()
            self._answer = None

    def close(self) -> None:
        """End it; a question in progress ends as Broken."""
        self._fail("closed")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are of no class of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        reader, replies = self._reader, self._replies
        try:
            reader.feed(data)
            # RESP2 has no booleans: False says that there is not enough yet.
            while (reply := reader.gets()) is not False:
                replies.append(reply)
        except hiredis.ProtocolError as error:
            self._fail(f"not Redis' protocol: {error}")
            return
        if len(replies) >= self._wanted:
            answer = self._answer
            if answer is None or len(replies) > self._wanted:
                self._fail("it said something that nobody had asked for")
            elif not answer.done():
                answer.set_result(replies)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(f"the connection ended{f': {error}' if error else ''}")

    def _expire(self, answer: asyncio.Future[list[Any]]) -> None:
        if not answer.done():
            answer.set_exception(TimeoutError())

    def _fail(self, why: str) -> None:
        self._end = self._end or why
        if self._transport is not None:
            self._transport.abort()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Broken(self._end))
