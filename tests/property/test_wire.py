"""The wire form made by splicing equals the one made by parsing."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from shared.objects import body_revision, to_body, with_revision
from shared.storage import Revision

names = st.text(min_size=1, max_size=8)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
field_names = st.sampled_from(
    ["spec", "status", "data", "metadata2", "resourceVersion", "involvedObject"]
)
metadata = st.dictionaries(
    st.sampled_from(["name", "namespace", "labels", "annotations", "managedFields"]), values
)
objects = st.fixed_dictionaries({"kind": names, "apiVersion": names, "metadata": metadata}).flatmap(
    lambda head: st.dictionaries(field_names, values).map(lambda rest: head | rest)
)
revisions = st.integers(1, 2**63 - 1).map(Revision)
layouts = st.sampled_from(["kind first", "version first", "sorted", "spaced", "newline"])


def stored_as(layout: str, value: dict[str, Any]) -> bytes:
    match layout:
        case "version first":
            rest = {
                name: item for name, item in value.items() if name not in ("kind", "apiVersion")
            }
            return orjson.dumps({"apiVersion": value["apiVersion"], "kind": value["kind"]} | rest)
        case "sorted":
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        case "spaced":
            return orjson.dumps(value, option=orjson.OPT_INDENT_2)
        case "newline":
            return orjson.dumps(value) + b"\n"
    return orjson.dumps(value)


@given(value=objects, layout=layouts, revision=revisions)
def test_a_wire_form_is_the_object_with_its_revision(
    value: dict[str, Any], layout: str, revision: Revision
) -> None:
    prefix, body = to_body(stored_as(layout, value), revision)
    expected = value | {"metadata": value["metadata"] | {"resourceVersion": str(revision)}}
    assert orjson.loads(prefix + body) == expected
    assert list(orjson.loads(prefix + body))[:3] == ["kind", "apiVersion", "metadata"]
    without = {name: item for name, item in expected.items() if name not in ("kind", "apiVersion")}
    assert orjson.loads(b"{" + body) == without
    assert b"\n" not in body or layout == "spaced"


@given(value=objects, revision=revisions, later=revisions)
def test_another_revision_changes_nothing_else(
    value: dict[str, Any], revision: Revision, later: Revision
) -> None:
    stored = orjson.dumps(value)
    _, body = to_body(stored, revision)
    assert body_revision(body) == revision
    assert with_revision(body, later) == to_body(stored, later)[1]


@given(st.binary(max_size=200) | values.map(orjson.dumps))
def test_any_bytes_have_a_wire_form_or_are_refused(stored: bytes) -> None:
    try:
        prefix, body = to_body(stored, Revision(1))
    except ValueError:
        return
    assert body_revision(body) == 1
    assert prefix.startswith(b'{"kind":')
