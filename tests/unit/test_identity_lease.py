"""A replica's lease: removed by others when it has expired, and not because they are behind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from services.apiserver.controlplane import identitylease
from services.apiserver.controlplane.identitylease import NAMESPACE, IdentityLease
from services.apiserver.errors import Conflict
from tests.unit.kindtools import Objects
from tests.unit.storeworld import StoreWorld, run


def lease_of(world: StoreWorld, address: str) -> IdentityLease:
    registry: Any = SimpleNamespace(stored=lambda group, resource: world.store)
    return IdentityLease(registry, Objects(), address)


async def is_there(world: StoreWorld, lease: IdentityLease) -> bool:
    return await world.store.live(world.store.key(NAMESPACE, lease.name)) is not None


def long_ago() -> str:
    return (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_an_expired_one_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: StoreWorld) -> None:
        other, mine = lease_of(world, "10.0.0.1:6443"), lease_of(world, "10.0.0.2:6443")
        with monkeypatch.context() as patch:
            patch.setattr(identitylease, "now_micro", long_ago)
            await other._renew()
        await world.catch_up()
        await mine._remove_expired()
        assert not await is_there(world, other)

    run(tmp_path, story)


def test_one_that_was_renewed_behind_the_back_of_the_cache_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(world: StoreWorld) -> None:
        other, mine = lease_of(world, "10.0.0.1:6443"), lease_of(world, "10.0.0.2:6443")
        with monkeypatch.context() as patch:
            patch.setattr(identitylease, "now_micro", long_ago)
            await other._renew()
        await world.catch_up()
        await other._renew()
        with pytest.raises(Conflict):
            await mine._remove_expired()
        assert await is_there(world, other)

    run(tmp_path, story)
