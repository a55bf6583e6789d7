"""The watch cache of one resource: its objects, its recent past, its watchers."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

from shared.eventlog.protocol import Event, UnreadableEvent
from shared.objects.cachedobject import CachedObject, UnreadableObject
from shared.objects.keyspace import end_of_prefix
from shared.objects.selection import Selection
from shared.storage.errors import UnreadableValue
from shared.storage.protocol import Revision
from shared.timeslice import TimeSlice
from shared.watchcache.event import WatchEvent
from shared.watchcache.history import History
from shared.watchcache.watcher import BacklogLimits, EndReason, Matches, Progress, Watcher

DEFAULT_BACKLOG = BacklogLimits()
FREED_TOGETHER = 1000
"""Objects (count): a quarter of a millisecond."""


class Contents:
    """Objects that are to take the place of a resource's: made ready beside those that it has."""

    __slots__ = ("by_key", "items", "keys", "unreadable")

    def __init__(self) -> None:
        self.by_key: dict[bytes, CachedObject] = {}
        self.keys: list[bytes] = []
        self.items: list[CachedObject] = []
        self.unreadable: set[bytes] = set()

    def add(self, item: CachedObject) -> None:
        """Add an object; it costs little if it follows in key order, as in a snapshot."""
        keys = self.keys
        index = bisect_left(keys, item.key) if keys and item.key < keys[-1] else len(keys)
        keys.insert(index, item.key)
        self.items.insert(index, item)
        self.by_key[item.key] = item
        if type(item) is UnreadableObject:
            self.unreadable.add(item.key)

    async def let_go(self) -> None:
        """Free the objects, and let others run: 100 000 at once would hold the loop for 30 ms."""
        self.by_key.clear()
        self.keys.clear()
        time_slice = TimeSlice()
        while self.items:
            del self.items[-FREED_TOGETHER:]
            if time_slice.is_over():
                await time_slice.give_way()


