"""Compaction: lets a storage forget its older history, for those that hold a storage alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from shared.storage.errors import Compacted, FutureRevision, StorageError, StorageUnavailable
from shared.storage.protocol import Revision, Storage

log = logging.getLogger("kubefan.storage.compaction")


class Compaction:
    """Lets the storage forget what is older than an interval, as kube-apiserver does."""

    def __init__(
        self,
        storage: Storage,
        interval_s: float,
        *,
        is_ours: Callable[[], bool] = lambda: True,
    ) -> None:
        """`is_ours`: whether this process is the one to do it when the time has come."""
        self._storage = storage
        self._interval_s = interval_s
        self._is_ours = is_ours

    async def run(self) -> None:
        """Compact for ever, each time to the revision of one interval ago."""
        revision, done = await self._current(), None
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                if revision is not None and revision != done and self._is_ours():
                    await self._storage.compact(revision)
                    done = revision
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
