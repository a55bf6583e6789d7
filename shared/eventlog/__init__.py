"""The event log: what changed in the store, once, in order, for any number of readers.

Interface, errors, the packing of entries, and the implementations. Knows nothing of how a
reader keeps what it reads.
"""

from shared.eventlog.errors import (
    EventLogClosed,
    EventLogError,
    EventLogUnavailable,
    Hole,
    Trimmed,
    UnknownFormat,
)
from shared.eventlog.memory import MemoryEventLog, MemoryEventLogOptions
from shared.eventlog.packing import Unpacker, pack_entry, pack_objects
from shared.eventlog.protocol import Bounds, Entry, Event, EventLog, EventType, Previous

__all__ = [
    "Bounds",
    "Entry",
    "Event",
    "EventLog",
    "EventLogClosed",
    "EventLogError",
    "EventLogUnavailable",
    "EventType",
    "Hole",
    "MemoryEventLog",
    "MemoryEventLogOptions",
    "Previous",
    "Trimmed",
    "UnknownFormat",
    "Unpacker",
    "pack_entry",
    "pack_objects",
]
