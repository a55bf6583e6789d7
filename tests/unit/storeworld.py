"""A resource store on a real embedded storage, whose cache is as stale as a test wants it."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from services.apiserver.registry.backend import Backend
from services.apiserver.registry.store import Change, ResourceStore, Written
from services.apiserver.registry.strategy import Object, Strategy, WriteContext
from services.apiserver.requestinfo import RequestInfo, UserInfo
from shared.fanout import extractor_for, load_snapshot
from shared.resources import builtin_table
from shared.storage.sqlite import SqliteStorage
from shared.watchcache import WatchCache
from tests.unit.kindtools import Objects

NOW = "2026-01-02T03:04:05Z"
LATER = "2026-01-02T03:05:05Z"
Story = Callable[["StoreWorld"], Awaitable[None]]


class StoreWorld:
    """ConfigMaps (or another resource) in the namespace `ns`, one replica's view of them.

    Nothing feeds the cache but `catch_up`.
    """

    def __init__(self, storage: SqliteStorage, strategy: Strategy, resource: str) -> None:
        table = builtin_table()
        self.storage = storage
        self._extractor = extractor_for(table.resources(), "/registry")
        self._cache = WatchCache()
        self._found = table.get("", "v1", resource)
        assert self._found is not None
        self._strategy = strategy
        self.store = self.another_replica()

    def another_replica(self) -> ResourceStore:
        """A store on the same storage with a cache of its own, which is empty."""
        assert self._found is not None
        cache = self._cache if not hasattr(self, "store") else WatchCache()
        backend = Backend(self.storage, cache, self._extractor, etcd_prefix="/registry")
        return ResourceStore(self._found, self._strategy, backend)

    async def catch_up(self) -> None:
        snapshot = await load_snapshot(self.storage, self._extractor, etcd_prefix="/registry")
        await self._cache.load(snapshot)

    def context(self, *, dry_run: bool = False, now: str = NOW) -> WriteContext:
        info = RequestInfo(True, "/", "create", "api", version="v1", namespace="ns")
        return WriteContext(info, UserInfo("tester"), now, Objects(), dry_run)

    async def create(self, name: str = "a", *, dry_run: bool = False, **fields: Any) -> Object:
        ctx = self.context(dry_run=dry_run)
        metadata = {"namespace": "ns", **fields.pop("metadata", {})}
        if name:
            metadata["name"] = name
        obj: Object = {"metadata": metadata, **fields}
        self.store.fill_system_fields(ctx, obj)
        return self.shown(await self.store.create(ctx, obj))

    async def update(
        self, name: str, change: Change, *, dry_run: bool = False, **options: Any
    ) -> Object:
        ctx = self.context(dry_run=dry_run)
        return self.shown(await self.store.update(ctx, name, change, **options))

    async def stored(self, name: str = "a") -> Object | None:
        """The object as storage has it now."""
        current = await self.store.live(self.store.key("ns", name))
        return None if current is None else self.store.decode(current.body)

    def shown(self, written: Written) -> Object:
        return self.store.decode(written.body)

    async def revision(self) -> int:
        return await self.storage.current_revision()


def run(
    path: Path, story: Story, strategy: Strategy | None = None, resource: str = "configmaps"
) -> None:
    async def main() -> None:
        storage = SqliteStorage.open(path / "store.db")
        try:
            async with asyncio.timeout(20):
                await story(StoreWorld(storage, strategy or Strategy(), resource))
        finally:
            await storage.aclose()

    asyncio.run(main())


def setting(**data: Any) -> Change:
    """A change that puts values into `data`, and lets the rest be."""

    async def change(old: Object | None) -> Object:
        assert old is not None
        obj = copy.deepcopy(old)
        obj["metadata"].pop("resourceVersion", None)
        obj["data"] = {**obj.get("data", {}), **data}
        return obj

    return change


def replacing(obj: Object) -> Change:
    """A change that does not look at what is there: a PUT."""

    async def change(old: Object | None) -> Object:
        return copy.deepcopy(obj)

    return change
