"""Dynamic resource allocation: DeviceClass, ResourceClaim, its template, ResourceSlice."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.registry.strategy import Object
from tests.unit.kindtools import context, shown
from tests.unit.platformtools import causes, create, strategy_of, update

GROUP = "resource.k8s.io"
OPAQUE = {"opaque": {"driver": "d.example.com", "parameters": {"a": 1}}}
EXACTLY = {"name": "r", "exactly": {"deviceClassName": "c"}}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"config": [OPAQUE]}, []),
        ({"selectors": [{}]}, ["Required spec.selectors[0].cel"]),
        ({"config": [{}]}, ["Required spec.config[0].opaque"]),
        (
            {"config": [{"opaque": {"driver": "Bad D", "parameters": [1]}}]},
            ["Invalid spec.config[0].opaque.driver", "Invalid spec.config[0].opaque.parameters"],
        ),
        ({"extendedResourceName": "example.com/gpu"}, []),
        ({"extendedResourceName": "cpu"}, ["Invalid spec.extendedResourceName"]),
        ({"config": [OPAQUE] * 33}, ["TooMany spec.config"]),
    ],
)
def test_a_device_class_gives_these_causes(spec: dict[str, Any], expected: list[str]) -> None:
    assert causes(GROUP, "deviceclasses", spec=spec) == expected


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        ({"requests": [EXACTLY]}, []),
        ({"requests": [{"name": "r"}]}, ["Required requests[0]"]),
        (
            {"requests": [EXACTLY, EXACTLY]},
            ["Duplicate requests[1]"],
        ),
        (
            {"requests": [{"name": "r", "exactly": {"allocationMode": "All", "count": 2}}]},
            ["Required requests[0].exactly.deviceClassName", "Invalid requests[0].exactly.count"],
        ),
        (
            {"requests": [{**EXACTLY, "firstAvailable": [{"name": "s", "deviceClassName": "c"}]}]},
            ["Invalid requests[0]"],
        ),
        (
            {"requests": [EXACTLY], "config": [{"requests": ["x", "a/b/c"], **OPAQUE}]},
            ["Invalid config[0].requests[0]", "Invalid config[0].requests[1]"],
        ),
        ({"requests": [EXACTLY], "constraints": [{}]}, ["Required constraints[0]"]),
        (
            {"requests": [EXACTLY], "constraints": [{"matchAttribute": "plain"}]},
            ["Invalid constraints[0].matchAttribute"],
        ),
    ],
)
def test_a_claim_gives_these_causes(devices: dict[str, Any], expected: list[str]) -> None:
    found = causes(GROUP, "resourceclaims", spec={"devices": devices})
    assert [cause.replace("spec.devices.", "") for cause in found] == expected


def test_a_claim_and_a_template_get_one_device_each_and_stay() -> None:
    devices = {"requests": [EXACTLY]}
    claim, _ = create(GROUP, "resourceclaims", spec={"devices": devices})
    assert claim["spec"]["devices"]["requests"][0]["exactly"] == {
        "deviceClassName": "c",
        "allocationMode": "ExactCount",
        "count": 1,
    }
    assert (claim["status"], claim["spec"]["devices"]["requests"][0]["name"]) == ({}, "r")
    change: dict[str, Any] = {"spec": {"devices": {"requests": []}}}
    assert update(GROUP, "resourceclaims", claim, change)[1] == ["Invalid spec"]
    template = {"metadata": {"name": "x"}, "spec": {"devices": devices}}
    found = causes(GROUP, "resourceclaimtemplates", spec=template)
    assert found == ["Forbidden spec.metadata.name"]


def test_administrative_access_needs_a_namespace_that_may_have_it() -> None:
    strategy = strategy_of(GROUP, "resourceclaims")
    exactly = {"deviceClassName": "c", "adminAccess": True}
    devices = {"requests": [{"name": "r", "exactly": exactly}]}
    obj, _ = create(GROUP, "resourceclaims", spec={"devices": devices})
    labels = {"resource.kubernetes.io/admin-access": "true"}
    for given, expected in (({}, ["Forbidden spec.devices.requests[0].adminAccess"]), (labels, [])):
        namespace = {"metadata": {"name": "ns", "labels": given}}
        ctx = context({("", "namespaces"): [namespace]})
        assert shown(strategy.validate_create(ctx, obj)) == expected


def allocated_claim() -> tuple[Object, dict[str, Any]]:
    claim, _ = create(GROUP, "resourceclaims", spec={"devices": {"requests": [EXACTLY]}})
    device = {"driver": "d.example.com", "pool": "p", "device": "gpu-0"}
    status = {
        "allocation": {"devices": {"results": [{"request": "r", **device}]}},
        "reservedFor": [{"resource": "pods", "name": "p", "uid": "1"}],
        "devices": [device],
    }
    obj, found = update(GROUP, "resourceclaims", claim, {"status": status}, through="status")
    assert found == []
    return obj, status


def test_the_status_of_a_device_goes_with_its_allocation() -> None:
    claim, _ = allocated_claim()
    change = {"status": {"allocation": None, "reservedFor": None}}
    obj, found = update(GROUP, "resourceclaims", claim, change, through="status")
    assert (obj["status"], found) == ({}, [])


def test_a_claim_without_allocation_is_reserved_for_nobody() -> None:
    claim, status = allocated_claim()
    fresh, _ = create(GROUP, "resourceclaims", spec={"devices": {"requests": [EXACTLY]}})
    change = {"status": {"reservedFor": status["reservedFor"], "devices": status["devices"]}}
    found = update(GROUP, "resourceclaims", fresh, change, through="status")[1]
    assert found == ["Invalid status.devices[0]", "Forbidden status.reservedFor"]
    other: dict[str, Any] = {"status": {"allocation": {"devices": {"results": []}}}}
    found = update(GROUP, "resourceclaims", claim, other, through="status")[1]
    assert found == ["Invalid status.allocation"]


def slice_with(*devices: dict[str, Any], **spec: Any) -> list[str]:
    fields = {
        "driver": "d.example.com",
        "pool": {"name": "p", "resourceSliceCount": 1},
        "nodeName": "n",
        "devices": list(devices),
    }
    found = causes(GROUP, "resourceslices", spec=fields | spec)
    return [cause.replace("spec.", "") for cause in found]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"driver": ""}, ["Required driver"]),
        ({"nodeName": None}, ["Required spec"]),
        ({"allNodes": True}, ["Invalid spec"]),
        ({"nodeName": None, "allNodes": False}, ["Invalid allNodes", "Required spec"]),
        (
            {"nodeName": None, "nodeSelector": {"nodeSelectorTerms": [{}, {}]}},
            ["Invalid nodeSelector.nodeSelectorTerms"],
        ),
        (
            {"pool": {"name": "a//b", "generation": -1, "resourceSliceCount": 0}},
            ["Invalid pool.name", "Invalid pool.resourceSliceCount", "Invalid pool.generation"],
        ),
        ({"sharedCounters": [{"name": "c"}]}, ["Required sharedCounters[0].counters"]),
    ],
)
def test_a_slice_gives_these_causes(spec: dict[str, Any], expected: list[str]) -> None:
    assert slice_with(**spec) == expected


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ({"name": "d"}, []),
        ({"name": "D"}, ["Invalid devices[0].name"]),
        ({"name": "d", "attributes": {"a": {}}}, ["Invalid devices[0].attributes[a]"]),
        (
            {"name": "d", "attributes": {"a": {"version": "1.0"}}},
            ["Invalid devices[0].attributes[a].version"],
        ),
        ({"name": "d", "attributes": {"a": {"ints": [1]}}}, ["Invalid devices[0].attributes[a]"]),
        ({"name": "d", "attributes": {"a-b": {"int": 1}}}, ["Invalid devices[0].attributes"]),
        ({"name": "d", "nodeName": "n"}, ["Invalid devices[0]"]),
        ({"name": "d", "taints": [{"key": "k"}]}, ["Required devices[0].taints[0].effect"]),
        (
            {"name": "d", "bindingConditions": ["a"]},
            ["Invalid devices[0].bindingFailureConditions"],
        ),
        (
            {"name": "d", "capacity": {"m": {"value": "1", "requestPolicy": {"default": "1"}}}},
            ["Forbidden devices[0].capacity[m].requestPolicy"],
        ),
    ],
)
def test_a_device_gives_these_causes(device: dict[str, Any], expected: list[str]) -> None:
    assert slice_with(device) == expected


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"default": "1", "validValues": ["1", "2"]}, []),
        ({"default": "3", "validValues": ["1", "2"]}, ["Invalid validValues"]),
        ({"default": "1", "validValues": ["2", "1"]}, ["Invalid validValues[1]"]),
        ({"default": "1", "validValues": ["1", "99"]}, ["Invalid validValues[1]"]),
        ({"validValues": ["1"]}, ["Required default"]),
        ({"default": "2", "validRange": {"min": "1", "step": "1", "max": "8"}}, []),
        ({"default": "2", "validRange": {}}, ["Required validRange.min"]),
        ({"default": "2", "validRange": {"min": "1", "step": "2"}}, ["Invalid validRange.step"]),
        ({"default": "9", "validRange": {"min": "1", "max": "8"}}, ["Invalid validRange.max"]),
    ],
)
def test_a_request_policy_gives_these_causes(policy: dict[str, Any], expected: list[str]) -> None:
    capacity = {"m": {"value": "10", "requestPolicy": policy}}
    found = slice_with({"name": "d", "allowMultipleAllocations": True, "capacity": capacity})
    assert [one.replace("devices[0].capacity[m].requestPolicy.", "") for one in found] == expected


def test_a_slice_keeps_pool_driver_and_node() -> None:
    pool = {"name": "p", "resourceSliceCount": 1}
    spec = {"driver": "d.example.com", "pool": pool, "nodeName": "n"}
    old, _ = create(GROUP, "resourceslices", spec=spec)
    change = {"spec": {"driver": "e.example.com", "nodeName": "m", "pool": {"name": "q"}}}
    found = update(GROUP, "resourceslices", old, change)[1]
    assert found == ["Invalid spec.pool.name", "Invalid spec.driver", "Invalid spec.nodeName"]
