"""Reads: SQL on one snapshot each, run outside the event loop.

Every function takes a connection that is not in a transaction and may be called in any
thread. With a result comes the newest revision of the snapshot it was read from.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from shared.storage.errors import Compacted, FutureRevision
from shared.storage.keyrange import prefix_end
from shared.storage.protocol import Change, ChangeBatch, KeyValue, Page, Revision

BACKFILL_CHANGES = 500
"""Changes (count) in one backfill batch: 500 of 4 KB are 2 MB and take about 5 ms to read."""

BACKFILL_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one read transaction sees; `compacted` is the oldest readable revision."""

    newest: Revision
    compacted: Revision

    def check(self, revision: Revision | None) -> Revision:
        """Return the revision to read at.

        Raises:
            Compacted: it is older than the kept history.
            FutureRevision: it has not been reached yet.
        """
        if revision is None:
            return self.newest
        if revision < self.compacted:
            raise Compacted(revision, self.compacted)
        if revision > self.newest:
            raise FutureRevision(revision, self.newest)
        return revision


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[Snapshot]:
    connection.execute("BEGIN")
    try:
        newest, compacted = connection.execute(
            "SELECT max(coalesce((SELECT max(revision) FROM changes), 0), compacted), compacted"
            " FROM compaction"
        ).fetchone()
        yield Snapshot(newest, compacted)
    finally:
        connection.execute("ROLLBACK")


def get(
    connection: sqlite3.Connection, key: bytes, revision: Revision | None
) -> tuple[KeyValue | None, Revision]:
    with snapshot(connection) as seen:
        at = seen.check(revision)
        row = connection.execute(
            "SELECT value, revision, deleted FROM changes WHERE key = ? AND revision <= ?"
            " ORDER BY revision DESC LIMIT 1",
            (key, at),
        ).fetchone()
    if row is None or row[2]:
        return None, seen.newest
    return KeyValue(key, row[0], row[1]), seen.newest


# `deleted` next to max(revision) is that of the newest row: SQLite's rule for bare columns
# beside max(), https://sqlite.org/lang_select.html#bareagg.
_LATEST = (
    "SELECT key, max(revision) AS latest, deleted FROM changes INDEXED BY history"
    " WHERE key {after} ? {before} AND revision <= ? GROUP BY key HAVING NOT deleted"
)


def list_page(
    connection: sqlite3.Connection,
    prefix: bytes,
    start: bytes | None,
    limit: int,
    revision: Revision | None,
) -> tuple[Page, Revision]:
    first = prefix if start is None else max(start, prefix)
    end = prefix_end(prefix)
    before, bound = ("", ()) if end is None else ("AND key < ?", (end,))
    with snapshot(connection) as seen:
        at = seen.check(revision)
        latest = _LATEST.format(after=">=", before=before)
        rows = connection.execute(
            "SELECT changes.key, changes.value, changes.revision"
            f" FROM ({latest} ORDER BY key LIMIT ?)"
            " CROSS JOIN changes ON changes.revision = latest",
            (first, *bound, at, limit or -1),
        )
        items = [KeyValue(*row) for row in rows]
        # SQL promises no order to a join; sorting there would copy all values.
        items.sort(key=_key)
        remaining = 0
        if limit and len(items) == limit:
            latest = _LATEST.format(after=">", before=before)
            (remaining,) = connection.execute(
                f"SELECT count(*) FROM ({latest})", (items[-1].key, *bound, at)
            ).fetchone()
    return Page(items, at, remaining), seen.newest


def _key(item: KeyValue) -> bytes:
    return item.key


def changes_after(
    connection: sqlite3.Connection, prefix: bytes, after: Revision, until: Revision
) -> ChangeBatch:
    """Return the first changes of `prefix` after `after`; complete up to the batch's revision.

    Raises:
        Compacted: `after` is older than the kept history.
    """
    end = prefix_end(prefix)
    before, bound = ("", ()) if end is None else ("AND change.key < ?", (end,))
    with snapshot(connection) as seen:
        if after < seen.compacted:
            raise Compacted(after, seen.compacted)
        rows = connection.execute(
            "SELECT change.key, change.value, change.revision, old.value, change.previous"
            " FROM changes AS change LEFT JOIN changes AS old ON old.revision = change.previous"
            " WHERE change.revision > ? AND change.revision <= ?"
            f" AND change.key >= ? {before} AND change.key <> x''"
            " ORDER BY change.revision LIMIT ?",
            (after, until, prefix, *bound, BACKFILL_CHANGES),
        )
        changes: list[Change] = []
        size_bytes = 0
        for key, value, revision, old, previous in rows:
            before_it = KeyValue(key, old, previous) if previous else None
            changes.append(Change(key, value, revision, before_it))
            size_bytes += len(value or b"") + len(old or b"")
            if size_bytes > BACKFILL_BYTES:
                break
    full = len(changes) == BACKFILL_CHANGES or size_bytes > BACKFILL_BYTES
    return ChangeBatch(changes, changes[-1].revision if full else until)
