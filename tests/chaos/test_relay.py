"""A relay passes everything, nothing, or late."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.chaos.relay import Relay
from tests.chaos.sockets import owner

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
QUIET_S = 0.1


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


@asynccontextmanager
async def relayed(whose: Callable[[int], str] = lambda _: "") -> AsyncIterator[Relay]:
    """A relay to a server that says what it hears."""
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    relay = Relay("echo", [server.sockets[0].getsockname()[1]], whose)
    await relay.start()
    try:
        yield relay
    finally:
        relay.close()
        server.close()


async def connect(relay: Relay) -> Streams:
    return await asyncio.open_connection("127.0.0.1", relay.port)


async def say(streams: Streams, word: bytes) -> bytes:
    """Return what comes back, b"" at the end of the connection."""
    reader, writer = streams
    writer.write(word)
    try:
        return await reader.read(100)
    except ConnectionResetError:
        return b""


async def hears_nothing(streams: Streams, word: bytes) -> bool:
    streams[1].write(word)
    try:
        async with asyncio.timeout(QUIET_S):
            await streams[0].read(100)
    except TimeoutError:
        return True
    return False


def test_a_whole_relay_passes_both_ways() -> None:
    async def run() -> None:
        async with relayed() as relay:
            assert await say(await connect(relay), b"hello") == b"hello"

    asyncio.run(run())


def test_a_cut_relay_ends_connections_and_refuses_new_ones_until_it_is_mended() -> None:
    async def run() -> None:
        async with relayed() as relay:
            there = await connect(relay)
            assert await say(there, b"hello") == b"hello"
            relay.cut()
            assert await say(there, b"hello") == b""
            assert await say(await connect(relay), b"hello") == b""
            relay.mend()
            assert await say(await connect(relay), b"hello") == b"hello"

    asyncio.run(run())


@pytest.mark.parametrize("new_ones_too", [False, True])
def test_a_frozen_relay_holds_back_what_comes_until_it_is_mended(new_ones_too: bool) -> None:
    async def run() -> None:
        async with relayed() as relay:
            there = await connect(relay)
            assert await say(there, b"hello") == b"hello"
            relay.freeze(new_ones_too=new_ones_too)
            assert await hears_nothing(there, b"late")
            assert await hears_nothing(await connect(relay), b"new") == new_ones_too
            relay.mend()
            assert await there[0].read(100) == b"late"

    asyncio.run(run())


def test_one_client_alone_can_be_cut_off_or_frozen() -> None:
    names: dict[int, str] = {}

    def whose(port: int) -> str:
        return names.get(port, "other")

    async def connect_as(relay: Relay, name: str) -> Streams:
        with socket.socket() as chosen:
            chosen.bind(("127.0.0.1", 0))
            port = chosen.getsockname()[1]
        names[port] = name
        return await asyncio.open_connection(
            "127.0.0.1", relay.port, local_addr=("127.0.0.1", port)
        )

    async def run() -> None:
        async with relayed(whose) as relay:
            unlucky, other = await connect_as(relay, "unlucky"), await connect(relay)
            assert await say(unlucky, b"hello") == await say(other, b"hello") == b"hello"
            relay.freeze("unlucky", new_ones_too=True)
            assert await hears_nothing(unlucky, b"late")
            assert await hears_nothing(await connect_as(relay, "unlucky"), b"new")
            assert await say(other, b"hello") == b"hello"
            relay.mend("unlucky")
            assert await unlucky[0].read(100) == b"late"
            relay.cut("unlucky")
            assert await say(unlucky, b"hello") == b""
            assert await say(await connect_as(relay, "unlucky"), b"hello") == b""
            assert await say(other, b"hello") == b"hello"
            relay.mend("unlucky")
            assert await say(await connect_as(relay, "unlucky"), b"hello") == b"hello"

    asyncio.run(run())


def test_a_connection_is_traced_to_the_process_that_opened_it() -> None:
    async def run() -> None:
        async with relayed() as relay:
            _, writer = await connect(relay)
            port = writer.get_extra_info("sockname")[1]
            assert owner(port, relay.port, [os.getppid(), os.getpid()]) == os.getpid()
            assert owner(port, relay.port, [os.getppid()]) is None
            writer.close()

    asyncio.run(run())


def test_a_relay_to_several_goes_to_one_that_answers() -> None:
    async def run() -> None:
        async with relayed() as relay:
            server = await asyncio.start_server(echo, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            server.close()
            await server.wait_closed()
            balancer = Relay("balancer", [port, relay.port])
            await balancer.start()
            for _ in range(4):
                assert await say(await connect(balancer), b"hello") == b"hello"
            balancer.close()

    asyncio.run(run())
