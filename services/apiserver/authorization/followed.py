"""Followed: what is made of each object of a resource, kept up with the watch cache.

It is brought up to date when it is asked, by the events since it was last asked: what is derived
follows a change as soon as the cache shows it, and nothing is done for changes nobody asks
about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from services.apiserver.registry.strategy import Object
from shared.objects import CachedObject
from shared.storage import UnreadableValue
from shared.timeslice import TimeSlice
from shared.watchcache import Expired, ResourceCache


@dataclass(frozen=True, slots=True)
class Source:
    """The cached objects of one resource, and how to read one."""

    cache: ResourceCache
    decode: Callable[[bytes], Object]


Value = TypeVar("Value")


class Followed(Generic[Value]):
    """What `read` makes of each object of a source, by key; `changed` is told of differences.

    `read` may return None for an object that is of no interest.
    """

    def __init__(
        self,
        source: Source,
        read: Callable[[Object], Value | None],
        changed: Callable[[bytes, Value | None, Value | None], None],
    ) -> None:
        self._cache = source.cache
        self._decode = source.decode
        self._read = read
        self._changed = changed
        self._values: dict[bytes, Value] = {}
        self._revision = -1

    @property
    def is_behind(self) -> bool:
        return self._cache.revision != self._revision

    def catch_up(self) -> bool:
        """Take in all that the cache shows; return whether there was anything."""
        if self._cache.revision == self._revision:  # not by `is_behind`: four times a decision
            return False
        reached, changes = self._changes()
        for key, item in changes:
            self._put(key, item)
        self._revision = reached
        return True

    async def catch_up_in_slices(self, time_slice: TimeSlice) -> None:
        """As catch_up, but others run in between; when cancelled, a later call begins anew."""
        while self.is_behind:
            reached, changes = self._changes()
            for key, item in changes:
                self._put(key, item)
                if time_slice.is_over():
                    await time_slice.give_way()
            self._revision = reached

    def _changes(self) -> tuple[int, Sequence[tuple[bytes, CachedObject | None]]]:
        """Return what is to be taken in to reach a revision; None for an object that is gone."""
        cache = self._cache
        if self._revision >= 0:
            try:
                events = cache.events_since(self._revision)  # type: ignore[arg-type]
            except Expired:
                pass
            else:
                # Only the last event of an object counts.
                last = {event.object.key: event for event in events}
                return cache.revision, [
                    (key, None if event.type == "DELETED" else event.object)
                    for key, event in last.items()
                ]
        gone = self._values.keys() - set(cache.keys)
        present = [(item.key, item) for item in cache.scan(cache.prefix)]
        return cache.revision, [*((key, None) for key in gone), *present]

    def _put(self, key: bytes, item: CachedObject | None) -> None:
        old = self._values.pop(key, None)
        try:
            new = None if item is None else self._read(self._decode(item.body))
        except UnreadableValue:
            new = None  # what can't be decrypted grants nothing
        if new is not None:
            self._values[key] = new
        if old is not None or new is not None:
            self._changed(key, old, new)
