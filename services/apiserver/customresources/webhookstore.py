"""WebhookStore: a custom resource's objects in a version that a webhook converts.

Everything that reads stored bytes decodes them without waiting, so what they are converted to
is asked for before (`prepare`) and remembered by the bytes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Self

import orjson

from services.apiserver.codec.protocol import Object
from services.apiserver.customresources.codec import StructuralCodec
from services.apiserver.customresources.conversion import WebhookConverter
from services.apiserver.errors import ApiError
from services.apiserver.registry.backend import Backend
from services.apiserver.registry.deletion import DeleteRequest
from services.apiserver.registry.objects import Current
from services.apiserver.registry.store import Change, Check, ResourceStore, Written, no_check
from services.apiserver.registry.strategy import Strategy, WriteContext
from shared.resources import Resource
from shared.storage import Revision
from shared.watchcache import Watcher, WatchEvent
from shared.watchcache.watcher import EndReason, Matches

log = logging.getLogger("kubefan.apiserver.customresources")

LIMIT_REMEMBERED_BYTES = 32 * 2**20
BATCH_OBJECTS = 500
"""How many objects one review holds at most."""


class WebhookStore(ResourceStore):
    """A store whose objects are of `codec`'s version, whatever is stored."""

    def __init__(
        self,
        resource: Resource,
        strategy: Strategy,
        backend: Backend,
        codec: StructuralCodec,
        storage_codec: StructuralCodec,
        converter: WebhookConverter,
    ) -> None:
        super().__init__(resource, strategy, backend)
        self._codec = codec
        self._storage_codec = storage_codec
        self._converter = converter
        self._remembered: dict[bytes, bytes] = {}
        self._remembered_bytes = 0

    # -- reading -------------------------------------------------------------------

    def cached(self, key: bytes) -> Current | None:
        """Nothing: what a write is judged by is read and converted on its way."""
        return None

    def decode(self, body: bytes) -> Object:
        """See ResourceStore.decode; `prepare` must have seen the body.

        Raises:
            ApiError: it has not, or has forgotten it.
        """
        converted = self._remembered.get(body)
        if converted is None:
            raise ApiError("the object has not been converted; try again")
        obj: Object = orjson.loads(converted)
        return obj

    async def load(self, body: bytes) -> Object:
        await self.prepare((body,))
        return self.decode(body)

    async def seen(self, obj: Object) -> Object:
        sent = orjson.loads(orjson.dumps(obj))
        (converted,) = await self._converter.convert([sent], self.resource.group_version)
        return converted

    async def prepare(self, bodies: Sequence[bytes]) -> None:
        missing = [body for body in bodies if body not in self._remembered]
        for first in range(0, len(missing), BATCH_OBJECTS):
            batch = missing[first : first + BATCH_OBJECTS]
            stored = [self._stored(body) for body in batch]
            converted = await self._converter.convert(stored, self.resource.group_version)
            for body, obj in zip(batch, converted, strict=True):
                self._codec.fit(obj)
                self._remember(body, orjson.dumps(obj))
        self._forget(len(bodies))

    def _stored(self, body: bytes) -> Object:
        """Return a stored object in the version it was written in."""
        obj: Object = orjson.loads(self.wire_prefix + body)
        meta = obj["metadata"]
        item = self.cache.get(self.key(meta.get("namespace", ""), meta["name"]))
        if item is not None and item.prefix != self.wire_prefix and item.body == body:
            obj["apiVersion"] = orjson.loads(item.prefix + item.body)["apiVersion"]
        else:
            self._storage_codec.read(obj)
        return obj

    def _remember(self, body: bytes, converted: bytes) -> None:
        self._remembered[body] = converted
        self._remembered_bytes += len(converted)

    def _forget(self, keep: int) -> None:
        """Drop the eldest while there is too much, but nothing of the last request."""
        while self._remembered_bytes > LIMIT_REMEMBERED_BYTES and len(self._remembered) > keep:
            eldest = next(iter(self._remembered))
            self._remembered_bytes -= len(self._remembered.pop(eldest))

    # -- writing -------------------------------------------------------------------

    async def form(self, obj: Object) -> bytes:
        obj["metadata"].pop("resourceVersion", None)
        sent = orjson.loads(orjson.dumps(obj))
        (stored,) = await self._converter.convert([sent], self._storage_version)
        self._storage_codec.fit(stored)
        return self.encode(stored)

    @property
    def _storage_version(self) -> str:
        storage = self.resource.storage
        assert storage is not None
        return storage.api_version

    async def create(self, ctx: WriteContext, obj: Object, *, check: Check = no_check) -> Written:
        return await self._shown(super().create(ctx, obj, check=check))

    async def update(self, ctx: WriteContext, name: str, change: Change, **options: Any) -> Written:
        return await self._shown(super().update(ctx, name, change, **options))

    async def delete(
        self, ctx: WriteContext, name: str, request: DeleteRequest, *, check: Check = no_check
    ) -> Written:
        return await self._shown(super().delete(ctx, name, request, check=check))

    async def _shown(self, writing: Awaitable[Written]) -> Written:
        written = await writing
        await self.prepare((written.body,))
        return written

    # -- watching ------------------------------------------------------------------

    async def prepare_scope(self, scope: bytes) -> None:
        found = self.cache.scan(scope) if scope.endswith(b"/") else [self.cache.get(scope)]
        await self.prepare([one.body for one in found if one is not None])

    def watch(
        self,
        *,
        after: Revision | None,
        scope: bytes,
        matches: Matches | None,
        on_ready: Callable[[], None],
    ) -> Watcher:
        if after is None and self.cache.unreadable_count:
            self.cache.check_readable(scope)
        inner = self.cache.watch(after=after, scope=scope, matches=matches)
        return ConvertingWatcher(self, inner, on_ready)  # type: ignore[return-value]


