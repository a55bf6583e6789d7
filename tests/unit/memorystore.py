"""A store of keys in memory, for what needs guarded writes and no more."""

from __future__ import annotations

from shared.storage import KeyExists, KeyValue, Page, Revision, RevisionConflict


class MemoryStore:
    """The part of Storage that allocators and quotas use."""

    def __init__(self) -> None:
        self.items: dict[bytes, KeyValue] = {}
        self._revision = 0
        self.before_update: list[KeyValue] = []
        """Written just before the next update, as by another replica."""

    async def get(self, key: bytes, *, revision: Revision | None = None) -> KeyValue | None:
        return self.items.get(key)

    async def list(
        self,
        prefix: bytes,
        *,
        start: bytes | None = None,
        limit: int = 0,
        revision: Revision | None = None,
    ) -> Page:
        found = [self.items[key] for key in sorted(self.items) if key.startswith(prefix)]
        return Page(found, Revision(self._revision), 0)

    async def create(self, key: bytes, value: bytes, *, ttl_s: int | None = None) -> Revision:
        if key in self.items:
            raise KeyExists(self.items[key])
        return self.put(key, value)

    async def update(
        self, key: bytes, value: bytes, *, expected: Revision, ttl_s: int | None = None
    ) -> Revision:
        while self.before_update:
            other = self.before_update.pop()
            self.put(other.key, other.value)
        self._check(key, expected)
        return self.put(key, value)

    async def delete(self, key: bytes, *, expected: Revision) -> Revision:
        self._check(key, expected)
        del self.items[key]
        self._revision += 1
        return Revision(self._revision)

    def put(self, key: bytes, value: bytes) -> Revision:
        self._revision += 1
        self.items[key] = KeyValue(key, value, Revision(self._revision))
        return Revision(self._revision)

    def _check(self, key: bytes, expected: Revision) -> None:
        current = self.items.get(key)
        if current is None or current.revision != expected:
            raise RevisionConflict(key, expected, current)
