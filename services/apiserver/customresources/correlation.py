"""Correlation: which old list item a new one is the successor of.

Source: kube-apiserver v1.36.2, apiserver/pkg/cel/common/equality.go (CorrelatedObject).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final


class _Absent:
    """Nothing was there before, or nobody can tell what."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()


class Correlation:
    """The old items of a list, found by what the list's type calls the same item."""

    __slots__ = ("_by_key", "_keys")

    def __init__(self, list_type: str, keys: Sequence[str], old: Any) -> None:
        self._keys = keys
        self._by_key: dict[tuple[Any, ...], Any] | None = None
        if list_type == "map" and isinstance(old, list):
            self._by_key = {}
            for item in old:
                if isinstance(item, dict):
                    self._by_key.setdefault(self._key(item), item)

    def of(self, item: Any) -> Any:
        """Return the old item, ABSENT where there is none or items have no identity."""
        if self._by_key is None or not isinstance(item, dict):
            return ABSENT
        return self._by_key.get(self._key(item), ABSENT)

    def _key(self, item: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(repr(item.get(name)) for name in self._keys)
