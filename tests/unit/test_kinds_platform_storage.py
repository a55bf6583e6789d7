"""Storage classes, CSI objects, VolumeAttachment, RuntimeClass, PriorityClass."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.kindtools import context
from tests.unit.platformtools import causes, create, strategy_of, update

GROUP = "storage.k8s.io"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"provisioner": "example.com/p"}, []),
        ({"provisioner": "Example.com/P"}, []),
        ({}, ["Required provisioner"]),
        ({"provisioner": "p", "parameters": {"": "x"}}, ["Invalid parameters"]),
        ({"provisioner": "p", "reclaimPolicy": "Recycle"}, ["NotSupported reclaimPolicy"]),
        ({"provisioner": "p", "volumeBindingMode": ""}, ["NotSupported volumeBindingMode"]),
        (
            {"provisioner": "p", "parameters": {"a": "x" * 256 * 1024}},
            ["TooLong parameters"],
        ),
        (
            {"provisioner": "p", "allowedTopologies": [{}]},
            ["Duplicate allowedTopologies[0].matchLabelExpressions"],
        ),
        (
            {
                "provisioner": "p",
                "allowedTopologies": [
                    {"matchLabelExpressions": [{"key": "z", "values": ["a", "b"]}]},
                    {"matchLabelExpressions": [{"key": "z", "values": ["b", "a"]}]},
                ],
            },
            ["Duplicate allowedTopologies[1].matchLabelExpressions"],
        ),
    ],
)
def test_a_new_storage_class_gives_these_causes(
    fields: dict[str, Any], expected: list[str]
) -> None:
    assert causes(GROUP, "storageclasses", **fields) == expected


def test_a_storage_class_keeps_what_volumes_were_made_by() -> None:
    old, _ = create(GROUP, "storageclasses", provisioner="p", mountOptions=["ro"])
    assert (old["reclaimPolicy"], old["volumeBindingMode"]) == ("Delete", "Immediate")
    change = {"provisioner": "q", "reclaimPolicy": "Retain", "parameters": {"a": "b"}}
    found = update(GROUP, "storageclasses", old, change)[1]
    assert found == ["Invalid parameters", "Invalid provisioner", "Invalid reclaimPolicy"]
    assert update(GROUP, "storageclasses", old, {"mountOptions": ["rw"]})[1] == []


def test_a_deprecated_node_label_in_a_topology_warns() -> None:
    topologies = [{"matchLabelExpressions": [{"key": "beta.kubernetes.io/os", "values": ["a"]}]}]
    obj, _ = create(GROUP, "storageclasses", provisioner="p", allowedTopologies=topologies)
    (warning,) = strategy_of(GROUP, "storageclasses").warn_on_create(context(), obj)
    assert warning.startswith("allowedTopologies[0].matchLabelExpressions[0].key: beta.")


def test_a_volume_attributes_class_cannot_change() -> None:
    fields: dict[str, Any] = {"driverName": "d.example.com", "parameters": {"a": "b"}}
    old, found = create(GROUP, "volumeattributesclasses", **fields)
    assert found == []
    change = {"driverName": "e.example.com", "parameters": {"a": "c"}}
    found = update(GROUP, "volumeattributesclasses", old, change)[1]
    assert found == ["Forbidden driverName", "Forbidden parameters"]
    expected = ["Required driverName", "Required parameters"]
    assert causes(GROUP, "volumeattributesclasses") == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"fsGroupPolicy": "Odd"}, ["NotSupported spec.fsGroupPolicy"]),
        ({"volumeLifecycleModes": ["Odd"]}, ["NotSupported spec.volumeLifecycleModes"]),
        (
            {"tokenRequests": [{"audience": "a", "expirationSeconds": 599}, {"audience": "a"}]},
            [
                "Invalid spec.tokenRequests[0].expirationSeconds",
                "Duplicate spec.tokenRequests[1].audience",
            ],
        ),
        (
            {"nodeAllocatableUpdatePeriodSeconds": 9},
            ["Invalid spec.nodeAllocatableUpdatePeriodSeconds"],
        ),
        (
            {"serviceAccountTokenInSecrets": True},
            ["Invalid spec.serviceAccountTokenInSecrets"],
        ),
    ],
)
def test_a_new_csi_driver_gives_these_causes(spec: dict[str, Any], expected: list[str]) -> None:
    assert causes(GROUP, "csidrivers", spec=spec) == expected


def test_a_csi_driver_gets_a_generation_with_its_first_change_of_spec() -> None:
    old, _ = create(GROUP, "csidrivers")
    assert old["spec"]["volumeLifecycleModes"] == ["Persistent"]
    assert "generation" not in old["metadata"]
    obj, found = update(GROUP, "csidrivers", old, {"spec": {"podInfoOnMount": True}})
    assert (obj["metadata"]["generation"], found) == (1, [])
    found = update(GROUP, "csidrivers", old, {"spec": {"attachRequired": False}})[1]
    assert found == ["Invalid spec.attachedRequired"]


def test_a_csi_node_driver_may_change_only_what_is_allocatable() -> None:
    driver = {"name": "d.example.com", "nodeID": "n", "topologyKeys": ["zone"]}
    old, found = create(GROUP, "csinodes", spec={"drivers": [driver]})
    assert found == []
    for change, expected in (
        ({"allocatable": {"count": 3}}, []),
        ({"nodeID": "m"}, ["Invalid spec.drivers"]),
    ):
        changed = {"spec": {"drivers": [{**driver, **change}]}}
        assert update(GROUP, "csinodes", old, changed)[1] == expected


@pytest.mark.parametrize(
    ("driver", "expected"),
    [
        ({"name": "", "nodeID": "n"}, ["Required spec.drivers[0].name"]),
        ({"name": "d", "nodeID": ""}, ["Required spec.drivers[0].nodeID"]),
        ({"name": "d", "nodeID": "n" * 257}, ["Invalid spec.drivers[0].nodeID"]),
        (
            {"name": "d", "nodeID": "n", "topologyKeys": ["a", "a"]},
            ["Duplicate spec.drivers[0]"],
        ),
        (
            {"name": "d", "nodeID": "n", "allocatable": {"count": -1}},
            ["Invalid spec.drivers[0].allocatable.count"],
        ),
    ],
)
def test_a_csi_node_driver_gives_these_causes(driver: dict[str, Any], expected: list[str]) -> None:
    assert causes(GROUP, "csinodes", spec={"drivers": [driver]}) == expected


def test_a_storage_capacity_keeps_its_class_and_topology() -> None:
    fields: dict[str, Any] = {"storageClassName": "c", "capacity": "1Gi"}
    old, found = create(GROUP, "csistoragecapacities", **fields)
    assert found == []
    change = {"storageClassName": "d", "nodeTopology": {}}
    found = update(GROUP, "csistoragecapacities", old, change)[1]
    assert found == ["Invalid nodeTopology", "Invalid storageClassName"]
    assert update(GROUP, "csistoragecapacities", old, {"capacity": "-1"})[1] == ["Invalid capacity"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"persistentVolumeName": "pv"}, []),
        ({}, ["Required spec.source"]),
        ({"persistentVolumeName": "pv", "inlineVolumeSpec": {}}, ["Forbidden spec.source"]),
        (
            {"inlineVolumeSpec": {"capacity": {"storage": "1"}, "claimRef": {"name": "c"}}},
            [
                "Forbidden spec.source.inlineVolumeSpec.claimRef",
                "Forbidden spec.source.inlineVolumeSpec.capacity",
                "Required spec.source.inlineVolumeSpec.csi",
                "Required spec.source.inlineVolumeSpec.accessModes",
            ],
        ),
    ],
)
def test_a_volume_attachment_names_one_volume(source: dict[str, Any], expected: list[str]) -> None:
    spec = {"attacher": "d.example.com", "nodeName": "n", "source": source}
    assert causes(GROUP, "volumeattachments", spec=spec) == expected


def test_the_status_of_a_volume_attachment_keeps_labels_and_spec() -> None:
    source = {"persistentVolumeName": "pv"}
    spec = {"attacher": "d.example.com", "nodeName": "n", "source": source}
    old, _ = create(GROUP, "volumeattachments", spec=spec, status={"attached": True})
    assert old["status"] == {"attached": False}
    assert update(GROUP, "volumeattachments", old, {"spec": {"nodeName": "m"}})[1] == [
        "Invalid spec"
    ]
    change = {"metadata": {"labels": {"a": "b"}}, "status": {"attached": True}}
    obj, found = update(GROUP, "volumeattachments", old, change, through="status")
    assert (obj["status"], "labels" in obj["metadata"], found) == ({"attached": True}, False, [])
    bad = {"status": {"attachError": {"errorCode": -1, "message": "m" * 1025}}}
    found = update(GROUP, "volumeattachments", old, bad, through="status")[1]
    assert found == ["TooLong status.attachError.message", "Invalid status.attachError.errorCode"]


def test_a_runtime_class_keeps_its_handler_and_repeats_no_toleration() -> None:
    toleration = {"key": "k", "operator": "Exists"}
    tolerations = [toleration, {**toleration, "tolerationSeconds": 1, "effect": "NoExecute"}]
    scheduling = {"tolerations": [*tolerations, toleration]}
    group, resource = "node.k8s.io", "runtimeclasses"
    found = causes(group, resource, handler="Bad_H", scheduling=scheduling)
    assert found == ["Invalid handler", "Duplicate scheduling.tolerations[2]"]
    old, found = create(group, resource, handler="h", overhead={"podFixed": {"cpu": "1"}})
    assert found == []
    assert update(group, resource, old, {"handler": "i"})[1] == ["Invalid handler"]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("a", 1_000_000_000, []),
        ("a", 1_000_000_001, ["Forbidden value"]),
        ("system-a", 1, ["Forbidden metadata.name"]),
        ("system-node-critical", 2_000_001_000, []),
        ("system-node-critical", 1, ["Forbidden metadata.name"]),
    ],
)
def test_a_priority_class_keeps_out_of_the_system_range(
    name: str, value: int, expected: list[str]
) -> None:
    found = causes("scheduling.k8s.io", "priorityclasses", metadata={"name": name}, value=value)
    assert found == expected


def test_a_priority_class_keeps_value_and_preemption() -> None:
    old, _ = create("scheduling.k8s.io", "priorityclasses", value=1)
    assert (old["preemptionPolicy"], old["metadata"]["generation"]) == ("PreemptLowerPriority", 1)
    change = {"value": 2, "preemptionPolicy": "Never", "description": "d"}
    found = update("scheduling.k8s.io", "priorityclasses", old, change)[1]
    assert found == ["Forbidden value", "Invalid preemptionPolicy"]
