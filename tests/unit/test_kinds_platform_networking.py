"""Ingress, IngressClass, NetworkPolicy, IPAddress, ServiceCIDR, EndpointSlice, Lease."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.kindtools import context
from tests.unit.platformtools import causes, create, strategy_of, update

NETWORK = "networking.k8s.io"
DISCOVERY = "discovery.k8s.io"
SERVICE = {"service": {"name": "s", "port": {"number": 80}}}


def path(text: str, kind: str = "Prefix", backend: Any = SERVICE) -> dict[str, Any]:
    return {"path": text, "pathType": kind, "backend": backend}


def rule(*paths: dict[str, Any], host: str = "") -> dict[str, Any]:
    return {"host": host, "http": {"paths": list(paths)}}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, ["Invalid spec"]),
        ({"defaultBackend": SERVICE}, []),
        ({"defaultBackend": {}}, ["Invalid spec.defaultBackend"]),
        (
            {"defaultBackend": {"service": {"name": "Bad", "port": {"number": 1, "name": "x"}}}},
            ["Invalid spec.defaultBackend.service.name", "Invalid spec.defaultBackend"],
        ),
        ({"defaultBackend": {"service": {"name": "1s", "port": {"number": 1}}}}, []),
        (
            {"defaultBackend": {"resource": {"kind": "a/b", "name": ""}}},
            [
                "Invalid spec.defaultBackend.resource.kind",
                "Required spec.defaultBackend.resource.name",
            ],
        ),
        ({"rules": [rule(path("/a"), host="*.example.com")]}, []),
        ({"rules": [rule(path("/a"), host="1.2.3.4")]}, ["Invalid spec.rules[0].host"]),
        ({"rules": [rule(path("/a"), host="a.*.com")]}, ["Invalid spec.rules[0].host"]),
        ({"rules": [rule()]}, ["Required spec.rules[0].http.paths"]),
        ({"rules": [rule(path("a"))]}, ["Invalid spec.rules[0].http.paths[0].path"]),
        ({"rules": [rule(path("/a/.."))]}, ["Invalid spec.rules[0].http.paths[0].path"]),
        ({"rules": [rule(path("", "ImplementationSpecific"))]}, []),
        (
            {"rules": [rule({"path": "/", "backend": SERVICE})]},
            ["Required spec.rules[0].http.paths[0].pathType"],
        ),
        (
            {"rules": [{}], "tls": [{"hosts": ["Bad"], "secretName": "Bad"}]},
            ["Invalid spec.tls[0].hosts[0]", "Invalid spec.tls[0].secretName"],
        ),
        ({"rules": [{}], "ingressClassName": "B"}, ["Invalid spec.ingressClassName"]),
    ],
)
def test_a_new_ingress_gives_these_causes(spec: dict[str, Any], expected: list[str]) -> None:
    assert causes(NETWORK, "ingresses", spec=spec) == expected


def test_an_ingress_class_and_its_old_annotation_must_agree_on_creation_only() -> None:
    spec = {"defaultBackend": SERVICE, "ingressClassName": "b"}
    meta = {"annotations": {"kubernetes.io/ingress.class": "a"}}
    expected = ["Invalid annotations.kubernetes.io/ingress.class"]
    assert causes(NETWORK, "ingresses", metadata=dict(meta), spec=spec) == expected
    old, _ = create(NETWORK, "ingresses", metadata=dict(meta), spec={"defaultBackend": SERVICE})
    assert strategy_of(NETWORK, "ingresses").warn_on_create(context(), old)
    assert update(NETWORK, "ingresses", old, {"spec": {"ingressClassName": "b"}})[1] == []


def test_only_the_status_endpoint_writes_an_ingress_status() -> None:
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    old, _ = create(NETWORK, "ingresses", spec={"defaultBackend": SERVICE}, status=status)
    assert old["status"] == {"loadBalancer": {}}
    assert update(NETWORK, "ingresses", old, {"status": status})[0]["status"] == old["status"]
    obj, found = update(NETWORK, "ingresses", old, {"status": status}, through="status")
    assert (obj["status"], found) == (status, [])
    bad = {"status": {"loadBalancer": {"ingress": [{"ip": "x", "hostname": "192.0.2.1"}]}}}
    at = "status.loadBalancer.ingress[0]"
    found = update(NETWORK, "ingresses", old, bad, through="status")[1]
    assert found == [f"Invalid {at}.ip", f"Invalid {at}.hostname"]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"controller": "example.com/c"}, []),
        ({}, ["Required spec.controller"]),
        ({"controller": "plain"}, ["Invalid spec.controller"]),
        ({"controller": "example.com/" + "c" * 250}, ["TooLong spec.controller"]),
        (
            {"controller": "e.com/c", "parameters": {"kind": "K", "name": "n", "namespace": "x"}},
            ["Forbidden spec.parameters.namespace"],
        ),
        (
            {"controller": "e.com/c", "parameters": {"kind": "K", "name": "n", "scope": "Odd"}},
            ["NotSupported spec.parameters.scope"],
        ),
    ],
)
def test_a_new_ingress_class_gives_these_causes(spec: dict[str, Any], expected: list[str]) -> None:
    assert causes(NETWORK, "ingressclasses", spec=spec) == expected


def test_the_parameters_of_an_ingress_class_are_cluster_wide_unless_told() -> None:
    spec = {"controller": "e.com/c", "parameters": {"kind": "K", "name": "n"}}
    old, _ = create(NETWORK, "ingressclasses", spec=spec)
    assert old["spec"]["parameters"]["scope"] == "Cluster"
    found = update(NETWORK, "ingressclasses", old, {"spec": {"controller": "e.com/d"}})[1]
    assert found == ["Invalid spec.controller"]


@pytest.mark.parametrize(
    ("spec", "types"),
    [
        ({}, ["Ingress"]),
        ({"egress": [{}]}, ["Ingress", "Egress"]),
        ({"egress": [{}], "policyTypes": ["Egress"]}, ["Egress"]),
    ],
)
def test_network_policy_types_follow_from_the_rules(spec: dict[str, Any], types: list[str]) -> None:
    assert create(NETWORK, "networkpolicies", spec=spec)[0]["spec"]["policyTypes"] == types


@pytest.mark.parametrize(
    ("ingress", "expected"),
    [
        ({"from": [{}]}, ["Required spec.ingress[0].from[0]"]),
        (
            {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]},
            ["Forbidden spec.ingress[0].from[0]"],
        ),
        (
            {"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}]},
            ["Invalid spec.ingress[0].from[0].ipBlock.except[0]"],
        ),
        ({"ports": [{"port": 80, "endPort": 79}]}, ["Invalid spec.ingress[0].ports[0].endPort"]),
        ({"ports": [{"port": "web", "endPort": 79}]}, ["Invalid spec.ingress[0].ports[0].endPort"]),
        (
            {"ports": [{"port": 1, "protocol": "X"}]},
            ["NotSupported spec.ingress[0].ports[0].protocol"],
        ),
        ({"ports": [{}], "from": [{"namespaceSelector": {}}]}, []),
    ],
)
def test_a_network_policy_rule_gives_these_causes(
    ingress: dict[str, Any], expected: list[str]
) -> None:
    assert causes(NETWORK, "networkpolicies", spec={"ingress": [ingress]}) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("192.0.2.1", []),
        ("2001:db8::1", []),
        ("2001:DB8::1", ["Invalid metadata.name"]),
        ("192.0.2.01", ["Invalid metadata.name"]),
        ("::ffff:192.0.2.1", ["Invalid metadata.name"]),
        ("host", ["Invalid metadata.name"]),
    ],
)
def test_an_ip_address_is_named_canonically(name: str, expected: list[str]) -> None:
    spec = {"parentRef": {"resource": "services", "name": "s"}}
    assert causes(NETWORK, "ipaddresses", metadata={"name": name}, spec=spec) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (["10.0.0.0/24"], ["10.1.0.0/24"], ["Invalid spec.cidrs[0]"]),
        (["10.0.0.0/24"], ["10.0.0.0/24", "2001:db8::/112"], []),
        (["10.0.0.0/24"], ["10.0.0.0/24", "10.1.0.0/24"], ["Invalid spec.cidrs"]),
        (["10.0.0.0/24", "2001:db8::/112"], ["10.0.0.0/24"], ["Invalid spec.cidrs"]),
    ],
)
def test_a_service_cidr_may_only_become_dual_stack(
    before: list[str], after: list[str], expected: list[str]
) -> None:
    old, found = create(NETWORK, "servicecidrs", spec={"cidrs": before})
    assert found == []
    assert update(NETWORK, "servicecidrs", old, {"spec": {"cidrs": after}})[1] == expected


@pytest.mark.parametrize(
    ("kind", "addresses", "expected"),
    [
        ("IPv4", ["192.0.2.1"], []),
        (
            "IPv4",
            ["fe80::1"],
            ["Invalid endpoints[0].addresses", "Invalid endpoints[0].addresses[0]"],
        ),
        ("IPv4", ["127.0.0.1"], ["Invalid endpoints[0].addresses[0]"]),
        ("IPv4", [], ["Required endpoints[0].addresses"]),
        ("IPv6", ["2001:db8::1"], []),
        ("IPv6", ["2001:DB8::1"], ["Invalid endpoints[0].addresses[0]"]),
        ("FQDN", ["a.example.com."], []),
        ("FQDN", ["single"], ["Invalid endpoints[0].addresses[0]"]),
    ],
)
def test_the_addresses_of_a_slice_fit_its_type(
    kind: str, addresses: list[str], expected: list[str]
) -> None:
    fields = {"addressType": kind, "endpoints": [{"addresses": addresses}]}
    assert causes(DISCOVERY, "endpointslices", **fields) == expected


def test_labels_move_the_generation_of_a_slice_and_annotations_do_not() -> None:
    old, _ = create(DISCOVERY, "endpointslices", addressType="IPv4", ports=[{}])
    assert old["ports"] == [{"name": "", "protocol": "TCP"}]
    for change, generation in (({"labels": {"a": "b"}}, 2), ({"annotations": {"a": "b"}}, 1)):
        obj, found = update(DISCOVERY, "endpointslices", old, {"metadata": change})
        assert (obj["metadata"]["generation"], found) == (generation, [])


def test_a_lease_needs_positive_durations_and_forgets_gated_fields() -> None:
    spec = {"leaseDurationSeconds": 0, "leaseTransitions": -1, "strategy": "x"}
    obj, found = create("coordination.k8s.io", "leases", spec=spec)
    assert found == ["Invalid spec.leaseDurationSeconds", "Invalid spec.leaseTransitions"]
    assert "strategy" not in obj["spec"]
