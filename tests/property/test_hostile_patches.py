"""Patches that no client should send: bombs, wrong types, directives out of place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.hostile import (
    CONFIGMAPS,
    DEPLOYMENTS,
    JSON_PATCH,
    MERGE_PATCH,
    PATCH_TYPES,
    STRATEGIC_PATCH,
    Hostile,
)
from tests.property.test_hostile_bodies import json_values

bounded = settings(max_examples=150, deadline=None)

KEPT = f"{CONFIGMAPS}/kept?dryRun=All"
KEPT_DEPLOYMENT = f"{DEPLOYMENTS}/kept?dryRun=All"

LIST_OF_ONE: dict[str, Any] = {"op": "add", "path": "/metadata/finalizers", "value": ["a/b"]}
JSON_PATCHES: dict[str, tuple[Any, int]] = {
    "a list that doubles itself": (
        [
            {"op": "add", "path": "/x", "value": ["y"]},
            *[{"op": "copy", "from": "/x", "path": "/x/-"}] * 30,
        ],
        422,
    ),
    "a large value copied often": (
        [
            {"op": "add", "path": "/data", "value": {"a": "x" * 100_000}},
            *[{"op": "copy", "from": "/data/a", "path": f"/data/a{n}"} for n in range(9000)],
        ],
        422,
    ),
    "more operations than allowed": (
        [{"op": "test", "path": "/kind", "value": "ConfigMap"}] * 10_001,
        413,
    ),
    "as many operations as allowed": (
        [{"op": "test", "path": "/kind", "value": "ConfigMap"}] * 10_000,
        200,
    ),
    "insertions in front": (
        [LIST_OF_ONE, *[{"op": "add", "path": "/metadata/finalizers/0", "value": "x/y"}] * 9999],
        200,
    ),
    "a move into itself": ([{"op": "move", "from": "/metadata", "path": "/metadata/name/x"}], 422),
    "the whole as a number": ([{"op": "replace", "path": "", "value": 1}], 422),
    "the whole removed": ([{"op": "remove", "path": ""}], 422),
    "a bad escape": ([{"op": "remove", "path": "/data/~2"}], 422),
    "a very long path": ([{"op": "remove", "path": "/data" * 50_000}], 422),
    "a far index": ([LIST_OF_ONE, {"op": "add", "path": f"/metadata/finalizers/{'9' * 40}"}], 422),
    "a kind that is a number": ([{"op": "replace", "path": "/kind", "value": 5}], 422),
    "an operation that is none": ([{"op": "explode", "path": "/a"}], 422),
}

STRATEGIC: dict[str, Any] = {
    "an unknown directive": {"$patch": "x"},
    "a directive that is a number": {"$patch": 5},
    "keys to retain that are none": {"$retainKeys": 5},
    "keys to retain that are not there": {"$retainKeys": ["x"]},
    "an order that is none": {"$setElementOrder/x": 5},
    "an order of no field": {"$setElementOrder/": []},
    "an order without a field": {"$setElementOrder": []},
    "a deletion from an object": {"$deleteFromPrimitiveList/metadata": [1]},
    "a deletion of an object": {"metadata": {"$deleteFromPrimitiveList/finalizers": [{}]}},
    "an order of all sorts": {"metadata": {"$setElementOrder/finalizers": ["a", 1, {}]}},
    "a replaced list": {"metadata": {"ownerReferences": [{"$patch": "replace"}]}},
    "a merge key that is an object": {"metadata": {"ownerReferences": [{"uid": {}}]}},
    "a list of lists": {"metadata": {"ownerReferences": [[1]]}},
    "metadata deleted": {"metadata": {"$patch": "delete"}},
    "everything deleted": {"$patch": "delete"},
    "containers that are words": {"spec": {"template": {"spec": {"containers": ["x"]}}}},
    "containers that are null": {"spec": {"template": {"spec": {"containers": [None]}}}},
    "containers deleted as an object": {
        "spec": {"template": {"spec": {"containers": {"$patch": "delete"}}}}
    },
    "another order than the list": {
        "spec": {
            "template": {
                "spec": {
                    "$setElementOrder/containers": [{"name": "z"}],
                    "containers": [{"name": "main"}],
                }
            }
        }
    },
    "very many containers": {
        "spec": {"template": {"spec": {"containers": [{"name": f"c{n}"} for n in range(10_000)]}}}
    },
    "very many containers in order": {
        "spec": {
            "template": {
                "spec": {
                    "$setElementOrder/containers": [{"name": f"c{n}"} for n in range(10_000)],
                    "containers": [{"name": f"c{n}", "image": "i"} for n in range(10_000)],
                }
            }
        }
    },
    "replicas out of range": {"spec": {"replicas": 1e30}},
    "an unknown field": {"spec": {"nothing": {"$patch": "replace", "a": [[]]}}},
}

MERGE: dict[str, Any] = {
    "no metadata": {"metadata": None},
    "metadata that is a list": {"metadata": []},
    "no name": {"metadata": {"name": None}},
    "another name": {"metadata": {"name": "other"}},
    "another namespace": {"metadata": {"namespace": "other"}},
    "a version that is none": {"metadata": {"resourceVersion": "abc"}},
    "a version that is a number": {"metadata": {"resourceVersion": 5}},
    "an old version": {"metadata": {"resourceVersion": "1"}},
    "another uid": {"metadata": {"uid": "x"}},
    "another kind": {"kind": "Pod"},
    "a kind that is a number": {"kind": 5, "apiVersion": {}},
    "data of objects": {"data": {"a": {"b": 1}}},
    "bad base64": {"binaryData": {"x": "!!"}},
    "a time that is none": {"metadata": {"deletionTimestamp": "x"}},
    "large annotations": {"metadata": {"annotations": {"x": "y" * 300_000}}},
    "managed fields of nothing": {"metadata": {"managedFields": [{}]}},
}


@pytest.mark.parametrize("what", JSON_PATCHES)
def test_a_bad_json_patch_is_refused(what: str, hostile: Hostile) -> None:
    patch, status = JSON_PATCHES[what]
    assert hostile.ask("PATCH", KEPT, json.dumps(patch).encode(), JSON_PATCH).status == status


@pytest.mark.parametrize("what", STRATEGIC)
@pytest.mark.parametrize("target", [KEPT, KEPT_DEPLOYMENT], ids=["ConfigMap", "Deployment"])
def test_a_bad_strategic_merge_patch_is_answered(what: str, target: str, hostile: Hostile) -> None:
    hostile.ask("PATCH", target, json.dumps(STRATEGIC[what]).encode(), STRATEGIC_PATCH)


@pytest.mark.parametrize("what", MERGE)
def test_a_bad_merge_patch_is_answered(what: str, hostile: Hostile) -> None:
    body = json.dumps(MERGE[what]).encode()
    for content_type in (MERGE_PATCH, STRATEGIC_PATCH):
        answer = hostile.ask("PATCH", KEPT, body, content_type)
        assert answer.status < 300 or answer.status >= 400


pointers = st.lists(
    st.sampled_from(
        ["metadata", "data", "name", "labels", "0", "-", "-1", "a", "", "~1", "~", "é"]
    ),
    max_size=4,
).map(lambda parts: "".join(f"/{part}" for part in parts))

operations = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]) | json_values,
        "path": pointers | json_values,
    },
    optional={"from": pointers | json_values, "value": json_values},
)


@bounded
@given(patch=st.lists(operations, max_size=4))
def test_any_json_patch_is_answered(hostile_client: Hostile, patch: list[Any]) -> None:
    hostile_client.ask("PATCH", KEPT, json.dumps(patch).encode(), JSON_PATCH)


directives = st.dictionaries(
    st.sampled_from(
        [
            *("$patch", "$retainKeys", "$setElementOrder/containers", "$setElementOrder/ports"),
            *("$deleteFromPrimitiveList/finalizers", "containers", "ports", "finalizers", "name"),
        ]
    ),
    json_values
    | st.sampled_from(["replace", "delete", "merge"])
    | st.lists(st.fixed_dictionaries({"name": json_values}), max_size=2),
    max_size=3,
)


@bounded
@given(
    inside=directives | json_values,
    at=st.sampled_from([(), ("metadata",), ("spec",), ("spec", "template", "spec")]),
)
def test_any_strategic_merge_patch_is_answered(
    hostile_client: Hostile, inside: Any, at: tuple[str, ...]
) -> None:
    patch = inside
    for name in reversed(at):
        patch = {name: patch}
    for target in (KEPT_DEPLOYMENT, "/api/v1/namespaces/default/services/kept?dryRun=All"):
        hostile_client.ask("PATCH", target, json.dumps(patch).encode(), STRATEGIC_PATCH)


@bounded
@given(body=st.binary(max_size=60), content_type=st.sampled_from(PATCH_TYPES))
def test_a_patch_of_any_bytes_is_answered(
    hostile_client: Hostile, body: bytes, content_type: str
) -> None:
    hostile_client.ask("PATCH", KEPT, body, content_type)


@pytest.fixture(scope="module", autouse=True)
def server_is_well_in_the_end(hostile_client: Hostile) -> Any:
    yield
    hostile_client.check_the_server_is_well()
