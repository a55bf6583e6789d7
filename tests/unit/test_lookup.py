"""CacheLookup: what admission sees of other objects, and what it sees live."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.apiserver.codec import codec_for
from services.apiserver.registry.lookup import CacheLookup
from services.apiserver.registry.served import Registry, Served
from tests.unit.storeworld import StoreWorld, run, setting


def lookup(world: StoreWorld) -> CacheLookup:
    registry = Registry()
    resource = world.store.resource
    registry.add(Served(resource, world.store, codec_for("", "v1", "ConfigMap")))
    return CacheLookup(registry)


def test_what_the_cache_has_reached_is_seen_and_live_reads_see_all(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        found = lookup(world)
        created = await world.create("a", data={"k": "1"})
        assert found.get("", "configmaps", "ns", "a") is None
        assert await found.get_live("", "configmaps", "ns", "a") == created
        await world.catch_up()
        assert found.exists("", "configmaps", "ns", "a")
        changed = await world.update("a", setting(k="2"))
        assert found.get("", "configmaps", "ns", "a") == created
        assert await found.get_live("", "configmaps", "ns", "a") == changed

    run(tmp_path, story)


def test_a_namespace_is_not_the_beginning_of_another(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        found = lookup(world)
        for namespace in ("ns", "ns-2"):
            await world.create("a", metadata={"namespace": namespace})
        await world.catch_up()

        def seen(namespace: str = "") -> list[str]:
            listed = found.list("", "configmaps", namespace)
            return [one["metadata"]["namespace"] for one in listed]

        assert seen("ns") == ["ns"]
        assert sorted(seen()) == ["ns", "ns-2"]
        assert seen("n") == []

    run(tmp_path, story)


def test_what_is_seen_is_a_copy(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        found = lookup(world)
        await world.create("a", data={"k": "1"})
        await world.catch_up()
        seen = found.get("", "configmaps", "ns", "a")
        assert seen is not None
        seen["data"]["k"] = "changed"
        again = found.get("", "configmaps", "ns", "a")
        assert again is not None
        assert again["data"] == {"k": "1"}

    run(tmp_path, story)


def test_a_resource_that_is_not_stored_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        with pytest.raises(LookupError, match=r"nothings\.example\.com"):
            lookup(world).get("example.com", "nothings", "ns", "a")

    run(tmp_path, story)
