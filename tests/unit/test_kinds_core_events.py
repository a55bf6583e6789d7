"""Events in their two groups, and Endpoints."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.kinds.endpoints import EndpointsStrategy
from services.apiserver.kinds.event import EventStrategy, from_events_v1, to_events_v1
from tests.unit.kindtools import create, merge, update

CORE = EventStrategy(3600)
STRICT = EventStrategy(3600, strict=True)
NEW_STYLE = {
    "involvedObject": {"kind": "Pod", "name": "p", "namespace": "ns"},
    "eventTime": "2024-01-01T00:00:00.000000Z",
    "reportingComponent": "example.com/c",
    "reportingInstance": "i",
    "action": "a",
    "reason": "r",
    "type": "Normal",
}


@pytest.mark.parametrize(
    ("event", "causes"),
    [
        ({"involvedObject": {"namespace": "ns"}, "type": "Odd"}, []),
        ({"involvedObject": {"namespace": "other"}}, ["Invalid involvedObject.namespace"]),
        ({"involvedObject": {"kind": "Node"}}, ["Invalid involvedObject.namespace"]),
        (
            {"involvedObject": {"namespace": "ns"}, "eventTime": "2024-01-01T00:00:00.000000Z"},
            [
                "Required reportingComponent",
                "Invalid reportingComponent",
                "Invalid reportingComponent",
                "Required reportingInstance",
                "Required action",
                "Required reason",
            ],
        ),
    ],
)
def test_core_checks_new_style_events_only(event: dict[str, Any], causes: list[str]) -> None:
    assert create(CORE, event) == causes


def test_events_of_cluster_scoped_objects_lie_in_default() -> None:
    event = {"metadata": {"namespace": "default"}, "involvedObject": {"kind": "Node"}}
    assert create(CORE, event) == []


@pytest.mark.parametrize(
    ("changes", "causes"),
    [
        ({}, []),
        (
            {"involvedObject": None, "eventTime": None, "type": None},
            ["Invalid involvedObject.namespace", "Required eventTime", "Invalid type"],
        ),
        (
            {
                "reportingComponent": "bad controller!",
                "type": "Odd",
                "count": 1,
                "source": {"component": "c"},
                "firstTimestamp": "2024-01-01T00:00:00Z",
                "series": {"count": 1},
            },
            [
                "Invalid reportingController",
                "Invalid series.count",
                "Required series.lastObservedTime",
                "Invalid type",
                "Invalid firstTimestamp",
                "Invalid count",
                "Invalid source",
            ],
        ),
    ],
)
def test_events_k8s_io_is_strict(changes: dict[str, Any], causes: list[str]) -> None:
    assert create(STRICT, merge(NEW_STYLE, changes)) == causes


def test_events_k8s_io_freezes_what_core_may_change() -> None:
    old = dict(NEW_STYLE)
    create(STRICT, old)
    changes = {"message": "changed", "reason": "other"}
    assert update(STRICT, old, changes)[1] == [
        "Invalid reason",
        "Invalid message",
        "Invalid reason",
    ]
    assert update(CORE, old, changes)[1] == []


def test_an_event_goes_from_group_to_group_and_back() -> None:
    stored = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "a"},
        "involvedObject": {"kind": "Pod"},
        "source": {"component": "kubelet"},
        "message": "m",
        "count": 3,
        "firstTimestamp": None,
        "lastTimestamp": None,
        "eventTime": None,
        "reportingComponent": "",
        "reportingInstance": "",
    }
    shown = to_events_v1(stored)
    assert shown == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "a"},
        "regarding": {"kind": "Pod"},
        "deprecatedSource": {"component": "kubelet"},
        "note": "m",
        "deprecatedCount": 3,
        "deprecatedFirstTimestamp": None,
        "deprecatedLastTimestamp": None,
        "eventTime": None,
    }
    assert from_events_v1(shown) == stored


def test_an_event_without_fields_of_its_own_is_stored_with_cores_empty_ones() -> None:
    stored = from_events_v1({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {}})
    assert stored["source"] == {}
    assert stored["reportingComponent"] == ""
    assert stored["firstTimestamp"] is None


@pytest.mark.parametrize(
    ("subset", "causes"),
    [
        ({"addresses": [{"ip": "10.1.1.1"}], "ports": [{"port": 80}]}, []),
        ({"ports": [{"port": 80}]}, ["Required subsets[0]"]),
        (
            {"addresses": [{"ip": "127.0.0.1", "hostname": "A", "nodeName": "B"}]},
            [
                "Invalid subsets[0].addresses[0].hostname",
                "Invalid subsets[0].addresses[0].nodeName",
                "Invalid subsets[0].addresses[0].ip",
            ],
        ),
        (
            {
                "notReadyAddresses": [{"ip": "10.1.1.1"}],
                "ports": [{"port": 0, "name": "A"}, {"port": 1, "protocol": "X"}],
            },
            [
                "Invalid subsets[0].ports[0].name",
                "Invalid subsets[0].ports[0].port",
                "Required subsets[0].ports[1].name",
                "NotSupported subsets[0].ports[1].protocol",
            ],
        ),
    ],
)
def test_endpoints_give_these_causes(subset: dict[str, Any], causes: list[str]) -> None:
    assert create(EndpointsStrategy(), {"subsets": [subset]}) == causes
