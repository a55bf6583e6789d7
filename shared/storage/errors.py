"""What can go wrong in a store; the adapters let nothing else out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.storage.protocol import KeyValue, Revision


class StorageError(Exception):
    """The family of all storage errors."""


class KeyExists(StorageError):
    """A create found the key taken; `current` is what is there."""

    def __init__(self, current: KeyValue) -> None:
        super().__init__(f"key exists: {current.key!r} at revision {current.revision}")
        self.current = current


class RevisionConflict(StorageError):
    """A guarded write found another revision; `current` is what is there, None if nothing."""

    def __init__(self, key: bytes, expected: Revision, current: KeyValue | None) -> None:
        found = "nothing" if current is None else f"revision {current.revision}"
        super().__init__(f"{key!r}: expected revision {expected}, found {found}")
        self.key = key
        self.expected = expected
        self.current = current


class Compacted(StorageError):
    """The revision asked for is older than the kept history, which starts at `oldest`."""

    def __init__(self, revision: Revision, oldest: Revision) -> None:
        super().__init__(f"revision {revision} has been compacted; the oldest kept is {oldest}")
        self.revision = revision
        self.oldest = oldest


class FutureRevision(StorageError):
    """The revision asked for has not been reached; the store is at `current`."""

    def __init__(self, revision: Revision, current: Revision) -> None:
        super().__init__(f"revision {revision} is in the future; current is {current}")
        self.revision = revision
        self.current = current


class WentBack(StorageError):
    """The store is at `current` and has been at `revision`: it was restored, or is another one.

    What is known of it may never have been. Whoever has a state of it begins anew.
    """

    def __init__(self, revision: Revision, current: Revision) -> None:
        super().__init__(
            f"the store went back from revision {revision} to {current}: it was restored, or is "
            "another one, and what was read of it counts no more"
        )
        self.revision = revision
        self.current = current


class StorageUnavailable(StorageError):
    """The store did not answer in time; a write may or may not have happened."""


class UnreadableValue(StorageError):
    """What is stored under `key` can't be decrypted; the message does not tell its content."""

    def __init__(self, key: bytes, why: str) -> None:
        super().__init__(f'unable to transform key "{key.decode(errors="replace")}": {why}')
        self.key = key
        self.why = why
