"""What a watch cache can't do; only these leave the package."""

from __future__ import annotations

from shared.storage.protocol import Revision


class WatchCacheError(Exception):
    """The family of all watch cache errors."""


class Expired(WatchCacheError):
    """The history starts after `oldest`, behind the revision asked for: list again."""

    def __init__(self, revision: Revision, oldest: Revision) -> None:
        super().__init__(f"too old resource version: {revision} ({oldest})")
        self.revision = revision
        self.oldest = oldest


class ReloadNeeded(WatchCacheError):
    """The log does not tell what follows `revision`: load a snapshot, then follow again."""

    def __init__(self, revision: Revision) -> None:
        super().__init__(f"the event log does not tell what follows revision {revision}")
        self.revision = revision


class StaleSnapshot(WatchCacheError):
    """The snapshot is older than what has been shown to clients already."""

    def __init__(self, revision: Revision, current: Revision) -> None:
        super().__init__(f"snapshot at revision {revision}, but the cache is at {current}")
        self.revision = revision
        self.current = current
