"""Consistent reads: by the cache if it gets there in time, else by the storage, and soon."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from services.apiserver.registry import backend
from services.apiserver.registry.backend import Backend
from shared.eventlog.protocol import Entry
from shared.objects import Extractor
from shared.storage import Revision
from shared.watchcache import WatchCache


class Store:
    """A storage of which only the newest revision is asked."""

    revision = Revision(5)

    async def current_revision(self) -> Revision:
        return self.revision


def world() -> tuple[Backend, Store, list[str]]:
    store: Any = Store()
    paths: list[str] = []
    cache = WatchCache()
    cache.apply(Entry(Revision(0), Revision(5)))
    made = Backend(store, cache, Extractor(), etcd_prefix="/registry", on_read=paths.append)
    return made, store, paths


def test_a_cache_that_is_there_answers_at_once() -> None:
    made, _, paths = world()
    assert asyncio.run(made.fresh())
    assert paths == ["cache"]


def test_a_cache_that_comes_to_it_is_waited_for() -> None:
    async def story() -> None:
        made, store, paths = world()
        store.revision = Revision(6)
        reading = asyncio.create_task(made.fresh())
        await asyncio.sleep(0.01)
        made.cache.apply(Entry(Revision(5), Revision(6)))
        assert await reading
        assert paths == ["waited"]

    asyncio.run(story())


def test_a_cache_that_stands_still_is_waited_for_once_and_then_hardly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backend, "FRESHNESS_TIMEOUT_S", 0.3)

    async def story() -> None:
        made, store, paths = world()
        store.revision = Revision(6)
        assert not await made.fresh()
        start = time.monotonic()
        for _ in range(3):
            assert not await made.fresh()
        assert time.monotonic() - start < 0.3
        assert paths == ["storage"] * 4

    asyncio.run(story())


def test_a_cache_that_moves_again_is_waited_for_again() -> None:
    async def story() -> None:
        made, store, paths = world()
        store.revision = Revision(6)
        made.cache.apply(Entry(Revision(5), Revision(6)))
        assert await made.fresh()
        store.revision = Revision(7)
        reading = asyncio.create_task(made.fresh())
        await asyncio.sleep(3 * backend.STALLED_TIMEOUT_S)
        made.cache.apply(Entry(Revision(6), Revision(7)))
        assert await reading
        assert paths[-1] == "waited"

    asyncio.run(story())
