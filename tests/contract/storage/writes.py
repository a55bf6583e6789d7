"""A write is guarded by what it is based on, and gets a revision of its own."""

from __future__ import annotations

import asyncio
import random

import pytest

from shared.storage import Change, KeyExists, KeyValue, Revision, RevisionConflict, Storage
from tests.contract.storage.stories import Run, collect, watching


class WriteContract:
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
