"""How long an audited request waits for the storage: the audit annotation «etcd» of slow ones.

Handlers do not know of the time that passes below them, nor does the storage know for whom it
works: a context variable joins them, and only where requests are recorded at all.
Source: kube-apiserver v1.36.2, apiserver/pkg/storage/etcd3/latency_tracker.go.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextvars import ContextVar

from shared.storage import ChangeBatch, KeyValue, Page, Revision, Storage


class Spent:
    """The time of one request. Nothing else of it is held by the context, which may last."""

    __slots__ = ("ns",)

    def __init__(self) -> None:
        self.ns = 0


_SPENT: ContextVar[Spent | None] = ContextVar("spent", default=None)


def begin() -> Spent:
    """Return what the storage calls of this context are added to from now on."""
    spent = Spent()
    _SPENT.set(spent)
    return spent


class _Clock:
    """Adds the time of a block to the request in whose context it is, if there is one."""

    __slots__ = ("_began", "_spent")

    def __enter__(self) -> None:
        self._spent = _SPENT.get()
        self._began = time.perf_counter_ns()

    def __exit__(self, *_: object) -> None:
        if self._spent is not None:
            self._spent.ns += time.perf_counter_ns() - self._began


class TimedStorage:
    """A Storage that notes the time of its reads and writes. What is shared by several requests,
    or ends with none (the current revision, watches), is nobody's."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def __repr__(self) -> str:
        return f"<TimedStorage {self._storage!r}>"

    async def get(self, key: bytes, *, revision: Revision | None = None) -> KeyValue | None:
        with _Clock():
            return await self._storage.get(key, revision=revision)

    async def list(
        self,
        prefix: bytes,
        *,
        start: bytes | None = None,
        limit: int = 0,
        revision: Revision | None = None,
    ) -> Page:
        with _Clock():
            return await self._storage.list(prefix, start=start, limit=limit, revision=revision)

    async def create(self, key: bytes, value: bytes, *, ttl_s: int | None = None) -> Revision:
        with _Clock():
            return await self._storage.create(key, value, ttl_s=ttl_s)

    async def update(
        self, key: bytes, value: bytes, *, expected: Revision, ttl_s: int | None = None
    ) -> Revision:
        with _Clock():
            return await self._storage.update(key, value, expected=expected, ttl_s=ttl_s)

    async def delete(self, key: bytes, *, expected: Revision) -> Revision:
        with _Clock():
            return await self._storage.delete(key, expected=expected)

    async def current_revision(self) -> Revision:
        return await self._storage.current_revision()

    def watch(self, prefix: bytes, *, after: Revision) -> AsyncIterator[ChangeBatch]:
        return self._storage.watch(prefix, after=after)

    async def compact(self, revision: Revision) -> None:
        await self._storage.compact(revision)

    async def aclose(self) -> None:
        await self._storage.aclose()
