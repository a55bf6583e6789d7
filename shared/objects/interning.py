"""One copy of equal selection data: thousands of objects carry the same labels."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from shared.objects.selection import NO_SELECTION, NOTHING, Selection

_TABLE_LIMIT = 8192  # distinct maps remembered; a full table starts anew, what is shared stays so
_SHARED_FIELDS = 2
"""Kinds with more selectable fields have one that is each object's own (a pod's IP, an event's
involved object): remembering their maps would cost 550 bytes a pod, and find none again."""


class SelectionInterner:
    """Builds Selections out of maps that share their strings and, if equal, themselves."""

    __slots__ = ("_fields", "_labels")

    def __init__(self) -> None:
        self._labels: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}
        self._fields: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}

    def selection(
        self, labels: Mapping[str, str] | None, fields: Mapping[str, str] | None
    ) -> Selection:
        if not labels:
            if not fields:
                return NO_SELECTION
            return Selection(NOTHING, self._shared_fields(fields))
        return Selection(
            _interned(self._labels, labels), self._shared_fields(fields) if fields else NOTHING
        )

    def _shared_fields(self, fields: Mapping[str, str]) -> Mapping[str, str]:
        if len(fields) > _SHARED_FIELDS:
            return _of_interned_strings(fields)
        return _interned(self._fields, fields)


def _interned(
    table: dict[tuple[tuple[str, str], ...], Mapping[str, str]], items: Mapping[str, str]
) -> Mapping[str, str]:
    content = tuple(items.items())
    known = table.get(content)
    if known is None:
        if len(table) >= _TABLE_LIMIT:
            table.clear()
        known = _of_interned_strings(items)
        table[tuple(known.items())] = known
    return known


def _of_interned_strings(items: Mapping[str, str]) -> dict[str, str]:
    intern = sys.intern
    return {intern(name): intern(value) for name, value in items.items()}
