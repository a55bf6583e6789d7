"""Forms of objects that were asked for, made once and shared, within one bound."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable

from shared.objects.cachedobject import CachedObject
from shared.watchcache.event import WatchEvent, event_frame


class Renderings:
    """Makes and remembers renderings; the eldest go when there are too many.

    They hang on their object, so that one that is gone takes them along sooner or later; what
    is kept here are only their sizes, in the order they were made.
    """

    __slots__ = ("_eldest_first", "_limit_bytes", "_size_bytes")

    def __init__(self, *, limit_bytes: int = 16 * 2**20) -> None:
        """16 MiB: Table rows of 40 000 pods, or the watch frames of the last 3 500 events."""
        self._limit_bytes = limit_bytes
        self._size_bytes = 0
        # Holds the dict and not the object: an object of 4 KB must not live on because of a row.
        self._eldest_first: deque[tuple[dict[Hashable, bytes], Hashable, int]] = deque()

    def __repr__(self) -> str:
        return f"<Renderings {len(self._eldest_first)}, {self._size_bytes} bytes>"

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    def get(
        self, item: CachedObject, key: Hashable, make: Callable[[CachedObject], bytes]
    ) -> bytes:
        """Return the rendering `key` of `item`, made by `make` if nobody has asked before."""
        known = item.renderings
        if known is not None:
            rendering = known.get(key)
            if rendering is not None:
                return rendering
        rendering = make(item)
        self._remember(item, key, rendering)
        return rendering

    def frame(self, event: WatchEvent) -> bytes:
        """Return the line of a JSON watch for `event`, shared by all its watchers.

        For initial events use `event_frame`: it makes the line faster than this could keep
        thousands of them.
        """
        known = event.object.renderings
        if known is not None:
            frame = known.get(event.type)
            if frame is not None:
                return frame
        frame = event_frame(event)
        self._remember(event.object, event.type, frame)
        return frame

    def _remember(self, item: CachedObject, key: Hashable, rendering: bytes) -> None:
        known = item.renderings
        if known is None:
            known = item.renderings = {}
        size = len(rendering) + 200  # with the dict and the tuple
        known[key] = rendering
        self._eldest_first.append((known, key, size))
        self._size_bytes += size
        while self._size_bytes > self._limit_bytes:
            eldest, its_key, its_size = self._eldest_first.popleft()
            eldest.pop(its_key, None)
            self._size_bytes -= its_size
