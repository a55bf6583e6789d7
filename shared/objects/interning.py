"""One copy of equal selection data: thousands of objects carry the same labels."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from shared.objects.selection import NO_SELECTION, NOTHING, Selection

_TABLE_LIMIT = 8192  # distinct maps remembered; a full table starts anew, what is shared stays so


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
            return Selection(NOTHING, _interned(self._fields, fields))
        return Selection(
            _interned(self._labels, labels), _interned(self._fields, fields) if fields else NOTHING
        )


def _interned(
    table: dict[tuple[tuple[str, str], ...], Mapping[str, str]], items: Mapping[str, str]
) -> Mapping[str, str]:
    content = tuple(items.items())
    known = table.get(content)
    if known is None:
        if len(table) >= _TABLE_LIMIT:
            table.clear()
        known = {sys.intern(name): sys.intern(value) for name, value in content}
        table[tuple(known.items())] = known
    return known
