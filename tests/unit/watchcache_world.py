"""Events and caches for the tests of the watch cache, in few words."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shared.eventlog import Entry, Event, Previous
from shared.fanout import Snapshot
from shared.objects import CachedObject, Selection, to_body
from shared.storage import Revision
from shared.watchcache import ResourceCache, WatchCache, WatchEvent

PODS = b"/registry/pods/"
NODES = b"/registry/minions/"
WIDGETS = b"/registry/example.com/widgets/"


def wire(name: str, revision: int, labels: dict[str, str], data: str = "") -> tuple[bytes, bytes]:
    pairs = ",".join(f'"{key}":"{value}"' for key, value in labels.items())
    stored = (
        f'{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"{name}","labels":{{{pairs}}}}},'
        f'"data":"{data}"}}'
    )
    return to_body(stored.encode(), Revision(revision))


def cached(key: bytes, revision: int, **labels: str) -> CachedObject:
    prefix, body = wire(key.rpartition(b"/")[2].decode(), revision, labels)
    return CachedObject(key, Revision(revision), prefix, body, Selection(labels))


def added(key: bytes, revision: int, data: str = "", **labels: str) -> Event:
    prefix, body = wire(key.rpartition(b"/")[2].decode(), revision, labels, data)
    return Event("ADDED", key, Revision(revision), prefix, body, Selection(labels))


def modified(
    key: bytes, revision: int, was: dict[str, str] | None = None, data: str = "", **labels: str
) -> Event:
    event = added(key, revision, data, **labels)
    event.type = "MODIFIED"
    if was is not None:
        prefix, body = wire(key.rpartition(b"/")[2].decode(), revision, was)
        event.previous = Previous(prefix, body, Selection(was))
    return event


def deleted(key: bytes, revision: int, **labels: str) -> Event:
    event = added(key, revision, **labels)
    event.type = "DELETED"
    return event


def entry(previous: int, *events: Event, revision: int | None = None) -> Entry:
    last = Revision(revision) if revision is not None else events[-1].revision
    return Entry(Revision(previous), last, events)


def seen(events: Sequence[WatchEvent]) -> list[tuple[str, bytes, int]]:
    """What a client sees of a batch: type, key, revision."""
    return [(event.type, event.object.key, event.object.revision) for event in events]


def loaded(*objects: CachedObject, revision: int = 10) -> tuple[WatchCache, ResourceCache]:
    """A cache loaded at `revision`, and its pods."""
    cache = WatchCache()
    pods = cache.resource(PODS)
    asyncio.run(cache.load(Snapshot(Revision(revision), objects)))
    return cache, pods
