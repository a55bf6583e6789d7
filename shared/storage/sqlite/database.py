"""The file: schema, opening with every check, one process at a time.

`changes` holds one row a revision and is append-only until compaction, so a commit dirties
the last pages of the table and a leaf of the index per key. There is no table of current
state: the newest row of a key is found through the index, and the writer keeps the newest
revision of every key in memory.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path

from shared.storage.errors import StorageError

APPLICATION_ID = 0x6B62666E
SCHEMA_VERSION = 1

_SCHEMA = f"""
CREATE TABLE changes (
    revision INTEGER PRIMARY KEY,
    key BLOB NOT NULL,
    previous INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    deadline REAL,
    value BLOB
);
CREATE INDEX history ON changes (key, revision, deleted);
CREATE INDEX expiring ON changes (deadline) WHERE deadline IS NOT NULL;
CREATE TABLE compaction (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    compacted INTEGER NOT NULL,
    trimmed INTEGER NOT NULL
);
INSERT INTO compaction VALUES (1, 0, 0);
INSERT INTO changes VALUES (1, x'', 0, 1, NULL, NULL);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""
# `previous` is the revision of the row that a change replaced, 0 for a creation. Revision 1
# is an empty store, as in etcd, so that no state has revision 0.


class FileLock:
    """Holds `path`.lock while the store is open.

    A file of its own: closing any descriptor of the database itself would drop SQLite's own
    POSIX locks on it.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise StorageError(f"{path} is in use by another process") from None

    def release(self) -> None:
        os.close(self._descriptor)


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open or create the store.

    Raises:
        StorageError: the file is not a database, not ours, or can't be opened.
    """
    try:
        # Objects may be secrets; SQLite gives its files beside it the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, cached_statements=256
        )
    except (OSError, sqlite3.Error) as error:
        raise StorageError(f"can't open {path}: {error}") from error
    try:
        _prepare(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise StorageError(f"can't use {path}: {error}") from error
    except StorageError:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    # A kill between creating the file and its schema leaves an empty database: still new.
    new = application_id == 0 and tables == 0
    if new:
        # Has to come before the first page is written; lets compaction give space back.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    else:
        if application_id != APPLICATION_ID:
            raise StorageError(f"{path} is not a kubefan store")
        if version != SCHEMA_VERSION:
            raise StorageError(f"{path} has version {version}, this program {SCHEMA_VERSION}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA journal_size_limit = 16777216")
    if new:
        connection.executescript(f"BEGIN; {_SCHEMA} COMMIT;")


def open_for_reading(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA query_only = ON")
    return connection
