"""An object as a replica keeps it: ready-made bytes and what selecting needs."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import NoReturn

from shared.objects.selection import Selection
from shared.storage.errors import UnreadableValue
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


class UnreadableObject(CachedObject):
    """One that is there and can't be decrypted: key and revision are known, all else raises.

    So that whoever gets to it finds out, at no cost for all the others.
    """

    __slots__ = ("why",)

    def __init__(self, key: bytes, revision: Revision, why: str) -> None:
        self.key = key
        self.revision = revision
        self.why = why
        self.renderings = None

    def __repr__(self) -> str:
        return f"<UnreadableObject {self.key!r} at {self.revision}: {self.why}>"

    def __getattr__(self, name: str) -> NoReturn:
        # Asked for what was never set: prefix, body and selection.
        raise UnreadableValue(self.key, self.why)
