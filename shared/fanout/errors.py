"""What ends the following of a store."""

from __future__ import annotations

from shared.storage.protocol import Revision


class HistoryLost(Exception):
    """The store has forgotten what followed `after`; the owner takes a snapshot and starts anew."""

    def __init__(self, after: Revision) -> None:
        super().__init__(f"the store no longer tells what followed revision {after}")
        self.after = after
