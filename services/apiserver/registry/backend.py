"""Backend: the storage and the watch cache behind all resources, and how fresh reads are made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from shared.objects import Extractor
from shared.storage import KeyValue, Revision, Storage, StorageUnavailable
from shared.watchcache import WatchCache
from shared.watchcache.resource import ResourceCache

FRESHNESS_TIMEOUT_S = 1.0
"""How long a consistent read waits for the cache before the storage answers it: a new leader
of the watchfanouts is there sooner, mostly."""
STALLED_TIMEOUT_S = 0.02
"""The same while the cache does not move: its source is away, and reads must not queue up."""
PAST_TIMEOUT_S = 10.0
"""How long a watch waits for a cache that is filling its windows."""
HUNG_S = 1.0
"""A question to the storage that failed after so long was not refused, but had no answer."""
REACH_TIMEOUT_S = 3.0
"""How long a read waits for the revision that it names; kube-apiserver's blockTimeout."""


class CurrentRevision:
    """The store's newest revision, asked for once for all readers that wait at a time.

    A reader gets an answer to a question that was asked after the reader came, so what was
    acknowledged before the read began is covered.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        # A future each, and not one that all shield: 3 us less for a reader.
        self._waiting: list[asyncio.Future[Revision]] = []  # bounded by the requests in flight
        self._asking: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        """Kept: to ask for the running loop is a system call."""
        self._hung = ""
        """Why the last question had no answer; "" if it had one."""

    async def get(self) -> Revision:
        """Return a revision that covers every write acknowledged before this call.

        Raises:
            StorageUnavailable: the store did not answer. While it hangs one reader at a time finds
                out whether it still does, and the others know at once: they would fill up what
                is for reads that need no storage.
        """
        if self._hung and self._asking is not None:
            raise StorageUnavailable(self._hung)
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        answer: asyncio.Future[Revision] = loop.create_future()
        self._waiting.append(answer)
        if self._asking is None:
            self._asking = loop.create_task(self._ask(loop), name="current revision")
        return await answer

    async def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while self._waiting:
                # One turn of the loop later all requests that came together share the question.
                # Even of a store in this process, which answers at once: what comes and leaves
                # together wakes client and server less often (16 clients: 0.114 ms of CPU a GET,
                # without the turn 0.136).
                await asyncio.sleep(0)
                waiting, self._waiting = self._waiting, []
                error: Exception | None = None
                revision = Revision(0)
                hung_at = loop.time() + HUNG_S
                try:
                    revision = await self._storage.current_revision()
                except Exception as failure:  # noqa: BLE001 - handed to the readers, who raise it
                    error = failure
                self._hung = ""
                if error is not None and loop.time() >= hung_at:
                    self._hung = str(error)
                    # Who came meanwhile would wait as long for the same.
                    waiting += self._waiting
                    self._waiting = []
                for answer in waiting:
                    if answer.done():
                        continue  # its reader has gone
                    if error is None:
                        answer.set_result(revision)
                    else:
                        answer.set_exception(error)
        finally:
            self._asking = None


class Backend:
    """What every resource store works on."""

    def __init__(
        self,
        storage: Storage,
        cache: WatchCache,
        extractor: Extractor,
        *,
        etcd_prefix: str,
        on_read: Callable[[str], None] = lambda path: None,
        on_resume: Callable[[str], None] = lambda path: None,
    ) -> None:
        """`on_read` gets to know how a consistent read was answered, `on_resume` a watch."""
        self.storage = storage
        self.cache = cache
        self.extractor = extractor
        self.etcd_prefix = etcd_prefix
        self._current = CurrentRevision(storage)
        self._on_read = on_read
        self.on_resume = on_resume
        self._stalled_at: Revision | None = None
        """Where the cache stood when a read had waited for it in vain."""

    async def fresh(self) -> bool:
        """Wait until the cache shows every write acknowledged before now.

        Returns False when it does not get there in time; the caller then reads from storage.
        """
        cache = self.cache
        before = cache.revision
        revision = await self._current.get()
        if cache.revision >= revision:
            if before > revision:  # the storage has gone back, and shows what is true
                self._on_read("storage")
                return False
            self._on_read("cache" if before == revision else "waited")
            return True
        reached = await self.soon(revision, before)
        self._on_read("waited" if reached else "storage")
        return reached

    async def soon(self, revision: Revision, before: Revision) -> bool:
        """Wait until the cache, which stood at `before`, is at least at `revision`.

        Returns False when it does not get there while the storage would answer as well.
        """
        stalled = self._stalled_at == before
        timeout_s = STALLED_TIMEOUT_S if stalled else FRESHNESS_TIMEOUT_S
        if await self.cache.wait_for(revision, timeout_s):
            return True
        self._stalled_at = self.cache.revision
        return False

    async def past_of(self, resource: ResourceCache, after: Revision) -> None:
        """Wait for what is still being filled in of the time behind `after`, if it is."""
        if after >= resource.history.oldest or not self.cache.is_backfilling:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(PAST_TIMEOUT_S):
                # Looked at rather than signalled: only around the start of a replica.
                while self.cache.is_backfilling:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)

    async def objects(self, prefix: bytes) -> list[KeyValue]:
        """Return all objects under `prefix` with every write acknowledged before now.

        Raises:
            StorageUnavailable: the cache is not that far; try again later.
        """
        if not await self.fresh():
            raise StorageUnavailable("the cache is behind the storage")
        return [
            KeyValue(item.key, item.prefix + item.body, item.revision)
            for item in self.cache.resource(prefix).scan(prefix)
        ]

    async def reached(self, revision: Revision) -> bool:
        """Wait until the cache is at least at `revision`; False when it takes too long."""
        if self.cache.revision >= revision:
            return True
        return await self.cache.wait_for(revision, REACH_TIMEOUT_S)
