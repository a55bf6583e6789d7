"""A watch tells every change once and in order, from any revision on."""

from __future__ import annotations

import asyncio
from itertools import chain

from shared.storage import Change, KeyValue, Revision, Storage
from tests.contract.storage.stories import Run, collect, watching


class WatchContract:
    def test_a_watch_tells_creation_update_and_deletion_with_what_was_before(
        self, run: Run
    ) -> None:
        async def story(storage: Storage) -> None:
            after = await storage.current_revision()
            async with watching(storage, b"/pods/", after) as watch:
                created = await storage.create(b"/pods/a", b"v1")
                updated = await storage.update(b"/pods/a", b"v2", expected=created)
                deleted = await storage.delete(b"/pods/a", expected=updated)
                expected = [
                    Change(b"/pods/a", b"v1", created, None),
                    Change(b"/pods/a", b"v2", updated, KeyValue(b"/pods/a", b"v1", created)),
                    Change(b"/pods/a", None, deleted, KeyValue(b"/pods/a", b"v2", updated)),
                ]
                assert await collect(watch, 3) == expected
            async with watching(storage, b"/pods/", after) as watch:
                assert await collect(watch, 3) == expected, "the same from the history"

        run(story)

    def test_an_open_watch_follows_what_is_written_later(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            after = await storage.current_revision()
            async with watching(storage, b"/pods/", after) as watch:
                waiting = asyncio.create_task(collect(watch, 1))
                await asyncio.sleep(0.05)
                assert not waiting.done()
                created = await storage.create(b"/pods/a", b"v")
                assert await waiting == [Change(b"/pods/a", b"v", created, None)]

        run(story)

    def test_a_watch_leaves_out_what_happened_up_to_its_start(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            await storage.create(b"/pods/a", b"v")
            after = await storage.create(b"/pods/b", b"v")
            await storage.create(b"/pods/c", b"v")
            async with watching(storage, b"/pods/", after) as watch:
                assert [change.key for change in await collect(watch, 1)] == [b"/pods/c"]

        run(story)

    def test_watches_from_any_revision_see_every_change_once_in_order(self, run: Run) -> None:
        """Writers go on while the watches start, so history and live changes meet."""

        async def story(storage: Storage) -> None:
            start = await storage.current_revision()
            writers = [asyncio.create_task(write(storage, number)) for number in range(6)]
            watches = []
            for _ in range(5):
                await asyncio.sleep(0.01)
                watches.append(asyncio.create_task(follow(storage, start)))
                after = await storage.current_revision()
                watches.append(asyncio.create_task(follow(storage, after)))
            written = sorted(chain.from_iterable(await asyncio.gather(*writers)))
            await storage.create(b"/pods/end", b"")
            for watch in watches:
                after, seen = await watch
                assert seen == [change for change in written if change[0] > after]

        async def write(storage: Storage, writer: int) -> list[tuple[int, bytes, bytes | None]]:
            written: list[tuple[int, bytes, bytes | None]] = []
            for number in range(15):
                key, value = b"/pods/%d-%d" % (writer, number % 3), b"%d" % number
                created = await storage.create(key, value)
                updated = await storage.update(key, value * 2, expected=created)
                deleted = await storage.delete(key, expected=updated)
                written += [(created, key, value), (updated, key, value * 2), (deleted, key, None)]
            return written

        async def follow(
            storage: Storage, after: Revision
        ) -> tuple[Revision, list[tuple[int, bytes, bytes | None]]]:
            seen: list[tuple[int, bytes, bytes | None]] = []
            position = after
            async with watching(storage, b"/pods/", after) as watch:
                async for batch in watch:
                    assert batch.revision > position
                    assert all(position < change.revision for change in batch.changes)
                    position = batch.revision
                    seen += [
                        (change.revision, change.key, change.value) for change in batch.changes
                    ]
                    if batch.changes and batch.changes[-1].key == b"/pods/end":
                        return after, seen[:-1]
            raise AssertionError("the watch ended")

        run(story)

    def test_a_watch_resumes_behind_any_batch(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            position = after = await storage.current_revision()
            writing = asyncio.create_task(write(storage))
            keys: list[bytes] = []
            while len(keys) < 200:
                async with watching(storage, b"/pods/", position) as watch:
                    batch = await anext(watch)
                assert batch.revision > position
                position = batch.revision
                keys += [change.key for change in batch.changes]
            await writing
            assert keys == [b"/pods/%d" % number for number in range(200)]
            assert position >= after + 200

        async def write(storage: Storage) -> None:
            for number in range(200):
                await storage.create(b"/pods/%d" % number, b"v")

        run(story)

    def test_a_watch_behind_a_revision_to_come_waits_for_it(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            after = Revision(await storage.current_revision() + 2)
            async with watching(storage, b"/pods/", after) as watch:
                waiting = asyncio.create_task(collect(watch, 1))
                for name in b"abc":
                    await storage.create(b"/pods/%c" % name, b"v")
                assert [change.key for change in await waiting] == [b"/pods/c"]

        run(story)
