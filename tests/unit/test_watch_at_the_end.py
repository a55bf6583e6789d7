"""A watch does not hold up the end of the server, whenever it comes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.apiserver.codec import codec_for
from services.apiserver.http.protocol import WRITER
from services.apiserver.http.request import Message, Request, StreamResponse
from services.apiserver.read.watch import WatchLimits, watch
from services.apiserver.registry.served import Served
from services.apiserver.stages.resolve import request_info
from shared.watchcache import ReadyWatchers
from tests.unit.storeworld import StoreWorld, run


class Socket:
    """A client's connection that takes everything."""

    blocked = False

    def write(self, body: bytes) -> None:
        raise AssertionError("nothing happens while it watches")


async def silent() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize("query", ["watch=1", "watch=1&resourceVersion={revision}"])
def test_a_watch_that_comes_while_the_server_stops_ends_at_once(tmp_path: Path, query: str) -> None:
    """It was on its way through authorization, or in a queue, when the others were ended."""

    async def story(world: StoreWorld) -> None:
        await world.create("a")
        await world.catch_up()
        world.store.backend.cache.close()
        asked = query.format(revision=world.store.backend.cache.revision)
        path = "/api/v1/namespaces/ns/configmaps"
        scope = {
            "method": "GET",
            "path": path,
            "query_string": asked.encode(),
            "headers": [],
            "extensions": {WRITER: Socket()},
        }
        request = Request(scope, silent)
        request.info = request_info("GET", path, request.query)
        served = Served(world.store.resource, world.store, codec_for("", "v1", "ConfigMap"))
        limits = WatchLimits(1800, ReadyWatchers(asyncio.get_running_loop()))
        response = await watch(request, served, limits)
        assert isinstance(response, StreamResponse)
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async with asyncio.timeout(5):
            await response.run(silent, send)
        assert b"".join(message["body"] for message in sent) == b""
        assert not sent[-1].get("more_body")

    run(tmp_path, story)
