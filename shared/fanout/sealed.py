"""Sealed events: what is encrypted in the store, on its way to whoever has the keys.

An event (or an object of a snapshot) without a prefix has in its body what is stored, and no
selection. Its `previous`, too, is as it was stored, encrypted or plain: it is there on every
sealed MODIFIED, for only the opened values tell whether the selection has changed. Plain objects
of a custom resource whose definition is encrypted pass in the same way: what is selectable of
them stands there.
"""

from __future__ import annotations

from shared.eventlog.protocol import Event, Previous
from shared.objects.selection import NO_SELECTION
from shared.storage.protocol import Change, KeyValue, Revision

UNKNOWN = Revision(0)
"""The revision of a state before: an event does not tell it."""


def sealed_event(change: Change) -> Event:
    """Return the event of a change whose value, or the value before, is encrypted."""
    before = change.previous
    if change.value is None:
        last = b"" if before is None else before.value
        return Event("DELETED", change.key, change.revision, b"", last, NO_SELECTION)
    if before is None:
        return Event("ADDED", change.key, change.revision, b"", change.value, NO_SELECTION)
    previous = Previous(b"", before.value, NO_SELECTION)
    return Event("MODIFIED", change.key, change.revision, b"", change.value, NO_SELECTION, previous)


def change_of(event: Event) -> Change:
    """Return the change of which `sealed_event` made the event."""
    if event.type == "DELETED":
        last = KeyValue(event.key, event.body, UNKNOWN)
        return Change(event.key, None, event.revision, last)
    before = None
    if event.previous is not None:
        before = KeyValue(event.key, event.previous.body, UNKNOWN)
    return Change(event.key, event.body, event.revision, before)
