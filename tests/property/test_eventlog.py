"""Packed and unpacked again, an entry is what it was."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.eventlog import (
    Entry,
    Event,
    Previous,
    UnknownFormat,
    Unpacker,
    pack_entry,
    pack_objects,
)
from shared.objects import NO_SELECTION, CachedObject, Selection
from shared.storage import Revision

texts = st.text(max_size=12)
maps = st.dictionaries(texts, texts, max_size=4)
selections = st.builds(Selection, maps, maps) | st.just(NO_SELECTION)
revisions = st.integers(0, 2**63 - 1).map(Revision)
contents = st.binary(max_size=300)
events = st.builds(
    Event,
    st.sampled_from(["ADDED", "MODIFIED", "DELETED"]),
    contents,
    revisions,
    contents,
    contents,
    selections,
    st.none() | st.builds(Previous, contents, contents, selections),
)
entries = st.builds(Entry, revisions, revisions, st.lists(events, max_size=5).map(tuple))
objects = st.lists(
    st.builds(CachedObject, contents, revisions, contents, contents, selections), max_size=5
)


@given(entries)
def test_an_entry_survives_packing(entry: Entry) -> None:
    assert Unpacker().entry(pack_entry(entry)) == entry


@given(objects)
def test_objects_survive_packing(items: list[CachedObject]) -> None:
    unpacked = Unpacker().objects(pack_objects(items))
    assert [(i.key, i.revision, i.prefix, i.body, i.selection) for i in unpacked] == [
        (i.key, i.revision, i.prefix, i.body, i.selection) for i in items
    ]


@given(entries, st.data())
def test_what_is_cut_off_is_refused(entry: Entry, data: st.DataObject) -> None:
    packed = pack_entry(entry)
    end = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(UnknownFormat):
        Unpacker().entry(packed[:end])


@given(st.binary(max_size=100))
def test_any_bytes_are_an_entry_or_refused(packed: bytes) -> None:
    with contextlib.suppress(UnknownFormat):
        Unpacker().entry(packed)


def test_equal_selections_and_prefixes_are_one_object_after_unpacking() -> None:
    def event(number: int) -> Event:
        labels = Selection({"app": "web"})
        return Event("ADDED", b"k%d" % number, Revision(number), b'{"kind":"P",', b"b", labels)

    unpacker = Unpacker()
    one = unpacker.entry(pack_entry(Entry(Revision(0), Revision(1), (event(1),)))).events[0]
    other = unpacker.entry(pack_entry(Entry(Revision(1), Revision(2), (event(2),)))).events[0]
    assert one.selection.labels is other.selection.labels
    assert one.prefix is other.prefix
