"""A TCP relay that can be cut: what a broken network looks like to the processes on both sides.

It can be cut for everybody, or for one process alone, whose connections are known by the port that
they come from.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

READ_BYTES = 64 * 1024
EVERYBODY = ""


@dataclass(eq=False, slots=True)
class _Link:
    """One relayed connection."""

    client: str
    """The name of the process that opened it, "" if nobody knows."""
    transports: list[asyncio.WriteTransport] = field(default_factory=list)
    flows: asyncio.Event = field(default_factory=asyncio.Event)

    def abort(self) -> None:
        for transport in self.transports:
            transport.abort()


class Relay:
    """Passes connections on to the first of `targets` that answers, beginning with another one
    each time: so it stands for a load balancer too.

    `whose` tells the name of the process that has connected from a port.
    """

    def __init__(
        self, name: str, targets: Sequence[int], whose: Callable[[int], str] = lambda _: ""
    ) -> None:
        self.name = name
        self._targets = tuple(targets)
        self._whose = whose
        self._turns = itertools.count()
        self._links: set[_Link] = set()
        self._cut: set[str] = set()
        self._frozen: set[str] = set()
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

    def cut(self, client: str = EVERYBODY) -> int:
        """Break every connection of `client` and refuse new ones, until `mend`.

        Return how many there were.
        """
        self._cut.add(client)
        links = self._links_of(client)
        for link in links:
            link.abort()
        return len(links)

    def freeze(self, client: str = EVERYBODY, *, new_ones_too: bool) -> int:
        """Let no byte pass, and nobody know: the connections stay open, until `mend`.

        Return how many there were.
        """
        if new_ones_too:
            self._frozen.add(client)
        links = self._links_of(client)
        for link in links:
            link.flows.clear()
        return len(links)

    def mend(self, client: str = EVERYBODY) -> None:
        """Let everything of `client` pass; what was held back arrives late."""
        if client == EVERYBODY:
            self._cut.clear()
            self._frozen.clear()
        self._cut.discard(client)
        self._frozen.discard(client)
        for link in self._links_of(client):
            link.flows.set()

    def _links_of(self, client: str) -> list[_Link]:
        return [link for link in self._links if client in (EVERYBODY, link.client)]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = self._whose(writer.get_extra_info("peername")[1])
        link = _Link(client, [writer.transport])
        if self._frozen.isdisjoint((EVERYBODY, client)):
            link.flows.set()
        self._links.add(link)
        try:
            if self._is_cut(client) or (far := await self._connect()) is None:
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

    def _is_cut(self, client: str) -> bool:
        return not self._cut.isdisjoint((EVERYBODY, client))

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
