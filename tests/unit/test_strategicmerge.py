"""Strategic merge patches: which lists merge, in which order, and what directives do."""

import copy
from typing import Any

import pytest

from services.apiserver.codec import definition_of
from services.apiserver.errors import ApiError
from services.apiserver.patching import strategicmerge

POD = definition_of("", "v1", "Pod")
DEPLOYMENT = definition_of("apps", "v1", "Deployment")
SERVICE = definition_of("", "v1", "Service")
CONFIG_MAP = definition_of("", "v1", "ConfigMap")


def merged(definition: str, current: Any, patch: Any) -> Any:
    """Apply a patch, and check that neither argument is changed."""
    before = copy.deepcopy((current, patch))
    result = strategicmerge.apply(current, patch, definition)
    assert (current, patch) == before
    return result


def named(*names: str) -> list[dict[str, Any]]:
    return [{"name": name} for name in names]


def containers(current: list[Any], patch: dict[str, Any]) -> Any:
    """Return a pod's containers after a patch of its spec."""
    return merged(POD, {"spec": {"containers": current}}, {"spec": patch})["spec"]["containers"]


def test_maps_merge_and_null_deletes() -> None:
    assert merged(CONFIG_MAP, {"data": {"a": "1", "b": "2"}}, {"data": {"a": None, "c": "3"}}) == {
        "data": {"b": "2", "c": "3"}
    }


def test_list_items_merge_by_their_key() -> None:
    current = [{"name": "a", "image": "i:1", "args": ["x"]}, {"name": "b", "image": "j:1"}]
    assert containers(current, {"containers": [{"name": "a", "image": "i:2", "args": ["y"]}]}) == [
        {"name": "a", "image": "i:2", "args": ["y"]},
        {"name": "b", "image": "j:1"},
    ]


@pytest.mark.parametrize(
    ("current", "patch", "order"),
    [
        ("ab", "c", "cab"),
        ("ab", "bc", "abc"),
        ("ab", "ba", "ba"),
        ("abc", "cb", "acb"),
        ("abcd", "dx", "abcdx"),
        ("", "ba", "ba"),
        ("ab", "", "ab"),
    ],
)
def test_patch_items_keep_their_order_among_the_others(
    current: str, patch: str, order: str
) -> None:
    result = containers(named(*current), {"containers": named(*patch)})
    assert [item["name"] for item in result] == list(order)


def test_an_element_order_rules_over_the_patch() -> None:
    patch = {"$setElementOrder/containers": named("b", "new", "a"), "containers": named("new")}
    assert containers(named("a", "b", "z"), patch) == named("b", "new", "a", "z")


def test_an_element_order_alone_reorders() -> None:
    assert containers(
        named("a", "b", "c"), {"$setElementOrder/containers": named("c", "a")}
    ) == named("b", "c", "a")


def test_a_directive_deletes_all_items_with_its_key() -> None:
    patch = {"containers": [{"name": "a", "$patch": "delete"}, {"name": "c"}]}
    assert containers(named("a", "b", "a"), patch) == named("c", "b")


def test_a_directive_replaces_the_list() -> None:
    assert containers(
        named("a", "b"), {"containers": [{"$patch": "replace"}, *named("c")]}
    ) == named("c")


def test_a_patch_item_changes_the_first_of_items_with_one_key() -> None:
    current = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    result = containers(
        [{"name": "c", "env": current}],
        {"containers": [{"name": "c", "env": [{"name": "A", "value": "9"}]}]},
    )
    assert result[0]["env"] == [{"name": "A", "value": "9"}, {"name": "A", "value": "2"}]


def test_atomic_lists_are_replaced() -> None:
    current = {"spec": {"tolerations": [{"key": "a"}]}}
    assert merged(POD, current, {"spec": {"tolerations": [{"key": "b"}]}}) == {
        "spec": {"tolerations": [{"key": "b"}]}
    }


