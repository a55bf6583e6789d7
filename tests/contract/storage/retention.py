"""What is not kept for ever: history up to a compaction, keys with a TTL."""

from __future__ import annotations

import pytest

from shared.storage import Change, Compacted, FutureRevision, KeyValue, Page, Revision, Storage
from tests.contract.storage.stories import Run, collect, watching


class RetentionContract:
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
