"""Lists in pages while the cache does not move: the storage tells them all, not the first alone."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from services.apiserver.errors import Timeout
from services.apiserver.read.list import PageOfBodies, read_page
from services.apiserver.registry.store import ResourceStore
from services.apiserver.requestinfo import RequestInfo
from services.apiserver.validation.options import parse_list_options
from tests.unit.storeworld import StoreWorld, run

INFO = RequestInfo(True, "/", "list", "api", version="v1", namespace="ns")


async def page(store: ResourceStore, **query: str) -> PageOfBodies:
    request: Any = SimpleNamespace(info=INFO)
    served: Any = SimpleNamespace(store=store, resource=store.resource)
    options = parse_list_options({name: [value] for name, value in query.items()}, watch=False)
    return await read_page(request, served, options)


async def pages(store: ResourceStore, limit: int) -> list[int]:
    """Return how many objects each page has."""
    sizes = []
    token = ""
    while True:
        query = {"continue": token} if token else {}
        found = await page(store, limit=str(limit), **query)
        sizes.append(len(found.bodies))
        token = found.meta.continue_token
        if not token:
            return sizes


def test_all_pages_come_and_soon(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        await world.catch_up()
        for number in range(5):
            await world.create(f"c{number}")
        assert await pages(world.store, 2) == [2, 2, 1]
        started = time.monotonic()
        assert await pages(world.store, 1) == [1] * 5
        assert time.monotonic() - started < 1

    run(tmp_path, story)


def test_a_page_of_a_revision_that_the_storage_has_not_reached_is_refused(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        await world.catch_up()
        version = str(await world.revision() + 100)
        with pytest.raises(Timeout, match="Too large resource version"):
            await page(world.store, limit="1", resourceVersion=version)

    run(tmp_path, story)
