"""HorizontalPodAutoscaler and PodDisruptionBudget."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.apiserver.kinds.horizontalpodautoscaler_v1 import (
    ANNOTATIONS,
    BEHAVIOR,
    CONDITIONS,
    METRICS,
    from_storage,
    to_storage,
)
from tests.unit.workload_world import create, created, told, update

Object = dict[str, Any]

TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
CPU = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
}


def hpa(**spec: Any) -> Object:
    return {"spec": {"scaleTargetRef": TARGET, "maxReplicas": 3, **spec}}


def test_an_autoscaler_gets_defaults() -> None:
    made = created("horizontalpodautoscalers", hpa(behavior={"scaleDown": {}}))
    assert made["spec"]["minReplicas"] == 1
    assert made["spec"]["metrics"] == [CPU]
    assert made["spec"]["behavior"] == {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "selectPolicy": "Max",
            "policies": [
                {"type": "Pods", "value": 4, "periodSeconds": 15},
                {"type": "Percent", "value": 100, "periodSeconds": 15},
            ],
        },
        "scaleDown": {
            "selectPolicy": "Max",
            "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
        },
    }
    assert made["status"] == {"currentMetrics": None, "desiredReplicas": 0}
    assert "generation" not in made["metadata"]


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        (
            {"minReplicas": 5},
            [("spec.maxReplicas", "Invalid")],
        ),
        (
            {"minReplicas": 0},
            [("spec.minReplicas", "Invalid"), ("spec.metrics", "Forbidden")],
        ),
        (
            {"scaleTargetRef": {"kind": "Deployment", "name": "web"}},
            [("spec.scaleTargetRef.apiVersion", "Invalid")],
        ),
        ({"scaleTargetRef": {"kind": "ReplicationController", "name": "web"}}, []),
        (
            {"metrics": [{"type": "Odd"}]},
            [("spec.metrics[0].type", "NotSupported"), ("spec.metrics[0].type", "NotSupported")],
        ),
        (
            {"metrics": [{"type": "Resource"}]},
            [("spec.metrics[0].resource", "Required")],
        ),
        (
            {
                "metrics": [
                    {
                        **CPU,
                        "pods": {
                            "metric": {"name": "x"},
                            "target": {"type": "AverageValue", "averageValue": "1"},
                        },
                    }
                ]
            },
            [("spec.metrics[0].pods", "Forbidden")],
        ),
        (
            {
                "behavior": {
                    "scaleUp": {
                        "stabilizationWindowSeconds": 4000,
                        "policies": [{"type": "Nodes", "value": 0, "periodSeconds": 2000}],
                    }
                }
            },
            [
                ("spec.behavior.scaleUp.stabilizationWindowSeconds", "Invalid"),
                ("spec.behavior.scaleUp.policies[0].type", "NotSupported"),
                ("spec.behavior.scaleUp.policies[0].value", "Invalid"),
                ("spec.behavior.scaleUp.policies[0].periodSeconds", "Invalid"),
            ],
        ),
        (
            {"behavior": {"scaleDown": {"policies": []}}},
            [("spec.behavior.scaleDown.policies", "Required")],
        ),
    ],
)
def test_an_autoscaler_is_refused_for(spec: Object, causes: list[tuple[str, str]]) -> None:
    assert told(create("horizontalpodautoscalers", hpa(**spec))[1]) == causes


RICH = hpa(
    metrics=[
        {
            "type": "Object",
            "object": {
                "metric": {"name": "hits", "selector": {"matchLabels": {"a": "b"}}},
                "describedObject": {"apiVersion": "v1", "kind": "Service", "name": "s"},
                "target": {"type": "Value", "value": "2"},
            },
        },
        CPU,
        {
            "type": "External",
            "external": {
                "metric": {"name": "queue"},
                "target": {"type": "AverageValue", "averageValue": "30"},
            },
        },
    ],
    behavior={"scaleDown": {"stabilizationWindowSeconds": 60}},
)


def test_v1_keeps_in_annotations_what_it_has_no_fields_for() -> None:
    made = created("horizontalpodautoscalers", RICH)
    shown = from_storage(made)
    assert shown["apiVersion"] == "autoscaling/v1"
    assert shown["spec"]["targetCPUUtilizationPercentage"] == 80
    assert json.loads(shown["metadata"]["annotations"][METRICS]) == [
        {
            "type": "Object",
            "object": {
                "target": {"kind": "Service", "name": "s", "apiVersion": "v1"},
                "metricName": "hits",
                "targetValue": "2",
                "selector": {"matchLabels": {"a": "b"}},
            },
        },
        {"type": "External", "external": {"metricName": "queue", "targetAverageValue": "30"}},
    ]
    behavior = json.loads(shown["metadata"]["annotations"][BEHAVIOR])
    assert behavior["ScaleDown"]["StabilizationWindowSeconds"] == 60
    assert behavior["ScaleUp"]["Tolerance"] is None


def test_what_v1_shows_can_be_written_back() -> None:
    made = created("horizontalpodautoscalers", RICH)
    back = to_storage(from_storage(made))
    assert back["spec"]["behavior"] == made["spec"]["behavior"]
    cpu, others = made["spec"]["metrics"][1], made["spec"]["metrics"][::2]
    assert back["spec"]["metrics"] == [*others, cpu]
    assert not set(ANNOTATIONS) & set(back["metadata"].get("annotations", {}))
    assert back["status"] == made["status"]


def test_v1_tells_the_status_as_well() -> None:
    made = created("horizontalpodautoscalers", hpa())
    made["status"] = {
        "currentReplicas": 3,
        "desiredReplicas": 4,
        "currentMetrics": [
            {
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    "current": {"averageUtilization": 42, "averageValue": "420m"},
                },
            }
        ],
        "conditions": [
            {
                "type": "AbleToScale",
                "status": "True",
                "lastTransitionTime": "2024-01-01T00:00:00Z",
                "message": "a < b",
            }
        ],
    }
    shown = from_storage(made)
    assert shown["status"] == {
        "currentReplicas": 3,
        "desiredReplicas": 4,
        "currentCPUUtilizationPercentage": 42,
    }
    assert shown["metadata"]["annotations"][CONDITIONS] == (
        '[{"type":"AbleToScale","status":"True","lastTransitionTime":"2024-01-01T00:00:00Z",'
        '"message":"a \\u003c b"}]'
    )
    assert to_storage(shown)["status"] == made["status"]


@pytest.mark.parametrize("text", ["not json", "5", '[{"type": 5}]', "[5]", '{"a": "b"}'])
def test_annotations_that_do_not_parse_are_dropped(text: str) -> None:
    obj = {
        "metadata": {"name": "one", "annotations": dict.fromkeys(ANNOTATIONS, text)},
        "spec": {"scaleTargetRef": TARGET, "maxReplicas": 3},
    }
    back = to_storage(obj)
    assert "annotations" not in back["metadata"]
    assert back["spec"]["metrics"] == [CPU]


def budget(**spec: Any) -> Object:
    return {"spec": spec}


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        ({"minAvailable": "50%", "unhealthyPodEvictionPolicy": "AlwaysAllow"}, []),
        ({"minAvailable": 1, "maxUnavailable": 1}, [("spec", "Invalid")]),
        ({"minAvailable": -1}, [("spec.minAvailable", "Invalid")]),
        ({"maxUnavailable": "101%"}, [("spec.maxUnavailable", "Invalid")]),
        ({"maxUnavailable": "some"}, [("spec.maxUnavailable", "Invalid")]),
        (
            {"unhealthyPodEvictionPolicy": "Sometimes"},
            [("spec.unhealthyPodEvictionPolicy", "NotSupported")],
        ),
    ],
)
def test_a_budget_is_checked(spec: Object, causes: list[tuple[str, str]]) -> None:
    assert told(create("poddisruptionbudgets", budget(**spec))[1]) == causes


def test_a_budgets_status_is_checked() -> None:
    old = created("poddisruptionbudgets", budget(minAvailable=1))
    status = {"disruptionsAllowed": -1, "conditions": [{"type": "x", "status": "Perhaps"}]}
    found = told(update("poddisruptionbudgets", old, {"status": status}, "status")[1])
    assert [field for field, _ in found] == [
        "status.conditions[0].status",
        "status.conditions[0].lastTransitionTime",
        "status.conditions[0].reason",
        "status.disruptionsAllowed",
    ]


def test_a_controller_revision_keeps_its_data() -> None:
    old = created("controllerrevisions", {"revision": 1, "data": {"a": {"b": 1, "c": 2}}})
    assert update("controllerrevisions", old, {"revision": 2})[1] == []
    _, causes = update("controllerrevisions", old, {"data": {"a": {"b": 2}}})
    assert told(causes) == [("data", "Invalid")]
    assert told(create("controllerrevisions", {"revision": -1})[1]) == [
        ("data", "Required"),
        ("revision", "Invalid"),
    ]
