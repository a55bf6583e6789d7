"""A TCP relay that can be cut: what a broken network looks like to the processes on both sides."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

READ_BYTES = 64 * 1024


@dataclass(eq=False, slots=True)
class _Link:
    """One relayed connection."""

    transports: list[asyncio.WriteTransport] = field(default_factory=list)
    flows: asyncio.Event = field(default_factory=asyncio.Event)

    def abort(self) -> None:
        for transport in self.transports:
            transport.abort()


class Relay:
    """Passes connections on to the first of `targets` that answers, beginning with another one
    each time: so it stands for a load balancer too.
    """

    def __init__(self, name: str, targets: Sequence[int]) -> None:
        self.name = name
        self._targets = tuple(targets)
        self._turns = itertools.count()
        self._links: set[_Link] = set()
        self._cut = False
        self._frozen = False
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None, "not started"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)

    def close(self) -> None:
        self.cut()
        if self._server is not None:
            self._server.close()

    def cut(self) -> None:
        """Break every connection and refuse new ones, until `mend`."""
        self._cut = True
        for link in self._links:
            link.abort()

    def freeze(self, *, new_ones_too: bool) -> None:
        """Let no byte pass, and nobody know: the connections stay open, until `mend`."""
        self._frozen = new_ones_too
        for link in self._links:
            link.flows.clear()

    def mend(self) -> None:
        """Let everything pass; what was held back arrives late."""
        self._cut = self._frozen = False
        for link in self._links:
            link.flows.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link([writer.transport])
        if not self._frozen:
            link.flows.set()
        self._links.add(link)
        try:
            if self._cut or (far := await self._connect()) is None:
                return
            far_reader, far_writer = far
            link.transports.append(far_writer.transport)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_pump(reader, far_writer, link))
                tasks.create_task(_pump(far_reader, writer, link))
        except* OSError:
            pass  # either side is gone
        finally:
            self._links.discard(link)
            link.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        first = next(self._turns)
        for number in range(len(self._targets)):
            port = self._targets[(first + number) % len(self._targets)]
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                continue
        return None


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: _Link) -> None:
    while data := await reader.read(READ_BYTES):
        await link.flows.wait()
        if writer.is_closing():
            break  # cut while it was held back
        writer.write(data)
        await writer.drain()
    # The end of one side ends both: HTTP and gRPC know no half-closed connections.
    raise ConnectionResetError("ended")
