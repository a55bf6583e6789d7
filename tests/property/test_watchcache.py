"""The watch cache against a dict and a list of changes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import orjson
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shared.eventlog import Entry
from shared.fanout import Snapshot
from shared.fanout.rules import DefinitionRules
from shared.fanout.translate import Translator
from shared.objects import CachedObject, Extractor, Selection, to_body
from shared.storage import Change, KeyValue, Revision
from shared.watchcache import (
    EndReason,
    Expired,
    HistoryLimits,
    Renderings,
    ResourceCache,
    WatchCache,
    Watcher,
)

PODS = b"/registry/pods/"
WIDGETS = b"/registry/example.com/widgets/"
KEYS = [
    resource + namespace + name
    for resource in (PODS, WIDGETS)
    for namespace in (b"a/", b"b/")
    for name in (b"x", b"xx")
]
LABELS = [{}, {"app": "web"}, {"app": "db"}, {"app": "web", "v": "2"}]

HISTORY_EVENTS = 6

keys = st.sampled_from(KEYS)
labels = st.sampled_from(LABELS)
scopes = st.sampled_from([b"", b"a/", b"b/", b"a/x", b"b/xx"])
hows = st.sampled_from(["at once", "later", "same commit"])
apps = st.sampled_from([None, "web", "db"])
resources = st.sampled_from([PODS, WIDGETS])

State = dict[str, Any]
Seen = tuple[str, str, bytes, int]
"""What a client sees: type, the object as JSON text, key, revision."""


@dataclass
class Written:
    """One change of the model: the object before and after, None if there was none."""

    key: bytes
    revision: int
    before: State | None
    after: State | None


@dataclass
class Client:
    """A watch as the test follows it."""

    watcher: Watcher
    scope: bytes
    app: str | None
    after: int
    seen: list[Seen] = field(default_factory=list)
    initial: list[Seen] = field(default_factory=list)
    initial_seen: list[Seen] = field(default_factory=list)


def plain(state: State, revision: int) -> str:
    metadata = {"resourceVersion": str(revision)} | state["metadata"]
    return orjson.dumps(state | {"metadata": metadata}).decode()


def takes(app: str | None, state: State | None) -> bool:
    return state is not None and (app is None or state["metadata"]["labels"].get("app") == app)


def in_scope(scope: bytes, key: bytes) -> bool:
    return key == scope or (scope.endswith(b"/") and key.startswith(scope))


def tail(changes: list[Written], scope: bytes, app: str | None, after: int) -> list[Seen]:
    """What a watch of `scope` and `app` has to deliver after a revision."""
    expected: list[Seen] = []
    for change in changes:
        if change.revision <= after or not in_scope(scope, change.key):
            continue
        was, now = takes(app, change.before), takes(app, change.after)
        if now and change.after is not None:
            kind = "MODIFIED" if was else "ADDED"
            shown = plain(change.after, change.revision)
        elif was and change.before is not None:
            kind, shown = "DELETED", plain(change.before, change.revision)
        else:
            continue
        expected.append((kind, shown, change.key, change.revision))
    return expected


class WatchCacheMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.cache = WatchCache(
            history_limits=HistoryLimits(limit_events=HISTORY_EVENTS),
            renderings=Renderings(limit_bytes=3_000),
        )
        self.cache.resource(PODS)
        self.registered = {PODS}
        extractor = Extractor()
        self.translator = Translator(extractor, DefinitionRules(extractor, "/registry"))
        self.model: dict[bytes, tuple[State, int]] = {}
        self.changes: list[Written] = []
        self.pending: list[Change] = []
        self.revision = 0
        self.applied = 0
        self.written: list[Entry] = []
        self.clients: list[Client] = []

    # What happens in the store

    @rule(key=keys, labels=labels, data=st.integers(0, 3), how=hows)
    def put(self, key: bytes, labels: dict[str, str], data: int, how: str) -> None:
        state = {
            "kind": "K",
            "apiVersion": "v1",
            "metadata": {"name": key.decode(), "labels": labels},
            "data": data,
        }
        self._write(key, state, how)

    @precondition(lambda self: self.model)
    @rule(pick=st.data(), how=hows)
    def delete(self, pick: st.DataObject, how: str) -> None:
        self._write(pick.draw(st.sampled_from(sorted(self.model))), None, how)

    @rule()
    def move_on(self) -> None:
        self.revision += 1

    def _write(self, key: bytes, after: State | None, how: str) -> None:
        touched = {change.key for change in self.pending if change.revision == self.revision}
        if not (how == "same commit" and touched and key not in touched):
            self.revision += 1
        before = self.model.get(key)
        previous = None
        if before is not None:
            previous = KeyValue(key, orjson.dumps(before[0]), Revision(before[1]))
        value = None if after is None else orjson.dumps(after)
        self.pending.append(Change(key, value, Revision(self.revision), previous))
        self.changes.append(Written(key, self.revision, before[0] if before else None, after))
        if after is None:
            del self.model[key]
        else:
            self.model[key] = (after, self.revision)
        if how == "at once":
            self._flush(0)

    # What reaches the cache

    @rule(overlap=st.integers(0, 2))
    def flush(self, overlap: int) -> None:
        """An entry of all that is pending; perhaps it repeats what came before."""
        self._flush(overlap)

    def _flush(self, overlap: int) -> None:
        if self.revision == self.applied:
            return
        events = [self.translator.event(change) for change in self.pending]
        assert None not in events
        entry = Entry(
            Revision(self.applied),
            Revision(self.revision),
            tuple(event for event in events if event is not None),
        )
        again = self.written[-overlap:] if overlap else []
        self.written.append(entry)
        if again:
            repeated = tuple(event for item in again for event in item.events)
            entry = Entry(again[0].previous, entry.revision, repeated + entry.events)
        self.cache.apply(entry)
        self.pending.clear()
        self.applied = self.revision

    @precondition(lambda self: not self.pending)
    @rule(past=st.integers(0, 3))
    def reload(self, past: int) -> None:
        """A snapshot of now, and a past of some entries of the log."""
        if self.applied != self.revision:
            return
        objects = [
            CachedObject(
                key,
                Revision(at),
                *to_body(orjson.dumps(state), Revision(at)),
                Selection(state["metadata"]["labels"]),
            )
            for key, (state, at) in self.model.items()
        ]
        snapshot = Snapshot(Revision(self.revision), objects)
        asyncio.run(self.cache.load(snapshot))
        reached = self.revision
        for client in self.clients:
            assert client.watcher.ended is EndReason.EXPIRED
        self.clients.clear()
        for item in self.written[-past:] if past else []:
            self.cache.backfill(item)
            reached = min(reached, item.previous)
        for resource in self.registered:
            events = [
                change
                for change in self.changes
                if change.revision > reached and change.key.startswith(resource)
            ]
            if len(events) <= HISTORY_EVENTS:
                assert self.cache.resource(resource).history.oldest == reached

    @rule()
    def register_widgets(self) -> None:
        self.cache.resource(WIDGETS)
        self.registered.add(WIDGETS)

    # What clients do

    @rule(resource=resources, scope=scopes, app=apps, back=st.integers(-2, 8))
    def resume(self, resource: bytes, scope: bytes, app: str | None, back: int) -> None:
        if resource not in self.registered:
            return
        after = max(0, self.applied - back)
        cache = self.cache.resource(resource)
        try:
            watcher = self._watch(cache, scope, app, Revision(after))
        except Expired:
            assert after < cache.history.oldest
            return
        assert after >= cache.history.oldest
        self.clients.append(Client(watcher, resource + scope, app, after))

    @rule(resource=resources, scope=scopes, app=apps)
    def watch_from_now(self, resource: bytes, scope: bytes, app: str | None) -> None:
        if resource not in self.registered:
            return
        watcher = self._watch(self.cache.resource(resource), scope, app, None)
        client = Client(watcher, resource + scope, app, self.applied)
        client.initial = [
            ("ADDED", plain(state, at), key, at)
            for key, (state, at) in sorted(self._applied_state().items())
            if in_scope(client.scope, key) and takes(app, state)
        ]
        self.clients.append(client)

    def _watch(
        self, cache: ResourceCache, scope: bytes, app: str | None, after: Revision | None
    ) -> Watcher:
        matches = None
        if app is not None:
            matches = lambda _, selection: selection.labels.get("app") == app  # noqa: E731
        return cache.watch(after=after, scope=cache.prefix + scope, matches=matches)

    @precondition(lambda self: self.clients)
    @rule(pick=st.data(), limit=st.integers(1, 4))
    def drain(self, pick: st.DataObject, limit: int) -> None:
        self._drain(pick.draw(st.sampled_from(self.clients)), limit)

    def teardown(self) -> None:
        for client in self.clients:
            self._drain(client, 3)

    def _drain(self, client: Client, limit: int) -> None:
        while client.watcher.pending:
            initial = client.watcher.initial_pending
            for event in client.watcher.drain(limit):
                frame = self.cache.renderings.frame(event)
                assert frame.endswith(b"\n")
                assert orjson.loads(frame) == {
                    "type": event.type,
                    "object": orjson.loads(event.object.wire),
                }
                item = event.object
                wire = item.wire.decode()
                (client.initial_seen if initial else client.seen).append(
                    (event.type, wire, item.key, item.revision)
                )
        assert client.watcher.bookmark_revision == max(client.after, self.cache.revision)
        assert client.initial_seen == client.initial
        expected = tail(self.changes, client.scope, client.app, client.after)
        assert client.seen == [item for item in expected if item[3] <= self.applied]

    # What always holds

    def _applied_state(self) -> dict[bytes, tuple[State, int]]:
        state: dict[bytes, tuple[State, int]] = {}
        for change in self.changes:
            if change.revision <= self.applied:
                if change.after is None:
                    del state[change.key]
                else:
                    state[change.key] = (change.after, change.revision)
        return state

    @invariant()
    def the_state_is_the_models(self) -> None:
        assert self.cache.revision == self.applied
        for resource in self.registered:
            cache = self.cache.resource(resource)
            expected = [
                (key, at, plain(state, at))
                for key, (state, at) in sorted(self._applied_state().items())
                if key.startswith(resource)
            ]
            full = cache.scan(resource)
            assert [(item.key, item.revision, item.wire.decode()) for item in full] == expected
            assert cache.count(resource) == len(expected)
            pages: list[CachedObject] = []
            start = None
            while page := cache.scan(resource, start=start, limit=2):
                pages.extend(page)
                start = page[-1].key + b"\x00"
                assert cache.count(resource, start) == len(full) - len(pages)
            assert pages == full

    @invariant()
    def the_history_is_the_tail_of_all_changes(self) -> None:
        for resource in self.registered:
            history = self.cache.resource(resource).history
            expected = [
                change.revision
                for change in self.changes
                if change.key.startswith(resource)
                and history.oldest < change.revision <= self.applied
            ]
            events = history.since(history.oldest)
            assert [event.object.revision for event in events] == expected
            assert len(history) <= HISTORY_EVENTS
            assert self.cache.renderings.size_bytes <= 3_000


TestWatchCache = WatchCacheMachine.TestCase
TestWatchCache.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
