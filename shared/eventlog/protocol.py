"""The event log interface: every change of the store once, in one order, for any reader."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Literal, Protocol

from shared.objects.selection import Selection
from shared.storage.protocol import Revision

EventType = Literal["ADDED", "MODIFIED", "DELETED"]

# The values below are never changed once made. They are not frozen dataclasses because those
# take three times as long to make, and these are made for every event in every replica.


@dataclass(slots=True)
class Previous:
    """What the object was before, in wire form under the revision of the write that changed it.

    So it is what a watcher gets as DELETED when the object has left its selection.
    """

    prefix: bytes
    body: bytes
    selection: Selection


@dataclass(slots=True)
class Event:
    """One key's change, ready to be handed on; `prefix` + `body` is the wire form.

    For DELETED they are the last state under the deletion's own revision. `previous` is there
    only on a MODIFIED that changed labels or selectable fields: only then can a watcher see the
    object enter or leave its selection.
    """

    type: EventType
    key: bytes
    revision: Revision
    prefix: bytes
    body: bytes
    selection: Selection
    previous: Previous | None = None

    @property
    def size_bytes(self) -> int:
        """What it costs a log or a wire, roughly."""
        size = len(self.key) + len(self.prefix) + len(self.body) + 64
        if self.previous is not None:
            size += len(self.previous.prefix) + len(self.previous.body)
        return size


@dataclass(slots=True)
class UnreadableEvent(Event):
    """One whose object can't be decrypted. Never in a log: a reader makes it of a sealed one."""

    why: str = ""


@dataclass(slots=True)
class Entry:
    """All events after `previous` up to and including `revision`, in order of revision.

    Never part of a transaction. Without events it says that nothing happened in between.
    """

    previous: Revision
    revision: Revision
    events: tuple[Event, ...] = ()
    received_s: float = field(default=0.0, compare=False)
    """When the writer of the log got them from the store, in seconds since 1970; 0 if unknown."""

    @property
    def size_bytes(self) -> int:
        return 64 + sum(event.size_bytes for event in self.events)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a log holds: the events after `oldest` up to and including `newest`."""

    oldest: Revision
    newest: Revision


class EventLog(Protocol):
    """An ordered log of entries. It may be lost as a whole; the store can refill it.

    All methods raise EventLogUnavailable when the log can't be reached, and EventLogClosed
    after `aclose`.
    """

    async def append(self, entry: Entry) -> bool:
        """Add an entry behind the last; False if it is not newer than the last.

        Entries may overlap when two leaders append: a reader takes of an entry what is newer
        than what it has.
        """
        ...

    def read(self, *, after: Revision) -> AsyncGenerator[Entry, None]:
        """Yield every entry that holds something after `after`, in order; endless.

        The first one, and any after two leaders, may also hold older events. Closing the
        generator ends the reading.

        Raises:
            Trimmed: what follows `after` is not kept any more, at the start or later.
            Hole: the next entry begins later than the one before ended.
            UnknownFormat: an entry can't be unpacked.
        """
        ...

    async def bounds(self) -> Bounds | None:
        """Return what is kept; None when the log is empty."""
        ...

    async def aclose(self) -> None:
        """End all readers and release the connection."""
        ...
