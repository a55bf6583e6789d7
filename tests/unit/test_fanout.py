"""From the store to the log: events with what selecting needs, and the state at a revision."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.eventlog import Entry, Event, MemoryEventLog
from shared.fanout import Follower, HistoryLost, load_snapshot
from shared.fanout.rules import DefinitionRules
from shared.fanout.translate import Translator
from shared.objects import ExtractionRule, Extractor, ProtobufValue
from shared.storage import Change, ChangeBatch, Compacted, KeyValue, Revision
from shared.storage.sqlite import SqliteStorage

PREFIX = b"/registry/"
RULES = [ExtractionRule(b"/registry/pods/", {"status.phase": (("status", "phase"), "")})]
PATIENCE_S = 10


def pod(
    name: str, *, phase: str = "", labels: dict[str, str] | None = None, data: str = ""
) -> bytes:
    metadata: dict[str, Any] = {"name": name, "namespace": "default"}
    if labels:
        metadata["labels"] = labels
    return orjson.dumps(
        {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": metadata,
            "spec": {"data": data},
            "status": {"phase": phase},
        }
    )


def key(name: str) -> bytes:
    return b"/registry/pods/default/" + name.encode()


class Following:
    """A store, a follower from its beginning on, and the log it writes."""

    def __init__(self, storage: SqliteStorage, log: MemoryEventLog, follower: Follower) -> None:
        self.storage = storage
        self.log = log
        self.follower = follower

    async def events(self) -> list[Event]:
        """All events up to the store's present revision."""
        revision = await self.storage.current_revision()
        events: list[Event] = []
        async with asyncio.timeout(PATIENCE_S), aclosing(self.log.read(after=Revision(0))) as log:
            async for entry in log:
                events.extend(entry.events)
                if entry.revision >= revision:
                    break
        return events


def follow(
    path: Path, test: Callable[[Following], Coroutine[Any, Any, None]], **options: int
) -> None:
    async def run() -> None:
        storage = SqliteStorage.open(path / "store.db")
        log = MemoryEventLog()
        follower = Follower(storage, log, Extractor(RULES), etcd_prefix="/registry", **options)
        start = await storage.current_revision()
        await log.append(Entry(Revision(0), start))
        try:
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(follower.run(after=start))
                await test(Following(storage, log, follower))
                running.cancel()
        finally:
            await storage.aclose()

    asyncio.run(run())


def test_every_write_becomes_an_event_in_wire_form(tmp_path: Path) -> None:
    async def test(following: Following) -> None:
        storage = following.storage
        created = await storage.create(key("a"), pod("a"))
        updated = await storage.update(key("a"), pod("a", data="x"), expected=created)
        deleted = await storage.delete(key("a"), expected=updated)
        events = await following.events()
        assert [(event.type, event.revision) for event in events] == [
            ("ADDED", created),
            ("MODIFIED", updated),
            ("DELETED", deleted),
        ]
        for event in events:
            value = orjson.loads(event.prefix + event.body)
            assert value["metadata"]["resourceVersion"] == str(event.revision)
        assert orjson.loads(events[2].prefix + events[2].body)["spec"] == {"data": "x"}

    follow(tmp_path, test)


def test_only_a_change_of_labels_or_fields_carries_the_state_before(tmp_path: Path) -> None:
    async def test(following: Following) -> None:
        storage = following.storage
        at = await storage.create(key("a"), pod("a", phase="Pending"))
        at = await storage.update(key("a"), pod("a", phase="Pending", data="x"), expected=at)
        at = await storage.update(key("a"), pod("a", phase="Running", data="y"), expected=at)
        labels = {"app": "web"}
        value = pod("a", phase="Running", data="z", labels=labels)
        at = await storage.update(key("a"), value, expected=at)
        _, plain, phase, labelled = await following.events()
        assert plain.previous is None
        assert phase.previous is not None
        assert phase.previous.selection.fields == {"status.phase": "Pending"}
        assert phase.selection.fields == {"status.phase": "Running"}
        before = orjson.loads(phase.previous.prefix + phase.previous.body)
        assert before["metadata"]["resourceVersion"] == str(phase.revision)
        assert before["spec"] == {"data": "x"}
        assert labelled.previous is not None
        assert labelled.previous.selection.labels == {}
        assert labelled.selection.labels == labels

    follow(tmp_path, test)


