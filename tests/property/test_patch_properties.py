"""Patches against simple models, and on hostile input."""

from __future__ import annotations

import contextlib
import copy
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.apiserver.codec import definition_of
from services.apiserver.errors import ApiError
from services.apiserver.patching import jsonpatch, mergepatch, strategicmerge

POD = definition_of("", "v1", "Pod")
CONFIG_MAP = definition_of("", "v1", "ConfigMap")

keys = st.sampled_from(["a", "b", "c", "spec", "data", "metadata", "$patch", "0", ""])
scalars = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["x", "y", "replace"])
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)
objects = st.dictionaries(keys, documents, max_size=4)


def merge_model(target: Any, patch: Any) -> Any:
    """RFC 7386, word for word."""
    if not isinstance(patch, dict):
        return patch
    out = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merge_model(out.get(key), value)
    return out


def without_lists(value: Any) -> Any:
    """Lists apart, kube-apiserver's library and the RFC agree."""
    if isinstance(value, dict):
        return {key: without_lists(item) for key, item in value.items()}
    return "list" if isinstance(value, list) else value


@given(objects, objects)
@settings(deadline=None)
def test_a_merge_patch_does_what_the_rfc_says(current: Any, patch: Any) -> None:
    current, patch = without_lists(current), without_lists(patch)
    assert mergepatch.apply(current, patch) == merge_model(current, patch)


@given(objects, objects)
@settings(deadline=None)
def test_applying_a_merge_patch_twice_changes_nothing_more(current: Any, patch: Any) -> None:
    """Without lists: nulls inside those go only where nothing was an object before."""
    current, patch = without_lists(current), without_lists(patch)
    before = copy.deepcopy((current, patch))
    once = mergepatch.apply(current, patch)
    assert mergepatch.apply(once, patch) == once
    assert (current, patch) == before


@given(objects, st.sampled_from("xyz"), documents)
@settings(deadline=None)
def test_removing_what_was_added_restores_the_document(current: Any, key: str, value: Any) -> None:
    operations = [
        {"op": "add", "path": f"/{key}", "value": value},
        {"op": "test", "path": f"/{key}", "value": value},
        {"op": "remove", "path": f"/{key}"},
    ]
    assert jsonpatch.apply(current, jsonpatch.parse(json.dumps(operations).encode())) == current


integers = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(integers, max_size=5), integers, st.data())
@settings(deadline=None)
def test_an_item_can_be_inserted_anywhere(items: list[int], item: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(items)))
    operation = {"op": "add", "path": f"/a/{index}", "value": item}
    patch = jsonpatch.parse(json.dumps([operation]).encode())
    assert jsonpatch.apply({"a": items}, patch) == {"a": [*items[:index], item, *items[index:]]}


paths = st.lists(keys | st.sampled_from(["-", "-1", "1"]), max_size=3).map(
    lambda parts: "".join(f"/{part}" for part in parts)
)
operations = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]), "path": paths},
    optional={"from": paths, "value": documents},
)


@given(objects, st.lists(operations, max_size=6) | documents)
@settings(max_examples=300, deadline=None)
def test_a_json_patch_applies_or_is_refused(current: Any, patch: Any) -> None:
    before = copy.deepcopy(current)
    with contextlib.suppress(ApiError):
        json.dumps(jsonpatch.apply(current, jsonpatch.parse(json.dumps(patch).encode())))
    assert current == before


directives = st.sampled_from(
    [
        "$patch",
        "$retainKeys",
        "$setElementOrder/containers",
        "$setElementOrder/finalizers",
        "$deleteFromPrimitiveList/finalizers",
        "$setElementOrder",
        "containers",
        "finalizers",
        "metadata",
        "spec",
        "name",
        "env",
        "args",
    ]
)
hostile = st.recursive(
    scalars | st.sampled_from(["delete", "merge"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(directives, inner, max_size=4),
    max_leaves=16,
)


@given(
    st.dictionaries(directives, hostile, max_size=3),
    st.dictionaries(directives, hostile, max_size=3),
)
@settings(max_examples=400, deadline=None)
def test_a_strategic_merge_patch_applies_or_is_refused(current: Any, patch: Any) -> None:
    before = copy.deepcopy((current, patch))
    with contextlib.suppress(ApiError):
        strategicmerge.apply(current, patch, POD)
    assert (current, patch) == before


maps = st.dictionaries(st.sampled_from("abcd"), st.none() | st.sampled_from("xy"), max_size=4)


@given(maps, maps)
@settings(deadline=None)
def test_on_maps_strategic_merge_is_merge_patch(current: Any, patch: Any) -> None:
    current = {key: value for key, value in current.items() if value is not None}
    once = strategicmerge.apply({"data": current}, {"data": patch}, CONFIG_MAP)
    assert once == mergepatch.apply({"data": current}, {"data": patch})
    assert strategicmerge.apply(once, {"data": patch}, CONFIG_MAP) == once


names = st.lists(st.sampled_from("abcdefg"), unique=True, max_size=6)


@given(names, names)
@settings(deadline=None)
def test_a_merged_list_has_all_items_once_and_both_orders_where_they_agree(
    current: list[str], patch: list[str]
) -> None:
    def pod(items: list[str]) -> dict[str, Any]:
        return {"spec": {"containers": [{"name": name} for name in items]}}

    once = strategicmerge.apply(pod(current), pod(patch), POD)
    result = [item["name"] for item in once["spec"]["containers"]]
    assert sorted(result) == sorted({*current, *patch})
    assert [name for name in result if name in patch] == patch
    others = [name for name in current if name not in patch]
    assert [name for name in result if name not in patch] == others
    assert strategicmerge.apply(once, pod(patch), POD) == once
