"""Those who wait until the cache has reached a revision."""

from __future__ import annotations

import asyncio
from heapq import heapify, heappop, heappush

from shared.storage.protocol import Revision


class RevisionWaiters:
    """A heap by revision, so that a step forward touches only those it releases."""

    __slots__ = ("_count", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[Revision, int, asyncio.Future[bool]]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._heap)

    async def wait(self, revision: Revision, timeout_s: float) -> bool:
        """Wait for `advance` to `revision`; False when it has not come in time."""
        loop = asyncio.get_running_loop()
        reached: asyncio.Future[bool] = loop.create_future()
        self._count += 1  # makes equal revisions comparable
        item = (revision, self._count, reached)
        heappush(self._heap, item)
        # A timer and not asyncio.timeout: a third of the cost, and nothing to unwind.
        timer = loop.call_later(timeout_s, _time_out, reached)
        try:
            return await reached
        finally:
            timer.cancel()
            if reached.cancelled() or not reached.result():
                self._remove(item)

    def advance(self, revision: Revision) -> None:
        """Release all who wait for `revision` or an earlier one."""
        heap = self._heap
        while heap and heap[0][0] <= revision:
            reached = heappop(heap)[2]
            if not reached.done():
                reached.set_result(True)

    def _remove(self, item: tuple[Revision, int, asyncio.Future[bool]]) -> None:
        # Linear, but only for those who gave up; one for a far revision would stay for ever.
        if item in self._heap:
            self._heap.remove(item)
            heapify(self._heap)


def _time_out(reached: asyncio.Future[bool]) -> None:
    if not reached.done():
        reached.set_result(False)
