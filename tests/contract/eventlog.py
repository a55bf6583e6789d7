"""What every EventLog promises. A subclass says how to open one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing

import pytest

from shared.eventlog import Bounds, Entry, Event, EventLog, EventLogClosed, Hole, Previous, Trimmed
from shared.objects import NO_SELECTION, Selection, to_body
from shared.storage import Revision

PATIENCE_S = 10


def event(revision: int, *, size: int = 10) -> Event:
    """A creation at `revision`."""
    stored = b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"%b"}}' % (b"x" * size)
    prefix, body = to_body(stored, Revision(revision))
    key = b"/registry/configmaps/default/c%d" % revision
    return Event("ADDED", key, Revision(revision), prefix, body, NO_SELECTION)


def entry(previous: int, revision: int, *, size: int = 10) -> Entry:
    """An entry with an event for each revision after `previous` up to `revision`."""
    events = tuple(event(number, size=size) for number in range(previous + 1, revision + 1))
    return Entry(Revision(previous), Revision(revision), events)


async def take(log: EventLog, count: int, *, after: int) -> list[Entry]:
    """Read the first `count` entries after `after`."""
    taken: list[Entry] = []
    async with asyncio.timeout(PATIENCE_S), aclosing(log.read(after=Revision(after))) as entries:
        async for item in entries:
            taken.append(item)
            if len(taken) == count:
                break
    return taken


class EventLogContract:
    """Collected through its subclasses, which provide `open_log`."""

    def open_log(self, *, limit_bytes: int | None = None) -> AbstractAsyncContextManager[EventLog]:
        raise NotImplementedError

    def run(
        self, test: Callable[[EventLog], Awaitable[None]], *, limit_bytes: int | None = None
    ) -> None:
        async def opened() -> None:
            async with self.open_log(limit_bytes=limit_bytes) as log:
                await test(log)

        asyncio.run(opened())

    def test_entries_come_back_in_order_and_unchanged(self) -> None:
        async def test(log: EventLog) -> None:
            before = Previous(b"p", b"b", Selection({"a": "0"}, {"status.phase": "Pending"}))
            changed = Event(
                "MODIFIED",
                b"/registry/pods/a/b",
                Revision(9),
                b"prefix",
                b"body\xff\x00",
                Selection({"a": "1"}, {"status.phase": "Running"}),
                before,
            )
            gone = Event("DELETED", b"/registry/pods/a/c", Revision(9), b"p", b"b", NO_SELECTION)
            written = [
                entry(3, 5),
                entry(5, 6),
                Entry(Revision(6), Revision(9), (changed, gone)),
                Entry(Revision(9), Revision(12)),
            ]
            for item in written:
                assert await log.append(item)
            assert await take(log, 4, after=3) == written

        self.run(test)

    def test_an_entry_that_is_not_newer_than_the_last_is_refused(self) -> None:
        async def test(log: EventLog) -> None:
            assert await log.append(entry(0, 5))
            assert not await log.append(entry(0, 5))
            assert not await log.append(entry(3, 4))
            assert await take(log, 1, after=0) == [entry(0, 5)]
            assert await log.bounds() == Bounds(Revision(0), Revision(5))

        self.run(test)

    def test_two_leaders_that_append_the_same_ranges_leave_every_event_readable(self) -> None:
        async def test(log: EventLog) -> None:
            for item in (entry(0, 3), entry(0, 2), entry(2, 5), entry(3, 4), entry(3, 7)):
                await log.append(item)
            seen = 0
            for item in await take(log, 3, after=0):
                assert item.previous <= seen
                fresh = [change.revision for change in item.events if change.revision > seen]
                assert fresh == list(range(seen + 1, item.revision + 1))
                seen = item.revision
            assert seen == 7

        self.run(test)

    def test_a_reader_resumes_from_any_revision_that_is_kept(self) -> None:
        async def test(log: EventLog) -> None:
            written = [entry(0, 2), entry(2, 3), entry(3, 6)]
            for item in written:
                await log.append(item)
            for after in range(6):
                expected = [item for item in written if item.revision > after]
                assert await take(log, len(expected), after=after) == expected

        self.run(test)

    def test_a_reader_waits_for_the_next_entry(self) -> None:
        async def test(log: EventLog) -> None:
            await log.append(entry(0, 2))
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(take(log, 2, after=2))
                await asyncio.sleep(0)
                await log.append(entry(2, 3))
                await asyncio.sleep(0)
                await log.append(entry(3, 4))
            assert reading.result() == [entry(2, 3), entry(3, 4)]

        self.run(test)

    def test_a_reader_of_an_empty_log_waits_for_the_first_entry(self) -> None:
        async def test(log: EventLog) -> None:
            assert await log.bounds() is None
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(take(log, 1, after=7))
                await asyncio.sleep(0)
                await log.append(entry(7, 8))
            assert reading.result() == [entry(7, 8)]

        self.run(test)

    def test_a_reader_ahead_of_the_log_gets_what_is_newer(self) -> None:
        async def test(log: EventLog) -> None:
            await log.append(entry(0, 2))
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(take(log, 1, after=5))
                await asyncio.sleep(0)
                await log.append(entry(2, 4))
                await log.append(entry(4, 7))
            assert reading.result() == [entry(4, 7)]

        self.run(test)

    def test_a_hole_is_told_and_not_skipped(self) -> None:
        async def test(log: EventLog) -> None:
            await log.append(entry(0, 2))
            await log.append(entry(4, 5))
            with pytest.raises(Hole) as caught:
                await take(log, 2, after=0)
            assert (caught.value.after, caught.value.previous) == (2, 4)
            assert await take(log, 1, after=4) == [entry(4, 5)]

        self.run(test)

    def test_a_reader_of_what_was_before_the_log_is_told_so(self) -> None:
        async def test(log: EventLog) -> None:
            await log.append(entry(5, 6))
            with pytest.raises(Trimmed):
                await take(log, 1, after=4)

        self.run(test)

    def test_the_log_stays_within_its_bound_and_says_what_it_holds(self) -> None:
        async def test(log: EventLog) -> None:
            for number in range(200):
                await log.append(entry(number, number + 1, size=2_000))
            bounds = await log.bounds()
            assert bounds is not None
            assert bounds.newest == 200
            assert 0 < bounds.oldest < 200
            assert (await take(log, 1, after=bounds.oldest))[0].previous <= bounds.oldest
            with pytest.raises(Trimmed):
                await take(log, 1, after=0)

        self.run(test, limit_bytes=50_000)

    def test_a_reader_that_falls_behind_what_is_kept_is_told_so(self) -> None:
        async def test(log: EventLog) -> None:
            await log.append(entry(0, 1))
            async with aclosing(log.read(after=Revision(0))) as entries:
                assert await anext(entries) == entry(0, 1)
                for number in range(1, 200):
                    await log.append(entry(number, number + 1, size=2_000))
                with pytest.raises(Trimmed):
                    await _read_all(entries)

        self.run(test, limit_bytes=50_000)

    def test_readers_do_not_disturb_each_other(self) -> None:
        async def test(log: EventLog) -> None:
            written = [entry(number, number + 1) for number in range(20)]
            async with asyncio.TaskGroup() as tasks:
                readings = [tasks.create_task(take(log, 20, after=0)) for _ in range(5)]
                late = tasks.create_task(take(log, 5, after=15))
                await asyncio.sleep(0)
                for item in written:
                    await log.append(item)
            assert all(reading.result() == written for reading in readings)
            assert late.result() == written[15:]

        self.run(test)

    def test_a_cancelled_reader_leaves_the_log_as_it_was(self) -> None:
        async def test(log: EventLog) -> None:
            reading = asyncio.create_task(take(log, 1, after=0))
            await asyncio.sleep(0)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            await log.append(entry(0, 1))
            assert await take(log, 1, after=0) == [entry(0, 1)]

        self.run(test)

    def test_closing_ends_the_readers(self) -> None:
        async def test(log: EventLog) -> None:
            reading = asyncio.create_task(take(log, 1, after=0))
            await asyncio.sleep(0)
            await log.aclose()
            with pytest.raises(EventLogClosed):
                await reading

        self.run(test)


async def _read_all(entries: AsyncIterator[Entry]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        async for _ in entries:
            pass
