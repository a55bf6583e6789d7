"""The embedded store keeps the contract, and what only it promises."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from shared.storage import (
    Compacted,
    KeyExists,
    KeyValue,
    Revision,
    StorageError,
    StorageUnavailable,
)
from shared.storage.sqlite import SqliteStorage, compaction, reader, store, watcher, writer
from tests.contract.storage import Run, StorageContract, Story, begun, collect, watching
from tests.contract.storage_survival import assert_survived, load_until_killed

SqliteStory = Callable[[SqliteStorage], Awaitable[None]]


def run(path: Path, story: SqliteStory, clock: Callable[[], float] | None = None) -> None:
    """Open the store in `path`, run the story, close the store."""

    async def main() -> None:
        storage = (
            SqliteStorage.open(path) if clock is None else SqliteStorage.open(path, clock=clock)
        )
        try:
            async with asyncio.timeout(20):
                await story(storage)
        finally:
            await storage.aclose()

    asyncio.run(main())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "store.db"


class TestSqliteStorage(StorageContract):
    @pytest.fixture
    def run(self, path: Path) -> Run:
        def run_story(story: Story) -> None:
            run(path, story)

        return run_story


# --- the file -----------------------------------------------------------------------------


def test_state_revision_and_history_outlive_a_restart(path: Path) -> None:
    async def before(storage: SqliteStorage) -> None:
        created = await storage.create(b"/pods/a", b"v1")
        await storage.update(b"/pods/a", b"v2", expected=created)

    async def after(storage: SqliteStorage) -> None:
        assert await storage.current_revision() == 3
        assert await storage.get(b"/pods/a") == KeyValue(b"/pods/a", b"v2", Revision(3))
        assert await storage.get(b"/pods/a", revision=Revision(2)) is not None
        async with watching(storage, b"/", Revision(1)) as watch:
            assert [change.revision for change in await collect(watch, 2)] == [2, 3]
        with pytest.raises(KeyExists):
            await storage.create(b"/pods/a", b"v3")
        assert await storage.create(b"/pods/b", b"v1") == 4

    run(path, before)
    run(path, after)


def test_the_revision_outlives_a_restart_when_compaction_took_its_row(path: Path) -> None:
    async def before(storage: SqliteStorage) -> None:
        created = await storage.create(b"/pods/a", b"v1")
        deleted = await storage.delete(b"/pods/a", expected=created)
        await storage.compact(deleted)
        await rows_are(storage, 0)
        assert (await storage.list(b"/")).revision == deleted

    async def after(storage: SqliteStorage) -> None:
        assert await storage.current_revision() == 3
        with pytest.raises(Compacted):
            await storage.list(b"/", revision=Revision(2))
        assert await storage.create(b"/pods/a", b"v1") == 4

    run(path, before)
    run(path, after)


def test_a_file_in_use_is_refused(path: Path) -> None:
    async def story(_: SqliteStorage) -> None:
        with pytest.raises(StorageError, match="in use by another process"):
            SqliteStorage.open(path)

    run(path, story)
    run(path, nothing)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"this is no database, but it is long enough to look at" * 100, "not a database"),
        (b"SQLite format 3\0" + b"\xff" * 5000, "can't use"),
    ],
)
def test_a_file_that_is_no_database_is_refused_and_left_alone(
    path: Path, content: bytes, message: str
) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StorageError, match=message):
        run(path, nothing)
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)")
    connection.close()
    content = path.read_bytes()
    with pytest.raises(StorageError, match="not a kubefan store"):
        run(path, nothing)
    assert path.read_bytes() == content


def test_a_store_of_a_later_version_is_refused(path: Path) -> None:
    run(path, nothing)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StorageError, match="version 99"):
        run(path, nothing)


def test_a_damaged_store_is_refused(path: Path) -> None:
    run(path, nothing)
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 8000)
    with pytest.raises(StorageError, match="can't use"):
        run(path, nothing)


def test_a_directory_that_can_not_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="can't open"):
        run(tmp_path / "file" / "store.db", nothing)


def test_only_the_owner_may_read_the_files(path: Path) -> None:
    async def story(storage: SqliteStorage) -> None:
        await storage.create(b"/secrets/a", b"v")
        files = list(path.parent.iterdir())
        assert len(files) == 4
        assert [file.stat().st_mode & 0o777 for file in files] == [0o600] * 4

    run(path, story)


def test_a_file_that_a_kill_left_empty_becomes_a_store(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    run(path, nothing)


# --- commits ------------------------------------------------------------------------------


def test_waiting_writes_share_a_commit(path: Path) -> None:
    async def story(storage: SqliteStorage) -> None:
        async with watching(storage, b"/", Revision(1)) as watch:
            waiting = await begun(anext(watch))
            await asyncio.gather(*(storage.create(b"/%d" % number, b"") for number in range(500)))
            batches = [await waiting]
            while batches[-1].revision < 501:
                batches.append(await anext(watch))
        assert sum(len(batch.changes) for batch in batches) == 500
        assert len(batches) < 100

    run(path, story)


def test_a_key_changed_twice_in_one_commit_has_both_changes(path: Path) -> None:
    async def story(storage: SqliteStorage) -> None:
        created = await storage.create(b"/a", b"v1")
        first, second, third, conflict = await asyncio.gather(
            storage.update(b"/a", b"v2", expected=created),
            storage.delete(b"/a", expected=Revision(created + 1)),
            storage.create(b"/a", b"v3"),
            storage.create(b"/a", b"v4"),
            return_exceptions=True,
        )
        assert [first, second, third] == [created + 1, created + 2, created + 3]
        assert isinstance(conflict, KeyExists)
        assert conflict.current == KeyValue(b"/a", b"v3", Revision(created + 3))
        async with watching(storage, b"/", created) as watch:
            changes = await collect(watch, 3)
        assert [change.previous and change.previous.value for change in changes] == [
            b"v1",
            b"v2",
            None,
        ]

    run(path, story)


def test_previous_values_are_read_back_when_memory_has_forgotten_them(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "RECENT_BYTES", 10)

    async def story(storage: SqliteStorage) -> None:
        created = await storage.create(b"/a", b"v" * 100)
        async with watching(storage, b"/", created) as watch:
            waiting = await begun(collect(watch, 1))
            await storage.update(b"/a", b"v2", expected=created)
            (change,) = await waiting
        assert change.previous == KeyValue(b"/a", b"v" * 100, created)

    run(path, story)


def fail_commits(storage: SqliteStorage, fail: bool) -> None:
    storage._writer._connection.execute(f"PRAGMA query_only = {int(fail)}")


def test_a_failed_commit_refuses_its_writes_and_leaves_the_state_before(path: Path) -> None:
    async def story(storage: SqliteStorage) -> None:
        created = await storage.create(b"/a", b"v1")
        fail_commits(storage, True)
        results = await asyncio.gather(
            storage.update(b"/a", b"v2", expected=created),
            storage.create(b"/b", b"v", ttl_s=60),
            storage.create(b"/a", b"v"),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [StorageUnavailable] * 3
        assert await storage.current_revision() == created
        fail_commits(storage, False)
        assert await storage.update(b"/a", b"v3", expected=created) == created + 1
        assert await storage.create(b"/b", b"v") == created + 2
        async with watching(storage, b"/", Revision(1)) as watch:
            assert [change.value for change in await collect(watch, 3)] == [b"v1", b"v3", b"v"]

    run(path, story)


def test_an_expiry_whose_commit_failed_is_tried_again(path: Path) -> None:
    now = 1000.0

    async def story(storage: SqliteStorage) -> None:
        nonlocal now
        created = await storage.create(b"/events/a", b"v", ttl_s=10)
        fail_commits(storage, True)
        now = 1010.0
        with pytest.raises(StorageUnavailable):
            await storage.create(b"/wake", b"")
        fail_commits(storage, False)
        await storage.create(b"/wake", b"")
        assert await storage.get(b"/events/a") is not None
        now = 1100.0
        await storage.create(b"/wake-again", b"")
        async with watching(storage, b"/events/", created) as watch:
            assert [change.value for change in await collect(watch, 1)] == [None]

    run(path, story, clock=lambda: now)


def test_writes_beyond_the_bound_are_turned_away_at_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "WAITING_WRITES", 10)

    async def story(storage: SqliteStorage) -> None:
        writes = [storage.create(b"/%d" % number, b"") for number in range(20)]
        results = await asyncio.gather(*writes, return_exceptions=True)
        refused = [result for result in results if isinstance(result, StorageUnavailable)]
        assert len(refused) == 10
        await storage.create(b"/later", b"")

    run(path, story)


def test_writes_still_waiting_at_the_close_are_answered(path: Path) -> None:
    async def story(storage: SqliteStorage) -> None:
        writes = [
            asyncio.create_task(storage.create(b"/%d" % number, b"")) for number in range(200)
        ]
        await asyncio.sleep(0)
        await storage.aclose()
        assert all(write.done() for write in writes)
        for write in writes:
            assert write.exception() is None or isinstance(write.exception(), StorageUnavailable)

    run(path, story)


def test_operations_are_observed_with_their_duration(path: Path) -> None:
    seen: list[tuple[str, float]] = []

    async def main() -> None:
        storage = SqliteStorage.open(path, observe=lambda *call: seen.append(call))
        revision = await storage.create(b"/a", b"")
        await storage.get(b"/a")
        await storage.list(b"/")
        with pytest.raises(KeyExists):
            await storage.create(b"/a", b"")
        await storage.delete(b"/a", expected=revision)
        await storage.aclose()

    asyncio.run(main())
    assert [operation for operation, _ in seen] == ["create", "get", "list", "create", "delete"]
    assert all(0 < seconds < 20 for _, seconds in seen)


# --- watches ------------------------------------------------------------------------------


@asynccontextmanager
async def left_behind(storage: SqliteStorage) -> AsyncIterator[tuple[Any, Revision]]:
    """Yield a watch with 50 changes before it, too large for its queue, and the last's revision."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watcher, "QUEUE_BYTES", 500)
        async with watching(storage, b"/", Revision(1)) as watch:
            waiting = await begun(collect(watch, 1))
            await storage.create(b"/first", b"")
            assert [change.key for change in await waiting] == [b"/first"]
            for number in range(50):
                last = await storage.create(b"/%d" % number, b"v" * 100)
            yield watch, last


