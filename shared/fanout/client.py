"""Asks a watchfanout for its snapshot."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from shared.eventlog.errors import UnknownFormat
from shared.fanout.snapshot import Snapshot
from shared.fanout.transfer import MEDIA_TYPE, DamagedSnapshot, receive
from shared.flags import read_secret
from shared.storage.protocol import Revision

T = TypeVar("T")

SILENCE_S = 10.0
"""How long nothing may come."""
_CHUNK_BYTES = 2**18


class SnapshotUnavailable(Exception):
    """The watchfanout gave none; the message says why."""


@dataclass(frozen=True, slots=True)
class SnapshotAccess:
    """How watchfanouts are reached: their authority's file ("" the system's) and the token."""

    cafile: str
    token: str = field(repr=False)

    @classmethod
    def from_files(cls, cafile: str, token_file: str) -> SnapshotAccess:
        """Raises OSError: the token's file can't be read, or is no text."""
        return cls(cafile, read_secret(token_file) if token_file else "")

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.cafile or None)


async def fetch_snapshot(server: str, access: SnapshotAccess) -> Snapshot:
    """Return the state of the watchfanout at `server` (https://HOST:PORT).

    Raises:
        SnapshotUnavailable: it can't be reached, has none yet, or it broke off.
    """

    async def read(content: Readable) -> Snapshot:
        return await receive(_chunks(content))

    return await _fetch(server, "/snapshot", access, read)


async def fetch_revision(server: str, access: SnapshotAccess) -> Revision:
    """Return of which revision a snapshot from there would be.

    Raises:
        SnapshotUnavailable: as above.
    """

    async def read(content: Readable) -> Revision:
        return Revision(int(await content.read(_CHUNK_BYTES)))

    return await _fetch(server, "/revision", access, read)


async def _fetch(
    server: str, path: str, access: SnapshotAccess, read: Callable[[Readable], Awaitable[T]]
) -> T:
    import aiohttp  # a quarter of a second to import, and only starts need it

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=2.0, sock_read=SILENCE_S)
    headers = {"Accept": MEDIA_TYPE, "Authorization": f"Bearer {access.token}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{server}{path}", headers=headers, ssl=access.context()) as answer,
        ):
            if answer.status != 200:
                raise SnapshotUnavailable(f"{server}: HTTP {answer.status}")
            return await read(answer.content)
    except (
        *(aiohttp.ClientError, OSError, TimeoutError),
        *(DamagedSnapshot, UnknownFormat, ValueError),
    ) as error:
        raise SnapshotUnavailable(f"{server}: {error or type(error).__name__}") from error


class Readable(Protocol):
    async def read(self, n: int) -> bytes: ...


async def _chunks(content: Readable) -> AsyncIterator[bytes]:
    while chunk := await content.read(_CHUNK_BYTES):
        yield chunk