def test_an_object_not_seen_before_is_compared_with_its_stored_state(tmp_path: Path) -> None:
    async def test(following: Following) -> None:
        storage = following.storage
        at = await storage.create(key("a"), pod("a", phase="Pending"))
        await storage.update(key("a"), pod("a", phase="Running"), expected=at)
        await following.events()
        late = MemoryEventLog()
        follower = Follower(storage, late, Extractor(RULES), etcd_prefix="/registry")
        running = asyncio.create_task(follower.run(after=at))
        async with aclosing(late.read(after=at)) as entries:
            (event,) = (await anext(entries)).events
        running.cancel()
        assert event.previous is not None
        assert event.previous.selection.fields == {"status.phase": "Pending"}

    follow(tmp_path, test)


def test_values_that_are_no_objects_are_passed_over_and_counted(tmp_path: Path) -> None:
    async def test(following: Following) -> None:
        storage = following.storage
        await storage.create(b"/registry/ranges/x", b"\x00\x01")
        at = await storage.create(key("a"), b"{broken")
        at = await storage.update(key("a"), pod("a"), expected=at)
        at = await storage.update(key("a"), b"[]", expected=at)
        await storage.delete(key("a"), expected=at)
        events = await following.events()
        assert [event.type for event in events] == ["ADDED", "DELETED"]
        assert following.follower.skipped == 3

    follow(tmp_path, test)


def test_entries_follow_each_other_without_holes_within_their_size(tmp_path: Path) -> None:
    async def test(following: Following) -> None:
        await asyncio.gather(
            *(
                following.storage.create(key(f"p{n}"), pod(f"p{n}", data="x" * 500))
                for n in range(50)
            )
        )
        assert len(await following.events()) == 50
        seen = Revision(0)
        async with aclosing(following.log.read(after=Revision(0))) as entries:
            async for entry in entries:
                assert entry.previous == seen
                assert entry.size_bytes < 3_000
                seen = entry.revision
                if seen == await following.storage.current_revision():
                    break

    follow(tmp_path, test, entry_limit_bytes=1_500)


def test_selections_remembered_under_other_rules_are_not_compared() -> None:
    extractor = Extractor()
    translator = Translator(extractor, DefinitionRules(extractor, "/registry"))
    assert translator.event(change(2, pod("a", phase="Pending"))) is not None
    extractor.add(RULES[0])
    event = translator.event(change(3, pod("a", phase="Running"), pod("a", phase="Pending")))
    assert event is not None
    assert event.previous is not None
    assert event.previous.selection.fields == {"status.phase": "Pending"}


class ScriptedStorage:
    """A store whose watch yields the given batches, then is compacted."""

    def __init__(self, *batches: ChangeBatch) -> None:
        self._batches = batches

    async def watch(self, prefix: bytes, *, after: Revision) -> AsyncGenerator[ChangeBatch, None]:
        for batch in self._batches:
            yield batch
        raise Compacted(after, Revision(99))


def scripted(*batches: ChangeBatch) -> tuple[list[Entry], Exception]:
    """Follow until it fails; the entries written, and the failure."""

    async def run() -> tuple[list[Entry], Exception]:
        log = MemoryEventLog()
        storage: Any = ScriptedStorage(*batches)
        try:
            await Follower(storage, log, Extractor(), etcd_prefix="/registry").run(
                after=Revision(1)
            )
        except (HistoryLost, ProtobufValue) as error:
            failure = error
        entries: list[Entry] = []
        bounds = await log.bounds()
        if bounds is not None:
            async with aclosing(log.read(after=Revision(1))) as reading:
                async for entry in reading:
                    entries.append(entry)
                    if entry.revision == bounds.newest:
                        break
        return entries, failure

    return asyncio.run(run())


