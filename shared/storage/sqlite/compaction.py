"""Forgetting the history: at once for readers, piece by piece in the file.

Owned by the writer's thread. A piece is short, and pieces are apart, so that writes wait
for one of them at most.
"""

from __future__ import annotations

import logging
import sqlite3
import time

log = logging.getLogger(__name__)

TRIM_REVISIONS = 500
"""Revisions trimmed in one transaction."""

VACUUM_PAGES = 256
"""Pages given back in one step."""

FREE_PAGES_KEPT = 2048
"""Free pages (8 MB) left in the file for the writes to come; more is given back."""

PAUSE_S = 0.05
RETRY_S = 10.0


class Compaction:
    """`compacted` is the oldest readable revision; up to `trimmed` its rows are gone."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.compacted, self._trimmed = connection.execute(
            "SELECT compacted, trimmed FROM compaction"
        ).fetchone()
        self._may_vacuum = True
        self._next = 0.0

    def __repr__(self) -> str:
        return f"<Compaction to {self.compacted}, trimmed to {self._trimmed}>"

    def refuse_before(self, revision: int) -> None:
        self._connection.execute("UPDATE compaction SET compacted = ?", (revision,))
        self.compacted = revision

    def wait_s(self) -> float | None:
        """Seconds until the next piece of work is due; None if there is none."""
        if self._trimmed == self.compacted and not self._may_vacuum:
            return None
        return max(0.0, self._next - time.monotonic())

    def work(self) -> None:
        """Do the next piece, if it is due."""
        if self.wait_s() != 0:
            return
        pause_s = PAUSE_S
        try:
            if self._trimmed < self.compacted:
                self._trim()
            else:
                self._vacuum()
        except sqlite3.Error as error:
            log.error("trimming the history failed, trying again later: %s", error)
            if self._connection.in_transaction:
                self._connection.rollback()
            pause_s = RETRY_S
        self._next = time.monotonic() + pause_s

    def _trim(self) -> None:
        """Delete what the next few compacted revisions replaced, and their tombstones.

        Proportional to the history, not to the state: what a change at or before the
        compacted revision replaced is exactly what no read can see any more.
        """
        until = min(self._trimmed + TRIM_REVISIONS, self.compacted)
        span = (self._trimmed, until)
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        execute(
            "DELETE FROM changes WHERE revision IN"
            " (SELECT previous FROM changes WHERE revision > ? AND revision <= ?)",
            span,
        )
        execute("DELETE FROM changes WHERE revision > ? AND revision <= ? AND deleted", span)
        execute("UPDATE compaction SET trimmed = ?", (until,))
        execute("COMMIT")
        self._trimmed = until
        self._may_vacuum = True

    def _vacuum(self) -> None:
        (free,) = self._connection.execute("PRAGMA freelist_count").fetchone()
        excess = free - FREE_PAGES_KEPT
        if excess > 0:
            # Every step of the statement frees one page, and execute takes one step.
            pages = min(excess, VACUUM_PAGES)
            self._connection.executescript(f"PRAGMA incremental_vacuum({pages})")
        self._may_vacuum = excess > VACUUM_PAGES
