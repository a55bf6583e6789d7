"""Kinds that own pods: Deployment, ReplicaSet, RC, StatefulSet, DaemonSet, PodTemplate."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.kinds.podowners import matches
from tests.unit.workload_world import create, created, told, update

Object = dict[str, Any]

TEMPLATE: Object = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {"containers": [{"name": "c", "image": "nginx"}]},
}
KINDS = ("deployments", "replicasets", "statefulsets", "daemonsets")


def owner(**spec: Any) -> Object:
    return {
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE, **spec},
    }


def template(**spec: Any) -> Object:
    return {**TEMPLATE, "spec": {**TEMPLATE["spec"], **spec}}


def without_template(spec: Object) -> Object:
    return {name: value for name, value in spec.items() if name not in ("template", "selector")}


@pytest.mark.parametrize(
    ("resource", "spec", "status"),
    [
        (
            "deployments",
            {
                "replicas": 1,
                "revisionHistoryLimit": 10,
                "progressDeadlineSeconds": 600,
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
                },
            },
            {},
        ),
        ("replicasets", {"replicas": 1}, {"replicas": 0}),
        (
            "statefulsets",
            {
                "replicas": 1,
                "revisionHistoryLimit": 10,
                "serviceName": "",
                "podManagementPolicy": "OrderedReady",
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
                "persistentVolumeClaimRetentionPolicy": {
                    "whenDeleted": "Retain",
                    "whenScaled": "Retain",
                },
            },
            {"replicas": 0, "availableReplicas": 0},
        ),
        (
            "daemonsets",
            {
                "revisionHistoryLimit": 10,
                "updateStrategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1},
                },
            },
            {
                "currentNumberScheduled": 0,
                "desiredNumberScheduled": 0,
                "numberMisscheduled": 0,
                "numberReady": 0,
            },
        ),
    ],
)
def test_defaults(resource: str, spec: Object, status: Object) -> None:
    made = created(resource, {**owner(), "status": {"replicas": 9}})
    assert without_template(made["spec"]) == spec
    assert made["status"] == status
    assert made["metadata"]["generation"] == 1
    assert made["spec"]["template"]["spec"]["restartPolicy"] == "Always"
    assert "enableServiceLinks" not in made["spec"]["template"]["spec"]


@pytest.mark.parametrize("resource", KINDS)
@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        (
            {"template": {**TEMPLATE, "metadata": {"labels": {"app": "other"}}}},
            [("spec.template.metadata.labels", "Invalid")],
        ),
        ({"selector": {}}, [("spec.selector", "Invalid")]),
        (
            {"template": template(restartPolicy="Never", activeDeadlineSeconds=5)},
            [
                ("spec.template.spec.restartPolicy", "NotSupported"),
                ("spec.template.spec.activeDeadlineSeconds", "Forbidden"),
            ],
        ),
        ({"minReadySeconds": -1}, [("spec.minReadySeconds", "Invalid")]),
        (
            {"template": template(ephemeralContainers=[{"name": "e", "image": "i"}])},
            [("spec.template.spec.ephemeralContainers", "Forbidden")],
        ),
    ],
)
def test_selector_and_template_are_checked(
    resource: str, spec: Object, causes: list[tuple[str, str]]
) -> None:
    assert told(create(resource, owner(**spec))[1]) == causes


@pytest.mark.parametrize("resource", ["deployments", "replicasets", "statefulsets"])
def test_a_selector_is_required(resource: str) -> None:
    found = told(create(resource, {"spec": {}})[1])
    assert found == [
        ("spec.selector", "Required"),
        ("spec.template.metadata.labels", "Invalid"),
        ("spec.template.spec.containers", "Required"),
    ]


@pytest.mark.parametrize("resource", ["deployments", "replicasets", "daemonsets"])
def test_the_selector_cannot_change(resource: str) -> None:
    old = created(resource, owner())
    changes = {
        "spec": {
            "selector": {"matchLabels": {"app": "z"}},
            "template": {"metadata": {"labels": {"app": "z"}}},
        }
    }
    assert told(update(resource, old, changes)[1]) == [("spec.selector", "Invalid")]


@pytest.mark.parametrize("resource", [*KINDS, "replicationcontrollers"])
def test_the_generation_follows_the_spec(resource: str) -> None:
    old = created(
        resource, owner() | ({} if resource in KINDS else {"spec": {"template": TEMPLATE}})
    )
    labelled, causes = update(resource, old, {"metadata": {"labels": {"a": "b"}}})
    assert (labelled["metadata"]["generation"], causes) == (1, [])
    slower, causes = update(resource, old, {"spec": {"minReadySeconds": 3}})
    assert (slower["metadata"]["generation"], causes) == (2, [])


@pytest.mark.parametrize("resource", [*KINDS, "replicationcontrollers"])
def test_only_the_status_subresource_writes_the_status(resource: str) -> None:
    field = "numberReady" if resource == "daemonsets" else "replicas"
    old = created(
        resource, owner() | ({} if resource in KINDS else {"spec": {"template": TEMPLATE}})
    )
    assert update(resource, old, {"status": {field: 3}})[0]["status"] == old["status"]
    new, causes = update(
        resource, old, {"spec": {"minReadySeconds": 3}, "status": {field: 3}}, "status"
    )
    assert causes == []
    assert (new["status"][field], new["spec"]) == (3, old["spec"])
    _, causes = update(resource, old, {"status": {field: -3}}, "status")
    assert (f"status.{field}", "Invalid") in told(causes)


@pytest.mark.parametrize(
    ("strategy", "causes"),
    [
        (
            {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}},
            [("spec.strategy.rollingUpdate", "Forbidden")],
        ),
        (
            {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}},
            [("spec.strategy.rollingUpdate.maxUnavailable", "Invalid")],
        ),
        (
            {"rollingUpdate": {"maxSurge": "many", "maxUnavailable": "150%"}},
            [
                ("spec.strategy.rollingUpdate.maxSurge", "Invalid"),
                ("spec.strategy.rollingUpdate.maxUnavailable", "Invalid"),
            ],
        ),
        ({"rollingUpdate": {"maxSurge": "200%"}}, []),
        ({"type": "Slowly"}, [("spec.strategy", "NotSupported")]),
    ],
)
def test_a_deployment_rolls_out_by_a_known_strategy(
    strategy: Object, causes: list[tuple[str, str]]
) -> None:
    assert told(create("deployments", owner(strategy=strategy))[1]) == causes


def test_a_deployment_has_more_time_to_progress_than_pods_to_be_ready() -> None:
    _, causes, _ = create("deployments", owner(progressDeadlineSeconds=5, minReadySeconds=10))
    assert told(causes) == [("spec.progressDeadlineSeconds", "Invalid")]


def test_annotations_move_a_deployments_generation() -> None:
    old = created("deployments", owner())
    new, _ = update("deployments", old, {"metadata": {"annotations": {"a": "b"}}})
    assert new["metadata"]["generation"] == 2


def test_a_deployments_status_write_keeps_labels() -> None:
    old = created("deployments", {"metadata": {"name": "one", "labels": {"own": "1"}}, **owner()})
    changes = {"metadata": {"labels": {"new": "1"}, "annotations": {"new": "1"}}}
    new, _ = update("deployments", old, changes, "status")
    assert new["metadata"]["labels"] == {"own": "1"}
    assert new["metadata"]["annotations"] == {"new": "1"}


def test_counters_of_a_status_fit_together() -> None:
    old = created("replicasets", owner())
    status = {"replicas": 1, "readyReplicas": 2, "availableReplicas": 3}
    assert told(update("replicasets", old, {"status": status}, "status")[1]) == [
        ("status.readyReplicas", "Invalid"),
        ("status.availableReplicas", "Invalid"),
        ("status.availableReplicas", "Invalid"),
    ]


def test_a_collision_count_only_grows() -> None:
    old = created("deployments", owner())
    old["status"] = {"collisionCount": 2}
    _, causes = update("deployments", old, {"status": {"collisionCount": 1}}, "status")
    assert told(causes) == [("status.collisionCount", "Invalid")]


def test_a_replication_controller_takes_its_selector_from_the_template() -> None:
    made = created("replicationcontrollers", {"spec": {"template": TEMPLATE}})
    assert made["spec"]["selector"] == made["metadata"]["labels"] == {"app": "web"}
    assert told(create("replicationcontrollers", {"spec": {}})[1]) == [
        ("spec.selector", "Required"),
        ("spec.template", "Required"),
    ]


def test_claims_of_a_stateful_set_can_be_mounted() -> None:
    claim = {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1024Mi"}},
        },
    }
    mounts = [{"name": "data", "mountPath": "/d"}]
    made = created(
        "statefulsets",
        owner(
            template=template(containers=[{"name": "c", "image": "i", "volumeMounts": mounts}]),
            volumeClaimTemplates=[claim],
        ),
    )
    (shown,) = made["spec"]["volumeClaimTemplates"]
    assert (shown["kind"], shown["apiVersion"]) == ("PersistentVolumeClaim", "v1")
    assert shown["status"] == {"phase": "Pending"}
    assert shown["spec"]["volumeMode"] == "Filesystem"
    assert shown["spec"]["resources"]["requests"]["storage"] == "1Gi"
    assert "volumes" not in made["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        ({"podManagementPolicy": "Random"}, [("spec.podManagementPolicy", "Invalid")]),
        ({"updateStrategy": {"type": "Always"}}, [("spec.updateStrategy", "Invalid")]),
        (
            {"updateStrategy": {"type": "OnDelete", "rollingUpdate": {"partition": 1}}},
            [("spec.updateStrategy.rollingUpdate", "Invalid")],
        ),
        ({"ordinals": {"start": -1}}, [("spec.ordinals.start", "Invalid")]),
        ({"serviceName": "Bad Name"}, [("spec.serviceName", "Invalid")]),
        (
            {"volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": {}}]},
            [
                ("spec.volumeClaimTemplates[0].spec.accessModes", "Required"),
                ("spec.volumeClaimTemplates[0].spec.resources[storage]", "Required"),
            ],
        ),
        (
            {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Keep"}},
            [("spec.persistentVolumeClaimRetentionPolicy.whenDeleted", "NotSupported")],
        ),
    ],
)
def test_a_stateful_set_is_refused_for(spec: Object, causes: list[tuple[str, str]]) -> None:
    assert told(create("statefulsets", owner(**spec))[1]) == causes


@pytest.mark.parametrize(
    ("changes", "causes"),
    [
        ({"replicas": 5, "minReadySeconds": 2, "revisionHistoryLimit": 1}, []),
        ({"serviceName": "other"}, [("spec", "Forbidden")]),
        ({"podManagementPolicy": "Parallel"}, [("spec", "Forbidden")]),
    ],
)
def test_a_stateful_set_changes_in_few_fields(
    changes: Object, causes: list[tuple[str, str]]
) -> None:
    old = created("statefulsets", owner())
    assert told(update("statefulsets", old, {"spec": changes})[1]) == causes


def test_dots_in_the_name_of_a_stateful_set_are_refused() -> None:
    _, causes, _ = create("statefulsets", {"metadata": {"name": "a.b"}, **owner()})
    assert told(causes) == [("metadata.name", "Invalid")]


def test_the_server_counts_the_templates_of_a_daemon_set() -> None:
    name = "deprecated.daemonset.template.generation"
    old = created("daemonsets", owner())
    assert old["metadata"]["annotations"] == {name: "1"}
    same, _ = update("daemonsets", old, {"metadata": {"annotations": {name: "9"}}})
    assert same["metadata"]["annotations"] == {name: "1"}
    moved, _ = update(
        "daemonsets", old, {"spec": {"template": {"metadata": {"labels": {"more": "1"}}}}}
    )
    assert moved["metadata"]["annotations"] == {name: "2"}


@pytest.mark.parametrize(
    ("rolling", "causes"),
    [
        ({"maxSurge": 1, "maxUnavailable": 0}, []),
        ({"maxSurge": 1, "maxUnavailable": 1}, [("maxSurge", "Invalid")]),
        ({"maxUnavailable": 0}, [("maxUnavailable", "Required")]),
        ({"maxUnavailable": "101%"}, [("maxUnavailable", "Invalid")]),
    ],
)
def test_a_daemon_set_either_surges_or_lacks_pods(
    rolling: Object, causes: list[tuple[str, str]]
) -> None:
    found = told(create("daemonsets", owner(updateStrategy={"rollingUpdate": rolling}))[1])
    path = "spec.updateStrategy.rollingUpdate"
    assert found == [(f"{path}.{name}", reason) for name, reason in causes]


def test_a_pod_template_is_checked_at_its_own_path() -> None:
    assert created("podtemplates", {"template": TEMPLATE})["metadata"]["generation"] == 1
    assert told(create("podtemplates", {})[1]) == [("template.spec.containers", "Required")]


@pytest.mark.parametrize("resource", ["deployments", "replicasets"])
def test_names_that_make_odd_hostnames_are_warned_of(resource: str) -> None:
    *_, warnings = create(resource, {"metadata": {"name": "a.b"}, **owner()})
    assert [one.split(":")[0] for one in warnings] == ["metadata.name"]


@pytest.mark.parametrize(
    ("selector", "labels", "expected"),
    [
        (None, {}, False),
        ({}, {"a": "b"}, True),
        ({"matchLabels": {"a": "b"}}, {"a": "b", "c": "d"}, True),
        ({"matchLabels": {"a": "b"}}, {"a": "c"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {"a": ""}, True),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {"a": ""}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}, {}, False),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}, {}, True),
    ],
)
def test_selectors_match_labels(selector: Object | None, labels: Object, expected: bool) -> None:
    assert matches(selector, labels) is expected
