"""Storage in etcd."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

from aetcd import rpc

from shared.storage.errors import (
    Compacted,
    FutureRevision,
    KeyExists,
    RevisionConflict,
    StorageUnavailable,
    WentBack,
)
from shared.storage.etcd.connection import (
    Connection,
    LeaseNotFound,
    RevisionCompacted,
    RevisionInFuture,
)
from shared.storage.etcd.leases import Leases
from shared.storage.etcd.watch import WatchStream
from shared.storage.keyrange import prefix_end
from shared.storage.protocol import ChangeBatch, KeyValue, Page, Revision
from shared.tlsfiles import TlsFiles

log = logging.getLogger(__name__)

PAGE_BYTES = 1 << 20
"""What one answer of a long listing should hold; twice as much held the loop for 10 ms."""

FIRST_PAGE_KEYS = 200
MOST_PAGE_KEYS = 2000

BACKOFF_S = (0.05, 1.0)
"""First and longest pause before a lost watch is opened again."""

_NOTHING = b"\0"
"""A key that nobody uses: etcd's smallest."""

T = TypeVar("T")


def _observe_nothing(operation: str, seconds: float) -> None:
    pass


class EtcdStorage:
    """Storage in an etcd cluster, v3.4 or later (shared/storage/protocol.py)."""

    def __init__(
        self, connection: Connection, *, observe: Callable[[str, float], None] = _observe_nothing
    ) -> None:
        self._connection = connection
        self._observe = observe
        self._leases = Leases(connection)
        self._streams: set[WatchStream] = set()
        self._progress_is_safe: bool | None = None

    @classmethod
    async def open(
        cls,
        endpoints: str | Sequence[str],
        *,
        tls: TlsFiles | None = None,
        timeout_s: float = 5.0,
        observe: Callable[[str, float], None] = _observe_nothing,
    ) -> EtcdStorage:
        """Connect to the first of the endpoints that answers.

        Args:
            endpoints: URLs, or a comma list of them; https:// without `tls` trusts the
                system's authorities.
            timeout_s: a call's deadline; behind it is StorageUnavailable.
            observe: gets every operation's name and duration in seconds.

        Raises:
            StorageUnavailable: no endpoint answered in time.
        """
        if isinstance(endpoints, str):
            endpoints = [part.strip() for part in endpoints.split(",") if part.strip()]
        storage = cls(Connection(endpoints, tls, timeout_s), observe=observe)
        try:
            await storage.current_revision()
        except BaseException:
            await storage.aclose()
            raise
        return storage

    def __repr__(self) -> str:
        return f"<EtcdStorage {self._connection!r}, {len(self._streams)} watches>"

    # --- writes ---------------------------------------------------------------------------

    async def create(self, key: bytes, value: bytes, *, ttl_s: int | None = None) -> Revision:
        revision, current = await self._timed("create", self._put(key, value, 0, ttl_s))
        if current is not None:
            raise KeyExists(current)
        if revision is None:
            raise StorageUnavailable(f"etcd refused to create {key!r} and shows nothing there")
        return revision

    async def update(
        self, key: bytes, value: bytes, *, expected: Revision, ttl_s: int | None = None
    ) -> Revision:
        # 0 would mean to etcd that the key is not there; -1 matches nothing.
        written = self._put(key, value, expected or -1, ttl_s)
        revision, current = await self._timed("update", written)
        if revision is None:
            raise RevisionConflict(key, expected, current)
        return revision

    async def delete(self, key: bytes, *, expected: Revision) -> Revision:
        change = rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=key))
        revision, current = await self._timed("delete", self._guarded(key, expected or -1, change))
        if revision is None:
            raise RevisionConflict(key, expected, current)
        return revision

    async def _put(
        self, key: bytes, value: bytes, expected: int, ttl_s: int | None
    ) -> tuple[Revision | None, KeyValue | None]:
        if ttl_s is None:
            put = rpc.PutRequest(key=key, value=value)
            return await self._guarded(key, expected, rpc.RequestOp(request_put=put))
        lease = await self._leases.lease_for(ttl_s)
        put = rpc.PutRequest(key=key, value=value, lease=lease)
        try:
            return await self._guarded(key, expected, rpc.RequestOp(request_put=put))
        except LeaseNotFound:  # revoked, or ended while etcd was away: once more with a new one
            self._leases.forget(lease)
        put = rpc.PutRequest(key=key, value=value, lease=await self._leases.lease_for(ttl_s))
        return await self._guarded(key, expected, rpc.RequestOp(request_put=put))

    async def _guarded(
        self, key: bytes, expected: int, change: Any
    ) -> tuple[Revision | None, KeyValue | None]:
        """Make the change if the key is at `expected`; else return what is there."""
        request = rpc.TxnRequest(
            compare=(
                rpc.Compare(
                    key=key, target=rpc.Compare.MOD, result=rpc.Compare.EQUAL, mod_revision=expected
                ),
            ),
            success=(change,),
            failure=(rpc.RequestOp(request_range=rpc.RangeRequest(key=key)),),
        )
        response = await self._connection.call(
            lambda server: server.kv.Txn, request, repeatable=False
        )
        if response.succeeded:
            return Revision(response.header.revision), None
        kvs = response.responses[0].response_range.kvs
        return None, _key_value(kvs[0]) if kvs else None

    async def compact(self, revision: Revision) -> None:
        request = rpc.CompactionRequest(revision=revision)
        # Repeated, it could find its own first attempt and say Compacted.
        await self._timed(
            "compact",
            self._at(revision, lambda server: server.kv.Compact, request, repeatable=False),
        )

    # --- reads ----------------------------------------------------------------------------

    async def get(self, key: bytes, *, revision: Revision | None = None) -> KeyValue | None:
        request = rpc.RangeRequest(key=key, revision=revision or 0)
        response = await self._timed(
            "get", self._at(revision, lambda server: server.kv.Range, request)
        )
        return _key_value(response.kvs[0]) if response.kvs else None

    async def list(
        self,
        prefix: bytes,
        *,
        start: bytes | None = None,
        limit: int = 0,
        revision: Revision | None = None,
    ) -> Page:
        return await self._timed("list", self._list(prefix, start, limit, revision))

    async def _list(
        self, prefix: bytes, start: bytes | None, limit: int, revision: Revision | None
    ) -> Page:
        """Read page by page at one revision, so that no answer holds the loop for long."""
        range_end = prefix_end(prefix) or b"\0"
        first = max(start or b"", prefix) or b"\0"
        page_keys = FIRST_PAGE_KEYS
        items: list[KeyValue] = []
        at = revision
        while True:
            request = rpc.RangeRequest(
                key=first,
                range_end=range_end,
                limit=min(page_keys, limit - len(items)) if limit else page_keys,
                revision=at or 0,
            )
            response = await self._at(at, lambda server: server.kv.Range, request)
            if at is None:
                at = Revision(response.header.revision)
            items += map(_key_value, response.kvs)
            if not response.more or (limit and len(items) >= limit):
                return Page(items, at, response.count - len(response.kvs))
            first = items[-1].key + b"\0"
            page_keys = _next_page_keys(len(response.kvs), response.ByteSize())

    async def current_revision(self) -> Revision:
        request = rpc.RangeRequest(key=_NOTHING, limit=1, count_only=True)
        response = await self._timed(
            "current_revision", self._connection.call(lambda server: server.kv.Range, request)
        )
        return Revision(response.header.revision)

    async def _at(
        self,
        revision: Revision | None,
        method: Callable[[Any], Any],
        request: Any,
        *,
        repeatable: bool = True,
    ) -> Any:
        try:
            return await self._connection.call(method, request, repeatable=repeatable)
        except RevisionCompacted as error:
            asked = revision or Revision(0)
            raise Compacted(asked, await self._oldest_kept(asked)) from error
        except RevisionInFuture as error:
            asked = revision or Revision(0)
            raise FutureRevision(asked, await self.current_revision()) from error

    async def _oldest_kept(self, compacted: Revision) -> Revision:
        """Return the compacted revision; only a refused watch tells it."""
        stream = WatchStream(self._connection, _NOTHING, Revision(1))
        try:
            async with asyncio.timeout(1.0):
                await stream.create()
                await stream.next_batch()
        except Compacted as refusal:
            return refusal.oldest
        except (TimeoutError, StorageUnavailable):
            pass
        finally:
            stream.cancel()
        return compacted

    # --- watches --------------------------------------------------------------------------

    async def watch(self, prefix: bytes, *, after: Revision) -> AsyncIterator[ChangeBatch]:
        """As the protocol says; ends without an error when the store is closed.

        A watch that can't be opened at first raises StorageUnavailable; one that was open
        is opened again, as often as it takes, behind the last batch delivered.
        """
        position = after
        reached = Revision(0)  # by etcd, and not only waited for
        opened = False
        failures = 0
        closed = self._connection.closed
        while True:
            self._connection.check_open()
            stream = WatchStream(self._connection, prefix, position)
            self._streams.add(stream)
            doubting = asyncio.create_task(stream.doubt(), name="doubt a silent watch")
            try:
                await stream.create()
                if stream.opened_at < reached:
                    await self._check_not_back(reached)
                opened, reached = True, max(reached, stream.opened_at)
                while True:
                    batch = await stream.next_batch()
                    failures = 0
                    position = reached = batch.revision
                    yield batch
            except StorageUnavailable as error:
                failures += 1
                if not opened and failures >= len(self._connection):
                    raise
                if failures == 1:
                    log.warning("the watch of %r behind %d ended: %s", prefix, position, error)
            finally:
                self._streams.discard(stream)
                doubting.cancel()
                stream.cancel()
            if await _closed_within(closed, _backoff_s(failures)):
                return

    async def _check_not_back(self, seen: Revision) -> None:
        """Raises WentBack if it is the store, and not a member of it, that is behind."""
        current = await self.current_revision()
        if current < seen:
            raise WentBack(seen, current)

    async def request_progress(self) -> bool:
        """Ask etcd to tell all watches how far they have come, without waiting for it.

        Returns False, and asks nothing, of a server that may answer before it has sent the
        events it counts (etcd issue 15220; kube-apiserver requires the same versions).
        """
        if self._progress_is_safe is None:
            status = await self._connection.call(
                lambda server: server.maintenance.Status, rpc.StatusRequest()
            )
            self._progress_is_safe = progress_is_safe(status.version)
        if self._progress_is_safe:
            for stream in tuple(self._streams):
                await stream.request_progress()
        return self._progress_is_safe

    # --- life -----------------------------------------------------------------------------

    async def aclose(self) -> None:
        await self._connection.aclose()

    async def _timed(self, operation: str, answer: Awaitable[T]) -> T:
        started = time.perf_counter()
        try:
            return await answer
        finally:
            self._observe(operation, time.perf_counter() - started)


def progress_is_safe(version: str) -> bool:
    """v3.4.31, v3.5.13 and everything since v3.6."""
    numbers = [int(number) for number in re.findall(r"\d+", version)[:3]]
    match numbers:
        case [3, 4, patch]:
            return patch >= 31
        case [3, 5, patch]:
            return patch >= 13
    return numbers >= [3, 6]


def _key_value(kv: Any) -> KeyValue:
    return KeyValue(kv.key, kv.value, Revision(kv.mod_revision))


def _next_page_keys(keys: int, size_bytes: int) -> int:
    """As many as should fit, judged by the page before, but not many times more than it."""
    fitting = PAGE_BYTES * keys // max(size_bytes, 1)
    return max(1, min(fitting, 4 * keys, MOST_PAGE_KEYS))


def _backoff_s(failures: int) -> float:
    shortest, longest = BACKOFF_S
    return min(longest, shortest * 2.0 ** min(failures, 10)) * random.uniform(0.5, 1.0)


async def _closed_within(closed: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await closed.wait()
    except TimeoutError:
        return False
    return True
