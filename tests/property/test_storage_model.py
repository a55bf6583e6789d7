"""The embedded store against a model: a dict, and the list of everything that happened.

The model knows a state by replaying its list, and shares no code with the store.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shared.storage import (
    Change,
    ChangeBatch,
    Compacted,
    FutureRevision,
    KeyExists,
    KeyValue,
    Revision,
    RevisionConflict,
)
from shared.storage.sqlite import SqliteStorage

T = TypeVar("T")

KEYS = [b"/a/1", b"/a/2", b"/a/\xff", b"/ab/1", b"/b", b"/b/\x00"]
PREFIXES = [b"", b"/", b"/a", b"/a/", b"/a/1", b"/ab/", b"/b", b"/c", b"\xff"]

keys = st.sampled_from(KEYS)
prefixes = st.sampled_from(PREFIXES)
values = st.binary(max_size=12)


class StorageMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory()
        self.now = 1000.0
        self.storage = self.open()
        self.revision = 1
        self.compacted = 0
        self.changes: list[Change] = []
        self.state: dict[bytes, KeyValue] = {}
        self.deadlines: dict[bytes, float] = {}
        self.watches: list[tuple[bytes, AsyncIterator[ChangeBatch], list[Change], int]] = []

    def teardown(self) -> None:
        self.close()
        self.runner.close()
        self.directory.cleanup()

    def open(self) -> SqliteStorage:
        async def opened() -> SqliteStorage:
            path = Path(self.directory.name, "store.db")
            return SqliteStorage.open(path, clock=lambda: self.now)

        return self.runner.run(opened())

    def close(self) -> None:
        for _, watch, _, _ in self.watches:
            self.run(cast("Any", watch).aclose())
        self.watches = []
        self.run(self.storage.aclose())

    def run(self, awaitable: Awaitable[T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(10):
                return await awaitable

        return self.runner.run(bounded())

    # --- the model ------------------------------------------------------------------------

    def happen(self, key: bytes, value: bytes | None) -> int:
        self.revision += 1
        revision = Revision(self.revision)
        self.changes.append(Change(key, value, revision, self.state.get(key)))
        self.deadlines.pop(key, None)
        if value is None:
            del self.state[key]
        else:
            self.state[key] = KeyValue(key, value, revision)
        return revision

    def state_at(self, revision: int) -> list[KeyValue]:
        state: dict[bytes, KeyValue] = {}
        for change in self.changes:
            if change.revision <= revision:
                state.pop(change.key, None)
                if change.value is not None:
                    state[change.key] = KeyValue(change.key, change.value, change.revision)
        return [state[key] for key in sorted(state)]

    # --- writes ---------------------------------------------------------------------------

    @rule(key=keys, value=values, ttl_s=st.sampled_from([None, None, 10, 20]))
    def create(self, key: bytes, value: bytes, ttl_s: int | None) -> None:
        if key in self.state:
            with pytest.raises(KeyExists) as refusal:
                self.run(self.storage.create(key, value, ttl_s=ttl_s))
            assert refusal.value.current == self.state[key]
        else:
            revision = self.run(self.storage.create(key, value, ttl_s=ttl_s))
            assert revision == self.happen(key, value)
            if ttl_s is not None:
                self.deadlines[key] = self.now + ttl_s

    @rule(key=keys, value=values, ttl_s=st.sampled_from([None, 10]), stale=st.booleans())
    def update(self, key: bytes, value: bytes, ttl_s: int | None, stale: bool) -> None:
        current = self.state.get(key)
        if current is None or stale:
            expected = Revision(current.revision - 1 if current else self.revision)
            with pytest.raises(RevisionConflict) as conflict:
                self.run(self.storage.update(key, value, expected=expected, ttl_s=ttl_s))
            assert conflict.value.current == current
        else:
            written = self.storage.update(key, value, expected=current.revision, ttl_s=ttl_s)
            assert self.run(written) == self.happen(key, value)
            if ttl_s is not None:
                self.deadlines[key] = self.now + ttl_s

    @rule(key=keys, stale=st.booleans())
    def delete(self, key: bytes, stale: bool) -> None:
        current = self.state.get(key)
        if current is None or stale:
            expected = Revision(current.revision - 1 if current else self.revision)
            with pytest.raises(RevisionConflict) as conflict:
                self.run(self.storage.delete(key, expected=expected))
            assert conflict.value.current == current
        else:
            deleted = self.run(self.storage.delete(key, expected=current.revision))
            assert deleted == self.happen(key, None)

    @rule(new=st.dictionaries(keys, values, min_size=2))
    def create_together(self, new: dict[bytes, bytes]) -> None:
        """Waiting together, the writes share a commit; each still has its own revision."""

        async def together() -> list[Revision | BaseException]:
            writes = [self.storage.create(key, value) for key, value in new.items()]
            return await asyncio.gather(*writes, return_exceptions=True)

        for (key, value), result in zip(new.items(), self.run(together()), strict=True):
            if key in self.state:
                assert isinstance(result, KeyExists)
                assert result.current == self.state[key]
            else:
                assert result == self.happen(key, value)

    # --- time, compaction, restarts -------------------------------------------------------

    @precondition(lambda self: self.deadlines)
    @rule()
    def expire(self) -> None:
        """Move to the next deadline; a refused write makes the writer look at the clock."""
        self.now = min(self.deadlines.values())
        with pytest.raises(RevisionConflict):
            self.run(self.storage.delete(b"/wake", expected=Revision(1)))
        expired = [key for key, deadline in self.deadlines.items() if deadline <= self.now]
        for key in sorted(expired, key=lambda key: (self.deadlines[key], self.state[key].revision)):
            self.happen(key, None)

    @rule(data=st.data())
    def compact(self, data: st.DataObject) -> None:
        revision = data.draw(st.integers(max(1, self.compacted - 1), self.revision + 1))
        if revision <= self.compacted:
            with pytest.raises(Compacted):
                self.run(self.storage.compact(Revision(revision)))
        elif revision > self.revision:
            with pytest.raises(FutureRevision):
                self.run(self.storage.compact(Revision(revision)))
        else:
            self.run(self.storage.compact(Revision(revision)))
            self.compacted = revision

    @rule()
    def restart(self) -> None:
        self.close()
        self.storage = self.open()

    # --- reads ----------------------------------------------------------------------------

    @rule(prefix=prefixes, data=st.data(), limit=st.integers(1, 4))
    def page_through(self, prefix: bytes, data: st.DataObject, limit: int) -> None:
        revision = Revision(data.draw(st.integers(max(1, self.compacted), self.revision)))
        expected = [item for item in self.state_at(revision) if item.key.startswith(prefix)]
        found: list[KeyValue] = []
        start, remaining = None, 1
        while remaining:
            page = self.run(self.storage.list(prefix, start=start, limit=limit, revision=revision))
            found += page.items
            remaining = page.remaining
            assert page.revision == revision
            assert remaining == len(expected) - len(found)
            start = found[-1].key + b"\0" if found else None
        assert found == expected

    @rule(key=keys, data=st.data())
    def get_at(self, key: bytes, data: st.DataObject) -> None:
        revision = Revision(data.draw(st.integers(max(1, self.compacted), self.revision)))
        expected = [item for item in self.state_at(revision) if item.key == key]
        found = self.run(self.storage.get(key, revision=revision))
        assert found == (expected[0] if expected else None)

    @precondition(lambda self: self.compacted > 1)
    @rule(data=st.data(), key=keys)
    def read_compacted(self, data: st.DataObject, key: bytes) -> None:
        revision = Revision(data.draw(st.integers(1, self.compacted - 1)))
        for read in (
            self.storage.get(key, revision=revision),
            self.storage.list(b"", revision=revision),
            anext(self.storage.watch(b"", after=revision)),
        ):
            with pytest.raises(Compacted) as refusal:
                self.run(cast("Awaitable[object]", read))
            assert refusal.value.oldest == self.compacted

    # --- watches --------------------------------------------------------------------------

    @precondition(lambda self: len(self.watches) < 3)
    @rule(prefix=prefixes, data=st.data())
    def open_watch(self, prefix: bytes, data: st.DataObject) -> None:
        after = data.draw(st.integers(max(1, self.compacted), self.revision))
        watch = self.storage.watch(prefix, after=Revision(after))
        self.watches.append((prefix, watch, [], after))

    @precondition(lambda self: self.watches)
    @rule(data=st.data())
    def read_watch(self, data: st.DataObject) -> None:
        """A watch from any kept revision yields exactly the tail of the list."""
        index = data.draw(st.integers(0, len(self.watches) - 1))
        prefix, watch, seen, after = self.watches[index]
        position = seen[-1].revision if seen else after
        expected = [
            change
            for change in self.changes
            if change.revision > after and change.key.startswith(prefix)
        ]
        try:
            while len(seen) < len(expected):
                batch = self.run(anext(watch))
                assert batch.revision > position
                position = batch.revision
                seen += batch.changes
        except Compacted:  # its generator had not started, or was behind, when that happened
            assert position < self.compacted
            del self.watches[index]
        else:
            assert seen == expected

    @invariant()
    def the_newest_state_is_that_of_the_model(self) -> None:
        assert self.run(self.storage.current_revision()) == self.revision
        page = self.run(self.storage.list(b""))
        assert list(page.items) == [self.state[key] for key in sorted(self.state)]


TestStorageModel = StorageMachine.TestCase
TestStorageModel.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
