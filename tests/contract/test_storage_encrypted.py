"""A storage that lies encrypted in another keeps the contract, and says what only it knows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from shared.resources import builtin_table
from shared.storage import KeyExists, Revision, RevisionConflict, StaleKeyValue, UnreadableValue
from shared.storage.encryption import (
    IDENTITY,
    EncryptedStorage,
    Encryption,
    Provider,
    StoredResources,
    Transformer,
    aescbc,
    aesgcm,
    secretbox,
)
from shared.storage.sqlite import SqliteStorage
from tests.contract.storage import Run, StorageContract, Story, collect, watching

SECRET = bytes(range(32))
ALL = ("*", "*")
KEY = b"/registry/secrets/default/a"
OTHER_KEY = b"/registry/secrets/default/b"


def encryption(*providers: Provider) -> Encryption:
    resources = StoredResources(builtin_table().resources(), "/registry")
    return Encryption({ALL: Transformer(providers)} if providers else {}, resources)


class Everywhere(StoredResources):
    """Takes the contract's keys for resources, wherever they lie."""

    def of_key(self, key: bytes) -> tuple[str, str]:
        return "", "any"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "store.db"


@pytest.mark.parametrize("provider", [aesgcm, aescbc, secretbox], ids=lambda one: one.__name__)
class TestEncryptedStorage(StorageContract):
    @pytest.fixture
    def run(self, path: Path, provider: Callable[[list[tuple[str, bytes]]], Provider]) -> Run:
        rules = {ALL: Transformer([provider([("k", SECRET)])])}

        def run_story(story: Story) -> None:
            async def main() -> None:
                wrapped = Encryption(rules, Everywhere((), "/"))
                storage = EncryptedStorage(SqliteStorage.open(path), wrapped)
                try:
                    async with asyncio.timeout(20):
                        await story(storage)
                finally:
                    await storage.aclose()

            asyncio.run(main())

        return run_story


Layers = Callable[[SqliteStorage, Callable[..., EncryptedStorage]], Awaitable[None]]


def run_raw(path: Path, story: Layers) -> None:
    """Run a story that sees the store below as well, and wraps it as it likes."""

    async def main() -> None:
        raw = SqliteStorage.open(path)

        def wrapped(*providers: Provider) -> EncryptedStorage:
            return EncryptedStorage(raw, encryption(*providers))

        try:
            async with asyncio.timeout(20):
                await story(raw, wrapped)
        finally:
            await raw.aclose()

    asyncio.run(main())


def gcm(name: str, secret: bytes = SECRET) -> Provider:
    return aesgcm([(name, secret)])


def test_what_lies_in_the_store_below_is_not_the_value(path: Path) -> None:
    async def story(raw: SqliteStorage, wrapped: Callable[..., EncryptedStorage]) -> None:
        await wrapped(gcm("k")).create(KEY, b"a marker")
        found = await raw.get(KEY)
        assert found is not None
        assert found.value.startswith(b"k8s:enc:aesgcm:v1:k:")
        assert b"a marker" not in found.value

    run_raw(path, story)
    assert not any(b"a marker" in file.read_bytes() for file in path.parent.iterdir())


def test_what_another_key_has_sealed_is_stale_and_a_write_makes_it_fresh(path: Path) -> None:
    async def story(raw: SqliteStorage, wrapped: Callable[..., EncryptedStorage]) -> None:
        await wrapped(gcm("old")).create(KEY, b"v")
        rotating = wrapped(aesgcm([("new", SECRET[::-1]), ("old", SECRET)]))
        found = await rotating.get(KEY)
        assert isinstance(found, StaleKeyValue)
        assert found.value == b"v"
        (listed,) = (await rotating.list(b"/")).items
        assert isinstance(listed, StaleKeyValue)
        await rotating.update(KEY, found.value, expected=found.revision)
        fresh = await wrapped(gcm("new", SECRET[::-1])).get(KEY)
        assert fresh is not None
        assert not isinstance(fresh, StaleKeyValue)

    run_raw(path, story)


