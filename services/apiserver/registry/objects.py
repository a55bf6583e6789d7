"""StoredObjects: the objects of one resource as they are kept, their keys and their forms.

What reads them knows this much of a store; `store.py` adds the writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from services.apiserver.registry.backend import Backend
from services.apiserver.registry.strategy import Object, Strategy, UpdateSubresource
from shared.objects.wire import SealedValue, to_body
from shared.resources import Resource
from shared.resources.keys import key_prefix
from shared.storage import KeyValue, Revision, StaleKeyValue, UnreadableValue
from shared.watchcache import Expired, Watcher
from shared.watchcache.watcher import Matches


@dataclass(frozen=True, slots=True)
class Current:
    """An object as it is now: its revision and wire body. `live`: read from storage itself.

    `stale`: storage would keep the same in another form now (under another encryption key).
    """

    revision: Revision
    body: bytes
    live: bool
    stale: bool = False


class StoredObjects:
    """The objects of one resource in one version."""

    def __init__(self, resource: Resource, strategy: Strategy, backend: Backend) -> None:
        self.resource = resource
        self.strategy = strategy
        self.backend = backend
        self.prefix = key_prefix(resource, backend.etcd_prefix)
        storage = resource.storage
        assert storage is not None
        self.wire_prefix = b'{"kind":%b,"apiVersion":%b,' % (
            orjson.dumps(storage.kind),
            orjson.dumps(storage.api_version),
        )
        self._kind = storage.kind
        self._api_version = storage.api_version
        self.cache = backend.cache.resource(self.prefix)
        self.subresources: Mapping[str, UpdateSubresource] = strategy.subresources()

    # -- keys and forms ------------------------------------------------------------

    def key(self, namespace: str, name: str) -> bytes:
        if self.resource.namespaced:
            return b"%b%b/%b" % (self.prefix, namespace.encode(), name.encode())
        return self.prefix + name.encode()

    def decode(self, body: bytes) -> Object:
        """Return a new dict of a wire body, resourceVersion included."""
        obj: Object = orjson.loads(self.wire_prefix + body)
        return obj

    def encode(self, obj: Object) -> bytes:
        """Return the stored form: kind, apiVersion and metadata first, no resourceVersion."""
        obj["metadata"].pop("resourceVersion", None)
        ordered = {"kind": self._kind, "apiVersion": self._api_version, "metadata": None}
        ordered.update(obj)
        ordered["kind"] = self._kind
        ordered["apiVersion"] = self._api_version
        return orjson.dumps(ordered)

    async def load(self, body: bytes) -> Object:
        """Decode where a version has to be asked for (a conversion webhook)."""
        return self.decode(body)

    async def form(self, obj: Object) -> bytes:
        """Encode where the stored version has to be asked for."""
        return self.encode(obj)

    async def seen(self, obj: Object) -> Object:
        """Return an object of another version as this one shows it."""
        return {**obj, "apiVersion": self.resource.group_version}

    async def prepare(self, bodies: Sequence[bytes]) -> None:
        """Make sure that `decode` can do these bodies without waiting."""

    async def prepare_scope(self, scope: bytes) -> None:
        """Make sure that `decode` can do what is in the cache under a prefix or key."""

    # -- reading -------------------------------------------------------------------

    def watch(
        self,
        *,
        after: Revision | None,
        scope: bytes,
        matches: Matches | None,
        on_ready: Callable[[], None],
    ) -> Watcher:
        """See ResourceCache.watch; UnreadableValue where it would begin with what can't be read."""
        if after is None and self.cache.unreadable_count:
            self.cache.check_readable(scope)
        try:
            watcher = self.cache.watch(after=after, scope=scope, matches=matches, on_ready=on_ready)
        except Expired:
            self.backend.on_resume("refused")
            raise
        if after is not None:
            own = after >= self.backend.cache.loaded_at
            self.backend.on_resume("window" if own else "log")
        return watcher

    def cached(self, key: bytes) -> Current | None:
        found = self.cache.get(key)
        return None if found is None else Current(found.revision, found.body, live=False)

    async def live(self, key: bytes, *, revision: Revision | None = None) -> Current | None:
        found = await self.backend.storage.get(key, revision=revision)
        return None if found is None else self._current(found)

    def body_of(self, found: KeyValue) -> bytes:
        """Return the wire body of a stored value."""
        return to_body(found.value, found.revision)[1]

    def _current(self, found: KeyValue) -> Current:
        is_stale = type(found) is StaleKeyValue
        try:
            return Current(found.revision, self.body_of(found), live=True, stale=is_stale)
        except SealedValue as error:  # a server that has not been given any keys
            raise UnreadableValue(found.key, str(error)) from error