class ConvertingWatcher:
    """A watcher whose events come out once their objects have been converted.

    Stands in for Watcher: the same names, the same meaning. The initial events are prepared
    already. A failing conversion ends it.
    """

    def __init__(self, store: WebhookStore, inner: Watcher, on_ready: Callable[[], None]) -> None:
        self._store = store
        self._inner = inner
        self._on_ready = on_ready
        self._queue: list[WatchEvent] = []
        self._failed = False
        self._bookmark = inner.start_revision
        self._pump: asyncio.Task[None] | None = None
        self.start_revision = inner.start_revision

    def __repr__(self) -> str:
        return f"<ConvertingWatcher {len(self._queue)} converted, {self._inner!r}>"

    @property
    def ended(self) -> EndReason | None:
        if self._queue:
            return None
        return EndReason.CLOSED if self._failed else self._inner.ended

    @property
    def initial_pending(self) -> bool:
        return self._pump is None and self._inner.initial_pending

    @property
    def pending(self) -> bool:
        return self.initial_pending or bool(self._queue)

    @property
    def bookmark_revision(self) -> Revision:
        return self._bookmark

    def __enter__(self) -> Self:
        self._follow_when_started()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def drain(self, limit: int = 500) -> list[WatchEvent]:
        if self.initial_pending:
            taken = self._inner.drain(limit)
            self._follow_when_started()
            return taken
        taken, self._queue = self._queue[:limit], self._queue[limit:]
        return taken

    def close(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
        self._inner.close()

    def _follow_when_started(self) -> None:
        if self._pump is None and not self._inner.initial_pending:
            self._pump = asyncio.create_task(self._follow(), name=f"conversion for {self!r}")

    async def _follow(self) -> None:
        inner = self._inner
        while inner.ended is None and not self._failed:
            events = await inner.next()
            try:
                await self._store.prepare([event.object.body for event in events])
            except ApiError as error:
                log.warning("a watch ends", extra={"why": error.message})
                self._failed = True
            else:
                self._queue += events
                if inner.ended is None:
                    self._bookmark = inner.bookmark_revision
            self._on_ready()
