"""CacheLookup: what admission and validation may see of other objects."""

from __future__ import annotations

from services.apiserver.registry.served import Registry
from services.apiserver.registry.store import ResourceStore
from services.apiserver.registry.strategy import Object


class CacheLookup:
    """Reads objects from the watch cache, or live from storage where that is asked for."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def get(self, group: str, resource: str, namespace: str, name: str) -> Object | None:
        store = self._store(group, resource)
        found = store.cache.get(store.key(namespace, name))
        return None if found is None else store.decode(found.body)

    def exists(self, group: str, resource: str, namespace: str, name: str) -> bool:
        store = self._store(group, resource)
        return store.cache.get(store.key(namespace, name)) is not None

    def list(self, group: str, resource: str, namespace: str = "") -> list[Object]:
        store = self._store(group, resource)
        if not len(store.cache):
            return []  # most have no quotas or limit ranges, and every write asks
        prefix = store.prefix + namespace.encode() + b"/" if namespace else store.prefix
        return [store.decode(one.body) for one in store.cache.scan(prefix)]

    async def get_live(self, group: str, resource: str, namespace: str, name: str) -> Object | None:
        store = self._store(group, resource)
        current = await store.live(store.key(namespace, name))
        return None if current is None else store.decode(current.body)

    def _store(self, group: str, resource: str) -> ResourceStore:
        store = self._registry.stored(group, resource)
        if store is None:
            raise LookupError(f"no stored resource {resource}.{group}")
        return store