def test_ports_of_a_service_merge_by_number_alone() -> None:
    current = {
        "spec": {"ports": [{"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}
    }
    patch = {"spec": {"ports": [{"port": 53, "targetPort": 5353}]}}
    assert merged(SERVICE, current, patch)["spec"]["ports"] == [
        {"port": 53, "protocol": "TCP", "targetPort": 5353},
        {"port": 53, "protocol": "UDP"},
    ]


@pytest.mark.parametrize(
    ("metadata", "finalizers"),
    [
        ({"finalizers": ["c", "a"]}, ["c", "a", "b"]),
        ({"$deleteFromPrimitiveList/finalizers": ["a", "none"]}, ["b"]),
        ({"$setElementOrder/finalizers": ["d", "b", "a"], "finalizers": ["d"]}, ["d", "b", "a"]),
        ({"$deleteFromPrimitiveList/finalizers": "text"}, ["a", "b"]),
        ({"$deleteFromPrimitiveList/ownerReferences": ["x"]}, ["a", "b"]),
    ],
)
def test_lists_of_texts_are_sets(metadata: dict[str, Any], finalizers: list[str]) -> None:
    current = {"metadata": {"finalizers": ["a", "b"]}}
    assert merged(CONFIG_MAP, current, {"metadata": metadata})["metadata"] == {
        "finalizers": finalizers
    }


def test_replace_works_on_maps_and_at_the_root() -> None:
    current = {"metadata": {"name": "a"}, "data": {"k": "v"}}
    assert merged(CONFIG_MAP, current, {"data": {"$patch": "replace", "l": "w"}})["data"] == {
        "l": "w"
    }
    assert merged(CONFIG_MAP, current, {"$patch": "replace", "data": {}}) == {"data": {}}
    assert merged(CONFIG_MAP, current, {"data": {"$patch": "delete"}})["data"] == {}


def test_retain_keys_clears_what_it_does_not_name() -> None:
    current = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert merged(DEPLOYMENT, current, patch) == {"spec": {"strategy": {"type": "Recreate"}}}


def test_directives_in_new_values_are_dropped() -> None:
    patch = {"spec": {"containers": [{"name": "a", "env": [{"name": "x", "$patch": "delete"}]}]}}
    assert merged(POD, {}, patch) == {"spec": {"containers": [{"name": "a", "env": []}]}}
    assert merged(CONFIG_MAP, {}, {"data": {"$patch": "delete"}}) == {}


def test_unknown_fields_pass_for_the_decoder_to_tell() -> None:
    assert merged(CONFIG_MAP, {}, {"nosuch": {"a": 1}}) == {"nosuch": {"a": 1}}


def test_a_value_of_another_type_takes_the_place() -> None:
    assert containers(named("a"), {"containers": "text"}) == "text"


@pytest.mark.parametrize(
    ("patch", "code"),
    [
        ({"$patch": "explode"}, 500),
        ({"$patch": {"a": 1}}, 500),
        ({"spec": {"containers": [{"image": "x"}]}}, 500),
        ({"spec": {"containers": [{"name": "a", "$patch": "explode"}]}}, 500),
        ({"spec": {"containers": [{"name": "a", "$patch": "merge"}]}}, 500),
        ({"spec": {"containers": [{"$patch": "delete"}]}}, 500),
        ({"spec": {"containers": ["text"]}}, 500),
        ({"spec": {"containers": [{"name": {}}]}}, 500),
        ({"spec": {"containers": [[]]}}, 422),
        ({"spec": {"$setElementOrder/containers": named("a"), "containers": named("b")}}, 500),
        ({"spec": {"$setElementOrder/containers": "text"}}, 500),
        ({"spec": {"$setElementOrder/nosuch": []}}, 500),
        ({"spec": {"$setElementOrder": []}}, 400),
        ({"spec": {"$setElementOrderX/containers": []}}, 400),
        ({"spec": {"$deleteFromPrimitiveList": []}}, 400),
        ({"spec": {"$retainKeys": "text"}}, 400),
        ({"spec": {"$retainKeys": [], "nodeName": "n"}}, 400),
    ],
)
def test_a_patch_that_makes_no_sense_is_refused(patch: Any, code: int) -> None:
    current = {"spec": {"containers": [{"name": "a", "image": "i"}]}}
    with pytest.raises(ApiError) as caught:
        merged(POD, current, patch)
    assert caught.value.code == code
    if code == 500:
        assert (caught.value.reason, caught.value.details) == ("", None)


def test_raw_values_cannot_be_merged_into() -> None:
    revision = definition_of("apps", "v1", "ControllerRevision")
    with pytest.raises(ApiError):
        merged(revision, {"data": {"a": {"b": 1}}}, {"data": {"a": {"c": 1}}})