def test_a_watch_that_falls_behind_goes_on_from_the_history(path: Path) -> None:
    async def story(storage: SqliteStorage) -> None:
        async with left_behind(storage) as (watch, _):
            keys = [change.key for change in await collect(watch, 50)]
        assert keys == [b"/%d" % number for number in range(50)]

    run(path, story)


def test_a_watch_that_falls_behind_a_compaction_is_told(path: Path) -> None:
    async def story(storage: SqliteStorage) -> None:
        async with left_behind(storage) as (watch, last):
            await storage.compact(last)
            with pytest.raises(Compacted):
                await anext(watch)

    run(path, story)


def test_a_history_of_large_values_is_read_in_several_batches(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "BACKFILL_BYTES", 3000)

    async def story(storage: SqliteStorage) -> None:
        for number in range(20):
            await storage.create(b"/%02d" % number, b"v" * 1000)
        async with watching(storage, b"/", Revision(1)) as watch:
            batches = [await anext(watch) for _ in range(5)]
        assert [len(batch.changes) for batch in batches] == [4] * 5
        assert [batch.revision for batch in batches] == [5, 9, 13, 17, 21]

    run(path, story)


def test_a_watch_hears_of_revisions_that_pass_outside_its_prefix(path: Path) -> None:
    async def story(storage: SqliteStorage) -> None:
        async with watching(storage, b"/pods/", Revision(1)) as watch:
            waiting = await begun(anext(watch))
            revision = await storage.create(b"/other", b"")
            batch = await waiting
        assert (list(batch.changes), batch.revision) == ([], revision)

    run(path, story)


