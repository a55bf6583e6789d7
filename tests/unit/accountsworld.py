"""Accounts, pods, Secrets and nodes in a real embedded storage, and tokens for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from services.apiserver.authentication import Authenticated
from services.apiserver.codec import codec_for
from services.apiserver.errors import Unauthorized
from services.apiserver.registry.backend import Backend
from services.apiserver.registry.served import Registry, Served
from services.apiserver.registry.store import ResourceStore
from services.apiserver.registry.strategy import Strategy
from services.apiserver.serviceaccounts.authenticator import ServiceAccountTokens
from services.apiserver.serviceaccounts.boundobjects import BoundObjects
from services.apiserver.serviceaccounts.claims import Claims, Reference
from shared.fanout import extractor_for, load_snapshot
from shared.resources import builtin_table
from shared.signingkeys import SigningKey
from shared.storage.sqlite import SqliteStorage
from shared.watchcache import WatchCache

ISSUER = "https://issuer.test"
OTHER_ISSUER = "https://older.test"
AUDIENCE = "api"
NOW = 1_800_000_000.0
"""2027-01-15T08:00:00Z"""
KEY = SigningKey.of(rsa.generate_private_key(65537, 2048))
EC_KEY = SigningKey.of(ec.generate_private_key(ec.SECP256R1()))
FOREIGN_KEY = SigningKey.of(rsa.generate_private_key(65537, 2048))
ROBOT = Reference("robot", "uid-robot")
RESOURCES = {
    "serviceaccounts": "ServiceAccount",
    "secrets": "Secret",
    "pods": "Pod",
    "nodes": "Node",
}

Story = Callable[["AccountsWorld"], Awaitable[None]]


class AccountsWorld:
    """What one replica sees: its cache is as old as the last `catch_up`."""

    def __init__(self, storage: SqliteStorage) -> None:
        table = builtin_table()
        self.now = NOW
        self.storage = storage
        self.live_reads = 0
        self._extractor = extractor_for(table.resources(), "/registry")
        self._cache = WatchCache()
        backend = Backend(storage, self._cache, self._extractor, etcd_prefix="/registry")
        self.registry = Registry()
        for resource, kind in RESOURCES.items():
            found = table.get("", "v1", resource)
            assert found is not None
            store = CountedStore(found, Strategy(), backend, self)
            self.registry.add(Served(found, store, codec_for("", "v1", kind)))
        self.tokens = self.authenticator()

    def authenticator(self, **changed: Any) -> ServiceAccountTokens:
        settings: dict[str, Any] = {
            "issuers": (ISSUER, OTHER_ISSUER),
            "keys": (KEY.verification, EC_KEY.verification),
            "api_audiences": (AUDIENCE,),
            "objects": BoundObjects(self.registry),
            "clock": lambda: self.now,
        }
        return ServiceAccountTokens(**{**settings, **changed})

    async def catch_up(self) -> None:
        snapshot = await load_snapshot(self.storage, self._extractor, etcd_prefix="/registry")
        await self._cache.load(snapshot)

    async def put(
        self, resource: str, name: str, uid: str, *, namespace: str = "ns", **fields: Any
    ) -> None:
        """Create or replace an object; `meta` adds to its metadata."""
        store = self._store(resource)
        metadata = {"name": name, "uid": uid, **fields.pop("meta", {})}
        if resource != "nodes":
            metadata["namespace"] = namespace
        key = store.key(namespace, name)
        value = store.encode({"metadata": metadata, **fields})
        current = await self.storage.get(key)
        if current is None:
            await self.storage.create(key, value)
        else:
            await self.storage.update(key, value, expected=current.revision)

    async def stored(self, resource: str, name: str, *, namespace: str = "ns") -> dict[str, Any]:
        store = self._store(resource)
        current = await store.live(store.key(namespace, name))
        assert current is not None
        return store.decode(current.body)

    async def delete(self, resource: str, name: str, *, namespace: str = "ns") -> None:
        key = self._store(resource).key(namespace, name)
        current = await self.storage.get(key)
        assert current is not None
        await self.storage.delete(key, expected=current.revision)

    async def whose(
        self, token: str, *, audiences: tuple[str, ...] = (AUDIENCE,)
    ) -> Authenticated | None:
        return await self.tokens.authenticate_token(token, audiences)

    async def refused(self, token: str, *, audiences: tuple[str, ...] = (AUDIENCE,)) -> str:
        """Return why a token is bad; it must be."""
        try:
            found = await self.whose(token, audiences=audiences)
        except Unauthorized as error:
            return error.message
        raise AssertionError(f"not refused: {found}")

    def _store(self, resource: str) -> ResourceStore:
        store = self.registry.stored("", resource)
        assert store is not None
        return store


class CountedStore(ResourceStore):
    """Counts how often the storage itself is asked."""

    def __init__(self, resource: Any, strategy: Any, backend: Any, world: AccountsWorld) -> None:
        super().__init__(resource, strategy, backend)
        self._world = world

    async def live(self, key: bytes, **options: Any) -> Any:
        self._world.live_reads += 1
        return await super().live(key, **options)


def claims(**changed: Any) -> Claims:
    """Return good claims of the account ns/robot."""
    settings: dict[str, Any] = {
        "namespace": "ns",
        "account": ROBOT,
        "audiences": (AUDIENCE,),
        "token_id": "id",
        "issued_at": int(NOW),
        "not_before": int(NOW),
        "expires_at": int(NOW) + 3600,
    }
    return Claims(**{**settings, **changed})


def token(key: SigningKey = KEY, *, issuer: str = ISSUER, **changed: Any) -> str:
    return key.sign(claims(**changed).payload(issuer))


def run(path: Path, story: Story) -> None:
    """Run a story in a world with the account ns/robot, which the cache has."""

    async def main() -> None:
        storage = SqliteStorage.open(path / "store.db")
        try:
            async with asyncio.timeout(20):
                world = AccountsWorld(storage)
                await world.put("serviceaccounts", ROBOT.name, ROBOT.uid)
                await world.catch_up()
                await story(world)
        finally:
            await storage.aclose()

    asyncio.run(main())
