"""The flow control objects that every cluster starts with, mandatory and suggested.

Source: kube-apiserver v1.36.2, apiserver/pkg/apis/flowcontrol/bootstrap/default.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.apiserver.kinds.platform.flowschemas import MANDATORY_FLOW_SCHEMAS
from services.apiserver.kinds.platform.prioritylevels import MANDATORY_PRIORITY_LEVELS
from services.apiserver.registry.strategy import Object

GROUP = "flowcontrol.apiserver.k8s.io"
AUTO_UPDATE = "apf.kubernetes.io/autoupdate-spec"
"""Annotation: whether the server may set the spec again ("true"), or somebody keeps it as it is."""

_LIMITED = {
    # shares, lendable percent, queues, hand size; all queues are 50 long
    "system": (30, 33, 64, 6),
    "node-high": (40, 25, 64, 6),
    "leader-election": (10, 0, 16, 4),
    "workload-high": (40, 50, 128, 6),
    "workload-low": (100, 90, 128, 6),
    "global-default": (20, 50, 128, 6),
}
_EVERY_RESOURCE = {
    "verbs": ["*"],
    "apiGroups": ["*"],
    "resources": ["*"],
    "clusterScope": True,
    "namespaces": ["*"],
}
_EVERYTHING: Object = {
    "resourceRules": [_EVERY_RESOURCE],
    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
}
_LEASES: Object = {
    "apiGroups": ["coordination.k8s.io"],
    "resources": ["leases"],
    "namespaces": ["*"],
}
_ELECTIONS: Object = {"resourceRules": [{"verbs": ["get", "create", "update"], **_LEASES}]}
_ENDPOINTS: Object = {
    "verbs": ["get", "create", "update"],
    "apiGroups": [""],
    "resources": ["endpoints"],
    "namespaces": ["*"],
}
_OLD_ELECTIONS: Object = {
    "resourceRules": [
        {**_ENDPOINTS, "resources": ["endpoints", "configmaps"]},
        *_ELECTIONS["resourceRules"],
    ]
}
_OF_NODES: Object = {
    "resourceRules": [
        {
            "verbs": ["*"],
            "apiGroups": [""],
            "resources": ["nodes", "nodes/status"],
            "clusterScope": True,
            "namespaces": ["*"],
        },
        {"verbs": ["*"], **_LEASES},
    ]
}
_PROBES: Object = {
    "nonResourceRules": [
        {"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]},
    ]
}
_EVERYBODY = ("Group:system:unauthenticated", "Group:system:authenticated")
_MANAGER, _SCHEDULER = "User:system:kube-controller-manager", "User:system:kube-scheduler"
_SYSTEM_ACCOUNTS = "ServiceAccount:kube-system:*"

_FLOWS: tuple[tuple[str, str, int, str, tuple[str, ...], Object], ...] = (
    # name, priority level, precedence, what tells flows apart, subjects, what they do
    ("probes", "exempt", 2, "", _EVERYBODY, _PROBES),
    (
        "system-leader-election",
        "leader-election",
        100,
        "ByUser",
        (_MANAGER, _SCHEDULER, _SYSTEM_ACCOUNTS),
        _ELECTIONS,
    ),
    (
        # Before workload-leader-election, which would take its Endpoints for elections.
        "endpoint-controller",
        "workload-high",
        150,
        "ByUser",
        (
            _MANAGER,
            "ServiceAccount:kube-system:endpoint-controller",
            "ServiceAccount:kube-system:endpointslicemirroring-controller",
        ),
        {"resourceRules": [_ENDPOINTS]},
    ),
    (
        "workload-leader-election",
        "leader-election",
        200,
        "ByUser",
        (_SYSTEM_ACCOUNTS,),
        _OLD_ELECTIONS,
    ),
    ("system-node-high", "node-high", 400, "ByUser", ("Group:system:nodes",), _OF_NODES),
    ("system-nodes", "system", 500, "ByUser", ("Group:system:nodes",), _EVERYTHING),
    ("kube-controller-manager", "workload-high", 800, "ByNamespace", (_MANAGER,), _EVERYTHING),
    ("kube-scheduler", "workload-high", 800, "ByNamespace", (_SCHEDULER,), _EVERYTHING),
    (
        "kube-system-service-accounts",
        "workload-high",
        900,
        "ByNamespace",
        (_SYSTEM_ACCOUNTS,),
        _EVERYTHING,
    ),
    (
        "service-accounts",
        "workload-low",
        9000,
        "ByUser",
        ("Group:system:serviceaccounts",),
        _EVERYTHING,
    ),
    ("global-default", "global-default", 9900, "ByUser", _EVERYBODY, _EVERYTHING),
)


def flow_control_objects() -> Iterator[tuple[str, Object]]:
    """Yield (resource, object) of all default priority levels and flow schemas."""
    levels = {**MANDATORY_PRIORITY_LEVELS, **{name: _level(name) for name in _LIMITED}}
    for name, spec in levels.items():
        yield "prioritylevelconfigurations", _object("PriorityLevelConfiguration", name, spec)
    for name, spec in MANDATORY_FLOW_SCHEMAS.items():
        yield "flowschemas", _object("FlowSchema", name, spec)
    for name, level, precedence, method, subjects, does in _FLOWS:
        flow: Object = {
            "priorityLevelConfiguration": {"name": level},
            "matchingPrecedence": precedence,
        }
        if method:
            flow["distinguisherMethod"] = {"type": method}
        flow["rules"] = [{"subjects": [_subject(one) for one in subjects], **does}]
        yield "flowschemas", _object("FlowSchema", name, flow)


def _object(kind: str, name: str, spec: Object) -> Object:
    return {
        "kind": kind,
        "apiVersion": f"{GROUP}/v1",
        "metadata": {"name": name, "annotations": {AUTO_UPDATE: "true"}},
        "spec": {**spec},
    }


def _level(name: str) -> Object:
    shares, lendable, queues, hand = _LIMITED[name]
    return {
        "type": "Limited",
        "limited": {
            "nominalConcurrencyShares": shares,
            "limitResponse": {
                "type": "Queue",
                "queuing": {"queues": queues, "handSize": hand, "queueLengthLimit": 50},
            },
            "lendablePercent": lendable,
        },
    }


def _subject(text: str) -> dict[str, Any]:
    kind, _, name = text.partition(":")
    if kind == "ServiceAccount":
        namespace, _, name = name.partition(":")
        return {"kind": kind, "serviceAccount": {"namespace": namespace, "name": name}}
    return {"kind": kind, kind.lower(): {"name": name}}
