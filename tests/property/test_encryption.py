"""A store that is encrypted, in part or by several keys, is seen through its keys as if plain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.eventlog import Entry, Event
from shared.eventlog.packing import Unpacker, pack_entry
from shared.fanout import Snapshot
from shared.fanout.opening import Opener
from shared.fanout.rules import DefinitionRules
from shared.fanout.snapshot import cached_object
from shared.fanout.transfer import frames, receive
from shared.fanout.translate import Translator
from shared.objects import CachedObject, ExtractionRule, Extractor, NotAnObject
from shared.objects.selection import NO_SELECTION
from shared.objects.wire import SealedValue
from shared.storage import Change, KeyValue, Revision
from shared.storage.encryption import (
    IDENTITY,
    Encryption,
    Provider,
    StoredResources,
    Transformer,
    aescbc,
    aesgcm,
    secretbox,
)

PREFIX = "/registry"
RESOURCES = StoredResources((), PREFIX)
RULES = [ExtractionRule(b"/registry/secrets/", {"type": (("type",), "")})]
PROVIDERS: list[Provider] = [
    IDENTITY,
    aesgcm([("k", bytes(32))]),
    aescbc([("k", bytes(16))]),
    secretbox([("k", bytes(32))]),
]
ALL = Encryption({("*", "*"): Transformer(PROVIDERS)}, RESOURCES)

keys = st.sampled_from([b"/registry/secrets/a/x", b"/registry/secrets/a/y", b"/registry/pods/a/x"])
labels = st.sampled_from([{}, {"app": "web"}, {"app": "db", "v": "2"}])
types = st.sampled_from(["", "Opaque", "tls"])
objects = st.builds(
    lambda labels, kind, data: orjson.dumps(
        {
            "kind": "Secret",
            "apiVersion": "v1",
            "metadata": {"name": "x", **({"labels": labels} if labels else {})},
            "type": kind,
            "data": data,
        }
    ),
    labels,
    types,
    st.text(max_size=20),
)
values = st.one_of(objects, st.just(b'{"no":"object"}'))
writes = st.lists(
    st.tuples(keys, st.one_of(st.none(), values), st.sampled_from(PROVIDERS)), max_size=25
)


def extractor() -> Extractor:
    return Extractor(RULES)


def translator() -> Translator:
    one = extractor()
    return Translator(one, DefinitionRules(one, PREFIX))


def histories(
    done: list[tuple[bytes, bytes | None, Provider]],
) -> tuple[list[Change], list[Change], dict[bytes, KeyValue], dict[bytes, KeyValue]]:
    """Return the changes as they are plain and as they are stored, and where both end."""
    plain: list[Change] = []
    stored: list[Change] = []
    plain_state: dict[bytes, KeyValue] = {}
    stored_state: dict[bytes, KeyValue] = {}
    revision = Revision(1)
    for key, value, provider in done:
        before, stored_before = plain_state.pop(key, None), stored_state.pop(key, None)
        if value is None and before is None:
            continue
        revision = Revision(revision + 1)
        sealed = None if value is None else provider.seal(value, key)
        plain.append(Change(key, value, revision, before))
        stored.append(Change(key, sealed, revision, stored_before))
        if value is not None and sealed is not None:
            plain_state[key] = KeyValue(key, value, revision)
            stored_state[key] = KeyValue(key, sealed, revision)
    return plain, stored, plain_state, stored_state


def events(changes: list[Change]) -> list[Event]:
    making = translator()
    return [event for change in changes if (event := making.event(change)) is not None]


@settings(max_examples=150, deadline=None)
@given(writes)
def test_opened_events_are_those_of_a_plain_store(
    done: list[tuple[bytes, bytes | None, Provider]],
) -> None:
    plain, stored, _, _ = histories(done)
    sent = events(stored)
    last = stored[-1].revision if stored else Revision(1)
    packed = pack_entry(Entry(Revision(1), last, tuple(sent)))
    received = Unpacker().entry(packed)
    opened = asyncio.run(Opener(ALL, extractor(), etcd_prefix=PREFIX).entry(received))
    assert list(opened.events) == events(plain)


@settings(max_examples=100, deadline=None)
@given(writes)
def test_an_opened_snapshot_is_that_of_a_plain_store(
    done: list[tuple[bytes, bytes | None, Provider]],
) -> None:
    _, _, plain, stored = histories(done)
    sent = shown(stored)
    wanted = shown(plain)

    async def chunks() -> AsyncIterator[bytes]:
        for frame in frames(Revision(9), sent, len(sent)):
            yield frame

    async def opened() -> Snapshot:
        snapshot = await receive(chunks())
        return await Opener(ALL, extractor(), etcd_prefix=PREFIX).snapshot(snapshot)

    got = asyncio.run(opened()).objects
    assert [(item.key, item.revision, item.wire, item.selection) for item in got] == [
        (item.key, item.revision, item.wire, item.selection) for item in wanted
    ]


def shown(state: dict[bytes, KeyValue]) -> list[CachedObject]:
    """Return a state as a snapshot of the store would hold it."""
    found = []
    for _, item in sorted(state.items()):
        try:
            found.append(cached_object(item, extractor()))
        except SealedValue:
            found.append(CachedObject(item.key, item.revision, b"", item.value, NO_SELECTION))
        except NotAnObject:
            continue
    return found
