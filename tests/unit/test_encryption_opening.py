"""What is encrypted passes the fan-out sealed, and what can't be opened is not lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson
import pytest

from services.apiserver.errors import InternalError, to_status
from services.apiserver.events.flow import OwnEventFlow
from services.apiserver.registry.interpret import interpret
from shared.eventlog.packing import pack_entry
from shared.eventlog.protocol import Entry, Event, Previous, UnreadableEvent
from shared.fanout import Snapshot, extractor_for
from shared.fanout.opening import Opener
from shared.fanout.rules import DefinitionRules
from shared.fanout.translate import Translator
from shared.objects import CachedObject, Extractor
from shared.objects.selection import NO_SELECTION
from shared.resources import builtin_table
from shared.storage import Change, KeyValue, Revision, UnreadableValue
from shared.storage.encryption import (
    IDENTITY,
    Encryption,
    Provider,
    StoredResources,
    Transformer,
    aescbc,
    aesgcm,
)
from shared.storage.sqlite import SqliteStorage
from shared.watchcache import EndReason, Expired, ResourceCache, WatchCache

PREFIX = b"/registry/secrets/"
A, B = PREFIX + b"ns/a", PREFIX + b"ns/b"
RESOURCES = StoredResources(builtin_table().resources(), "/registry")
GOOD = aesgcm([("k", bytes(32))])
OTHER = aesgcm([("k", bytes(range(32)))])
PATIENCE_S = 10.0


def rules(*providers: Provider) -> dict[tuple[str, str], Transformer]:
    return {("", "secrets"): Transformer(providers)} if providers else {}


def secret(name: str = "a", *, data: str = "marker", **labels: str) -> bytes:
    return orjson.dumps(
        {
            "kind": "Secret",
            "apiVersion": "v1",
            "metadata": {"name": name, "namespace": "ns", "labels": labels},
            "data": {"k": data},
        }
    )


def sealed(value: bytes, key: bytes = A, provider: Provider = GOOD) -> bytes:
    return provider.seal(value, key)


def at(value: bytes, revision: int, key: bytes = A) -> KeyValue:
    return KeyValue(key, value, Revision(revision))


# -- the fan-out, which has no keys ----------------------------------------------------


def fanned_out(change: Change) -> Event | None:
    extractor = Extractor()
    return Translator(extractor, DefinitionRules(extractor, "/registry")).event(change)


CIPHERTEXT, BEFORE, PLAIN = sealed(secret()), sealed(secret()), secret()


@pytest.mark.parametrize(
    ("change", "event"),
    [
        (
            Change(A, CIPHERTEXT, Revision(5), None),
            Event("ADDED", A, Revision(5), b"", CIPHERTEXT, NO_SELECTION),
        ),
        (
            Change(A, CIPHERTEXT, Revision(5), at(BEFORE, 4)),
            Event(
                "MODIFIED", A, Revision(5), b"", CIPHERTEXT, NO_SELECTION,
                Previous(b"", BEFORE, NO_SELECTION),
            ),
        ),
        (
            Change(A, PLAIN, Revision(5), at(BEFORE, 4)),
            Event(
                "MODIFIED", A, Revision(5), b"", PLAIN, NO_SELECTION,
                Previous(b"", BEFORE, NO_SELECTION),
            ),
        ),
        (
            Change(A, CIPHERTEXT, Revision(5), at(PLAIN, 4)),
            Event(
                "MODIFIED", A, Revision(5), b"", CIPHERTEXT, NO_SELECTION,
                Previous(b"", PLAIN, NO_SELECTION),
            ),
        ),
        (
            Change(A, None, Revision(5), at(BEFORE, 4)),
            Event("DELETED", A, Revision(5), b"", BEFORE, NO_SELECTION),
        ),
    ],
    ids=["added", "modified", "decrypted", "encrypted", "deleted"],
)  # fmt: skip
def test_without_keys_events_pass_as_they_are_stored(change: Change, event: Event) -> None:
    assert fanned_out(change) == event


def test_what_goes_into_the_log_has_nothing_of_the_value() -> None:
    event = fanned_out(Change(A, sealed(secret(app="web")), Revision(5), at(BEFORE, 4)))
    assert event is not None
    packed = pack_entry(Entry(Revision(4), Revision(5), (event,)))
    assert b"marker" not in packed
    assert b"web" not in packed


# -- the opener --------------------------------------------------------------------------


def opener(*providers: Provider) -> Opener:
    extractor = extractor_for(builtin_table().resources(), "/registry")
    return Opener(Encryption(rules(*providers), RESOURCES), extractor, etcd_prefix="/registry")


def opened(one: Opener, *changes: Change) -> tuple[Event, ...]:
    events = [event for change in changes if (event := fanned_out(change)) is not None]
    entry = Entry(Revision(0), changes[-1].revision, tuple(events))
    return asyncio.run(one.entry(entry)).events


def test_a_change_of_labels_carries_the_state_before() -> None:
    before, after = sealed(secret(app="web")), sealed(secret(app="db"))
    (event,) = opened(opener(GOOD), Change(A, after, Revision(5), at(before, 4)))
    assert (event.type, event.selection.labels) == ("MODIFIED", {"app": "db"})
    assert event.previous is not None
    assert event.previous.selection.labels == {"app": "web"}


def test_rewriting_under_a_new_key_is_a_modification_without_a_state_before() -> None:
    new = aesgcm([("n", bytes(16))])
    change = Change(A, sealed(secret(), provider=new), Revision(5), at(BEFORE, 4))
    (event,) = opened(opener(new, GOOD), change)
    assert (event.type, event.previous) == ("MODIFIED", None)


def test_a_state_before_that_no_key_opens_any_more_leaves_a_modification() -> None:
    new = aesgcm([("n", bytes(16))])
    change = Change(A, sealed(secret(), provider=new), Revision(5), at(BEFORE, 4))
    (event,) = opened(opener(new), change)
    assert (event.type, event.previous) == ("MODIFIED", None)
    assert b"marker" in event.body


@pytest.mark.parametrize(
    "change",
    [
        Change(A, sealed(secret(), B), Revision(5), None),
        Change(A, CIPHERTEXT[:-1], Revision(5), at(BEFORE, 4)),
        Change(A, None, Revision(5), at(BEFORE[:-1], 4)),
    ],
    ids=["of another key", "damaged", "deleted after a damage"],
)
def test_what_cannot_be_opened_becomes_an_unreadable_event(
    change: Change, caplog: pytest.LogCaptureFixture
) -> None:
    one = opener(GOOD)
    (event,) = opened(one, change)
    assert isinstance(event, UnreadableEvent)
    assert event.why == "cipher: message authentication failed"
    assert one.unreadable == 1
    (record,) = caplog.records
    assert A.decode() in record.__dict__["why"]


def test_what_the_wrong_aescbc_key_gives_is_not_taken_for_a_value() -> None:
    """In one of 256 cases the padding is right, and nothing else tells."""
    writer, reader = aescbc([("k", bytes(32))]), aescbc([("k", bytes(16))])
    for _ in range(600):
        change = Change(A, sealed(secret(), provider=writer), Revision(5), None)
        (event,) = opened(opener(reader), change)
        assert isinstance(event, UnreadableEvent)


def test_logs_do_not_drown_in_values_that_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    changes = [Change(A, CIPHERTEXT, Revision(number), None) for number in range(2, 102)]
    one = opener(OTHER)
    assert len(opened(one, *changes)) == one.unreadable == 100
    assert len(caplog.records) == 20


# -- definitions that are encrypted ------------------------------------------------------

WIDGETS = b"/registry/example.com/widgets/"
DEFINITION = b"/registry/apiextensions.k8s.io/customresourcedefinitions/widgets.example.com"
DEFINITIONS = {("apiextensions.k8s.io", "customresourcedefinitions"): Transformer((GOOD,))}


def definition(*paths: str) -> bytes:
    return orjson.dumps(
        {
            "kind": "CustomResourceDefinition",
            "apiVersion": "apiextensions.k8s.io/v1",
            "metadata": {"name": "widgets.example.com"},
            "spec": {
                "group": "example.com",
                "names": {"plural": "widgets"},
                "versions": [{"selectableFields": [{"jsonPath": path} for path in paths]}],
            },
        }
    )


def widget(color: str) -> bytes:
    return orjson.dumps(
        {
            "kind": "Widget",
            "apiVersion": "example.com/v1",
            "metadata": {"name": "w"},
            "spec": {"color": color},
        }
    )


@pytest.mark.parametrize("provider", [GOOD, OTHER], ids=["readable", "unreadable"])
def test_plain_objects_of_an_encrypted_definition_are_selected_by_whoever_can_read_it(
    provider: Provider,
) -> None:
    extractor = Extractor()
    fanout = Translator(extractor, DefinitionRules(extractor, "/registry"))
    stored = provider.seal(definition(".spec.color"), DEFINITION)
    key = WIDGETS + b"ns/w"
    events = [
        fanout.event(Change(DEFINITION, stored, Revision(2), None)),
        fanout.event(Change(key, widget("red"), Revision(3), None)),
        fanout.event(Change(key, widget("blue"), Revision(4), at(widget("red"), 3, key))),
    ]
    entry = Entry(Revision(1), Revision(4), tuple(event for event in events if event))
    one = Opener(Encryption(DEFINITIONS, RESOURCES), Extractor(), etcd_prefix="/registry")
    _, added, modified = asyncio.run(one.entry(entry)).events
    assert b"red" in added.body
    assert b"blue" in modified.body
    if provider is GOOD:
        assert added.selection.fields == {"spec.color": "red"}
        assert modified.selection.fields == {"spec.color": "blue"}
        assert modified.previous is not None
        assert modified.previous.selection.fields == {"spec.color": "red"}
    else:
        assert added.selection.fields == {}


def test_the_definitions_of_a_plain_snapshot_say_what_is_extracted_of_what_comes_sealed() -> None:
    key = WIDGETS + b"ns/w"
    plain = definition(".spec.color")
    snapshot = Snapshot(
        Revision(5), [CachedObject(DEFINITION, Revision(2), plain[:1], plain[1:], NO_SELECTION)]
    )
    encrypted = {("example.com", "widgets"): Transformer([GOOD])}
    one = Opener(Encryption(encrypted, RESOURCES), Extractor(), etcd_prefix="/registry")

    async def opened() -> Entry:
        await one.snapshot(snapshot)
        stored = GOOD.seal(widget("red"), key)
        event = Event("ADDED", key, Revision(6), b"", stored, NO_SELECTION)
        return await one.entry(Entry(Revision(5), Revision(6), (event,)))

    (added,) = asyncio.run(opened()).events
    assert added.selection.fields == {"spec.color": "red"}


def test_a_store_whose_definition_cannot_be_read_is_followed_all_the_same(tmp_path: Path) -> None:
    key = WIDGETS + b"ns/w"

    async def first(storage: SqliteStorage) -> None:
        await storage.create(DEFINITION, OTHER.seal(definition(".spec.color"), DEFINITION))
        await storage.create(key, widget("red"))

    async def story(flow: Flow) -> None:
        widgets = flow.cache.resource(WIDGETS)
        for color in (b"red", b"blue"):
            found = widgets.get(key)
            assert found is not None
            assert color in found.body
            await flow.write(widget("blue"), key)

    following(tmp_path, story, GOOD, first=first)


# -- the cache ---------------------------------------------------------------------------


class Flow:
    """A store below, and a cache that follows it by what is opened."""

    def __init__(self, storage: SqliteStorage, *providers: Provider) -> None:
        self.storage = storage
        self.encryption = Encryption(rules(*providers), RESOURCES)
        extractor = extractor_for(builtin_table().resources(), "/registry")
        self.cache = WatchCache()
        self.secrets: ResourceCache = self.cache.resource(PREFIX)
        self.pods = self.cache.resource(b"/registry/pods/")
        one = Opener(self.encryption, extractor, etcd_prefix="/registry")
        self.flow = OwnEventFlow(storage, self.cache, extractor, one, etcd_prefix="/registry")

    async def write(self, value: bytes, key: bytes = A) -> None:
        """Put what is to be stored, as it is, and wait until the cache has seen it."""
        found = await self.storage.get(key)
        if found is None:
            revision = await self.storage.create(key, value)
        else:
            revision = await self.storage.update(key, value, expected=found.revision)
        assert await self.cache.wait_for(revision, PATIENCE_S)

    async def delete(self, key: bytes = A) -> None:
        found = await self.storage.get(key)
        assert found is not None
        revision = await self.storage.delete(key, expected=found.revision)
        assert await self.cache.wait_for(revision, PATIENCE_S)


def following(
    path: Path,
    story: Callable[[Flow], Awaitable[None]],
    *providers: Provider,
    first: Callable[[SqliteStorage], Awaitable[None]] | None = None,
) -> None:
    async def main() -> None:
        storage = SqliteStorage.open(path / "store.db")
        if first is not None:
            await first(storage)
        one = Flow(storage, *providers)
        running = asyncio.create_task(one.flow.run())
        try:
            async with asyncio.timeout(PATIENCE_S):
                await one.flow.ready.wait()
                await story(one)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await storage.aclose()

    asyncio.run(main())


def read(flow: Flow, key: bytes = A) -> bytes:
    found = flow.secrets.get(key)
    assert found is not None
    return found.body


def test_damage_concerns_its_object_and_the_lists_it_is_in(tmp_path: Path) -> None:
    async def story(flow: Flow) -> None:
        await flow.write(sealed(secret("a")))
        await flow.write(sealed(secret("b"), B), B)
        await flow.write(sealed(secret("a"))[:-1])
        with pytest.raises(UnreadableValue, match=r"unable to transform key.*/ns/a"):
            read(flow)
        assert b"marker" in read(flow, B)
        items = flow.secrets.scan(PREFIX)
        assert [item.key for item in items] == [A, B]
        with pytest.raises(UnreadableValue):
            _ = [item.body for item in items]
        with pytest.raises(UnreadableValue):
            _ = [item.selection for item in items]  # no selector passes it over either
        with pytest.raises(UnreadableValue):
            flow.secrets.check_readable(PREFIX + b"ns/")
        flow.secrets.check_readable(PREFIX + b"other/")
        flow.secrets.check_readable(B)

    following(tmp_path, story, GOOD)


def test_watchers_end_at_a_damage_and_nobody_resumes_across_it(tmp_path: Path) -> None:
    async def story(flow: Flow) -> None:
        await flow.write(sealed(secret("a")))
        before = flow.cache.revision
        all_of_them = flow.secrets.watch(after=before)
        that_one = flow.secrets.watch(after=before, scope=A)
        another = flow.secrets.watch(after=before, scope=B)
        pods = flow.pods.watch(after=before)
        await flow.write(sealed(secret("a"), B))
        assert all_of_them.ended is that_one.ended is EndReason.UNREADABLE
        assert another.ended is pods.ended is None
        with pytest.raises(Expired):
            flow.secrets.watch(after=before)

    following(tmp_path, story, GOOD)


def test_a_damage_is_over_when_the_object_is_written_anew_or_gone(tmp_path: Path) -> None:
    async def story(flow: Flow) -> None:
        for end in (lambda: flow.write(sealed(secret("a", data="new"))), flow.delete):
            await flow.write(sealed(secret("a"))[:-1])
            assert flow.secrets.unreadable_count == 1
            await end()
            assert flow.secrets.unreadable_count == 0
            flow.secrets.check_readable(PREFIX)
        assert flow.secrets.get(A) is None

    following(tmp_path, story, GOOD)


def test_a_start_with_the_wrong_key_shows_that_there_is_something(tmp_path: Path) -> None:
    async def first(storage: SqliteStorage) -> None:
        await storage.create(A, CIPHERTEXT)
        await storage.create(b"/registry/pods/ns/a", secret())

    async def story(flow: Flow) -> None:
        assert flow.secrets.unreadable_count == 1
        with pytest.raises(UnreadableValue):
            read(flow)
        assert len(flow.pods) == 1

    following(tmp_path, story, OTHER, first=first)


def test_a_start_without_any_keys_does_so_as_well(tmp_path: Path) -> None:
    async def first(storage: SqliteStorage) -> None:
        await storage.create(A, CIPHERTEXT)

    async def story(flow: Flow) -> None:
        with pytest.raises(UnreadableValue, match="identity transformer tried to read encrypted"):
            read(flow)

    following(tmp_path, story, first=first)


def test_new_keys_open_what_was_unreadable(tmp_path: Path) -> None:
    async def first(storage: SqliteStorage) -> None:
        await storage.create(A, CIPHERTEXT)

    async def story(flow: Flow) -> None:
        flow.encryption.use(rules(OTHER, GOOD, IDENTITY))
        revision = await flow.storage.create(b"/registry/pods/ns/a", secret())
        while flow.secrets.unreadable_count:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        assert await flow.cache.wait_for(revision, PATIENCE_S)
        assert b"marker" in read(flow)

    following(tmp_path, story, OTHER, first=first)


def test_the_answer_about_it_is_a_500_that_names_the_key_and_not_the_content() -> None:
    error = interpret(UnreadableValue(A, "no matching prefix found"))
    assert isinstance(error, InternalError)
    why = 'unable to transform key "/registry/secrets/ns/a": no matching prefix found'
    assert to_status(error) == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f"Internal error occurred: {why}",
        "reason": "InternalError",
        "details": {"causes": [{"message": why}]},
        "code": 500,
    }
