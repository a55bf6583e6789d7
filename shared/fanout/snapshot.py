"""The whole state of a store at one revision, in wire form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.fanout.rules import DefinitionRules
from shared.objects.cachedobject import CachedObject
from shared.objects.extraction import Extractor
from shared.objects.selection import NO_SELECTION
from shared.objects.wire import NotAnObject, SealedValue, to_body
from shared.storage.protocol import KeyValue, Revision, Storage
from shared.timeslice import TimeSlice


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All objects under a prefix as they were at `revision`, in key order.

    `skipped` counts the keys that hold something else. What is encrypted is as shared.fanout.sealed
    says.
    """

    revision: Revision
    objects: Sequence[CachedObject]
    skipped: int = 0


async def load_snapshot(
    storage: Storage, extractor: Extractor, *, etcd_prefix: str, page_keys: int = 500
) -> Snapshot:
    """Read the newest state of all keys, whatever their prefix, and learn the definitions' rules.

    In pages of `page_keys` keys: 2 MB of pods, below gRPC's default limit of 4 MB, and small
    enough not to hold up others in the store.

    Raises:
        ProtobufValue: the store holds values that can't be read.
        Compacted: the state was compacted while it was being read; begin again.
    """
    objects: list[CachedObject] = []
    skipped = 0
    start: bytes | None = None
    time_slice = TimeSlice()
    # The definitions first: they say what is to be extracted of the others.
    rules = DefinitionRules(extractor, etcd_prefix)
    page = await storage.list(rules.prefix)
    revision = page.revision
    for item in page.items:
        rules.learn(item.key, item.value)
    while True:
        page = await storage.list(b"", start=start, limit=page_keys, revision=revision)
        for item in page.items:
            try:
                objects.append(cached_object(item, extractor))
            except NotAnObject:
                skipped += 1
            except SealedValue:
                sealed = CachedObject(item.key, item.revision, b"", item.value, NO_SELECTION)
                objects.append(sealed)
            if time_slice.is_over():
                await time_slice.give_way()
        if not page.remaining or not page.items:
            return Snapshot(revision, objects, skipped)
        start = page.items[-1].key + b"\x00"


def cached_object(item: KeyValue, extractor: Extractor) -> CachedObject:
    """Return a stored object in wire form.

    Raises:
        WireError: it has none; SealedValue also where its definition is encrypted.
    """
    if extractor.unknown and extractor.is_unknown(item.key):
        raise SealedValue("its definition is encrypted")
    wire_prefix, body = to_body(item.value, item.revision)
    selection = extractor.extract(item.key, item.value)
    return CachedObject(item.key, item.revision, wire_prefix, body, selection)