def change(revision: int, value: bytes | None, previous: bytes | None = None) -> Change:
    before = None if previous is None else KeyValue(key("a"), previous, Revision(revision - 1))
    return Change(key("a"), value, Revision(revision), before)


def test_a_compaction_tells_the_owner_where_it_stood() -> None:
    entries, failure = scripted(ChangeBatch([change(2, pod("a"))], Revision(2)))
    assert [entry.revision for entry in entries] == [2]
    assert isinstance(failure, HistoryLost)
    assert failure.after == 2


def test_an_empty_batch_moves_the_log_on() -> None:
    entries, _ = scripted(ChangeBatch([], Revision(5)), ChangeBatch([], Revision(5)))
    assert [(one.previous, one.revision, one.events) for one in entries] == [(1, 5, ())]


def test_only_what_the_log_has_taken_counts_as_appended() -> None:
    async def run() -> list[int]:
        log = MemoryEventLog()
        storage: Any = ScriptedStorage(ChangeBatch([change(2, pod("a"))], Revision(2)))
        counts = []
        for _ in range(2):
            follower = Follower(storage, log, Extractor(), etcd_prefix="/registry")
            with suppress(HistoryLost):
                await follower.run(after=Revision(1))
            counts.append(follower.events)
        return counts

    assert asyncio.run(run()) == [1, 0]


def test_a_deletion_of_which_nothing_is_known_is_lost_history() -> None:
    _, failure = scripted(ChangeBatch([change(3, None)], Revision(3)))
    assert isinstance(failure, HistoryLost)


def test_a_protobuf_value_stops_the_follower() -> None:
    _, failure = scripted(ChangeBatch([change(3, b"k8s\x00abc")], Revision(3)))
    assert isinstance(failure, ProtobufValue)


def test_a_commit_is_never_split_between_entries() -> None:
    async def run() -> list[Entry]:
        log = MemoryEventLog()
        changes = [change(2 + number // 10, pod("a", data="x" * 300)) for number in range(40)]
        storage: Any = ScriptedStorage(ChangeBatch(changes, Revision(5)))
        follower = Follower(
            storage, log, Extractor(), etcd_prefix="/registry", entry_limit_bytes=1_000
        )
        with pytest.raises(HistoryLost):
            await follower.run(after=Revision(1))
        async with aclosing(log.read(after=Revision(1))) as entries:
            return [await anext(entries) for _ in range(4)]

    entries = asyncio.run(run())
    assert [(entry.previous, entry.revision) for entry in entries] == [
        (1, 2),
        (2, 3),
        (3, 4),
        (4, 5),
    ]
    assert all(len(entry.events) == 10 for entry in entries)


def test_a_snapshot_holds_all_objects_of_one_revision(tmp_path: Path) -> None:
    async def run() -> None:
        storage = SqliteStorage.open(tmp_path / "store.db")
        try:
            for number in range(25):
                await storage.create(key(f"p{number:02}"), pod(f"p{number:02}", phase="Running"))
            await storage.create(b"/registry/ranges/x", b"\x00")
            snapshot = await load_snapshot(
                storage, Extractor(RULES), etcd_prefix="/registry", page_keys=4
            )
            assert snapshot.revision == await storage.current_revision()
            assert [item.key for item in snapshot.objects] == [
                key(f"p{number:02}") for number in range(25)
            ]
            assert snapshot.skipped == 1
            first = snapshot.objects[0]
            assert first.selection.fields == {"status.phase": "Running"}
            assert orjson.loads(first.wire)["metadata"]["resourceVersion"] == str(first.revision)
        finally:
            await storage.aclose()

    asyncio.run(run())
