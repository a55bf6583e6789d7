"""Rows of deployments, sets, jobs, templates, revisions and scales."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.printers import printer_of
from services.apiserver.printers.duration import parse_time

NOW = parse_time("2026-01-01T01:00:00Z")
TEMPLATE = {
    "metadata": {"labels": {"a": "b"}},
    "spec": {
        "containers": [{"name": "c", "image": "i:1"}, {"name": "d", "image": "j:2"}],
        "nodeSelector": {"zone": "a", "disk": "ssd"},
    },
}
SELECTOR = {
    "matchLabels": {"a": "b"},
    "matchExpressions": [{"key": "k", "operator": "DoesNotExist"}],
}


def cells(group: str, kind: str, **parts: Any) -> list[Any]:
    """The cells of an object named x, an hour old."""
    metadata = {
        "name": "x",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        **parts.pop("metadata", {}),
    }
    return printer_of((group, kind)).cells({"metadata": metadata, **parts}, NOW)


def test_a_pod_template() -> None:
    assert cells("", "PodTemplate", template=TEMPLATE) == ["x", "c,d", "i:1,j:2", "a=b"]


def test_a_replication_controller_selects_by_labels() -> None:
    row = cells(
        "",
        "ReplicationController",
        spec={"replicas": 1, "selector": {"b": "2", "a": "1"}, "template": TEMPLATE},
        status={"replicas": 2, "readyReplicas": 1},
    )
    assert row == ["x", 1, 2, 1, "60m", "c,d", "i:1,j:2", "a=1,b=2"]


def test_a_replica_set_selects_by_a_selector() -> None:
    row = cells(
        "apps",
        "ReplicaSet",
        spec={"replicas": 2, "selector": SELECTOR, "template": TEMPLATE},
        status={"replicas": 0},
    )
    assert row == ["x", 2, 0, 0, "60m", "c,d", "i:1,j:2", "a=b,!k"]


def test_a_deployment() -> None:
    row = cells(
        "apps",
        "Deployment",
        spec={"replicas": 3, "selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE},
        status={"replicas": 3, "updatedReplicas": 2, "readyReplicas": 1, "availableReplicas": 1},
    )
    assert row == ["x", "1/3", 2, 1, "60m", "c,d", "i:1,j:2", "a=b"]


def test_a_selector_that_is_not_valid_is_told() -> None:
    bad = {"selector": {"matchLabels": {"-": "-"}}}
    assert cells("apps", "Deployment", spec=bad)[-1] == "<invalid>"
    assert cells("apps", "ReplicaSet", spec=bad)[-1] == "<error>"


def test_a_stateful_set() -> None:
    row = cells(
        "apps",
        "StatefulSet",
        spec={"replicas": 1, "template": TEMPLATE},
        status={"replicas": 1, "availableReplicas": 0},
    )
    assert row == ["x", "0/1", "60m", "c,d", "i:1,j:2"]


def test_a_daemon_set() -> None:
    row = cells(
        "apps",
        "DaemonSet",
        spec={"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE},
        status={
            "desiredNumberScheduled": 5,
            "currentNumberScheduled": 4,
            "numberReady": 3,
            "updatedNumberScheduled": 2,
            "numberAvailable": 1,
        },
    )
    assert row == ["x", 5, 4, 3, 2, 1, "disk=ssd,zone=a", "60m", "c,d", "i:1,j:2", "a=b"]


@pytest.mark.parametrize(
    ("spec", "status", "completions"),
    [
        ({"completions": 3, "parallelism": 2}, {"succeeded": 1}, "1/3"),
        ({"parallelism": 2}, {}, "0/1 of 2"),
        ({"parallelism": 1}, {}, "0/1"),
        ({}, {}, "0/1"),
        ({"completions": 0}, {}, "0/0"),
    ],
)
def test_completions_of_a_job(
    spec: dict[str, Any], status: dict[str, Any], completions: str
) -> None:
    assert cells("batch", "Job", spec=spec, status=status)[2] == completions


@pytest.mark.parametrize(
    ("conditions", "deleted", "state"),
    [
        ([], False, "Running"),
        ([("SuccessCriteriaMet", "True")], False, "SuccessCriteriaMet"),
        ([("SuccessCriteriaMet", "True"), ("Complete", "True")], False, "Complete"),
        ([("FailureTarget", "True")], False, "FailureTarget"),
        ([("FailureTarget", "True"), ("Failed", "True")], True, "Failed"),
        ([("Suspended", "True")], False, "Suspended"),
        ([("Suspended", "False")], False, "Running"),
        ([("Suspended", "True")], True, "Terminating"),
    ],
)
def test_the_state_of_a_job(conditions: list[tuple[str, str]], deleted: bool, state: str) -> None:
    metadata = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleted else {}
    status = {"conditions": [{"type": kind, "status": value} for kind, value in conditions]}
    assert cells("batch", "Job", metadata=metadata, status=status)[1] == state


@pytest.mark.parametrize(
    ("status", "duration"),
    [
        ({}, ""),
        ({"startTime": "2026-01-01T00:58:00Z"}, "2m"),
        ({"startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:01:05Z"}, "65s"),
    ],
)
def test_the_duration_of_a_job(status: dict[str, Any], duration: str) -> None:
    assert cells("batch", "Job", status=status)[3] == duration


@pytest.mark.parametrize(
    ("spec", "status", "shown"),
    [
        (
            {"schedule": "@daily"},
            {},
            ["@daily", "<none>", "<unset>", 0, "<none>"],
        ),
        (
            {"schedule": "*/5 * * * *", "timeZone": "Etc/UTC", "suspend": True},
            {"active": [{}, {}], "lastScheduleTime": "2026-01-01T00:55:00Z"},
            ["*/5 * * * *", "Etc/UTC", "True", 2, "5m"],
        ),
        (
            {"schedule": "@hourly", "suspend": False},
            {},
            ["@hourly", "<none>", "False", 0, "<none>"],
        ),
    ],
)
def test_a_cron_job(spec: dict[str, Any], status: dict[str, Any], shown: list[Any]) -> None:
    template = {"spec": {"template": TEMPLATE}}
    row = cells("batch", "CronJob", spec={**spec, "jobTemplate": template}, status=status)
    assert row == ["x", *shown, "60m", "c,d", "i:1,j:2", "<none>"]


@pytest.mark.parametrize(
    ("owners", "controller"),
    [
        ([], "<none>"),
        ([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d"}], "<none>"),
        (
            [{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "controller": True}],
            "daemonset.apps/d",
        ),
        ([{"apiVersion": "v1", "kind": "Pod", "name": "p", "controller": True}], "pod/p"),
    ],
)
def test_a_controller_revision_names_its_controller(
    owners: list[dict[str, Any]], controller: str
) -> None:
    row = cells("apps", "ControllerRevision", metadata={"ownerReferences": owners}, revision=5)
    assert row == ["x", controller, 5, "60m"]


def test_a_scale() -> None:
    row = cells("autoscaling", "Scale", spec={"replicas": 2}, status={"replicas": 1})
    assert row == ["x", 2, 1, "60m"]


def resource(name: str, **target: Any) -> dict[str, Any]:
    return {"type": "Resource", "resource": {"name": name, "target": target}}


@pytest.mark.parametrize(
    ("metrics", "current", "targets"),
    [
        ([], [], "<none>"),
        ([resource("cpu", averageUtilization=80)], None, "cpu: <unknown>/80%"),
        (
            [resource("cpu", averageUtilization=80)],
            [{"resource": {"current": {"averageUtilization": 51, "averageValue": "1"}}}],
            "cpu: 51%/80%",
        ),
        ([resource("cpu")], [], "cpu: <unknown>/<auto>"),
        (
            [resource("memory", averageValue="100Mi")],
            [{"resource": {"current": {"averageValue": "90Mi"}}}],
            "memory: 90Mi/100Mi",
        ),
        (
            [{"type": "Pods", "pods": {"target": {"averageValue": "10"}}}],
            [{"pods": {"current": {"averageValue": "7"}}}],
            "7/10",
        ),
        (
            [{"type": "Object", "object": {"target": {"value": "5"}}}],
            [{"object": {"current": {"value": "3"}}}],
            "3/5",
        ),
        (
            [{"type": "External", "external": {"target": {"averageValue": "5"}}}],
            [{"external": {"current": {"averageValue": "3"}}}],
            "3/5 (avg)",
        ),
        (
            [
                {
                    "type": "ContainerResource",
                    "containerResource": {"name": "cpu", "target": {"averageUtilization": 5}},
                }
            ],
            [],
            "cpu: <unknown>/5%",
        ),
        ([{"type": "New"}], [], "<unknown type>"),
        (
            [
                resource("cpu", averageUtilization=80),
                resource("memory", averageValue="100Mi"),
                {"type": "Pods", "pods": {"target": {"averageValue": "10"}}},
            ],
            [],
            "cpu: <unknown>/80%, memory: <unknown>/100Mi + 1 more...",
        ),
    ],
)
def test_the_targets_of_an_autoscaler(
    metrics: list[Any], current: list[Any] | None, targets: str
) -> None:
    row = cells(
        "autoscaling",
        "HorizontalPodAutoscaler",
        spec={
            "metrics": metrics,
            "maxReplicas": 5,
            "minReplicas": 2,
            "scaleTargetRef": {"kind": "Deployment", "name": "d1"},
        },
        status={"currentMetrics": current, "currentReplicas": 3},
    )
    assert row == ["x", "Deployment/d1", targets, "2", 5, 3, "60m"]
