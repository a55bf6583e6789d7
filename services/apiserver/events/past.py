"""The past: what came before a cache's snapshot, so that watches resume instead of listing anew."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress

from shared.eventlog import EventLog
from shared.eventlog.memory import MemoryEventLog
from shared.fanout import Follower, extractor_for
from shared.fanout.opening import Opener
from shared.fanout.rules import DefinitionRules
from shared.objects import Extractor
from shared.resources import builtin_table
from shared.storage import Compacted, Revision, Storage, UnreadableValue
from shared.watchcache import WatchCache

BACKFILL_REVISIONS = 5_000
"""How much of the storage's history a starting server reads again, so that the clients of its
predecessor resume: more than a minute at 50 writes/s."""


async def oldest_wanted(storage: Storage, newest: Revision) -> Revision:
    """Return after which revision to follow: some way back, if the storage still knows it.

    Raises:
        StorageUnavailable: the storage did not answer.
    """
    wanted = Revision(max(newest - BACKFILL_REVISIONS, 1))
    if wanted >= newest:
        return newest
    try:
        await storage.get(b"/", revision=wanted)
    except Compacted as error:
        return Revision(min(error.oldest, newest))
    return wanted


async def tell_past(
    storage: Storage, opener: Opener, cache: WatchCache, *, etcd_prefix: str
) -> None:
    """Back-fill the cache from the storage's own history, for want of a log that has it.

    Raises:
        StorageUnavailable, HistoryLost: the storage can't tell it.
    """
    newest = cache.loaded_at
    start = await oldest_wanted(storage, newest)
    if start >= newest:
        cache.end_backfill()
        return
    event_log = MemoryEventLog()
    extractor = _extractor_of(cache, etcd_prefix)
    follower = Follower(storage, event_log, extractor, etcd_prefix=etcd_prefix)
    following = asyncio.create_task(follower.run(after=start), name="follow the past")
    reading = asyncio.create_task(
        _backfill(cache, opener.log(event_log), start), name="read the past"
    )
    try:
        done, _ = await asyncio.wait({following, reading}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        following.cancel()
        reading.cancel()
        await asyncio.gather(following, reading, return_exceptions=True)
        await event_log.aclose()


def _extractor_of(cache: WatchCache, etcd_prefix: str) -> Extractor:
    """Return an extractor of its own: the definitions of the past may not replace the present's.

    It begins with the present ones, as most were the same.
    """
    extractor = extractor_for(builtin_table().resources(), etcd_prefix)
    rules = DefinitionRules(extractor, etcd_prefix)
    for item in cache.resource(rules.prefix).scan(rules.prefix):
        with suppress(UnreadableValue):
            rules.learn(item.key, item.prefix + item.body)
    return extractor


async def _backfill(cache: WatchCache, event_log: EventLog, after: Revision) -> None:
    async with aclosing(event_log.read(after=after)) as entries:
        async for entry in entries:
            cache.backfill(entry)
            if not cache.is_backfilling:
                return
