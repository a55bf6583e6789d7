"""What selectors need is taken out once, shared, and knows its resource by the key."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from shared.objects import (
    NO_SELECTION,
    ExtractionRule,
    Extractor,
    NotAnObject,
    PrefixTable,
    ProtobufValue,
    end_of_prefix,
    parent_of,
)

POD_RULE = ExtractionRule(
    b"/registry/pods/",
    {
        "spec.nodeName": (("spec", "nodeName"), ""),
        "spec.hostNetwork": (("spec", "hostNetwork"), "false"),
        "status.podIP": lambda pod: pod.get("status", {}).get("podIP", "none"),
        "status.restarts": (("status", "restarts"), "0"),
    },
)
KEY = b"/registry/pods/default/a"


def stored(**fields: Any) -> bytes:
    return orjson.dumps({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}} | fields)


def test_fields_come_from_their_path_or_function() -> None:
    selection = Extractor([POD_RULE]).extract(
        KEY,
        stored(
            spec={"nodeName": "n1", "hostNetwork": True},
            status={"podIP": "10.0.0.1", "restarts": 3},
        ),
    )
    assert selection.fields == {
        "spec.nodeName": "n1",
        "spec.hostNetwork": "true",
        "status.podIP": "10.0.0.1",
        "status.restarts": "3",
    }


@pytest.mark.parametrize("spec", [None, {}, {"nodeName": None}, [], "text"])
def test_an_absent_field_has_its_empty_value(spec: object) -> None:
    selection = Extractor([POD_RULE]).extract(KEY, stored(spec=spec))
    assert selection.fields["spec.nodeName"] == ""
    assert selection.fields["spec.hostNetwork"] == "false"


def test_a_key_without_a_rule_has_labels_only() -> None:
    value = stored(metadata={"labels": {"app": "web"}})
    selection = Extractor([POD_RULE]).extract(b"/registry/configmaps/default/a", value)
    assert selection.labels == {"app": "web"}
    assert selection.fields == {}


def test_an_object_without_labels_and_fields_has_the_one_empty_selection() -> None:
    extractor = Extractor()
    assert extractor.extract(KEY, stored()) is NO_SELECTION
    assert extractor.extract(KEY, stored(metadata={"labels": {}})) is NO_SELECTION
    assert extractor.extract(KEY, stored(metadata={"labels": None})) is NO_SELECTION


def test_equal_labels_are_one_map() -> None:
    extractor = Extractor()
    value = stored(metadata={"labels": {"app": "web", "tier": "front"}})
    one, other = extractor.extract(KEY, value), extractor.extract(KEY + b"2", value)
    assert one.labels is other.labels


def test_a_rule_added_later_counts_from_then_on() -> None:
    extractor = Extractor()
    key = b"/registry/example.com/widgets/default/w"
    value = stored(spec={"color": "red"})
    assert extractor.extract(key, value).fields == {}
    extractor.add(ExtractionRule(b"/registry/example.com/widgets/", {"c": (("spec", "color"), "")}))
    assert extractor.extract(key, value).fields == {"c": "red"}


@pytest.mark.parametrize(
    "value", [b"", b"{", b"[]", b"7", stored(metadata={"labels": {"a": 1}}), stored()[:-1]]
)
def test_what_is_no_object_is_refused(value: bytes) -> None:
    with pytest.raises(NotAnObject):
        Extractor().extract(KEY, value)


def test_protobuf_is_refused_by_name() -> None:
    with pytest.raises(ProtobufValue):
        Extractor().extract(KEY, b"k8s\x00abc")


@pytest.mark.parametrize(
    ("key", "found"),
    [
        (b"/registry/pods/default/a", "pods"),
        (b"/registry/minions/n1", "nodes"),
        (b"/registry/services/specs/default/a", "services"),
        (b"/registry/services/endpoints/default/a", "other"),
        (b"/registry/podsecurity/a/b", "other"),
        (b"/registry/pods", "other"),
        (b"", "other"),
        (b"pods", "other"),
    ],
)
def test_a_key_finds_what_is_registered_for_its_longest_prefix(key: bytes, found: str) -> None:
    table = PrefixTable("other")
    table.register(b"/registry/pods/", "pods")
    table.register(b"/registry/minions/", "nodes")
    table.register(b"/registry/services/specs/", "services")
    assert table.of_key(key) == found
    assert table.of_key(key) == found  # now remembered


def test_registering_changes_what_was_remembered() -> None:
    table = PrefixTable("other")
    assert table.of_key(b"/r/widgets/ns/a") == "other"
    table.register(b"/r/widgets/", "widgets")
    assert table.of_key(b"/r/widgets/ns/a") == "widgets"


def test_a_prefix_without_its_slash_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="slash"):
        PrefixTable("").register(b"/registry/pods", "pods")


def test_a_parent_is_the_prefix_of_the_namespace() -> None:
    assert parent_of(b"/registry/pods/default/a") == b"/registry/pods/default/"
    assert end_of_prefix(b"/registry/pods/") == b"/registry/pods0"
