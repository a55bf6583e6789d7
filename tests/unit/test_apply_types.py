"""How values of built-in and custom types are owned and compared."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.apply.builtintypes import struct_type
from services.apiserver.apply.customtypes import custom_type
from services.apiserver.apply.typed import fields_in, merge, mistakes, settled, without
from services.apiserver.apply.types import ANYTHING, List, Map, Scalar
from services.apiserver.codec.body import MAX_DEPTH
from services.apiserver.customresources.structural import compile_schema

CORE = "io.k8s.api.core.v1"
TEXT = Scalar("string")
NAMED = List(Map(lambda: {"name": TEXT, "value": TEXT}), {"name": None})
SET = List(TEXT)


@pytest.mark.parametrize(
    ("definition", "value", "node"),
    [
        (f"{CORE}.PodSpec", {"nodeSelector": {"a": "b"}}, {"f:nodeSelector": {}}),
        (f"{CORE}.PodSpec", {"tolerations": [{"key": "k"}]}, {"f:tolerations": {}}),
        (
            f"{CORE}.PodSpec",
            {"imagePullSecrets": [{"name": "s"}]},
            {"f:imagePullSecrets": {".": {}, 'k:{"name":"s"}': {}}},
        ),
        (
            f"{CORE}.Container",
            {"ports": [{"containerPort": 80}]},
            {
                "f:ports": {
                    ".": {},
                    'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}},
                }
            },
        ),
        (f"{CORE}.Container", {"resources": {}}, {"f:resources": {}}),
        (
            f"{CORE}.Container",
            {"resources": {"limits": {"cpu": "1"}}},
            {"f:resources": {".": {}, "f:limits": {".": {}, "f:cpu": {}}}},
        ),
        (f"{CORE}.Container", {"env": []}, {"f:env": {}}),
        (
            f"{CORE}.Container",
            {"env": [{"name": "a"}, {"name": "a", "value": "b"}]},
            {"f:env": {".": {}, 'k:{"name":"a"}': {}}},
        ),
    ],
)
def test_what_a_new_value_brings(definition: str, value: Any, node: Any) -> None:
    assert struct_type(definition).added(value) == {".": {}, **node}


@pytest.mark.parametrize(
    ("old", "new", "changed", "removed"),
    [
        ([{"name": "a"}], [{"name": "a"}, {"name": "b"}], {'k:{"name":"b"}': 1}, None),
        ([{"name": "a"}], [], None, {'k:{"name":"a"}': {".": {}, "f:name": {}}}),
        (
            [{"name": "a", "value": "x"}],
            [{"name": "a", "value": "y"}],
            {'k:{"name":"a"}': {"f:value": {}}},
            None,
        ),
        ([{"name": "a"}] * 2, [{"name": "a"}] * 3, {'k:{"name":"a"}': {}}, None),
        ([{"name": "a"}, {"name": "b"}], [{"name": "b"}, {"name": "a"}], None, None),
        (None, [{"name": "a"}], {'k:{"name":"a"}': {".": {}, "f:name": {}}}, None),
        (None, [], {}, None),
    ],
)
def test_how_keyed_lists_differ(old: Any, new: Any, changed: Any, removed: Any) -> None:
    if changed == {'k:{"name":"b"}': 1}:
        changed = {'k:{"name":"b"}': {".": {}, "f:name": {}}}
    assert NAMED.compare(old, new) == (changed, removed)


def test_fields_below_what_has_become_atomic_are_owned_as_a_whole() -> None:
    fields = {"f:spec": {"f:whole": {"f:a": {}}, "f:ports": {'k:{"port":1}': {}}, "f:x": {}}}
    assert settled(CUSTOM, fields) == {**fields, "f:spec": {**fields["f:spec"], "f:whole": {}}}
    as_it_is = {"f:spec": {"f:plain": {}, "f:free": {"f:a": {".": {}, "f:b": {}}}}}
    assert settled(CUSTOM, as_it_is) is as_it_is


def test_values_may_be_as_deep_as_bodies() -> None:
    value: Any = 1
    other: Any = 2
    for _ in range(MAX_DEPTH):
        value, other = {"a": value}, {"a": other}
    assert ANYTHING.added(value)
    assert ANYTHING.compare(value, other)[1] is None
    assert merge(ANYTHING, value, other) == other
    assert without(ANYTHING, value, fields_in(ANYTHING, value)) is None
    assert list(mistakes(ANYTHING, value)) == []


def test_sets_and_atomic_lists_differ_by_item_and_as_a_whole() -> None:
    assert SET.compare(["a", "b"], ["b", "c"]) == ({'v:"c"': {}}, {'v:"a"': {}})
    assert List(TEXT, atomic=True).compare(["a"], ["b"]) == ({}, None)


def test_a_value_that_takes_another_form_changes_itself_and_all_below() -> None:
    assert ANYTHING.compare(1, {"a": 1}) == ({".": {}, "f:a": {}}, None)
    assert ANYTHING.compare({"a": 1}, 1) == ({}, {"f:a": {}})
    assert ANYTHING.compare({"a": 1}, {"a": 2, "b": None}) == ({"f:a": {}, "f:b": {}}, None)


@pytest.mark.parametrize(
    ("old", "new", "merged"),
    [
        ("bd", "adcb", "adcb"),
        ("xy", "zx", "zxy"),
        ("abc", "b", "abc"),
        ("ab", "ba", "ba"),
        ("", "ab", "ab"),
        ("ab", "", "ab"),
    ],
)
def test_merged_lists_keep_an_order_that_both_agree_with(old: str, new: str, merged: str) -> None:
    assert merge(SET, list(old), list(new)) == list(merged)


def test_merging_keeps_what_is_not_named_and_null_names_nothing() -> None:
    type_ = struct_type(f"{CORE}.ConfigMap")
    old = {"data": {"a": "1", "b": "2"}, "immutable": True}
    assert merge(type_, old, {"data": {"b": "3"}}) == {
        "data": {"a": "1", "b": "3"},
        "immutable": True,
    }
    assert merge(type_, old, {"data": None})["data"] == old["data"]


def test_removing_goes_into_items_and_leaves_null_where_nothing_is_left() -> None:
    value = [{"name": "a", "value": "x"}, {"name": "b", "value": "y"}]
    fields = {'k:{"name":"a"}': {"f:value": {}}, 'k:{"name":"b"}': {}}
    assert without(NAMED, value, fields) == [{"name": "a"}]
    assert without(NAMED, value, {'k:{"name":"a"}': {}, 'k:{"name":"b"}': {}}) is None


CUSTOM = custom_type(
    compile_schema(
        {
            "type": "object",
            "properties": {
                "spec": {
                    "type": "object",
                    "properties": {
                        "ports": {
                            "type": "array",
                            "x-kubernetes-list-type": "map",
                            "x-kubernetes-list-map-keys": ["port", "protocol"],
                            "items": {
                                "type": "object",
                                "properties": {
                                    "port": {"type": "integer"},
                                    "protocol": {"type": "string", "default": "TCP"},
                                },
                            },
                        },
                        "whole": {"type": "object", "x-kubernetes-map-type": "atomic"},
                        "plain": {"type": "array", "items": {"type": "string"}},
                        "some": {"x-kubernetes-int-or-string": True},
                        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        "embedded": {"type": "object", "x-kubernetes-embedded-resource": True},
                    },
                }
            },
        }
    )
)


@pytest.mark.parametrize(
    ("spec", "node"),
    [
        (
            {"ports": [{"port": 1}]},
            {"f:ports": {'k:{"port":1,"protocol":"TCP"}': {".": {}, "f:port": {}}}},
        ),
        ({"whole": {"a": {"b": 1}}}, {"f:whole": {}}),
        ({"plain": ["x"]}, {"f:plain": {}}),
        ({"some": 1}, {"f:some": {}}),
        ({"some": "1"}, {"f:some": {}}),
        (
            {"free": {"a": {"b": [1]}, "c": {}}},
            {"f:free": {"f:a": {".": {}, "f:b": {}}, "f:c": {}}},
        ),
        (
            {"embedded": {"metadata": {"finalizers": ["x"]}}},
            {"f:embedded": {"f:metadata": {"f:finalizers": {'v:"x"': {}}}}},
        ),
        ({"plain": None}, {"f:plain": {}}),
        ({"ports": []}, None),
    ],
)
def test_what_an_applied_custom_resource_names(spec: Any, node: Any) -> None:
    found = fields_in(CUSTOM, {"spec": spec})
    assert found == ({"f:spec": node} if node else {})


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"extra": 1}, ".spec.extra: field not declared in schema"),
        ({"plain": "x"}, ".spec.plain: expected list, got string"),
        ({"plain": [1]}, ".spec.plain[0]: expected string, got int"),
        ({"whole": [1]}, ".spec.whole: expected map, got list"),
        (
            {"ports": [{"port": 1}, {"port": 1, "protocol": "TCP"}]},
            '.spec.ports: duplicate entries for key [port=1,protocol="TCP"]',
        ),
        (
            {"ports": [{"port": "x"}]},
            '.spec.ports[port="x",protocol="TCP"].port: expected numeric (int or float), '
            "got string",
        ),
    ],
)
def test_what_does_not_fit_is_told_with_its_path(spec: Any, told: str) -> None:
    assert list(mistakes(CUSTOM, {"spec": spec})) == [told]


def test_what_fits_has_no_mistakes() -> None:
    spec = {"some": "x", "free": {"a": [1, {"b": None}]}, "plain": None, "whole": {"a": 1}}
    assert list(mistakes(CUSTOM, {"apiVersion": "v1", "metadata": {}, "spec": spec})) == []
