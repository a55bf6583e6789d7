"""The storage interface: keys and bytes under one sequence of revisions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import NewType, Protocol

Revision = NewType("Revision", int)
"""The store's integer behind a resourceVersion: one sequence for all keys, one step a commit."""


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A key, its bytes, and the revision of the write that put them there."""

    key: bytes
    value: bytes
    revision: Revision


class StaleKeyValue(KeyValue):
    """One whose stored form is not what a write of the same value would store now.

    An old key of the encryption, say: a write that changes nothing is worth while.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a listing, in key order.

    `revision` is the state it shows. `remaining` counts the keys of the prefix behind the
    last item; 0 means that the listing is complete.
    """

    items: Sequence[KeyValue]
    revision: Revision
    remaining: int


@dataclass(frozen=True, slots=True)
class Change:
    """One key's change. `value` is None for a deletion; `previous` is None for a creation."""

    key: bytes
    value: bytes | None
    revision: Revision
    previous: KeyValue | None


@dataclass(frozen=True, slots=True)
class ChangeBatch:
    """All changes after the batch before, up to and including `revision`; whole commits only.

    A batch without changes says that the watch has seen everything up to `revision`.
    """

    changes: Sequence[Change]
    revision: Revision


class Storage(Protocol):
    """A versioned key-value store; every write is one guarded transaction.

    All methods raise StorageUnavailable when the store can't be reached in time.
    A write that was acknowledged survives a kill -9 of every process at once. A write
    whose answer was lost may or may not have happened (StorageUnavailable).
    """

    async def get(self, key: bytes, *, revision: Revision | None = None) -> KeyValue | None:
        """Return the newest state of `key` (linearizable), or its state at `revision`.

        Raises:
            Compacted: `revision` is older than the kept history.
            FutureRevision: `revision` has not been reached yet.
        """
        ...

    async def list(
        self,
        prefix: bytes,
        *,
        start: bytes | None = None,
        limit: int = 0,
        revision: Revision | None = None,
    ) -> Page:
        """Return the keys of `prefix` from `start` (a full key, inclusive) on, in byte order.

        `limit` 0 means all. Without `revision` the newest state (linearizable).

        Raises:
            Compacted: `revision` is older than the kept history.
            FutureRevision: `revision` has not been reached yet.
        """
        ...

    async def create(self, key: bytes, value: bytes, *, ttl_s: int | None = None) -> Revision:
        """Put `value` where nothing is.

        Raises:
            KeyExists: something is; the error carries it as `current`.
        """
        ...

    async def update(
        self, key: bytes, value: bytes, *, expected: Revision, ttl_s: int | None = None
    ) -> Revision:
        """Replace the value that was written at `expected`.

        Without `ttl_s` the key lives on without expiry.

        Raises:
            RevisionConflict: the key changed or is gone; `current` says what is there now.
        """
        ...

    async def delete(self, key: bytes, *, expected: Revision) -> Revision:
        """Remove the key written at `expected`; returns the deletion's revision.

        Raises:
            RevisionConflict: the key changed or is gone; `current` says what is there now.
        """
        ...

    async def current_revision(self) -> Revision:
        """Return the newest committed revision (linearizable)."""
        ...

    def watch(self, prefix: bytes, *, after: Revision) -> AsyncIterator[ChangeBatch]:
        """Yield every change of `prefix` after `after`, once, in order, without holes; endless.

        Yields an empty batch now and then when nothing under `prefix` changes but the
        revision moves on. Closing the generator ends the watch.

        Raises:
            Compacted: `after` is older than the kept history, on start or on a reconnect.
            WentBack: on a reconnect, the store has not come as far as the watch has.
        """
        ...

    async def compact(self, revision: Revision) -> None:
        """Forget the history before `revision`; the state at `revision` stays readable.

        Raises:
            Compacted: that is already gone.
            FutureRevision: `revision` has not been reached yet.
        """
        ...

    async def aclose(self) -> None:
        """End open watches and release the connection or file."""
        ...