# --- expiry and compaction ----------------------------------------------------------------


def test_a_deadline_outlives_a_restart_and_may_pass_while_the_store_is_closed(path: Path) -> None:
    async def before(storage: SqliteStorage) -> None:
        await storage.create(b"/events/a", b"v", ttl_s=100)
        await storage.create(b"/events/b", b"v", ttl_s=500)
        await storage.create(b"/events/c", b"v")

    async def after(storage: SqliteStorage) -> None:
        async with watching(storage, b"/", Revision(4)) as watch:
            (deletion,) = await collect(watch, 1)
        assert (deletion.key, deletion.value, deletion.revision) == (b"/events/a", None, 5)
        page = await storage.list(b"/events/")
        assert [item.key for item in page.items] == [b"/events/b", b"/events/c"]

    run(path, before, clock=lambda: 1000.0)
    run(path, after, clock=lambda: 1200.0)


def test_more_keys_than_a_commit_holds_may_expire_together(path: Path) -> None:
    now = 1000.0

    async def story(storage: SqliteStorage) -> None:
        nonlocal now
        await asyncio.gather(
            *(storage.create(b"/events/%d" % number, b"v", ttl_s=10) for number in range(300))
        )
        after = await storage.current_revision()
        now = 1011.0
        await storage.create(b"/wake", b"")
        async with watching(storage, b"/events/", after) as watch:
            assert len(await collect(watch, 300)) == 300
        assert not (await storage.list(b"/events/")).items

    run(path, story, clock=lambda: now)