class ResourceCache:
    """All objects under one key prefix. Nothing in here waits.

    A *scope* is a prefix or a key: the resource's own prefix for all, with the namespace and a
    slash behind it for one namespace, a whole key for one object.
    """

    def __init__(self, prefix: bytes, history: History, progress: Progress) -> None:
        self.prefix = prefix
        self.revision = history.oldest
        """Of the last change in this resource; before any, of what it was loaded from."""
        self._objects: dict[bytes, CachedObject] = {}
        # Lists beside the dict: scans and counts are one bisection, and the memory move of an
        # insertion takes 1.5 us with 10 000 keys and 12 us with 100 000. `_items` goes with
        # `_keys`: a scan by way of the dict misses the processor's cache thrice an object more.
        self._keys: list[bytes] = []
        self._items: list[CachedObject] = []
        self._history = history
        self._progress = progress
        self.slow_watchers = 0
        """How many have been ended because they did not keep up."""
        # By scope; a dict for its order and its quick removal.
        self._watchers: dict[bytes, dict[Watcher, None]] = {}
        self._unreadable: set[bytes] = set()

    def __repr__(self) -> str:
        return (
            f"<ResourceCache {self.prefix!r} at {self.revision}: {len(self)} objects, "
            f"{self.watcher_count} watchers, {self._history!r}>"
        )

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def keys(self) -> Sequence[bytes]:
        """All keys in byte order; a view that changes with the cache."""
        return self._keys

    @property
    def history(self) -> History:
        return self._history

    @property
    def watcher_count(self) -> int:
        return sum(map(len, self._watchers.values()))

    def shows(self, revision: Revision) -> bool:
        """Whether the present objects are exactly those of `revision`: a page's, say."""
        return self.revision <= revision <= self._progress.revision

    @property
    def unreadable_count(self) -> int:
        """How many objects can't be decrypted; they are counted and listed like the others."""
        return len(self._unreadable)

    def check_readable(self, scope: bytes) -> None:
        """Do nothing if all that is in the scope can be read.

        Raises:
            UnreadableValue: something can't.
        """
        for key in self._unreadable:
            found = self._objects[key]
            if type(found) is UnreadableObject and (
                key.startswith(scope) if scope.endswith(b"/") else key == scope
            ):
                raise UnreadableValue(key, found.why)

    def get(self, key: bytes) -> CachedObject | None:
        return self._objects.get(key)

    def objects(self) -> Sequence[CachedObject]:
        """Return all objects as they are now, in key order: a list of its own."""
        return self._items.copy()

    def scan(
        self, prefix: bytes, *, start: bytes | None = None, limit: int = 0
    ) -> list[CachedObject]:
        """Return the objects under `prefix` from `start` (a full key, inclusive) on, in order.

        `prefix` ends with a slash; `limit` 0 means all.
        """
        first, end = self._range(prefix, start)
        if limit:
            end = min(end, first + limit)
        return self._items[first:end]

    def count(self, prefix: bytes, start: bytes | None = None) -> int:
        """Return how many objects there are under `prefix` from `start` on."""
        first, end = self._range(prefix, start)
        return max(0, end - first)

    def events_since(self, revision: Revision) -> list[WatchEvent]:
        """Return every event after `revision`, oldest first.

        Raises:
            Expired: some of them are gone.
        """
        return self._history.since(revision)

    def watch(
        self,
        *,
        after: Revision | None,
        scope: bytes | None = None,
        matches: Matches | None = None,
        backlog_limits: BacklogLimits = DEFAULT_BACKLOG,
        on_ready: Callable[[], None] | None = None,
    ) -> Watcher:
        """Start a watch on `scope` (None: all) of what `matches` takes (None: everything).

        With `after` it gets every later event; a revision the cache has not reached is fine, and
        what comes up to it is dropped. Without, it begins with the present objects as ADDED, in
        key order, at the cache's revision (its `start_revision`).

        Raises:
            Expired: the history does not reach back to `after`.
        """
        scope = self.prefix if scope is None else scope
        initial = replay = None
        if after is None:
            if objects := self._in_scope(scope):
                initial = (WatchEvent("ADDED", item) for item in objects)
        else:
            events = self._history.since(after)
            if scope != self.prefix:
                events = [event for event in events if event.object.key.startswith(scope)]
                if not scope.endswith(b"/"):
                    events = [event for event in events if event.object.key == scope]
            replay = iter(events) if events else None
        watcher = Watcher(
            scope=scope,
            matches=matches,
            initial=initial,
            replay=replay,
            after=self._progress.revision if after is None else after,
            progress=self._progress,
            backlog_limits=backlog_limits,
            on_ready=on_ready,
            on_close=self._forget,
        )
        self._watchers.setdefault(scope, {})[watcher] = None
        return watcher

    def end_watchers(self, reason: EndReason) -> None:
        """End all: the server stops, or the resource is served no more."""
        for watchers in list(self._watchers.values()):
            for watcher in list(watchers):
                watcher.end(reason)

    def apply(self, event: Event, parent: bytes) -> None:
        """Take over one event of a key directly under `parent`, and hand it to the watchers."""
        key = event.key
        current = self._objects.get(key)
        if current is not None:
            key = current.key  # one copy of the key for all states of the object
        readable = type(event) is not UnreadableEvent
        seen = watch_event(event, key) if readable else _unreadable_event(event, key)
        if event.type == "DELETED":
            if current is not None:
                del self._objects[key]
                index = bisect_left(self._keys, key)
                del self._keys[index], self._items[index]
        else:
            index = bisect_left(self._keys, key)
            if current is None:
                self._keys.insert(index, key)
                self._items.insert(index, seen.object)
            else:
                self._items[index] = seen.object
            self._objects[key] = seen.object
        self.revision = event.revision
        if self._unreadable:
            self._unreadable.discard(key)
        if not readable:
            self._break_off(event, parent)
            return
        self._history.append(seen)
        if self._watchers:
            self._dispatch(seen, parent)

    def _break_off(self, event: Event, parent: bytes) -> None:
        """End whoever would have to be told what the object of the event is.

        The history begins behind it, so that nobody resumes across it either: lists fail as long
        as the object is there, and say why.
        """
        if event.type != "DELETED":
            self._unreadable.add(event.key)
        self._history.clear(event.revision)
        for scope in (self.prefix, parent, event.key):
            for watcher in tuple(self._watchers.get(scope, ())):
                watcher.end(EndReason.UNREADABLE)

    def load(self, contents: Contents, history: History) -> Contents:
        """Become what a snapshot says, and return what was there. It has no watchers then."""
        past = Contents()
        past.by_key, past.keys, past.items = self._objects, self._keys, self._items
        self._objects = contents.by_key
        self._keys, self._items = contents.keys, contents.items
        self._unreadable = contents.unreadable
        self._history = history
        self.revision = history.oldest
        return past

    def reselect(self, select: Callable[[CachedObject], Selection]) -> None:
        """Take the selections of all objects anew, after their extraction rule has changed.

        The history ends here, for its events do not tell who entered and left under the new
        rule: watches resume from now on only. Call it when the cache has reached what the
        fan-out had written under the old rule; open watches go on.
        """
        for item in self._objects.values():
            if type(item) is not UnreadableObject:
                item.selection = select(item)
        self._history.clear(self._progress.revision)

    def split(self, prefix: bytes) -> ResourceCache:
        """Take what lies under `prefix` out of this one, as a resource of its own."""
        taken = ResourceCache(
            prefix,
            self._history.split(lambda event: event.object.key.startswith(prefix)),
            self._progress,
        )
        objects = self.scan(prefix)
        contents = Contents()
        for item in objects:
            contents.add(item)
        taken.load(contents, taken.history)
        first, end = self._range(prefix, None)
        del self._keys[first:end], self._items[first:end]
        for item in objects:
            del self._objects[item.key]
            self._unreadable.discard(item.key)
        taken.revision = self.revision  # of the last change here or elsewhere: rather too new
        return taken

    def _dispatch(self, event: WatchEvent, parent: bytes) -> None:
        """Hand the event to those whose scope holds its key; never waits."""
        by_scope = self._watchers
        for scope in {self.prefix, parent, event.object.key}:
            watchers = by_scope.get(scope)
            if watchers:
                for watcher in tuple(watchers):  # a slow one is ended, and so removed, meanwhile
                    watcher.offer(event)

    def _forget(self, watcher: Watcher) -> None:
        if watcher.ended is EndReason.SLOW:
            self.slow_watchers += 1
        watchers = self._watchers[watcher.scope]
        del watchers[watcher]
        if not watchers:
            del self._watchers[watcher.scope]

    def _in_scope(self, scope: bytes) -> list[CachedObject]:
        if scope.endswith(b"/"):
            return self.scan(scope)
        item = self._objects.get(scope)
        return [] if item is None else [item]

    def _range(self, prefix: bytes, start: bytes | None) -> tuple[int, int]:
        keys = self._keys
        first = bisect_left(keys, prefix if start is None else max(prefix, start))
        return first, bisect_left(keys, end_of_prefix(prefix))


def watch_event(event: Event, key: bytes) -> WatchEvent:
    """Return the event as history and watchers have it; `key` is the copy of its key to use."""
    item = CachedObject(key, event.revision, event.prefix, event.body, event.selection)
    previous = event.previous
    if previous is None:
        return WatchEvent(event.type, item)
    left = CachedObject(key, event.revision, previous.prefix, previous.body, previous.selection)
    return WatchEvent(event.type, item, WatchEvent("ADDED", item), WatchEvent("DELETED", left))


def _unreadable_event(event: Event, key: bytes) -> WatchEvent:
    assert isinstance(event, UnreadableEvent)
    return WatchEvent(event.type, UnreadableObject(key, event.revision, event.why))
