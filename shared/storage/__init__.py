"""Keys and bytes under one sequence of revisions.

Storage is the interface; the implementations are etcd and embedded SQLite. Nothing in
here knows what an object is.
"""

from shared.storage.errors import (
    Compacted,
    FutureRevision,
    KeyExists,
    RevisionConflict,
    StorageError,
    StorageUnavailable,
    UnreadableValue,
    WentBack,
)
from shared.storage.protocol import (
    Change,
    ChangeBatch,
    KeyValue,
    Page,
    Revision,
    StaleKeyValue,
    Storage,
)

__all__ = [
    "Change",
    "ChangeBatch",
    "Compacted",
    "FutureRevision",
    "KeyExists",
    "KeyValue",
    "Page",
    "Revision",
    "RevisionConflict",
    "StaleKeyValue",
    "Storage",
    "StorageError",
    "StorageUnavailable",
    "UnreadableValue",
    "WentBack",
]
