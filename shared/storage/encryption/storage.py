"""EncryptedStorage: a Storage that keeps its values in another, encrypted."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from shared.storage.encryption.encryption import Encryption
from shared.storage.errors import KeyExists, RevisionConflict, UnreadableValue
from shared.storage.protocol import (
    Change,
    ChangeBatch,
    KeyValue,
    Page,
    Revision,
    StaleKeyValue,
    Storage,
)
from shared.timeslice import TimeSlice


class EncryptedStorage:
    """Encrypts what is written and decrypts what is read; everything else is the other's.

    What is stale comes as a StaleKeyValue. Beside what a Storage raises: UnreadableValue, for
    what can't be decrypted.
    """

    def __init__(self, storage: Storage, encryption: Encryption) -> None:
        self._storage = storage
        self._encryption = encryption

    def __repr__(self) -> str:
        return f"<EncryptedStorage {self._storage!r}, {self._encryption!r}>"

    async def get(self, key: bytes, *, revision: Revision | None = None) -> KeyValue | None:
        found = await self._storage.get(key, revision=revision)
        return None if found is None else self._opened(found)

    async def list(
        self,
        prefix: bytes,
        *,
        start: bytes | None = None,
        limit: int = 0,
        revision: Revision | None = None,
    ) -> Page:
        page = await self._storage.list(prefix, start=start, limit=limit, revision=revision)
        items: list[KeyValue] = []
        time_slice = TimeSlice()
        for item in page.items:
            items.append(self._opened(item))
            if time_slice.is_over():
                await time_slice.give_way()
        return Page(items, page.revision, page.remaining)

    async def create(self, key: bytes, value: bytes, *, ttl_s: int | None = None) -> Revision:
        """As Storage.create; `current` of what can't be decrypted is as it is stored."""
        try:
            return await self._storage.create(key, self._encryption.seal(key, value), ttl_s=ttl_s)
        except KeyExists as error:
            try:
                current = self._opened(error.current)
            except UnreadableValue:
                raise error from None  # it is there, whatever it is
            raise KeyExists(current) from None

    async def update(
        self, key: bytes, value: bytes, *, expected: Revision, ttl_s: int | None = None
    ) -> Revision:
        sealed = self._encryption.seal(key, value)
        try:
            return await self._storage.update(key, sealed, expected=expected, ttl_s=ttl_s)
        except RevisionConflict as error:
            raise self._opened_conflict(error) from None

    async def delete(self, key: bytes, *, expected: Revision) -> Revision:
        try:
            return await self._storage.delete(key, expected=expected)
        except RevisionConflict as error:
            raise self._opened_conflict(error) from None

    async def current_revision(self) -> Revision:
        return await self._storage.current_revision()

    async def watch(self, prefix: bytes, *, after: Revision) -> AsyncGenerator[ChangeBatch, None]:
        # The protocol promises a generator and says only iterator.
        batches = cast(
            "AsyncGenerator[ChangeBatch, None]", self._storage.watch(prefix, after=after)
        )
        async with aclosing(batches):
            async for batch in batches:
                changes = [self._opened_change(change) for change in batch.changes]
                yield ChangeBatch(changes, batch.revision)

    async def compact(self, revision: Revision) -> None:
        await self._storage.compact(revision)

    async def aclose(self) -> None:
        await self._storage.aclose()

    def _opened(self, item: KeyValue) -> KeyValue:
        value, is_stale = self._encryption.open(item.key, item.value)
        if is_stale:
            return StaleKeyValue(item.key, value, item.revision)
        return item if value is item.value else KeyValue(item.key, value, item.revision)

    def _opened_change(self, change: Change) -> Change:
        value, previous = change.value, change.previous
        if value is not None:
            value, _ = self._encryption.open(change.key, value)
        if previous is not None:
            plain, _ = self._encryption.open(change.key, previous.value)
            previous = KeyValue(previous.key, plain, previous.revision)
        return Change(change.key, value, change.revision, previous)

    def _opened_conflict(self, error: RevisionConflict) -> RevisionConflict:
        current = None if error.current is None else self._opened(error.current)
        return RevisionConflict(error.key, error.expected, current)
