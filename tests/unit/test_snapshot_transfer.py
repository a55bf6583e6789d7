"""A snapshot arrives whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.eventlog import UnknownFormat
from shared.fanout import Snapshot
from shared.fanout.transfer import FRAME_BYTES, FRAME_OBJECTS, DamagedSnapshot, frames, receive
from shared.objects import CachedObject, Selection
from shared.objects.selection import NO_SELECTION
from shared.storage import Revision


def objects(count: int) -> list[CachedObject]:
    return [
        CachedObject(
            b"/registry/pods/default/p%d" % number,
            Revision(number + 1),
            b'{"kind":"Pod",',
            b'"metadata":{"name":"p%d"}}' % number,
            Selection({"app": f"a{number % 3}"}, {"status.phase": "Running"}),
        )
        for number in range(count)
    ]


def sent(count: int) -> bytes:
    return b"".join(frames(Revision(7), objects(count), count))


def received(chunks: Sequence[bytes]) -> Snapshot:
    async def arriving() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return asyncio.run(receive(arriving()))


@pytest.mark.parametrize("count", [0, 1, FRAME_OBJECTS, FRAME_OBJECTS + 1, 3 * FRAME_OBJECTS])
def test_what_was_sent_arrives(count: int) -> None:
    snapshot = received([sent(count)])
    assert snapshot.revision == 7
    assert [repr(item) for item in snapshot.objects] == [repr(item) for item in objects(count)]


def test_frames_of_large_objects_hold_few_of_them() -> None:
    large = [
        CachedObject(b"/k%d" % number, Revision(1), b"{", bytes(FRAME_BYTES // 2), NO_SELECTION)
        for number in range(9)
    ]
    sizes = [len(frame) for frame in frames(Revision(7), large, len(large))]
    assert max(sizes) < 2 * FRAME_BYTES
    assert len(received([b"".join(frames(Revision(7), large, len(large)))]).objects) == 9


@given(st.lists(st.integers(1, 400), min_size=1))
def test_however_it_is_cut_into_chunks(sizes: list[int]) -> None:
    content = sent(50)
    chunks = []
    for size in sizes:
        chunks.append(content[:size])
        content = content[size:]
    assert len(received([*chunks, content]).objects) == 50


@given(st.integers(0, len(sent(30)) - 1))
def test_what_is_cut_off_is_refused(length: int) -> None:
    with pytest.raises((DamagedSnapshot, UnknownFormat)):
        received([sent(30)[:length]])


@pytest.mark.parametrize("content", [b"<html>no snapshot</html>", b"\xff" * 20, bytes(4)])
def test_what_is_no_snapshot_is_refused(content: bytes) -> None:
    with pytest.raises((DamagedSnapshot, UnknownFormat)):
        received([content])


def test_a_snapshot_with_fewer_objects_than_it_says_is_refused() -> None:
    with pytest.raises(DamagedSnapshot):
        received([b"".join(frames(Revision(7), objects(3), 4))])
