"""WorkQueue: keys that wait to be looked at, each at most once at a time.

Promises, as client-go's util/workqueue (queue.go, delaying_queue.go, rate_limiting_queue.go):
keys come out in the order they were added; a key added again while it waits is there once;
a key added while it is worked on comes out again after `done`, never beside it.
The queue is bounded by the number of distinct keys: it holds no objects.
"""

from __future__ import annotations

import asyncio
from collections import deque


class WorkQueue:
    """The keys of one controller. All methods but `get` are plain: they never wait."""

    def __init__(
        self, name: str, *, retry_initial_s: float = 0.005, retry_maximum_s: float = 60.0
    ) -> None:
        self.name = name
        self._retry_initial_s = retry_initial_s
        self._retry_maximum_s = retry_maximum_s
        self._waiting: deque[str] = deque()
        self._dirty: set[str] = set()  # to be looked at: waiting, or added during work
        self._processing: set[str] = set()
        self._failures: dict[str, int] = {}
        self._delayed: dict[str, asyncio.TimerHandle] = {}
        self._not_empty = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def __repr__(self) -> str:
        return (
            f"<WorkQueue {self.name}: {len(self._waiting)} waiting, "
            f"{len(self._processing)} in work, {len(self._delayed)} delayed>"
        )

    def add(self, key: str) -> None:
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._processing:
            self._waiting.append(key)
            self._not_empty.set()

    def add_after(self, key: str, delay_s: float) -> None:
        """Add `key` later; of several delays for one key the one that ends first counts."""
        if delay_s <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + delay_s
        if (earlier := self._delayed.get(key)) is not None:
            if earlier.when() <= due:
                return
            earlier.cancel()
        self._delayed[key] = loop.call_at(due, self._add_delayed, key)

    def add_rate_limited(self, key: str) -> None:
        """Add `key` after a wait that doubles with each call until `forget`."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        # The exponent is bounded: 2.0 ** 1024 does not fit a float.
        wait_s = self._retry_initial_s * 2.0 ** min(failures, 64)
        self.add_after(key, min(wait_s, self._retry_maximum_s))

    def forget(self, key: str) -> None:
        """Count no failures of `key` any more. It stays in the queue where it is in it."""
        self._failures.pop(key, None)

    def retries(self, key: str) -> int:
        return self._failures.get(key, 0)

    async def get(self) -> str:
        """Wait for a key and take it; the caller says `done` when finished with it.

        Cancelled while waiting, nothing is taken.
        """
        while not self._waiting:
            self._not_empty.clear()
            await self._not_empty.wait()
        key = self._waiting.popleft()
        self._processing.add(key)
        self._dirty.discard(key)
        return key

    def done(self, key: str) -> None:
        self._processing.discard(key)
        if key in self._dirty:
            self._waiting.append(key)
            self._not_empty.set()

    def close(self) -> None:
        """Drop the delayed keys, so that no timer outlives the queue's owner."""
        for timer in self._delayed.values():
            timer.cancel()
        self._delayed.clear()

    def _add_delayed(self, key: str) -> None:
        self._delayed.pop(key, None)
        self.add(key)
