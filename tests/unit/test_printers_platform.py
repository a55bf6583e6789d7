"""Rows of networking, access, admission, scheduling, devices and flow control."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.printers import printer_of
from services.apiserver.printers.duration import parse_time

NOW = parse_time("2026-01-01T01:00:00Z")
NETWORKING = "networking.k8s.io"
ADMISSION = "admissionregistration.k8s.io"
RBAC = "rbac.authorization.k8s.io"
FLOWS = "flowcontrol.apiserver.k8s.io"
DELETED = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


def cells(group: str, kind: str, **parts: Any) -> list[Any]:
    """The cells of an object named x, an hour old."""
    metadata = {
        "name": "x",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        **parts.pop("metadata", {}),
    }
    return printer_of((group, kind)).cells({"metadata": metadata, **parts}, NOW)


@pytest.mark.parametrize(
    ("hosts", "shown"),
    [
        ([], "*"),
        ([""], "*"),
        (["a", "", "b"], "a,b"),
        (["a", "b", "c"], "a,b,c"),
        (["a", "b", "c", "d", ""], "a,b,c + 2 more..."),
        (["a", "", "b", "c", "d"], "a,b,c + 2 more..."),
    ],
)
def test_the_hosts_of_an_ingress(hosts: list[str], shown: str) -> None:
    rules = [{"host": host} if host else {} for host in hosts]
    assert cells(NETWORKING, "Ingress", spec={"rules": rules})[2] == shown


def test_an_ingress() -> None:
    row = cells(
        NETWORKING,
        "Ingress",
        spec={"ingressClassName": "nginx", "tls": [{}]},
        status={"loadBalancer": {"ingress": [{"ip": "9.9.9.9"}, {"hostname": "a.example"}]}},
    )
    assert row == ["x", "nginx", "*", "9.9.9.9,a.example", "80, 443", "60m"]
    assert cells(NETWORKING, "Ingress") == ["x", "<none>", "*", "", "80", "60m"]


@pytest.mark.parametrize(
    ("parameters", "shown"),
    [
        (None, "<none>"),
        ({"kind": "ConfigMap", "name": "c"}, "ConfigMap/c"),
        ({"apiGroup": "example.com", "kind": "Thing", "name": "t"}, "Thing.example.com/t"),
    ],
)
def test_an_ingress_class(parameters: dict[str, str] | None, shown: str) -> None:
    spec = {"controller": "example.com/c", "parameters": parameters}
    assert cells(NETWORKING, "IngressClass", spec=spec) == ["x", "example.com/c", shown, "60m"]


def test_a_network_policy_shows_its_pods() -> None:
    selected = {"podSelector": {"matchLabels": {"a": "b"}}}
    assert cells(NETWORKING, "NetworkPolicy", spec=selected) == ["x", "a=b", "60m"]
    assert cells(NETWORKING, "NetworkPolicy", spec={"podSelector": {}})[1] == "<none>"


def test_a_service_cidr() -> None:
    spec = {"cidrs": ["10.0.0.0/24", "fd00::/64"]}
    assert cells(NETWORKING, "ServiceCIDR", spec=spec) == ["x", "10.0.0.0/24,fd00::/64", "60m"]


@pytest.mark.parametrize(
    ("parent", "shown"),
    [
        (None, "<none>"),
        ({"resource": "services", "namespace": "ns", "name": "s"}, "services/ns/s"),
        ({"group": "Example.com", "resource": "things", "name": "t"}, "things.example.com/t"),
    ],
)
def test_an_ip_address(parent: dict[str, str] | None, shown: str) -> None:
    assert cells(NETWORKING, "IPAddress", spec={"parentRef": parent}) == ["x", shown, "60m"]


@pytest.mark.parametrize(
    ("ports", "endpoints", "shown"),
    [
        (None, None, ["<unset>", "<unset>"]),
        (
            [{"port": 80}, {"name": "web"}, {}, {"port": 81}],
            [{"addresses": ["10.0.0.1", "10.0.0.2"]}, {"addresses": ["10.0.0.3", "10.0.0.4"]}],
            ["80,web,* + 1 more...", "10.0.0.1,10.0.0.2,10.0.0.3 + 1 more..."],
        ),
    ],
)
def test_an_endpoint_slice(
    ports: list[Any] | None, endpoints: list[Any] | None, shown: list[str]
) -> None:
    row = cells(
        "discovery.k8s.io", "EndpointSlice", addressType="IPv4", ports=ports, endpoints=endpoints
    )
    assert row == ["x", "IPv4", *shown, "60m"]


@pytest.mark.parametrize("kind", ["RoleBinding", "ClusterRoleBinding"])
def test_a_binding_lists_its_subjects_by_kind(kind: str) -> None:
    row = cells(
        RBAC,
        kind,
        roleRef={"kind": "Role", "name": "r1"},
        subjects=[
            {"kind": "User", "name": "u1"},
            {"kind": "ServiceAccount", "name": "s1", "namespace": "ns"},
            {"kind": "Group", "name": "g1"},
            {"kind": "User", "name": "u2"},
            {"kind": "ServiceAccount", "name": "s2"},
            {"kind": "Robot", "name": "r"},
        ],
    )
    assert row == ["x", "Role/r1", "60m", "u1, u2", "g1", "ns/s1, s2"]


@pytest.mark.parametrize(
    ("types", "certificate", "condition"),
    [
        ([], "", "Pending"),
        (["Approved"], "", "Approved"),
        (["Approved"], "Y2VydA==", "Approved,Issued"),
        (["Approved", "Denied"], "", "Denied"),
        (["Approved", "Failed"], "", "Approved,Failed"),
        (["Failed"], "", "Pending,Failed"),
    ],
)
def test_the_condition_of_a_certificate_signing_request(
    types: list[str], certificate: str, condition: str
) -> None:
    status = {"conditions": [{"type": one} for one in types], "certificate": certificate}
    row = cells("certificates.k8s.io", "CertificateSigningRequest", status=status)
    assert row[5] == condition


def test_a_certificate_signing_request() -> None:
    spec = {"signerName": "example.com/s", "username": "admin", "expirationSeconds": 3600}
    row = cells("certificates.k8s.io", "CertificateSigningRequest", spec=spec)
    assert row == ["x", "60m", "example.com/s", "admin", "60m", "Pending"]


def test_webhook_configurations_count_their_webhooks() -> None:
    for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
        assert cells(ADMISSION, kind, webhooks=[{}, {}]) == ["x", 2, "60m"]
        assert cells(ADMISSION, kind) == ["x", 0, "60m"]


@pytest.mark.parametrize(
    ("kind", "rules"),
    [("ValidatingAdmissionPolicy", "validations"), ("MutatingAdmissionPolicy", "mutations")],
)
def test_an_admission_policy(kind: str, rules: str) -> None:
    spec = {rules: [{}], "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}
    assert cells(ADMISSION, kind, spec=spec) == ["x", 1, "v1/ConfigMap", "60m"]
    assert cells(ADMISSION, kind)[2] == "<unset>"


@pytest.mark.parametrize(
    ("param", "shown"),
    [
        (None, "<unset>"),
        ({"name": "p"}, "*/p"),
        ({"name": "p", "namespace": "ns"}, "ns/p"),
        (
            {
                "selector": {
                    "matchLabels": {"b": "2", "a": "1"},
                    "matchExpressions": [{"key": "k", "operator": "In", "values": ["v", "w"]}],
                }
            },
            "&LabelSelector{MatchLabels:map[string]string{a: 1,b: 2,},MatchExpressions:"
            "[]LabelSelectorRequirement{LabelSelectorRequirement{Key:k,Operator:In,"
            "Values:[v w],},},}",
        ),
        ({}, "<unset>"),
    ],
)
def test_the_parameters_of_a_policy_binding(param: dict[str, Any] | None, shown: str) -> None:
    spec = {"policyName": "policy", "paramRef": param}
    for kind in ("ValidatingAdmissionPolicyBinding", "MutatingAdmissionPolicyBinding"):
        assert cells(ADMISSION, kind, spec=spec) == ["x", "policy", shown, "60m"]


@pytest.mark.parametrize(
    ("condition", "available"),
    [
        (None, "Unknown"),
        ({"status": "True", "reason": "Local"}, "True"),
        ({"status": "False", "reason": "ServiceNotFound"}, "False (ServiceNotFound)"),
        ({"status": "False"}, "False"),
    ],
)
def test_an_api_service(condition: dict[str, str] | None, available: str) -> None:
    conditions = [{"type": "Available", **condition}] if condition else []
    row = cells("apiregistration.k8s.io", "APIService", status={"conditions": conditions})
    assert row == ["x", "Local", available, "60m"]


def test_an_api_service_shows_its_service() -> None:
    spec = {"service": {"namespace": "ns", "name": "s"}}
    assert cells("apiregistration.k8s.io", "APIService", spec=spec)[1] == "ns/s"


def test_a_disruption_budget() -> None:
    kind = ("policy", "PodDisruptionBudget")
    status = {"disruptionsAllowed": 2}
    half = cells(*kind, spec={"minAvailable": "50%"}, status=status)
    assert half == ["x", "50%", "N/A", 2, "60m"]
    assert cells(*kind, spec={"maxUnavailable": 0}) == ["x", "N/A", "0", 0, "60m"]


def test_a_priority_class() -> None:
    row = cells(
        "scheduling.k8s.io",
        "PriorityClass",
        value=2000001000,
        preemptionPolicy="PreemptLowerPriority",
    )
    assert row == ["x", 2000001000, False, "60m", "PreemptLowerPriority"]


def test_runtime_classes_and_leases() -> None:
    assert cells("node.k8s.io", "RuntimeClass", handler="runsc") == ["x", "runsc", "60m"]
    lease = ("coordination.k8s.io", "Lease")
    assert cells(*lease, spec={"holderIdentity": "me"}) == ["x", "me", "60m"]
    assert cells(*lease, spec={}) == ["x", "", "60m"]


@pytest.mark.parametrize(
    ("metadata", "status", "state"),
    [
        ({}, {}, "pending"),
        ({}, {"allocation": {}}, "allocated"),
        ({}, {"allocation": {}, "reservedFor": [{}]}, "allocated,reserved"),
        (DELETED, {}, "deleted"),
        (DELETED, {"allocation": {}}, "deleted,allocated"),
    ],
)
def test_the_state_of_a_resource_claim(
    metadata: dict[str, Any], status: dict[str, Any], state: str
) -> None:
    row = cells("resource.k8s.io", "ResourceClaim", metadata=metadata, status=status)
    assert row == ["x", state, "60m"]


def test_devices() -> None:
    group = "resource.k8s.io"
    spec = {"nodeName": "n1", "driver": "d", "pool": {"name": "p"}}
    assert cells(group, "ResourceSlice", spec=spec) == ["x", "n1", "d", "p", "60m"]
    assert cells(group, "DeviceClass") == ["x", "60m"]
    assert cells(group, "ResourceClaimTemplate") == ["x", "60m"]


@pytest.mark.parametrize(
    ("method", "conditions", "shown"),
    [
        (None, [], ["<none>", "60m", "?"]),
        (
            {"type": "ByUser"},
            [{"type": "Dangling", "status": "False"}],
            ["ByUser", "60m", "False"],
        ),
    ],
)
def test_a_flow_schema(
    method: dict[str, str] | None, conditions: list[Any], shown: list[str]
) -> None:
    spec = {
        "priorityLevelConfiguration": {"name": "exempt"},
        "matchingPrecedence": 1,
        "distinguisherMethod": method,
    }
    row = cells(FLOWS, "FlowSchema", spec=spec, status={"conditions": conditions})
    assert row == ["x", "exempt", 1, *shown]


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        ({"type": "Exempt", "exempt": {}}, ["Exempt", "<none>", "<none>", "<none>", "<none>"]),
        (
            {
                "type": "Limited",
                "limited": {
                    "nominalConcurrencyShares": 30,
                    "limitResponse": {"type": "Reject"},
                },
            },
            ["Limited", 30, "<none>", "<none>", "<none>"],
        ),
        (
            {
                "type": "Limited",
                "limited": {
                    "nominalConcurrencyShares": 0,
                    "limitResponse": {
                        "queuing": {"queues": 64, "handSize": 8, "queueLengthLimit": 50}
                    },
                },
            },
            ["Limited", 0, 64, 8, 50],
        ),
    ],
)
def test_a_priority_level(spec: dict[str, Any], shown: list[Any]) -> None:
    row = cells(FLOWS, "PriorityLevelConfiguration", spec=spec)
    assert row == ["x", *shown, "60m"]
