"""What a request will cost, before it is served.

Lists and the beginnings of watches cost by the bytes they are taken to hold in memory, writes
by the watches that will hear of them.
Source: kube-apiserver v1.36.2, apiserver/pkg/util/flowcontrol/request/{width,config,
list_work_estimator,mutating_work_estimator}.go, .../flowcontrol/watch_tracker.go,
apiserver/pkg/storage/cacher/delegator/interface.go.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence

from services.apiserver.flowcontrol.work import ONE_SEAT, Work
from services.apiserver.http.request import Request
from services.apiserver.requestinfo import RequestInfo
from shared.watchcache.resource import ResourceCache

BYTES_PER_SEAT = 100_000
MAXIMUM_CACHED_BYTES = 1_000_000
"""What a list from the cache holds at most: it is sent in slices."""
MAXIMUM_LIST_SEATS = 100
MAXIMUM_WRITE_SEATS = 10
WATCHES_PER_SEAT = 10
EVENT_S = 0.005
"""How long a seat is taken to be busy with one write's events."""

SIZE_SAMPLE = 32
SIZE_AGE_S = 10.0
MAXIMUM_SIZES = 4096
LIMIT_DIGITS = 20
"""Characters of a number: of an int64 with its sign."""

WRITES = frozenset({"create", "update", "patch", "delete"})
WatchKey = tuple[str, str, str, str]
"""Group, resource, namespace and name; the last two may be ""."""


class WatchCounts:
    """How many watches are open, by what they watch."""

    def __init__(self) -> None:
        self._counts: dict[WatchKey, int] = {}

    def opened(self, request: Request) -> WatchKey | None:
        """Count a watch; returns what `closed` is to be told, None if it is not counted."""
        info = request.info
        if info.resource == "pods" and _asks_one_node(request):
            # A kubelet's: it hears of few pods. All of them together are no cost of each.
            return None
        key = (info.group, info.resource, info.namespace, info.name)
        self._counts[key] = self._counts.get(key, 0) + 1
        return key

    def closed(self, key: WatchKey | None) -> None:
        if key is None:
            return
        left = self._counts[key] - 1
        if left:
            self._counts[key] = left
        else:
            del self._counts[key]

    def interested(self, info: RequestInfo) -> int:
        """Return how many watches may hear of a write."""
        counts = self._counts
        if not counts:
            return 0
        group, resource = info.group, info.resource
        count = counts.get((group, resource, "", ""), 0)
        if info.namespace:
            count += counts.get((group, resource, info.namespace, ""), 0)
        if info.name:
            count += counts.get((group, resource, info.namespace, info.name), 0)
        return count


class WorkEstimator:
    """Estimates requests. `cache_of` finds a resource's watch cache, None where there is none."""

    def __init__(
        self,
        cache_of: Callable[[str, str], ResourceCache | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cache_of = cache_of
        self._clock = clock
        self.watches = WatchCounts()
        self._sizes: dict[tuple[str, str], tuple[float, float]] = {}

    def estimate(self, request: Request, level_seats: int) -> Work:
        """Return a request's cost. `level_seats` is the most that its level gives one request;
        0 leaves that to the kind of request."""
        info = request.info
        if info.verb == "get" or not info.is_resource_request:
            return ONE_SEAT
        if info.verb in WRITES:
            return self._write(info, level_seats)
        if info.verb in ("list", "watch") and not info.subresource:
            return self._list(request, level_seats)
        return ONE_SEAT

    def _write(self, info: RequestInfo, level_seats: int) -> Work:
        watches = self.watches.interested(info)
        if watches < WATCHES_PER_SEAT or info.subresource == "token":
            return ONE_SEAT  # few; or nothing that anybody hears of
        wanted = Work(1, math.ceil(watches / WATCHES_PER_SEAT), EVENT_S)
        return wanted.within(min(level_seats or MAXIMUM_WRITE_SEATS, MAXIMUM_WRITE_SEATS))

    def _list(self, request: Request, level_seats: int) -> Work:
        info, query = request.info, request.query
        most = min(level_seats or MAXIMUM_LIST_SEATS, MAXIMUM_LIST_SEATS)
        version = _first(query, "resourceVersion")
        if (
            info.verb == "watch"
            and version not in ("", "0")
            and _first(query, "sendInitialEvents") not in ("true", "1")
        ):
            return ONE_SEAT
        cache = self._cache_of(info.group, info.resource)
        if cache is None:
            return ONE_SEAT
        limit = _integer(_first(query, "limit") or "0")
        if limit is None:
            return Work(most)  # it will be refused; until then it is taken for the worst
        count = stored = len(cache)
        if limit > 0:
            count = min(count, limit)
        if info.name:
            count = 1
        elif not (info.verb == "watch" or self._from_cache(query, version, limit)):
            if _first(query, "labelSelector") or _first(query, "fieldSelector"):
                count = max(count, stored // 2)
            return self._of_bytes(count * self._size(info, cache), most)
        return self._of_bytes(min(count * self._size(info, cache), MAXIMUM_CACHED_BYTES), most)

    @staticmethod
    def _of_bytes(size: float, most: int) -> Work:
        seats = min(max(math.ceil(size / BYTES_PER_SEAT), 1), most)
        return ONE_SEAT if seats == 1 else Work(seats)

    @staticmethod
    def _from_cache(query: Mapping[str, Sequence[str]], version: str, limit: int) -> bool:
        match = _first(query, "resourceVersionMatch")
        if match:
            return match != "Exact"
        return not _first(query, "continue") and not (limit > 0 and version not in ("", "0"))

    def _size(self, info: RequestInfo, cache: ResourceCache) -> float:
        """Return about how large (bytes) one of a resource's objects is."""
        now = self._clock()
        key = (info.group, info.resource)
        known = self._sizes.get(key)
        if known is not None and now - known[0] < SIZE_AGE_S:
            return known[1]
        keys = cache.keys
        step = max(len(keys) // SIZE_SAMPLE, 1)
        sizes = [len(one.body) for at in keys[::step] if (one := cache.get(at)) is not None]
        size = sum(sizes) / len(sizes) if sizes else 0.0
        if len(self._sizes) >= MAXIMUM_SIZES:
            self._sizes.clear()
        self._sizes[key] = (now, size)
        return size


def _first(query: Mapping[str, Sequence[str]], name: str) -> str:
    values = query.get(name)
    return values[0] if values else ""


def _integer(text: str) -> int | None:
    """Return a number as strconv.ParseInt reads it, None for what it would refuse."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if len(text) > LIMIT_DIGITS or not (digits.isascii() and digits.isdigit()):
        return None
    return int(text)


def _asks_one_node(request: Request) -> bool:
    for part in _first(request.query, "fieldSelector").split(","):
        name, sign, value = part.partition("=")
        if name == "spec.nodeName" and sign and value.removeprefix("="):
            return True
    return False