def test_plain_values_are_stale_under_a_provider_and_encrypted_ones_under_identity(
    path: Path,
) -> None:
    async def story(raw: SqliteStorage, wrapped: Callable[..., EncryptedStorage]) -> None:
        await raw.create(KEY, b"plain")
        assert isinstance(await wrapped(gcm("k"), IDENTITY).get(KEY), StaleKeyValue)
        await wrapped(gcm("k")).create(OTHER_KEY, b"sealed")
        back = wrapped(IDENTITY, gcm("k"))
        assert isinstance(await back.get(OTHER_KEY), StaleKeyValue)
        assert not isinstance(await back.get(KEY), StaleKeyValue)

    run_raw(path, story)


@pytest.mark.parametrize(
    ("providers", "why"),
    [
        ((), "identity transformer tried to read encrypted data"),
        ((IDENTITY,), "no matching prefix found"),
        ((gcm("other"),), "no matching key was found for the provided AES transformer"),
        ((gcm("k", SECRET[::-1]),), "cipher: message authentication failed"),
        ((secretbox([("k", SECRET)]),), "no matching prefix found"),
    ],
)
def test_what_cannot_be_decrypted_is_an_error_that_names_the_key(
    providers: tuple[Provider, ...], why: str, path: Path
) -> None:
    async def story(raw: SqliteStorage, wrapped: Callable[..., EncryptedStorage]) -> None:
        await wrapped(gcm("k")).create(KEY, b"v")
        storage = wrapped(*providers)
        for read in (storage.get(KEY), storage.list(b"/")):
            with pytest.raises(UnreadableValue) as caught:
                await read
            assert str(caught.value) == f'unable to transform key "{KEY.decode()}": {why}'

    run_raw(path, story)


def test_a_ciphertext_under_another_key_is_refused_by_aesgcm(path: Path) -> None:
    async def story(raw: SqliteStorage, wrapped: Callable[..., EncryptedStorage]) -> None:
        storage = wrapped(gcm("k"))
        await storage.create(KEY, b"of a")
        found = await raw.get(KEY)
        assert found is not None
        await raw.create(OTHER_KEY, found.value)
        with pytest.raises(UnreadableValue, match="message authentication failed"):
            await storage.get(OTHER_KEY)

    run_raw(path, story)


def test_errors_show_the_value_and_not_its_ciphertext(path: Path) -> None:
    async def story(raw: SqliteStorage, wrapped: Callable[..., EncryptedStorage]) -> None:
        storage = wrapped(gcm("k"))
        await storage.create(KEY, b"v")
        with pytest.raises(KeyExists) as exists:
            await storage.create(KEY, b"w")
        assert exists.value.current.value == b"v"
        for write in (
            storage.update(KEY, b"w", expected=Revision(1)),
            storage.delete(KEY, expected=Revision(1)),
        ):
            with pytest.raises(RevisionConflict) as conflict:
                await write
            assert conflict.value.current is not None
            assert conflict.value.current.value == b"v"

    run_raw(path, story)


def test_a_create_where_something_unreadable_lies_finds_the_key_taken(path: Path) -> None:
    async def story(raw: SqliteStorage, wrapped: Callable[..., EncryptedStorage]) -> None:
        await wrapped(gcm("k")).create(KEY, b"v")
        with pytest.raises(KeyExists):
            await wrapped(gcm("other")).create(KEY, b"w")

    run_raw(path, story)


def test_a_watch_shows_values_before_and_after(path: Path) -> None:
    async def story(raw: SqliteStorage, wrapped: Callable[..., EncryptedStorage]) -> None:
        storage = wrapped(gcm("k"), IDENTITY)
        created = await raw.create(KEY, b"plain")
        updated = await storage.update(KEY, b"sealed", expected=created)
        await storage.delete(KEY, expected=updated)
        async with watching(storage, b"/", Revision(1)) as watch:
            changes = await collect(watch, 3)
        assert [change.value for change in changes] == [b"plain", b"sealed", None]
        assert [change.previous and change.previous.value for change in changes] == [
            None,
            b"plain",
            b"sealed",
        ]

    run_raw(path, story)
