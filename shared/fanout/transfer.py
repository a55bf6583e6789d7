"""A snapshot on its way to another process: frames of packed objects, and an end that is told.

4 bytes length │ msgpack (FORMAT, revision, count)      the head
4 bytes length │ packed objects (shared/eventlog)       any number of times
4 bytes zero                                            the end: what lacks it was cut off
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator

import msgpack

from shared.eventlog.packing import Unpacker, pack_objects
from shared.fanout.snapshot import Snapshot
from shared.objects.cachedobject import CachedObject
from shared.storage.protocol import Revision

FORMAT = 1
MEDIA_TYPE = "application/vnd.kubefan.snapshot"
FRAME_OBJECTS = 200
FRAME_BYTES = 2**20
"""A frame ends at either: sent and unpacked without holding the loop for long."""
MAX_FRAME_BYTES = 1 << 30
_LENGTH_BYTES = 4


class DamagedSnapshot(Exception):
    """It was cut off, or is of another format."""


def frames(revision: Revision, objects: Iterable[CachedObject], count: int) -> Iterator[bytes]:
    """Yield the bytes to send, a frame at a time."""
    head: bytes = msgpack.packb((FORMAT, revision, count))
    yield _framed(head)
    some: list[CachedObject] = []
    size_bytes = 0
    for item in objects:
        some.append(item)
        size_bytes += len(item.body)
        if len(some) >= FRAME_OBJECTS or size_bytes >= FRAME_BYTES:
            yield _framed(pack_objects(some))
            some, size_bytes = [], 0
    if some:
        yield _framed(pack_objects(some))
    yield bytes(_LENGTH_BYTES)


async def receive(chunks: AsyncIterator[bytes]) -> Snapshot:
    """Return the snapshot that arrives in `chunks` of any size.

    Raises:
        DamagedSnapshot: it ends before its end, or can't be read.
        UnknownFormat: its objects are packed by another version.
    """
    unpacker = Unpacker()
    revision: Revision | None = None
    count = 0
    objects: list[CachedObject] = []
    async for frame in _frames_of(chunks):
        if not frame:
            if revision is None or len(objects) != count:
                raise DamagedSnapshot("a snapshot without its head, or with objects missing")
            return Snapshot(revision, objects)
        if revision is None:
            revision, count = _head(frame)
        else:
            objects += unpacker.objects(frame)
    raise DamagedSnapshot("the snapshot was cut off")


async def _frames_of(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    buffer = bytearray()
    async for chunk in chunks:
        buffer += chunk
        while len(buffer) >= _LENGTH_BYTES:
            length = int.from_bytes(buffer[:_LENGTH_BYTES], "big")
            if length > MAX_FRAME_BYTES:
                raise DamagedSnapshot("not a snapshot")
            end = _LENGTH_BYTES + length
            if len(buffer) < end:
                break
            frame = bytes(buffer[_LENGTH_BYTES:end])
            del buffer[:end]
            yield frame


def _framed(content: bytes) -> bytes:
    return len(content).to_bytes(_LENGTH_BYTES, "big") + content


def _head(frame: bytes) -> tuple[Revision, int]:
    try:
        number, revision, count = msgpack.unpackb(frame)
    except (ValueError, TypeError) as error:
        raise DamagedSnapshot("a snapshot's head that can't be read") from error
    if number != FORMAT:
        raise DamagedSnapshot(f"a snapshot of format {number}, not {FORMAT}")
    return Revision(revision), count
