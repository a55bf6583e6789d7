"""A read shows the state of one revision: single keys, lists, pages."""

from __future__ import annotations

import asyncio

import pytest

from shared.storage import FutureRevision, KeyValue, Revision, Storage
from tests.contract.storage.stories import Run, collect, watching


class ReadContract:
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
