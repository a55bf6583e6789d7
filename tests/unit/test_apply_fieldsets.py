"""Field sets: what they print, read, and compute."""

from __future__ import annotations

import orjson
import pytest

from services.apiserver.apply.elements import MalformedElement, canonical, keyed, shown, valued
from services.apiserver.apply.fieldsets import (
    difference,
    has,
    in_order,
    intersection,
    of_path,
    parse,
    paths,
    recursive_difference,
    union,
)

BOTH = {"f:a": {".": {}, "f:b": {}}}


@pytest.mark.parametrize(
    ("one", "other", "joined"),
    [
        ({}, {}, {}),
        ({}, {"f:a": {}}, {"f:a": {}}),
        ({"f:a": {}}, {"f:a": {"f:b": {}}}, BOTH),
        ({"f:a": {"f:b": {}}}, {"f:a": {}}, BOTH),
        ({"f:b": {}}, {"f:a": {}}, {"f:a": {}, "f:b": {}}),
    ],
)
def test_a_union_has_what_either_has(one: object, other: object, joined: object) -> None:
    assert union(one, other) == joined  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other", "left"),
    [
        (BOTH, {"f:a": {}}, {"f:a": {"f:b": {}}}),
        (BOTH, {"f:a": {"f:b": {}}}, {"f:a": {}}),
        (BOTH, BOTH, {}),
        (BOTH, {"f:c": {}}, BOTH),
        ({"f:a": {}}, {"f:a": {"f:b": {}}}, {"f:a": {}}),
    ],
)
def test_a_difference_leaves_children_and_parents_alone(
    one: object, other: object, left: object
) -> None:
    assert difference(one, other) == left  # type: ignore[arg-type]


def test_a_recursive_difference_takes_all_below_along() -> None:
    fields = {"f:a": {".": {}, "f:b": {}}, "f:c": {"f:d": {}, "f:e": {}}}
    assert recursive_difference(fields, {"f:a": {}, "f:c": {"f:d": {}}}) == {"f:c": {"f:e": {}}}


def test_an_intersection_has_what_both_have() -> None:
    assert intersection(BOTH, {"f:a": {}}) == {"f:a": {}}
    assert intersection(BOTH, {"f:a": {"f:b": {}}}) == {"f:a": {"f:b": {}}}
    assert intersection(BOTH, {"f:b": {}}) == {}


def test_elements_come_in_order_of_kind_and_value() -> None:
    ports = [keyed(("port", "protocol"), port, "TCP") for port in (443, 80, 8080)]
    mixed = [ports[2], ports[0], "f:b", ports[1], "f:a", ".", "i:0", valued("x")]
    node: dict[str, object] = {element: {} for element in mixed}
    expected = [".", "f:a", "f:b", ports[1], ports[0], ports[2], valued("x"), "i:0"]
    assert list(in_order(node)) == expected


def test_paths_name_a_level_before_what_is_below_it() -> None:
    fields = {
        "f:spec": {
            "f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:name": {}}},
            "f:tags": {'v:"x"': {}},
            "f:type": {},
        }
    }
    assert list(paths(fields)) == [
        ".spec.type",
        '.spec.ports[port=80,protocol="TCP"]',
        '.spec.ports[port=80,protocol="TCP"].name',
        '.spec.tags[="x"]',
    ]
    assert shown("i:3") == "[3]"


def test_a_path_is_found_where_it_leads() -> None:
    path = ("f:spec", "f:replicas")
    assert has(of_path(path), path)
    assert not has({"f:spec": {"f:x": {}}}, path)
    assert not has(of_path(path), ("f:spec",))


def test_what_clients_write_is_read_in_one_form() -> None:
    sent = b'{"f:b":{".":{}},"f:a":{"k:{ \\"b\\": 1, \\"a\\": \\"x\\" }":{}},"x:new":{},".":{}}'
    expected = {"f:a": {'k:{"a":"x","b":1}': {}}, "f:b": {}}
    found = parse(orjson.loads(sent))
    assert found == expected
    assert list(found) == list(expected)


@pytest.mark.parametrize("sent", [5, {"f:a": 5}, {"f": {}}, {"k:[]": {}}, {"v:{": {}}, {"i:x": {}}])
def test_what_is_no_set_is_refused(sent: object) -> None:
    with pytest.raises(MalformedElement):
        parse(sent)


def test_unknown_kinds_of_elements_are_passed_over() -> None:
    assert canonical("z:1") is None
