"""The layout of the stream: entry ID `<revision>-0`, one field with the packed entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.eventlog.errors import UnknownFormat
from shared.eventlog.packing import Unpacker
from shared.eventlog.protocol import Bounds, Entry
from shared.eventlog.redis.connection import Link, Refused
from shared.storage.protocol import Revision

FIELD = b"e"


@dataclass(frozen=True, slots=True)
class Stream:
    """What Redis tells of a stream that exists; it may be empty all the same."""

    last_id: Revision
    """Of the newest entry that ever was in it."""
    first: Any
    last: Any

    def bounds(self, unpacker: Unpacker) -> Bounds | None:
        """Return what it holds; None if it is empty.

        Raises:
            UnknownFormat: its first entry can't be unpacked.
        """
        if self.first is None:
            return None
        return Bounds(unpacked(self.first, unpacker).previous, revision_of(self.last[0]))

    def lacks_what_follows(self, revision: Revision) -> bool:
        """Whether there was something newer, and is no more."""
        newest = revision if self.last is None else revision_of(self.last[0])
        return newest <= revision < self.last_id


async def look_at(link: Link, key: bytes) -> Stream | None:
    """Return what is known of the stream `key`; None if there is none."""
    try:
        (answer,) = await link.ask((b"XINFO", b"STREAM", key))
    except Refused as refusal:
        if "no such key" in str(refusal):
            return None
        raise
    info = dict(zip(answer[::2], answer[1::2], strict=True))
    last_id = revision_of(info[b"last-generated-id"])
    return Stream(last_id, info[b"first-entry"], info[b"last-entry"])


async def measure(link: Link, key: bytes) -> tuple[int, int]:
    """Return how many entries the stream `key` has, and how many bytes of memory."""
    length, size_bytes = await link.ask((b"XLEN", key), (b"MEMORY", b"USAGE", key, b"SAMPLES", 0))
    return length, size_bytes or 0


def entry_id(revision: Revision) -> bytes:
    return b"%d-0" % revision


def revision_of(raw_id: bytes) -> Revision:
    return Revision(int(raw_id.partition(b"-")[0]))


def unpacked(row: Any, unpacker: Unpacker) -> Entry:
    """Return the entry of a row as XREAD gives it, `[ID, [FIELD, VALUE]]`.

    Raises:
        UnknownFormat: somebody else has written it, or it is damaged.
    """
    raw_id, fields = row
    if len(fields) != 2 or fields[0] != FIELD:
        raise UnknownFormat(f"entry {raw_id.decode()} was not written by this program")
    entry = unpacker.entry(fields[1])
    if raw_id != entry_id(entry.revision):
        raise UnknownFormat(f"entry {raw_id.decode()} says that it is {entry.revision}")
    return entry
