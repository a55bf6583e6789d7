"""What every Storage promises; each implementation's test file says only how to open one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from itertools import chain
from typing import Any, cast

import pytest

from shared.storage import (
    Change,
    ChangeBatch,
    Compacted,
    FutureRevision,
    KeyExists,
    KeyValue,
    Page,
    Revision,
    RevisionConflict,
    Storage,
    StorageUnavailable,
)

Story = Callable[[Storage], Awaitable[None]]
Run = Callable[[Story], None]


def watching(storage: Storage, prefix: bytes, after: Revision) -> Any:
    """Watch for the length of an `async with`."""
    watch = storage.watch(prefix, after=after)
    return aclosing(cast("Any", watch))


async def collect(watch: AsyncIterator[ChangeBatch], count: int) -> list[Change]:
    """Return the next changes, `count` or more of them if the last batch holds more."""
    changes: list[Change] = []
    while len(changes) < count:
        batch = await anext(watch)
        changes += batch.changes
        assert all(change.revision <= batch.revision for change in batch.changes)
    return changes


class StorageContract:
    """Collected through its subclasses, whose fixture `run` gives a story a store of its own."""

    # --- guarded writes -------------------------------------------------------------------

    def test_a_created_key_is_read_back_with_the_revision_of_its_creation(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            revision = await storage.create(b"/pods/a", b"v1")
            assert await storage.get(b"/pods/a") == KeyValue(b"/pods/a", b"v1", revision)

        run(story)

    def test_a_create_of_a_taken_key_shows_what_is_there(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            revision = await storage.create(b"/pods/a", b"v1")
            with pytest.raises(KeyExists) as refusal:
                await storage.create(b"/pods/a", b"v2")
            assert refusal.value.current == KeyValue(b"/pods/a", b"v1", revision)

        run(story)

    def test_an_update_replaces_the_value_it_was_based_on(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            created = await storage.create(b"/pods/a", b"v1")
            updated = await storage.update(b"/pods/a", b"v2", expected=created)
            assert updated > created
            assert await storage.get(b"/pods/a") == KeyValue(b"/pods/a", b"v2", updated)

        run(story)

    def test_a_stale_update_is_a_conflict_that_shows_what_is_there(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            created = await storage.create(b"/pods/a", b"v1")
            updated = await storage.update(b"/pods/a", b"v2", expected=created)
            with pytest.raises(RevisionConflict) as conflict:
                await storage.update(b"/pods/a", b"v3", expected=created)
            assert conflict.value.expected == created
            assert conflict.value.current == KeyValue(b"/pods/a", b"v2", updated)

        run(story)

    def test_a_stale_delete_is_a_conflict_that_shows_what_is_there(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            created = await storage.create(b"/pods/a", b"v1")
            updated = await storage.update(b"/pods/a", b"v2", expected=created)
            with pytest.raises(RevisionConflict) as conflict:
                await storage.delete(b"/pods/a", expected=created)
            assert conflict.value.current == KeyValue(b"/pods/a", b"v2", updated)
            assert await storage.get(b"/pods/a") is not None

        run(story)

    @pytest.mark.parametrize("expected", [0, 1, 2])
    def test_changing_a_key_that_is_not_there_is_a_conflict_with_nothing(
        self, run: Run, expected: int
    ) -> None:
        async def story(storage: Storage) -> None:
            with pytest.raises(RevisionConflict) as conflict:
                await storage.update(b"/pods/a", b"v", expected=Revision(expected))
            assert conflict.value.current is None
            with pytest.raises(RevisionConflict) as conflict:
                await storage.delete(b"/pods/a", expected=Revision(expected))
            assert conflict.value.current is None

        run(story)

    def test_a_deleted_key_is_gone_and_can_be_created_again(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            created = await storage.create(b"/pods/a", b"v1")
            deleted = await storage.delete(b"/pods/a", expected=created)
            assert await storage.get(b"/pods/a") is None
            again = await storage.create(b"/pods/a", b"v2")
            assert created < deleted < again

        run(story)

    def test_of_writers_that_read_one_revision_exactly_one_wins(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            read_at = await storage.create(b"/pods/a", b"v0")
            values = [b"v%d" % number for number in range(1, 20)]
            writes = [storage.update(b"/pods/a", value, expected=read_at) for value in values]
            results = await asyncio.gather(*writes, return_exceptions=True)
            won = [
                value
                for value, result in zip(values, results, strict=True)
                if isinstance(result, int)
            ]
            lost = [result for result in results if isinstance(result, RevisionConflict)]
            found = await storage.get(b"/pods/a")
            assert found is not None
            assert won == [found.value]
            assert len(lost) == len(values) - 1
            assert {conflict.current for conflict in lost} == {found}

        run(story)

    def test_every_write_gets_a_revision_of_its_own(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            before = await storage.current_revision()
            writes = [storage.create(b"/pods/%d" % number, b"v") for number in range(50)]
            revisions = await asyncio.gather(*writes)
            assert sorted(revisions) == list(range(before + 1, before + 51))

        run(story)

    def test_a_refused_write_takes_no_revision(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            revision = await storage.create(b"/pods/a", b"v")
            with pytest.raises(KeyExists):
                await storage.create(b"/pods/a", b"v")
            assert await storage.current_revision() == revision

        run(story)

    def test_the_current_revision_counts_every_acknowledged_write(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            async def write(number: int) -> None:
                revision = await storage.create(b"/pods/%d" % number, b"v")
                assert await storage.current_revision() >= revision

            await asyncio.gather(*(write(number) for number in range(30)))

        run(story)

    def test_a_binary_value_of_2_mb_survives(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            value = random.Random(1).randbytes(2 << 20)
            after = await storage.current_revision()
            await storage.create(b"/blobs/\x00\xff", value)
            found = await storage.get(b"/blobs/\x00\xff")
            assert found is not None
            assert found.value == value
            async with watching(storage, b"/blobs/", after) as watch:
                (change,) = await collect(watch, 1)
            assert change.value == value

        run(story)

    def test_an_empty_value_is_a_value(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            revision = await storage.create(b"/pods/a", b"")
            assert await storage.get(b"/pods/a") == KeyValue(b"/pods/a", b"", revision)
            async with watching(storage, b"/pods/", Revision(revision - 1)) as watch:
                assert await collect(watch, 1) == [Change(b"/pods/a", b"", revision, None)]

        run(story)

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

    # --- reads ----------------------------------------------------------------------------

    def test_a_get_at_a_revision_shows_the_state_of_then(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            before = await storage.create(b"/other", b"")
            created = await storage.create(b"/pods/a", b"v1")
            updated = await storage.update(b"/pods/a", b"v2", expected=created)
            deleted = await storage.delete(b"/pods/a", expected=updated)
            assert await storage.get(b"/pods/a", revision=before) is None
            first = KeyValue(b"/pods/a", b"v1", created)
            assert await storage.get(b"/pods/a", revision=created) == first
            second = KeyValue(b"/pods/a", b"v2", updated)
            assert await storage.get(b"/pods/a", revision=updated) == second
            assert await storage.get(b"/pods/a", revision=deleted) is None

        run(story)

    def test_a_read_at_a_revision_not_reached_says_where_the_store_is(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            current = await storage.create(b"/pods/a", b"v")
            future = Revision(current + 1)
            with pytest.raises(FutureRevision) as refusal:
                await storage.get(b"/pods/a", revision=future)
            assert (refusal.value.revision, refusal.value.current) == (future, current)
            with pytest.raises(FutureRevision) as refusal:
                await storage.list(b"/pods/", revision=future)
            assert (refusal.value.revision, refusal.value.current) == (future, current)

        run(story)

    def test_a_list_is_in_byte_order_and_complete(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            names = [
                b"b",
                b"a",
                b"a/b",
                b"a-b",
                b"a.b",
                b"B",
                b"\xc3\xa9",
                b"\xff",
                b"\x00",
                b"10",
                b"9",
            ]
            for name in names:
                revision = await storage.create(b"/pods/" + name, b"v" + name)
            page = await storage.list(b"/pods/")
            assert [item.key for item in page.items] == sorted(b"/pods/" + name for name in names)
            assert [item.value for item in page.items] == [b"v" + name for name in sorted(names)]
            assert page.revision == revision
            assert page.remaining == 0

        run(story)

    @pytest.mark.parametrize(
        ("prefix", "found"),
        [
            (b"/registry/pods/a/", [b"/registry/pods/a/1", b"/registry/pods/a/2"]),
            (b"/registry/pods/ab/", [b"/registry/pods/ab/1"]),
            (
                b"/registry/pods/a",
                [b"/registry/pods/a/1", b"/registry/pods/a/2", b"/registry/pods/ab/1"],
            ),
            (b"/registry/pods/a/1", [b"/registry/pods/a/1"]),
            (b"/registry/pods/b/", []),
            (b"/x\xff\xff", [b"/x\xff\xff", b"/x\xff\xff\xff"]),
            (b"\xff", [b"\xff\xff"]),
        ],
    )
    def test_a_prefix_selects_its_keys_and_no_neighbours(
        self, run: Run, prefix: bytes, found: list[bytes]
    ) -> None:
        async def story(storage: Storage) -> None:
            after = await storage.current_revision()
            keys = [
                b"/registry/pods/a/1",
                b"/registry/pods/a/2",
                b"/registry/pods/ab/1",
                b"/registry/pods/c/1",
                b"/registry/podsx",
                b"/x\xff",
                b"/x\xff\xff",
                b"/x\xff\xff\xff",
                b"/y",
                b"\xff\xff",
            ]
            for key in keys:
                await storage.create(key, b"v")
            assert [item.key for item in (await storage.list(prefix)).items] == found
            async with watching(storage, prefix, after) as watch:
                assert [change.key for change in await collect(watch, len(found))] == found

        run(story)

    def test_the_empty_prefix_selects_everything(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            after = await storage.current_revision()
            keys = [b"\x01", b"/a", b"\xff\xff\xff"]
            for key in keys:
                await storage.create(key, b"v")
            assert [item.key for item in (await storage.list(b"")).items] == sorted(keys)
            async with watching(storage, b"", after) as watch:
                assert [change.key for change in await collect(watch, 3)] == keys

        run(story)

    @pytest.mark.parametrize(
        ("start", "limit", "found", "remaining"),
        [
            (None, 0, b"abcde", 0),
            (None, 2, b"ab", 3),
            (None, 5, b"abcde", 0),
            (None, 9, b"abcde", 0),
            (b"/pods/b", 2, b"bc", 2),
            (b"/pods/b\0", 2, b"cd", 1),
            (b"/pods/d", 0, b"de", 0),
            (b"/pods/x", 2, b"", 0),
            (b"/a", 2, b"ab", 3),
            (b"/z", 2, b"", 0),
        ],
    )
    def test_a_page_has_the_keys_from_its_start_and_counts_those_behind(
        self, run: Run, start: bytes | None, limit: int, found: bytes, remaining: int
    ) -> None:
        async def story(storage: Storage) -> None:
            for name in b"cabed":
                await storage.create(b"/pods/%c" % name, b"v")
            await storage.create(b"/pods2/a", b"v")
            gone = await storage.create(b"/pods/c2", b"v")
            await storage.delete(b"/pods/c2", expected=gone)
            page = await storage.list(b"/pods/", start=start, limit=limit)
            assert [item.key for item in page.items] == [b"/pods/%c" % name for name in found]
            assert page.remaining == remaining

        run(story)

    def test_pages_at_a_revision_join_to_its_state_although_writes_go_on(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            for number in range(100):
                await storage.create(b"/pods/%03d" % number, b"v1")
            expected = await storage.list(b"/pods/")
            writing = asyncio.create_task(churn(storage))
            first = await storage.list(b"/pods/", limit=7, revision=expected.revision)
            items, page = list(first.items), first
            while page.remaining:
                assert page.remaining == 100 - len(items)
                start = items[-1].key + b"\0"
                page = await storage.list(
                    b"/pods/", start=start, limit=7, revision=expected.revision
                )
                assert page.revision == expected.revision
                items += page.items
            await writing
            assert items == list(expected.items)
            again = await storage.list(b"/pods/", revision=expected.revision)
            assert again == expected

        async def churn(storage: Storage) -> None:
            for item in (await storage.list(b"/pods/")).items[::2]:
                updated = await storage.update(item.key, b"v2", expected=item.revision)
                await storage.delete(item.key, expected=updated)
                await storage.create(item.key + b"x", b"v")

        run(story)

    def test_a_long_list_is_of_one_revision_although_writes_go_on(self, run: Run) -> None:
        """All keys hold the same round's value, or the round before's up to one point."""

        async def story(storage: Storage) -> None:
            creations = [storage.create(b"/pods/%04d" % number, b"0") for number in range(1000)]
            revisions = list(await asyncio.gather(*creations))
            writing = asyncio.create_task(rounds(storage, revisions))
            for _ in range(5):
                page = await storage.list(b"/pods/")
                values = [item.value for item in page.items]
                assert len(values) == 1000
                newest = max(item.revision for item in page.items)
                assert newest <= page.revision
                assert values == sorted(values, reverse=True)
            await writing

        async def rounds(storage: Storage, revisions: list[Revision]) -> None:
            for number, revision in enumerate(revisions[:300]):
                await storage.update(b"/pods/%04d" % number, b"1", expected=revision)

        run(story)

    # --- watches --------------------------------------------------------------------------

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

    # --- compaction -----------------------------------------------------------------------

    def test_a_compacted_revision_is_refused_everywhere(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            created = await storage.create(b"/pods/a", b"v1")
            updated = await storage.update(b"/pods/a", b"v2", expected=created)
            await storage.compact(updated)
            with pytest.raises(Compacted) as refusal:
                await storage.get(b"/pods/a", revision=created)
            assert (refusal.value.revision, refusal.value.oldest) == (created, updated)
            with pytest.raises(Compacted) as refusal:
                await storage.list(b"/pods/", revision=created)
            assert (refusal.value.revision, refusal.value.oldest) == (created, updated)
            async with watching(storage, b"/pods/", created) as watch:
                with pytest.raises(Compacted) as refusal:
                    await anext(watch)
            assert (refusal.value.revision, refusal.value.oldest) == (created, updated)

        run(story)

    def test_the_compacted_revision_itself_stays_readable_and_watchable(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            old = await storage.create(b"/pods/old", b"v1")
            kept = await storage.create(b"/pods/kept", b"v1")
            kept = await storage.update(b"/pods/kept", b"v2", expected=kept)
            at = await storage.delete(b"/pods/old", expected=old)
            later = await storage.update(b"/pods/kept", b"v3", expected=kept)
            await storage.compact(at)
            then = KeyValue(b"/pods/kept", b"v2", kept)
            assert await storage.list(b"/pods/", revision=at) == Page([then], at, 0)
            async with watching(storage, b"/pods/", at) as watch:
                assert await collect(watch, 1) == [Change(b"/pods/kept", b"v3", later, then)]

        run(story)

    def test_compacting_what_is_gone_or_to_come_is_refused(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            await storage.create(b"/pods/a", b"v")
            current = await storage.create(b"/pods/b", b"v")
            await storage.compact(current)
            for gone in (Revision(current - 1), current):
                with pytest.raises(Compacted):
                    await storage.compact(gone)
            with pytest.raises(FutureRevision):
                await storage.compact(Revision(current + 1))

        run(story)

    def test_compaction_changes_neither_the_state_nor_the_revision(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            for number in range(20):
                revision = await storage.create(b"/pods/%d" % number, b"v")
                if number % 2:
                    revision = await storage.delete(b"/pods/%d" % number, expected=revision)
            before = await storage.list(b"/pods/")
            await storage.compact(revision)
            assert await storage.list(b"/pods/") == before
            assert await storage.current_revision() == revision
            assert await storage.create(b"/pods/1", b"v") == revision + 1

        run(story)

    def test_an_open_watch_outlives_a_compaction(self, run: Run) -> None:
        async def story(storage: Storage) -> None:
            after = await storage.current_revision()
            async with watching(storage, b"/pods/", after) as watch:
                await storage.create(b"/pods/a", b"v")
                assert len(await collect(watch, 1)) == 1
                await storage.compact(await storage.current_revision())
                await storage.create(b"/pods/b", b"v")
                assert [change.key for change in await collect(watch, 1)] == [b"/pods/b"]

        run(story)

    # --- expiry ---------------------------------------------------------------------------

    def test_a_key_with_a_ttl_ends_as_a_deletion_that_watches_see(self, run: Run) -> None:
        """An update decides anew: without a TTL the key lives on, with one it starts again."""

        async def story(storage: Storage) -> None:
            after = await storage.current_revision()
            lasting = await storage.create(b"/events/lasting", b"v", ttl_s=1)
            renewed = await storage.create(b"/events/renewed", b"v", ttl_s=1)
            lasting = await storage.update(b"/events/lasting", b"v", expected=lasting)
            renewed = await storage.update(b"/events/renewed", b"v", expected=renewed, ttl_s=60)
            created = await storage.create(b"/events/expiring", b"v", ttl_s=1)
            async with watching(storage, b"/events/", after) as watch:
                *_, deletion = await collect(watch, 6)
            assert deletion == Change(
                b"/events/expiring",
                None,
                Revision(created + 1),
                KeyValue(b"/events/expiring", b"v", created),
            )
            assert await storage.get(b"/events/expiring") is None
            page = await storage.list(b"/events/")
            assert [item.revision for item in page.items] == [lasting, renewed]

        run(story)

    # --- closing --------------------------------------------------------------------------

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
