"""The embedded store: one SQLite file, written by one thread, read by others.

All writes go through the writer thread, which checks guards in memory and commits what
has queued up in one durable transaction; reads and watch backfills are SQL on read-only
connections; watches follow the writer's commits in the event loop.
"""

from shared.storage.sqlite.store import SqliteStorage

__all__ = ["SqliteStorage"]
