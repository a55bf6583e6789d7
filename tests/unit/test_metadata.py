"""ObjectMeta: the causes of each mistake, on create and on update."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.errors import Cause
from services.apiserver.validation.metadata import (
    merge_duplicate_owner_references,
    validate_conditions,
    validate_label_selector,
    validate_metadata_create,
    validate_metadata_update,
)
from services.apiserver.validation.names import dns1123_subdomain


def shown(causes: list[Cause]) -> list[str]:
    return [f"{cause.reason.removeprefix('FieldValue')} {cause.field}" for cause in causes]


def create(**metadata: Any) -> list[str]:
    obj = {"metadata": {"name": "a", "namespace": "ns", **metadata}}
    return shown(validate_metadata_create(obj, namespaced=True, validate_name=dns1123_subdomain))


OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "u"}


@pytest.mark.parametrize(
    ("metadata", "causes"),
    [
        ({}, []),
        ({"name": ""}, ["Required metadata.name"]),
        ({"name": "A"}, ["Invalid metadata.name"]),
        (
            {"name": "Bad_x", "generateName": "Bad_"},
            ["Invalid metadata.generateName", "Invalid metadata.name"],
        ),
        ({"generateName": "a-"}, []),
        ({"namespace": ""}, ["Required metadata.namespace"]),
        ({"namespace": "A"}, ["Invalid metadata.namespace"]),
        ({"generation": -1}, ["Invalid metadata.generation"]),
        ({"labels": {"a b": "c"}}, ["Invalid metadata.labels"]),
        ({"labels": {"": "c"}}, ["Invalid metadata.labels"] * 2),
        ({"labels": {"a": "b c"}}, ["Invalid metadata.labels"]),
        ({"annotations": {"Upper.Example.com/x": "any text"}}, []),
        ({"annotations": {"a b": ""}}, ["Invalid metadata.annotations"]),
        ({"annotations": {"a": "x" * 262144}}, ["TooLong metadata.annotations"]),
        ({"finalizers": ["example.com/a", "orphan", "kubernetes"]}, []),
        ({"finalizers": ["unqualified"]}, ["Invalid metadata.finalizers[0]"]),
        ({"finalizers": ["Bad Name/x"]}, ["Invalid metadata.finalizers"]),
        ({"finalizers": ["orphan", "foregroundDeletion"]}, ["Invalid metadata.finalizers"]),
        ({"ownerReferences": [OWNER]}, []),
        (
            {"ownerReferences": [{"uid": "u"}]},
            [f"Invalid metadata.ownerReferences.{name}" for name in ("apiVersion", "kind", "name")],
        ),
        (
            {"ownerReferences": [OWNER | {"apiVersion": "a/b/c"}]},
            ["Invalid metadata.ownerReferences.apiVersion"],
        ),
        ({"ownerReferences": [OWNER | {"kind": "Event"}]}, ["Invalid metadata.ownerReferences"]),
        (
            {"ownerReferences": [OWNER | {"controller": True}, OWNER | {"controller": True}]},
            ["Invalid metadata.ownerReferences"],
        ),
        (
            {"managedFields": [{"operation": "Replace", "fieldsType": "X", "manager": "a\n"}]},
            [
                "Invalid metadata.managedFields[0].operation",
                "Invalid metadata.managedFields[0].fieldsType",
                "Invalid metadata.managedFields[0].manager",
            ],
        ),
    ],
)
def test_a_new_objects_metadata_gives_these_causes(
    metadata: dict[str, Any], causes: list[str]
) -> None:
    assert create(**metadata) == causes


def test_a_cluster_scoped_object_has_no_namespace() -> None:
    obj = {"metadata": {"name": "a", "namespace": "ns"}}
    causes = validate_metadata_create(obj, namespaced=False, validate_name=dns1123_subdomain)
    assert shown(causes) == ["Forbidden metadata.namespace"]


def update(new: dict[str, Any], **old: Any) -> list[str]:
    before = {"name": "a", "namespace": "ns", "uid": "1", "generation": 2, **old}
    return shown(validate_metadata_update({"metadata": before | new}, {"metadata": before}))


@pytest.mark.parametrize(
    ("new", "causes"),
    [
        ({"labels": {"a": "b"}}, []),
        ({"uid": "2"}, ["Invalid metadata.uid"] * 2),
        ({"deletionTimestamp": "2030-01-01T00:00:00Z"}, ["Invalid metadata.deletionTimestamp"] * 2),
        ({"generation": 1}, ["Invalid metadata.generation"] * 2),
        ({"labels": {"a": "-"}}, ["Invalid metadata.labels"] * 3),
        ({"finalizers": ["x"]}, ["Invalid metadata.finalizers[0]"]),
    ],
)
def test_an_updates_causes_are_repeated(new: dict[str, Any], causes: list[str]) -> None:
    assert update(new) == causes


def test_a_terminating_object_gets_no_new_finalizers() -> None:
    causes = update(
        {"finalizers": ["example.com/a", "example.com/b"]},
        deletionTimestamp="2030-01-01T00:00:00Z",
        finalizers=["example.com/a"],
    )
    assert causes == ["Forbidden metadata.finalizers"] * 2


def test_a_terminating_object_may_lose_finalizers() -> None:
    assert (
        update(
            {"finalizers": []},
            deletionTimestamp="2030-01-01T00:00:00Z",
            finalizers=["example.com/a"],
        )
        == []
    )


def test_owner_references_that_are_there_twice_are_merged_with_a_warning() -> None:
    obj = {"metadata": {"ownerReferences": [OWNER, dict(OWNER), OWNER | {"uid": "v"}]}}
    warnings: list[str] = []
    merge_duplicate_owner_references(obj, warnings)
    assert obj["metadata"]["ownerReferences"] == [OWNER, OWNER | {"uid": "v"}]
    assert len(warnings) == 1


@pytest.mark.parametrize(
    ("expression", "causes"),
    [
        ({"key": "a", "operator": "In", "values": ["b"]}, []),
        ({"key": "a", "operator": "In"}, ["Required s.matchExpressions[0].values"]),
        (
            {"key": "a", "operator": "Exists", "values": ["b"]},
            ["Forbidden s.matchExpressions[0].values"],
        ),
        ({"key": "a", "operator": "Is"}, ["Invalid s.matchExpressions[0].operator"]),
        ({"key": "-", "operator": "Exists"}, ["Invalid s.matchExpressions[0].key"]),
        (
            {"key": "a", "operator": "In", "values": ["-"]},
            ["Invalid s.matchExpressions[0].values[0]"],
        ),
    ],
)
def test_a_label_selectors_expression_gives_these_causes(
    expression: dict[str, Any], causes: list[str]
) -> None:
    assert shown(validate_label_selector({"matchExpressions": [expression]}, "s")) == causes


def test_a_condition_needs_all_its_parts() -> None:
    assert shown(validate_conditions([{"type": "A"}, {"type": "A"}], "c")) == [
        "NotSupported c[0].status",
        "Required c[0].lastTransitionTime",
        "Required c[0].reason",
        "Duplicate c[1].type",
        "NotSupported c[1].status",
        "Required c[1].lastTransitionTime",
        "Required c[1].reason",
    ]
