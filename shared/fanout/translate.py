"""From a change in the store to an event: wire form and selection data, made once."""

from __future__ import annotations

from dataclasses import dataclass

from shared.eventlog.protocol import Event, Previous
from shared.fanout.errors import HistoryLost
from shared.fanout.rules import DefinitionRules
from shared.fanout.sealed import sealed_event
from shared.objects.extraction import Extractor
from shared.objects.selection import Selection
from shared.objects.wire import NotAnObject, SealedValue, to_body
from shared.storage.protocol import Change, KeyValue, Revision

_REMEMBERED_SELECTIONS = 16_384
"""Keys whose last selection is kept. What changes has mostly changed lately (status, leases), and
a hit saves the parsing of the state before, half the cost of an event; 16 384 pods need 8 MB,
nothing when a cache in the same process holds the same selections."""


@dataclass(slots=True)
class _State:
    prefix: bytes
    body: bytes
    selection: Selection


class Translator:
    """Makes events of changes. Values that are not objects count as absent, and in `skipped`."""

    __slots__ = ("_definitions", "_extractor", "_generation", "_selections", "skipped")

    def __init__(self, extractor: Extractor, definitions: DefinitionRules) -> None:
        self._extractor = extractor
        self._definitions = definitions
        self._generation = extractor.generation
        self._selections: dict[bytes, tuple[Revision, Selection]] = {}
        self.skipped = 0

    def event(self, change: Change) -> Event | None:
        """Return the event, None if no object is concerned.

        What is encrypted is passed on as it is: see shared.fanout.sealed.

        Raises:
            HistoryLost: the store did not say what was deleted.
            ProtobufValue: the store holds values that can't be read.
        """
        try:
            return self._event(change)
        except SealedValue:
            self._selections.pop(change.key, None)
            return sealed_event(change)

    def _event(self, change: Change) -> Event | None:
        key, revision = change.key, change.revision
        if self._extractor.unknown and self._extractor.is_unknown(key):
            raise SealedValue("its definition is encrypted")
        if change.value is None:
            if change.previous is None:
                raise HistoryLost(Revision(revision - 1))
            last = self._previous_state(change.previous, revision)
            self._selections.pop(key, None)
            if last is None:
                return None
            return Event("DELETED", key, revision, last.prefix, last.body, last.selection)

        if key.startswith(self._definitions.prefix):
            self._definitions.learn(key, change.value)
        if self._generation != self._extractor.generation:
            self._selections.clear()  # made under other rules
            self._generation = self._extractor.generation
        remembered = self._selections.pop(key, None)
        try:
            prefix, body = to_body(change.value, revision)
            selection = self._extractor.extract(key, change.value)
        except NotAnObject:
            self.skipped += 1
            if change.previous is None:
                return None
            last = self._previous_state(change.previous, revision)
            if last is None:
                return None
            return Event("DELETED", key, revision, last.prefix, last.body, last.selection)

        if len(self._selections) >= _REMEMBERED_SELECTIONS:
            del self._selections[next(iter(self._selections))]
        self._selections[key] = (revision, selection)

        before = change.previous
        if before is None:
            return Event("ADDED", key, revision, prefix, body, selection)
        if remembered is not None and remembered[0] == before.revision:
            if _equal(remembered[1], selection):
                return Event("MODIFIED", key, revision, prefix, body, selection)
            before_prefix, before_body = to_body(before.value, revision)
            previous = Previous(before_prefix, before_body, remembered[1])
            return Event("MODIFIED", key, revision, prefix, body, selection, previous)
        last = self._previous_state(before, revision)
        if last is None:
            return Event("ADDED", key, revision, prefix, body, selection)
        if _equal(last.selection, selection):
            return Event("MODIFIED", key, revision, prefix, body, selection)
        previous = Previous(last.prefix, last.body, last.selection)
        return Event("MODIFIED", key, revision, prefix, body, selection, previous)

    def _previous_state(self, before: KeyValue, revision: Revision) -> _State | None:
        """Return what was there, under the revision of the write that replaced it."""
        try:
            prefix, body = to_body(before.value, revision)
            return _State(prefix, body, self._extractor.extract(before.key, before.value))
        except NotAnObject:
            return None


def _equal(one: Selection, other: Selection) -> bool:
    # Equal maps are mostly the same map (see SelectionInterner).
    return (one.labels is other.labels or one.labels == other.labels) and (
        one.fields is other.fields or one.fields == other.fields
    )
