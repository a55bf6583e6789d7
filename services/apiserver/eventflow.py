"""The event flow of a server that follows its storage itself: storage → log → cache → watchers.

In a scaled-out system the first half is the watchfanout's; the second half is the same.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from shared.eventlog import EventLogError
from shared.eventlog.memory import MemoryEventLog
from shared.fanout import Follower, HistoryLost, load_snapshot
from shared.objects import ExtractionRule, Extractor
from shared.objects.extraction import FieldSource
from shared.resources import ResourceTable, SelectableField, selection_rules
from shared.storage import (
    Compacted,
    FutureRevision,
    Revision,
    Storage,
    StorageError,
    StorageUnavailable,
)
from shared.watchcache import ReloadNeeded, StaleSnapshot, WatchCache

log = logging.getLogger("kubefan.apiserver.events")

BACKFILL_REVISIONS = 5_000
"""How much of the storage's history a starting server reads again, so that the clients of its
predecessor resume: more than a minute at 50 writes/s."""
RETRY_S = 1.0


class EventFlow:
    """Keeps a watch cache up to date with a storage."""

    def __init__(self, storage: Storage, cache: WatchCache, extractor: Extractor) -> None:
        self._storage = storage
        self._cache = cache
        self._extractor = extractor
        self.ready = asyncio.Event()
        """Set while the cache is loaded and follows the storage."""

    def __repr__(self) -> str:
        state = "following" if self.ready.is_set() else "loading"
        return f"<EventFlow {state} {self._cache!r}>"

    async def run(self) -> None:
        """Load and follow, for ever; starts again from a snapshot whenever the thread is lost."""
        while True:
            try:
                await self._load_and_follow()
            except* (HistoryLost, ReloadNeeded, StaleSnapshot, Compacted) as group:
                log.warning("the cache is loaded anew", extra={"why": str(group.exceptions[0])})
            except* (StorageUnavailable, EventLogError) as group:
                log.warning("following stopped", extra={"why": str(group.exceptions[0])})
                await asyncio.sleep(RETRY_S * (0.5 + random.random()))
            finally:
                self.ready.clear()

    async def _load_and_follow(self) -> None:
        # All keys, not only those of the prefix: whatever moves the store's revision must move
        # the cache's, or consistent reads would wait for an event that never comes.
        snapshot = await load_snapshot(self._storage, b"", self._extractor)
        await self._cache.load(snapshot)
        if snapshot.skipped:
            log.warning("values that are no objects", extra={"count": snapshot.skipped})
        event_log = MemoryEventLog()
        follower = Follower(self._storage, event_log, self._extractor, prefix=b"")
        start = await self._oldest_wanted(snapshot.revision)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(follower.run(after=start), name="follow storage")
                # Looked at rather than signalled: once a start, for some milliseconds.
                while follower.revision < snapshot.revision:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
                self.ready.set()
                await self._cache.follow(event_log)
        finally:
            await event_log.aclose()

    async def _oldest_wanted(self, newest: Revision) -> Revision:
        """Return after which revision to follow: some way back, if the storage still knows it."""
        wanted = Revision(max(newest - BACKFILL_REVISIONS, 1))
        if wanted >= newest:
            return newest
        try:
            await self._storage.get(b"/", revision=wanted)
        except Compacted as error:
            return Revision(min(error.oldest, newest))
        return wanted


class Compaction:
    """Lets the storage forget what is older than an interval, as kube-apiserver does."""

    def __init__(self, storage: Storage, interval_s: float) -> None:
        self._storage = storage
        self._interval_s = interval_s

    async def run(self) -> None:
        """Compact for ever, each time to the revision of one interval ago."""
        revision = await self._current()
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                if revision is not None:
                    await self._storage.compact(revision)
            except (Compacted, FutureRevision, StorageUnavailable) as error:
                # Another replica was quicker, or the storage is away: next time.
                log.info("nothing compacted", extra={"why": str(error)})
            revision = await self._current()

    async def _current(self) -> Revision | None:
        try:
            return await self._storage.current_revision()
        except StorageError as error:
            log.info("no revision to compact to", extra={"why": str(error)})
            return None


def extractor_for(table: ResourceTable, etcd_prefix: str) -> Extractor:
    """Return the extractor that knows every resource's selectable fields."""
    rules = selection_rules(table.resources(), etcd_prefix)
    return Extractor(
        ExtractionRule(prefix, {one.name: field_source(one) for one in fields})
        for prefix, fields in rules.items()
    )


def field_source(selectable: SelectableField) -> FieldSource:
    """Return how a selectable field is read from a stored object."""
    if selectable.path and not selectable.fallback:
        return (selectable.path, selectable.default)

    def read(value: Mapping[str, Any]) -> str:
        return (
            text_at(value, selectable.path)
            or text_at(value, selectable.fallback)
            or selectable.default
        )

    return read


def text_at(value: Mapping[str, Any], path: tuple[str, ...]) -> str:
    """Return the scalar at `path` as text, "" where there is none."""
    found: Any = value
    for name in path:
        if not isinstance(found, Mapping):
            return ""
        found = found.get(name)
    if isinstance(found, bool):
        return "true" if found else "false"
    return str(found) if isinstance(found, (str, int, float)) else ""


Observe = Callable[[str, float], None]


async def open_storage(
    *,
    etcd_servers: tuple[str, ...],
    etcd_cafile: str,
    etcd_certfile: str,
    etcd_keyfile: str,
    data_dir: Path,
    observe: Observe,
) -> Storage:
    """Open etcd where servers are named, else the embedded store under `data_dir`.

    Raises:
        StorageError: it can't be opened.
    """
    if not etcd_servers:
        from shared.storage.sqlite import SqliteStorage

        return SqliteStorage.open(data_dir / "store.db", observe=observe)
    # Imported where it is used: gRPC costs an embedded server 20 MB.
    from shared.storage.etcd import EtcdStorage, TlsFiles

    tls = None
    if any(url.startswith("https://") for url in etcd_servers):
        tls = TlsFiles(
            *(Path(file) if file else None for file in (etcd_cafile, etcd_certfile, etcd_keyfile))
        )
    return await EtcdStorage.open(etcd_servers, tls=tls, observe=observe)
