"""An object as a replica keeps it: ready-made bytes and what selecting needs."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from shared.objects.selection import Selection
from shared.storage.protocol import Revision


# Not frozen: a frozen one takes three times as long to make, and one is made an event. Only
# `renderings` changes after construction.
@dataclass(slots=True, eq=False)
class CachedObject:
    """One state of one object.

    `prefix` + `body` is its wire form (see shared.objects.wire). `renderings` holds what was
    made of it for those who asked (a watch frame, a Table row, another version), by rendering
    key; None until the first. Use shared.watchcache.Renderings, which bounds them.
    """

    key: bytes
    revision: Revision
    prefix: bytes
    body: bytes
    selection: Selection
    renderings: dict[Hashable, bytes] | None = field(default=None, repr=False)

    @property
    def wire(self) -> bytes:
        return self.prefix + self.body
