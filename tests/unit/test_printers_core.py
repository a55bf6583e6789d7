"""Rows of services, nodes, events, configuration, volumes and claims."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.printers import printer_of
from services.apiserver.printers.duration import parse_time

NOW = parse_time("2026-01-01T01:00:00Z")


def cells(group: str, kind: str, **parts: Any) -> list[Any]:
    """The cells of an object named x, an hour old."""
    metadata = {
        "name": "x",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        **parts.pop("metadata", {}),
    }
    return printer_of((group, kind)).cells({"metadata": metadata, **parts}, NOW)


def balanced(*ingress: dict[str, str]) -> dict[str, Any]:
    return {"loadBalancer": {"ingress": list(ingress)}}


@pytest.mark.parametrize(
    ("spec", "status", "external"),
    [
        ({"type": "ClusterIP"}, {}, "<none>"),
        ({"type": "ClusterIP", "externalIPs": ["1.2.3.4", "1.2.3.5"]}, {}, "1.2.3.4,1.2.3.5"),
        ({"type": "NodePort"}, {}, "<none>"),
        ({"type": "NodePort", "externalIPs": ["1.2.3.4"]}, {}, "1.2.3.4"),
        ({"type": "LoadBalancer"}, {}, "<pending>"),
        ({"type": "LoadBalancer", "externalIPs": ["1.2.3.4"]}, {}, "1.2.3.4"),
        (
            {"type": "LoadBalancer"},
            balanced({"ip": "9.9.9.9"}, {"hostname": "a.example"}, {"ip": "9.9.9.9"}),
            "9.9.9.9,a.example",
        ),
        (
            {"type": "LoadBalancer", "externalIPs": ["1.2.3.4"]},
            balanced({"hostname": "a-very-long-name.example.com"}),
            "a-very-long-name.example.com,1.2.3.4",
        ),
        ({"type": "ExternalName", "externalName": "a.example"}, {}, "a.example"),
        ({}, {}, "<unknown>"),
    ],
)
def test_the_external_address_of_a_service(
    spec: dict[str, Any], status: dict[str, Any], external: str
) -> None:
    assert cells("", "Service", spec=spec, status=status)[3] == external


@pytest.mark.parametrize(
    ("ports", "shown"),
    [
        ([], "<none>"),
        ([{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}], "80/TCP,53/UDP"),
        ([{"port": 80, "nodePort": 30080, "protocol": "TCP"}], "80:30080/TCP"),
    ],
)
def test_the_ports_of_a_service(ports: list[Any], shown: str) -> None:
    assert cells("", "Service", spec={"ports": ports})[4] == shown


def test_a_service() -> None:
    spec = {"type": "ClusterIP", "clusterIPs": ["None"], "selector": {"c": "d", "a": "b"}}
    assert cells("", "Service", spec=spec) == [
        "x",
        "ClusterIP",
        "None",
        "<none>",
        "<none>",
        "60m",
        "a=b,c=d",
    ]


@pytest.mark.parametrize(
    ("subsets", "shown"),
    [
        (None, "<none>"),
        ([{"ports": [{"port": 80}]}], ""),
        ([{"addresses": [{"ip": "10.0.0.1"}]}], "10.0.0.1"),
        ([{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}], "10.0.0.1:80"),
        ([{"addresses": [{"ip": "fd00::1"}], "ports": [{"port": 80}]}], "[fd00::1]:80"),
        (
            [
                {
                    "addresses": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}],
                    "ports": [{"port": 80}, {"port": 81}],
                },
                {"addresses": [{"ip": "10.0.0.3"}], "ports": [{"port": 80}]},
            ],
            "10.0.0.1:80,10.0.0.2:80,10.0.0.1:81 + 2 more...",
        ),
    ],
)
def test_the_addresses_of_endpoints(subsets: list[Any] | None, shown: str) -> None:
    assert cells("", "Endpoints", subsets=subsets) == ["x", shown, "60m"]


@pytest.mark.parametrize(
    ("labels", "roles"),
    [
        ({}, "<none>"),
        ({"node-role.kubernetes.io/": ""}, "<none>"),
        (
            {
                "node-role.kubernetes.io/worker": "",
                "node-role.kubernetes.io/control-plane": "",
                "kubernetes.io/role": "infra",
            },
            "control-plane,infra,worker",
        ),
        ({"kubernetes.io/role": ""}, "<none>"),
    ],
)
def test_the_roles_of_a_node(labels: dict[str, str], roles: str) -> None:
    assert cells("", "Node", metadata={"labels": labels})[2] == roles


@pytest.mark.parametrize(
    ("conditions", "unschedulable", "status"),
    [
        ([], False, "Unknown"),
        ([], True, "Unknown,SchedulingDisabled"),
        ([{"type": "Ready", "status": "True"}], False, "Ready"),
        ([{"type": "Ready", "status": "True"}], True, "Ready,SchedulingDisabled"),
        ([{"type": "Ready", "status": "Unknown"}], False, "NotReady"),
        ([{"type": "DiskPressure", "status": "True"}], False, "Unknown"),
    ],
)
def test_the_status_of_a_node(conditions: list[Any], unschedulable: bool, status: str) -> None:
    spec = {"unschedulable": unschedulable}
    assert cells("", "Node", spec=spec, status={"conditions": conditions})[1] == status


def test_a_node_shows_addresses_and_system() -> None:
    row = cells(
        "",
        "Node",
        status={
            "addresses": [
                {"type": "Hostname", "address": "h"},
                {"type": "InternalIP", "address": "10.9.0.1"},
                {"type": "InternalIP", "address": "10.9.0.2"},
                {"type": "ExternalIP", "address": "192.0.2.9"},
            ],
            "nodeInfo": {
                "kubeletVersion": "v1.36.0",
                "osImage": "Some Linux",
                "kernelVersion": "6.1.0",
                "architecture": "amd64",
                "containerRuntimeVersion": "containerd://2.0",
            },
        },
    )
    system = ["10.9.0.1", "192.0.2.9", "Some Linux", "6.1.0 (amd64)", "containerd://2.0"]
    assert row == ["x", "Unknown", "<none>", "60m", "v1.36.0", *system]


def test_a_node_that_has_not_reported_is_unknown() -> None:
    unknown = ["<none>", "<none>", "<unknown>", "<unknown>", "<unknown>"]
    assert cells("", "Node") == ["x", "Unknown", "<none>", "60m", "", *unknown]


CORE_EVENT = {
    "involvedObject": {"kind": "Pod", "name": "p1", "fieldPath": "spec.containers{c}"},
    "reason": "Started",
    "message": "  hello\nthere ",
    "type": "Normal",
    "count": 3,
    "source": {"component": "kubelet", "host": "h"},
    "firstTimestamp": "2026-01-01T00:00:00Z",
    "lastTimestamp": "2026-01-01T00:30:00Z",
}
NEW_EVENT = {
    "regarding": CORE_EVENT["involvedObject"],
    "reason": "Started",
    "note": CORE_EVENT["message"],
    "type": "Normal",
    "deprecatedCount": 3,
    "deprecatedSource": CORE_EVENT["source"],
    "deprecatedFirstTimestamp": "2026-01-01T00:00:00Z",
    "deprecatedLastTimestamp": "2026-01-01T00:30:00Z",
}


@pytest.mark.parametrize(("group", "event"), [("", CORE_EVENT), ("events.k8s.io", NEW_EVENT)])
def test_an_event_reads_the_same_in_both_apis(group: str, event: dict[str, Any]) -> None:
    assert cells(group, "Event", **event) == [
        "30m",
        "Normal",
        "Started",
        "pod/p1",
        "spec.containers{c}",
        "kubelet, h",
        "hello\nthere",
        "60m",
        3,
        "x",
    ]


LAST_SEEN, _, _, OBJECT, _, SOURCE, _, FIRST_SEEN, COUNT, _ = range(10)


@pytest.mark.parametrize(
    ("event", "first", "last", "count"),
    [
        ({}, "<unknown>", "<unknown>", 1),
        ({"eventTime": "2026-01-01T00:00:00.000000Z"}, "60m", "60m", 1),
        (
            {
                "eventTime": "2026-01-01T00:00:00.000000Z",
                "series": {"count": 5, "lastObservedTime": "2026-01-01T00:59:00.000000Z"},
            },
            "60m",
            "60s",
            5,
        ),
        ({"firstTimestamp": "2026-01-01T00:00:00Z", "count": 0}, "60m", "60m", 1),
    ],
)
def test_when_and_how_often_an_event_was_seen(
    event: dict[str, Any], first: str, last: str, count: int
) -> None:
    row = cells("", "Event", **event)
    assert (row[FIRST_SEEN], row[LAST_SEEN], row[COUNT]) == (first, last, count)


@pytest.mark.parametrize(
    ("event", "source"),
    [
        ({}, ""),
        ({"source": {"component": "kubelet"}}, "kubelet"),
        ({"reportingComponent": "ctl", "reportingInstance": "ctl-1"}, "ctl, ctl-1"),
        ({"reportingController": "ctl", "reportingInstance": "ctl-1"}, "ctl, ctl-1"),
        ({"source": {"host": "h"}, "reportingComponent": "ctl"}, "ctl, h"),
    ],
)
def test_the_source_of_an_event(event: dict[str, Any], source: str) -> None:
    assert cells("", "Event", **event)[SOURCE] == source


def test_an_event_about_a_nameless_object_shows_its_kind() -> None:
    assert cells("", "Event", involvedObject={"kind": "Node"})[OBJECT] == "node"


def test_configuration_counts_its_entries() -> None:
    data = {"a": "1", "b": "2"}
    assert cells("", "ConfigMap", data=data, binaryData={"c": ""}) == ["x", 3, "60m"]
    assert cells("", "Secret", type="Opaque", data=data) == ["x", "Opaque", 2, "60m"]


def test_namespaces_and_service_accounts() -> None:
    assert cells("", "Namespace", status={"phase": "Active"}) == ["x", "Active", "60m"]
    assert cells("", "ServiceAccount", secrets=[{"name": "s"}]) == ["x", "60m"]


def test_a_resource_quota_sorts_and_splits_requests_and_limits() -> None:
    hard = {"requests.cpu": "4", "pods": "10", "limits.memory": "8Gi", "limits.cpu": "9"}
    row = cells(
        "",
        "ResourceQuota",
        spec={"hard": {"configmaps": "1"}},
        status={"hard": hard, "used": {"pods": "2", "limits.memory": "1Gi"}},
    )
    limits = "limits.cpu: 0/9, limits.memory: 1Gi/8Gi"
    assert row == ["x", "pods: 2/10, requests.cpu: 0/4", limits, "60m"]


@pytest.mark.parametrize(
    ("conditions", "shown"),
    [
        ([], ["Unknown", "", ""]),
        ([{"type": "Healthy", "status": "True", "message": "ok"}], ["Healthy", "ok", ""]),
        (
            [{"type": "Healthy", "status": "False", "error": "refused"}],
            ["Unhealthy", "", "refused"],
        ),
    ],
)
def test_a_component_status(conditions: list[Any], shown: list[str]) -> None:
    assert cells("", "ComponentStatus", conditions=conditions) == ["x", *shown]


DELETED = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


def test_a_persistent_volume() -> None:
    row = cells(
        "",
        "PersistentVolume",
        spec={
            "capacity": {"storage": "5Gi"},
            "accessModes": ["ReadOnlyMany", "ReadWriteOnce", "ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "fast",
            "claimRef": {"namespace": "ns", "name": "c1"},
            "volumeMode": "Filesystem",
        },
        status={"phase": "Pending"},
    )
    assert row == [
        "x",
        "5Gi",
        "RWO,ROX",
        "Retain",
        "Pending",
        "ns/c1",
        "fast",
        "<unset>",
        "",
        "60m",
        "Filesystem",
    ]


def test_a_bound_claim_shows_what_it_got() -> None:
    row = cells(
        "",
        "PersistentVolumeClaim",
        spec={
            "volumeName": "pv",
            "storageClassName": "fast",
            "volumeMode": "Block",
            "volumeAttributesClassName": "gold",
            "accessModes": ["ReadWriteMany"],
        },
        status={
            "phase": "Bound",
            "capacity": {"storage": "5Gi"},
            "accessModes": ["ReadWriteOncePod", "ReadWriteMany"],
        },
    )
    assert row == ["x", "Bound", "pv", "5Gi", "RWX,RWOP", "fast", "gold", "60m", "Block"]


def test_an_unbound_claim_shows_neither_capacity_nor_modes() -> None:
    spec = {"accessModes": ["ReadWriteMany"]}
    row = cells("", "PersistentVolumeClaim", spec=spec, status={"phase": "Pending"})
    assert row == ["x", "Pending", "", "", "", "", "<unset>", "60m", "<unset>"]


@pytest.mark.parametrize(
    ("kind", "column"), [("PersistentVolume", 4), ("PersistentVolumeClaim", 1)]
)
def test_a_deleted_volume_is_terminating(kind: str, column: int) -> None:
    row = cells("", kind, metadata=DELETED, status={"phase": "Bound"})
    assert row[column] == "Terminating"


@pytest.mark.parametrize(
    ("kind", "column"), [("PersistentVolume", 6), ("PersistentVolumeClaim", 5)]
)
def test_the_older_annotation_names_the_class_of_a_volume(kind: str, column: int) -> None:
    annotations = {"volume.beta.kubernetes.io/storage-class": "old"}
    row = cells("", kind, metadata={"annotations": annotations}, spec={"storageClassName": "new"})
    assert row[column] == "old"


@pytest.mark.parametrize(
    ("annotations", "shown"),
    [
        ({}, "x"),
        ({"storageclass.kubernetes.io/is-default-class": "true"}, "x (default)"),
        ({"storageclass.beta.kubernetes.io/is-default-class": "true"}, "x (default)"),
        ({"storageclass.kubernetes.io/is-default-class": "false"}, "x"),
    ],
)
def test_the_default_storage_class_is_marked(annotations: dict[str, str], shown: str) -> None:
    row = cells("storage.k8s.io", "StorageClass", metadata={"annotations": annotations})
    assert row == [shown, "", "Delete", "Immediate", False, "60m"]


def test_a_csi_driver() -> None:
    spec = {
        "attachRequired": False,
        "tokenRequests": [{"audience": "a"}, {"audience": "b"}],
        "volumeLifecycleModes": ["Persistent", "Ephemeral"],
    }
    row = cells("storage.k8s.io", "CSIDriver", spec=spec)
    assert row == ["x", False, False, False, "a,b", False, "Persistent,Ephemeral", "60m"]


def test_a_csi_driver_that_says_nothing_requires_attaching() -> None:
    row = cells("storage.k8s.io", "CSIDriver", spec={})
    assert row == ["x", True, False, False, "<unset>", False, "<none>", "60m"]


def test_other_storage_kinds() -> None:
    group = "storage.k8s.io"
    attachment = {"attacher": "d", "nodeName": "n1", "source": {"persistentVolumeName": "pv1"}}
    assert cells(group, "CSINode", spec={"drivers": [{}]}) == ["x", 1, "60m"]
    assert cells(group, "VolumeAttributesClass", driverName="d") == ["x", "d", "60m"]
    assert cells(group, "VolumeAttachment", spec=attachment, status={"attached": True}) == [
        "x",
        "d",
        "pv1",
        "n1",
        True,
        "60m",
    ]