async def rows_are(storage: SqliteStorage, count: int) -> None:
    """Wait until the trimming has left that many rows."""
    await answer_is(storage, "SELECT count(*) FROM changes", lambda rows: rows == count)


async def answer_is(storage: SqliteStorage, query: str, wanted: Callable[[int], bool]) -> None:
    """Wait for what the upkeep does unasked; nothing announces it."""
    connection = storage._connections[0]
    while not wanted(connection.execute(query).fetchone()[0]):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def test_compaction_removes_the_rows_that_no_read_can_see(path: Path) -> None:
    async def story(storage: SqliteStorage) -> None:
        for number in range(10):
            revision = await storage.create(b"/pods/%d" % number, b"v1")
            revision = await storage.update(b"/pods/%d" % number, b"v2", expected=revision)
            if number % 2:
                revision = await storage.delete(b"/pods/%d" % number, expected=revision)
        await storage.compact(revision)
        await rows_are(storage, 5)
        assert len((await storage.list(b"/pods/", revision=revision)).items) == 5

    run(path, story)


def test_trimming_goes_on_piece_by_piece_also_after_a_restart(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "TRIM_REVISIONS", 7)
    monkeypatch.setattr(compaction, "PAUSE_S", 0.001)

    async def before(storage: SqliteStorage) -> None:
        revision = await storage.create(b"/pods/a", b"v")
        for _ in range(100):
            revision = await storage.update(b"/pods/a", b"v", expected=revision)
        await storage.compact(revision)

    async def after(storage: SqliteStorage) -> None:
        await rows_are(storage, 1)

    run(path, before)
    run(path, after)


def test_the_file_shrinks_after_a_compaction(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "FREE_PAGES_KEPT", 10)
    monkeypatch.setattr(compaction, "PAUSE_S", 0.001)

    async def fill(storage: SqliteStorage) -> None:
        revision = await storage.create(b"/pods/a", b"v" * 50_000)
        for _ in range(100):
            revision = await storage.update(b"/pods/a", b"v" * 50_000, expected=revision)

    async def compact(storage: SqliteStorage) -> None:
        await storage.compact(await storage.current_revision())
        await rows_are(storage, 1)
        await answer_is(storage, "PRAGMA freelist_count", lambda pages: pages <= 10)

    run(path, fill)
    assert path.stat().st_size > 5_000_000
    run(path, compact)
    assert path.stat().st_size < 300_000


# --- survival -----------------------------------------------------------------------------


def test_every_acknowledged_write_survives_a_kill_of_the_process(path: Path) -> None:
    def kill(load: subprocess.Popen[str]) -> None:
        os.kill(load.pid, signal.SIGKILL)

    for writes in (200, 1000):
        fresh = path.with_name(f"{writes}.db")
        acknowledged = load_until_killed("sqlite", str(fresh), writes, kill)

        async def story(storage: SqliteStorage) -> None:
            await assert_survived(storage, acknowledged)  # noqa: B023 (called in this round)

        run(fresh, story)


def test_the_embedded_store_needs_no_grpc() -> None:
    code = (
        "import shared.storage.sqlite, sys;"
        "assert not {'grpc', 'aetcd', 'google'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


async def nothing(storage: SqliteStorage) -> None:
    pass
