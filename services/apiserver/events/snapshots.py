"""Snapshots: where a replica gets the whole state from when it starts."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence

from services.apiserver.events.past import tell_past
from shared.fanout import Snapshot, load_snapshot
from shared.fanout.client import SnapshotAccess, SnapshotUnavailable, fetch_revision, fetch_snapshot
from shared.fanout.opening import Opener
from shared.objects import Extractor
from shared.storage import (
    Compacted,
    FutureRevision,
    Revision,
    Storage,
    StorageUnavailable,
    WentBack,
)
from shared.watchcache import WatchCache

log = logging.getLogger("kubefan.apiserver.events")


class Snapshots:
    """Asks the watchfanouts, and etcd itself if none of them can help."""

    def __init__(
        self,
        servers: Sequence[str],
        access: SnapshotAccess,
        storage: Storage,
        extractor: Extractor,
        *,
        etcd_prefix: str,
    ) -> None:
        self._servers = servers
        self._access = access
        self._storage = storage
        self._extractor = extractor
        self._etcd_prefix = etcd_prefix

    async def tell_past(self, cache: WatchCache, opener: Opener) -> None:
        """Back-fill the cache from the storage's own history, for want of a log that has it.

        Raises:
            StorageUnavailable, HistoryLost: the storage can't tell it.
        """
        await tell_past(self._storage, opener, cache, etcd_prefix=self._etcd_prefix)

    async def revision(self) -> Revision:
        """Return how far the watchfanout is that is furthest; 0 if none of them tells."""
        furthest = Revision(0)
        for server in self._servers:
            try:
                furthest = max(furthest, await fetch_revision(server, self._access))
            except SnapshotUnavailable as error:
                log.info("no revision from there", extra={"why": str(error)})
        return furthest

    async def check_not_back(self, seen: Revision) -> None:
        """Do nothing if the storage has come as far as `seen`.

        Raises:
            WentBack: it has not.
            StorageUnavailable: it did not answer.
        """
        current = await self._storage.current_revision()
        if current < seen:
            raise WentBack(seen, current)

    async def newest(self, *, at_least: Revision) -> Snapshot:
        """Return a state of revision `at_least` or newer.

        Raises:
            StorageUnavailable, Compacted: nobody can give it now.
        """
        for server in random.sample(self._servers, len(self._servers)):
            try:
                snapshot = await fetch_snapshot(server, self._access)
            except SnapshotUnavailable as error:
                log.info("no snapshot from there", extra={"why": str(error)})
                continue
            if snapshot.revision >= at_least and await self._goes_on_from(snapshot.revision):
                log.info(
                    "loaded from a watchfanout",
                    extra={"revision": snapshot.revision, "objects": len(snapshot.objects)},
                )
                return snapshot
        snapshot = await load_snapshot(
            self._storage, self._extractor, etcd_prefix=self._etcd_prefix
        )
        log.info(
            "loaded from the storage",
            extra={"revision": snapshot.revision, "objects": len(snapshot.objects)},
        )
        return snapshot

    async def _goes_on_from(self, revision: Revision) -> bool:
        """Whether the storage knows the revision.

        Else no log will continue it: a watchfanout was cut off for too long, or is of another
        storage.
        """
        try:
            await self._storage.get(b"/", revision=revision)
        except (Compacted, FutureRevision) as error:
            log.warning("a snapshot is of no use", extra={"why": str(error)})
            return False
        except StorageUnavailable:
            pass  # an old state is better than none
        return True
