"""Entries and snapshots as bytes: msgpack arrays, in the order of the fields below."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgpack

from shared.eventlog.errors import UnknownFormat
from shared.eventlog.protocol import Entry, Event, EventType, Previous
from shared.objects.cachedobject import CachedObject
from shared.objects.interning import SelectionInterner
from shared.objects.selection import Selection
from shared.storage.protocol import Revision

FORMAT = 1
"""First item of every packing; another number is another layout."""

_TYPES: tuple[EventType, ...] = ("ADDED", "MODIFIED", "DELETED")
_NUMBERS: dict[str, int] = {name: number for number, name in enumerate(_TYPES)}


def pack_entry(entry: Entry) -> bytes:
    """Return `entry` as bytes."""
    events = [
        (
            _NUMBERS[event.type],
            event.key,
            event.revision,
            event.prefix,
            event.body,
            event.selection.labels or None,
            event.selection.fields or None,
            _packed_previous(event.previous),
        )
        for event in entry.events
    ]
    packed: bytes = msgpack.packb(
        (FORMAT, entry.previous, entry.revision, events, entry.received_s)
    )
    return packed


class Unpacker:
    """Turns packed entries and objects back; equal selections and prefixes are made once."""

    __slots__ = ("_interner", "_prefixes")

    def __init__(self) -> None:
        self._interner = SelectionInterner()
        self._prefixes: dict[bytes, bytes] = {}

    def entry(self, packed: bytes) -> Entry:
        """Return the entry that was packed.

        Raises:
            UnknownFormat: it is damaged or has another layout.
        """
        previous, revision, rows, received_s = _unpacked(packed, 4)
        try:
            events = tuple([self._event(*row) for row in rows])
        except (TypeError, IndexError, AttributeError) as error:
            raise UnknownFormat(f"not an event of format {FORMAT}") from error
        return Entry(previous, revision, events, received_s)

    def objects(self, packed: bytes) -> list[CachedObject]:
        """Return the objects that were packed.

        Raises:
            UnknownFormat: they are damaged or have another layout.
        """
        (rows,) = _unpacked(packed, 1)
        try:
            return [
                CachedObject(
                    key, revision, self._prefix(prefix), body, self._selection(labels, fields)
                )
                for key, revision, prefix, body, labels, fields in rows
            ]
        except (TypeError, ValueError, AttributeError) as error:
            raise UnknownFormat(f"not an object of format {FORMAT}") from error

    def _event(
        self,
        number: int,
        key: bytes,
        revision: Revision,
        prefix: bytes,
        body: bytes,
        labels: dict[str, str] | None,
        fields: dict[str, str] | None,
        previous: Sequence[Any] | None,
    ) -> Event:
        return Event(
            _TYPES[number],
            key,
            revision,
            self._prefix(prefix),
            body,
            self._selection(labels, fields),
            None if previous is None else self._previous(*previous),
        )

    def _previous(
        self,
        prefix: bytes,
        body: bytes,
        labels: dict[str, str] | None,
        fields: dict[str, str] | None,
    ) -> Previous:
        return Previous(self._prefix(prefix), body, self._selection(labels, fields))

    def _selection(self, labels: dict[str, str] | None, fields: dict[str, str] | None) -> Selection:
        return self._interner.selection(labels, fields)

    def _prefix(self, prefix: bytes) -> bytes:
        known = self._prefixes.get(prefix)
        if known is None:
            if len(self._prefixes) >= 4096:  # one for each kind and version; never in practice
                self._prefixes.clear()
            known = self._prefixes[prefix] = prefix
        return known


def pack_objects(objects: Iterable[CachedObject]) -> bytes:
    """Return `objects`, a part of a snapshot, as bytes."""
    rows = [
        (
            item.key,
            item.revision,
            item.prefix,
            item.body,
            item.selection.labels or None,
            item.selection.fields or None,
        )
        for item in objects
    ]
    packed: bytes = msgpack.packb((FORMAT, rows))
    return packed


def _packed_previous(previous: Previous | None) -> tuple[Any, ...] | None:
    if previous is None:
        return None
    selection = previous.selection
    return previous.prefix, previous.body, selection.labels or None, selection.fields or None


def _unpacked(packed: bytes, fields: int) -> list[Any]:
    try:
        values = msgpack.unpackb(packed, use_list=True)
    except ValueError as error:  # the base of all that msgpack raises for bad input
        raise UnknownFormat("not msgpack") from error
    if not isinstance(values, list) or len(values) != fields + 1 or values[0] != FORMAT:
        raise UnknownFormat(f"not of format {FORMAT}")
    return values[1:]
