"""A caller that is cancelled and a store that is closed leave nothing half done."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from shared.storage import Storage, StorageUnavailable
from tests.contract.storage.stories import Run, collect, watching


class InterruptionContract:
    def test_a_cancelled_write_happens_or_not_but_breaks_nothing(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            tasks = [
                asyncio.create_task(storage.create(b"/pods/%d" % number, b"v"))
                for number in range(20)
            ]
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            await asyncio.wait(tasks)
            acknowledged = [task.result() for task in tasks[1::2]]
            page = await storage.list(b"/pods/")
            assert set(acknowledged) <= {item.revision for item in page.items}
            assert await storage.create(b"/other", b"v") > page.revision

        run(story)

    def test_a_watch_that_is_closed_or_cancelled_leaves_the_store_working(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            after = await storage.current_revision()
            watch = cast("Any", storage.watch(b"/pods/", after=after))
            waiting = asyncio.create_task(anext(watch))
            await asyncio.sleep(0.02)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await watch.aclose()
            await storage.create(b"/pods/a", b"v")
            async with watching(storage, b"/pods/", after) as watch:
                assert len(await collect(watch, 1)) == 1

        run(story)

    def test_a_closed_store_is_unavailable_and_its_watches_have_ended(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            after = await storage.current_revision()
            watch = storage.watch(b"/pods/", after=after)
            waiting = asyncio.create_task(anext(watch, None))
            await asyncio.sleep(0.05)
            await storage.aclose()
            assert await waiting is None
            with pytest.raises(StorageUnavailable):
                await storage.get(b"/pods/a")
            with pytest.raises(StorageUnavailable):
                await storage.create(b"/pods/a", b"v")
            with pytest.raises(StorageUnavailable):
                await storage.current_revision()
            await storage.aclose()

        run(story)
