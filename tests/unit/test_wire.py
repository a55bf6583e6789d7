"""Stored form to wire form: what is spliced, what is parsed, and what is refused."""

from __future__ import annotations

import orjson
import pytest

from shared.objects import (
    NotAnObject,
    ProtobufValue,
    body_revision,
    to_body,
    with_revision,
)
from shared.storage import Revision

RV7 = Revision(7)


@pytest.mark.parametrize(
    ("stored", "wire"),
    [
        (
            b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"},"spec":{}}',
            b'{"kind":"Pod","apiVersion":"v1",'
            b'"metadata":{"resourceVersion":"7","name":"a"},"spec":{}}',
        ),
        (
            b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"}}\n',
            b'{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"7","name":"a"}}',
        ),
        (
            b'{"kind":"Pod","apiVersion":"v1","metadata":{}}',
            b'{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"7"}}',
        ),
        (
            b'{"kind":"Pod","apiVersion":"v1","metadata":{},"spec":{"a":1}}',
            b'{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"7"},"spec":{"a":1}}',
        ),
        (
            b'{"apiVersion":"e.io/v1","kind":"Foo","metadata":{"name":"a"}}',
            b'{"kind":"Foo","apiVersion":"e.io/v1","metadata":{"resourceVersion":"7","name":"a"}}',
        ),
        (
            b'{"apiVersion":"e.io/v1","data":{"metadata":{"x":1}},"kind":"F","metadata":{"a":"b"}}',
            b'{"kind":"F","apiVersion":"e.io/v1",'
            b'"metadata":{"resourceVersion":"7","a":"b"},"data":{"metadata":{"x":1}}}',
        ),
        (
            b' { "kind": "Pod", "apiVersion": "v1", "metadata": { "name": "a" } } ',
            b'{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"7","name":"a"}}',
        ),
        (
            b'{"kind":"P","apiVersion":"v1","metadata":{"resourceVersion":"3","name":"a"}}',
            b'{"kind":"P","apiVersion":"v1","metadata":{"resourceVersion":"7","name":"a"}}',
        ),
        (
            b'{"kind":"P","apiVersion":"v1"}',
            b'{"kind":"P","apiVersion":"v1","metadata":{"resourceVersion":"7"}}',
        ),
    ],
)
def test_the_wire_form_is_the_stored_form_with_its_revision(stored: bytes, wire: bytes) -> None:
    prefix, body = to_body(stored, RV7)
    assert prefix + body == wire


def test_a_resource_version_outside_the_metadata_stays() -> None:
    stored = (
        b'{"kind":"Event","apiVersion":"v1","metadata":{"name":"a"},'
        b'"involvedObject":{"resourceVersion":"3"}}'
    )
    prefix, body = to_body(stored, RV7)
    value = orjson.loads(prefix + body)
    assert value["metadata"] == {"resourceVersion": "7", "name": "a"}
    assert value["involvedObject"] == {"resourceVersion": "3"}


def test_a_list_item_of_a_built_in_kind_is_the_body_in_braces() -> None:
    _, body = to_body(b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"}}', RV7)
    assert orjson.loads(b"{" + body) == {"metadata": {"resourceVersion": "7", "name": "a"}}


def test_all_objects_of_a_kind_share_one_prefix() -> None:
    stored = b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"%b"}}'
    one, _ = to_body(stored % b"a", RV7)
    other, _ = to_body(stored % b"b", RV7)
    assert one is other


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"7",
        b"null",
        b"[]",
        b"{}",
        b"not json",
        b'{"kind":"Pod","apiVersion":"v1","metadata":[]}',
        b'{"kind":"","apiVersion":"v1","metadata":{}}',
        b'{"kind":"Pod","metadata":{}}',
        b'{"kind":1,"apiVersion":"v1","metadata":{}}',
    ],
)
def test_what_is_no_object_is_refused(stored: bytes) -> None:
    with pytest.raises(NotAnObject):
        to_body(stored, RV7)


def test_a_protobuf_value_is_refused_with_what_to_do() -> None:
    with pytest.raises(ProtobufValue, match="storage-media-type"):
        to_body(b"k8s\x00\n\x09\n\x02v1", RV7)


def test_a_body_says_its_revision_and_takes_another() -> None:
    _, body = to_body(b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"}}', RV7)
    assert body_revision(body) == 7
    later = with_revision(body, Revision(123))
    assert later == b'"metadata":{"resourceVersion":"123","name":"a"}}'
    assert body_revision(later) == 123


def test_what_is_no_body_has_no_revision() -> None:
    with pytest.raises(NotAnObject):
        body_revision(b'"metadata":{"name":"a"}}')
