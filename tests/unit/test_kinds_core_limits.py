"""LimitRange, ResourceQuota, Node: amounts, scopes, taints."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.kinds.limitrange import LimitRangeStrategy
from services.apiserver.kinds.node import NodeStatus, NodeStrategy
from services.apiserver.kinds.resourcequota import ResourceQuotaStatus, ResourceQuotaStrategy
from tests.unit.kindtools import create, update


def test_max_fills_default_which_fills_the_default_request() -> None:
    limits = [
        {
            "type": "Container",
            "max": {"cpu": "2", "memory": "1Gi"},
            "min": {"cpu": "100m"},
            "default": {"cpu": "500m"},
            "defaultRequest": {"memory": "64Mi"},
        }
    ]
    assert create(LimitRangeStrategy(), {"spec": {"limits": limits}}) == []
    assert limits[0]["default"] == {"cpu": "500m", "memory": "1Gi"}
    assert limits[0]["defaultRequest"] == {"cpu": "500m", "memory": "64Mi"}


def test_min_fills_the_default_request_that_nothing_else_fills() -> None:
    limit: dict[str, Any] = {"type": "Container", "min": {"cpu": "100m"}}
    create(LimitRangeStrategy(), {"spec": {"limits": [limit]}})
    assert limit["defaultRequest"] == {"cpu": "100m"}
    assert "default" not in limit


@pytest.mark.parametrize(
    ("limits", "causes"),
    [
        ([], []),
        (
            [{"type": "Container", "min": {"cpu": "2"}, "max": {"cpu": "1"}}],
            [
                "Invalid spec.limits[0].min[cpu]",
                "Invalid spec.limits[0].defaultRequest[cpu]",
                "Invalid spec.limits[0].default[cpu]",
            ],
        ),
        (
            [{"type": "Pod", "default": {"cpu": "1"}}, {"type": "Pod", "max": {"cpu": "1"}}],
            ["Forbidden spec.limits[0].default", "Duplicate spec.limits[1].type"],
        ),
        (
            [{"type": "PersistentVolumeClaim"}, {"type": "Thing"}],
            ["Required spec.limits[0].limits", "Invalid spec.limits[1].type"],
        ),
        (
            [{"type": "Pod", "max": {"gpu": "1"}}],
            ["Invalid spec.limits[0].max[gpu]"] * 2,
        ),
        (
            [{"type": "Pod", "maxLimitRequestRatio": {"cpu": "500m"}}],
            ["Invalid spec.limits[0].maxLimitRequestRatio[cpu]"],
        ),
        (
            [
                {
                    "type": "Pod",
                    "max": {"cpu": "4"},
                    "min": {"cpu": "1"},
                    "maxLimitRequestRatio": {"cpu": "5"},
                }
            ],
            ["Invalid spec.limits[0].maxLimitRequestRatio[cpu]"],
        ),
    ],
)
def test_a_limit_range_gives_these_causes(limits: list[Any], causes: list[str]) -> None:
    assert create(LimitRangeStrategy(), {"spec": {"limits": limits}}) == causes


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        ({"hard": {"configmaps": "2", "requests.cpu": "1", "count/deployments.apps": "0"}}, []),
        ({"hard": {"pods": "-1"}}, ["Invalid spec.hard[pods]"]),
        ({"hard": {"pods": "500m"}}, ["Invalid spec.hard[pods]"]),
        ({"hard": {"widgets": "5"}}, ["Invalid spec.hard[widgets]"] * 2),
        (
            {"hard": {"services": "5"}, "scopes": ["BestEffort", "NotBestEffort", "Sideways"]},
            ["Invalid spec.scopes"] * 4,
        ),
        (
            {
                "hard": {"pods": "5"},
                "scopeSelector": {
                    "matchExpressions": [
                        {"scopeName": "PriorityClass", "operator": "In"},
                        {"scopeName": "Terminating", "operator": "In", "values": ["x"]},
                        {"scopeName": "NotThere", "operator": "Exists"},
                    ]
                },
            },
            [
                "Required spec.scopeSelector.matchExpressions.values",
                "Invalid spec.scopeSelector.matchExpressions.operator",
                "Invalid spec.scopeSelector.matchExpressions.scopeName",
            ],
        ),
    ],
)
def test_a_resource_quota_gives_these_causes(spec: dict[str, Any], causes: list[str]) -> None:
    assert create(ResourceQuotaStrategy(), {"spec": spec}) == causes


def test_a_quotas_scopes_do_not_change_and_its_status_is_checked() -> None:
    strategy = ResourceQuotaStrategy()
    old: dict[str, Any] = {"spec": {"hard": {"pods": "1"}}}
    create(strategy, old)
    assert update(strategy, old, {"spec": {"scopes": ["Terminating"]}})[1] == [
        "Invalid spec.scopes"
    ]
    _, causes = update(
        strategy, old, {"status": {"used": {"pods": "-1"}}}, through=ResourceQuotaStatus(strategy)
    )
    assert causes == ["Invalid status.used[pods]"]


def test_a_new_nodes_capacity_is_its_allocatable_and_one_cidr_fills_the_list() -> None:
    node: dict[str, Any] = {
        "spec": {"podCIDR": "10.1.0.0/24"},
        "status": {"capacity": {"cpu": "4"}},
    }
    assert create(NodeStrategy(), node, namespaced=False) == []
    assert node["status"]["allocatable"] == {"cpu": "4"}
    assert node["spec"]["podCIDRs"] == ["10.1.0.0/24"]


def test_taints_are_checked_at_a_path_of_their_own() -> None:
    taints = [
        {"key": "a", "effect": "NoSchedule"},
        {"key": "a", "effect": "NoSchedule", "value": "x"},
        {"key": "", "effect": "NoSchedule"},
        {"key": "b", "effect": "Some"},
        {"key": "c"},
    ]
    causes = create(NodeStrategy(), {"spec": {"taints": taints}}, namespaced=False)
    assert causes == [
        "Duplicate metadata.taints[1]",
        "Invalid metadata.taints[2].key",
        "Invalid metadata.taints[2].key",
        "NotSupported metadata.taints[3].effect",
        "Required metadata.taints[4].effect",
    ]


def test_a_nodes_addresses_in_the_cloud_are_set_once() -> None:
    strategy = NodeStrategy()
    old = {
        "metadata": {"name": "n"},
        "spec": {
            "podCIDR": "10.1.0.0/24",
            "podCIDRs": ["10.1.0.0/24"],
            "providerID": "cloud://1",
        },
        "status": {},
    }
    changes = {
        "spec": {
            "podCIDR": "10.2.0.0/24",
            "podCIDRs": ["10.2.0.0/24"],
            "providerID": "cloud://2",
            "externalID": "x",
            "configSource": {"configMap": {}},
        }
    }
    obj, causes = update(strategy, old, changes)
    assert causes == [
        "Forbidden spec.podCIDRs",
        "Forbidden spec.providerID",
        "Forbidden spec.externalID",
    ]
    assert "configSource" not in obj["spec"]


def test_a_nodes_status_is_checked_through_its_subresource() -> None:
    strategy = NodeStrategy()
    old: dict[str, Any] = {"metadata": {"name": "n"}, "spec": {}, "status": {}}
    address = {"type": "InternalIP", "address": "192.168.0.9"}
    changes = {
        "status": {
            "capacity": {"example.com/dongle": "500m"},
            "allocatable": {"cpu": "1"},
            "addresses": [address, dict(address)],
        }
    }
    _, causes = update(strategy, old, changes, through=NodeStatus(strategy))
    assert causes == [
        "Invalid status.capacity.example.com/dongle",
        "Duplicate status.addresses[1]",
    ]
