"""Roles and bindings, certificate requests, flow control."""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from services.apiserver.kinds.platform.flowschemas import MANDATORY_FLOW_SCHEMAS
from services.apiserver.kinds.platform.prioritylevels import MANDATORY_PRIORITY_LEVELS
from services.apiserver.registry.strategy import Object
from tests.unit.platformtools import causes, create, update

RBAC = "rbac.authorization.k8s.io"
CERTIFICATES, REQUESTS = "certificates.k8s.io", "certificatesigningrequests"
FLOW = "flowcontrol.apiserver.k8s.io"
LEVELS = "prioritylevelconfigurations"


@pytest.mark.parametrize(
    ("resource", "rule", "expected"),
    [
        ("roles", {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}, []),
        ("roles", {"apiGroups": [""], "resources": ["pods"]}, ["Required rules[0].verbs"]),
        (
            "roles",
            {"verbs": ["get"]},
            ["Required rules[0].apiGroups", "Required rules[0].resources"],
        ),
        (
            "roles",
            {"verbs": ["get"], "nonResourceURLs": ["/a"]},
            ["Invalid rules[0].nonResourceURLs"],
        ),
        ("clusterroles", {"verbs": ["get"], "nonResourceURLs": ["/a"]}, []),
        (
            "clusterroles",
            {"verbs": ["get"], "nonResourceURLs": ["/a"], "apiGroups": [""]},
            ["Invalid rules[0].nonResourceURLs"],
        ),
    ],
)
def test_a_policy_rule_gives_these_causes(
    resource: str, rule: dict[str, Any], expected: list[str]
) -> None:
    assert causes(RBAC, resource, rules=[rule]) == expected


@pytest.mark.parametrize("name", ["system:a", "UPPER", "a b"])
def test_roles_may_have_any_name_that_fits_a_path(name: str) -> None:
    assert causes(RBAC, "roles", metadata={"name": name}) == []
    assert causes(RBAC, "roles", metadata={"name": f"{name}/x"}) == ["Invalid metadata.name"]


def test_an_aggregation_rule_needs_selectors() -> None:
    path = "aggregationRule.clusterRoleSelectors"
    assert causes(RBAC, "clusterroles", aggregationRule={}) == [f"Required {path}"]
    bad = {"clusterRoleSelectors": [{"matchExpressions": [{"key": "k", "operator": "In"}]}]}
    found = causes(RBAC, "clusterroles", aggregationRule=bad)
    assert found == [f"Required {path}[0].matchExpressions[0].values", f"Invalid {path}[0]"]


@pytest.mark.parametrize(
    ("resource", "subject", "expected"),
    [
        ("rolebindings", {"kind": "ServiceAccount", "name": "sa"}, []),
        (
            "clusterrolebindings",
            {"kind": "ServiceAccount", "name": "sa"},
            ["Required subjects[0].namespace"],
        ),
        ("rolebindings", {"kind": "User", "name": "anybody at all"}, []),
        ("rolebindings", {"kind": "Group", "name": ""}, ["Required subjects[0].name"]),
        ("rolebindings", {"kind": "Robot", "name": "r"}, ["NotSupported subjects[0].kind"]),
        (
            "rolebindings",
            {"kind": "User", "name": "u", "apiGroup": "x"},
            ["NotSupported subjects[0].apiGroup"],
        ),
        (
            "rolebindings",
            {"kind": "ServiceAccount", "name": "Bad_", "apiGroup": RBAC},
            ["Invalid subjects[0].name", "NotSupported subjects[0].apiGroup"],
        ),
    ],
)
def test_a_subject_gives_these_causes(
    resource: str, subject: dict[str, Any], expected: list[str]
) -> None:
    reference = {"kind": "ClusterRole", "name": "r"}
    assert causes(RBAC, resource, roleRef=reference, subjects=[subject]) == expected


def test_a_binding_defaults_its_groups_and_keeps_its_role() -> None:
    subjects = [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s"}]
    reference = {"kind": "Role", "name": "r"}
    old, _ = create(RBAC, "rolebindings", roleRef=reference, subjects=subjects)
    assert [one.get("apiGroup") for one in (old["roleRef"], *old["subjects"])] == [RBAC, RBAC, None]
    assert update(RBAC, "rolebindings", old, {"roleRef": {"name": "s"}})[1] == ["Invalid roleRef"]
    found = causes(RBAC, "clusterrolebindings", roleRef=reference)
    assert found == ["NotSupported roleRef.kind"]


@cache
def pem_request() -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "alice")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    request = builder.sign(Ed25519PrivateKey.generate(), None)
    return base64.b64encode(request.public_bytes(Encoding.PEM)).decode()


def request(**spec: Any) -> tuple[Object, list[str]]:
    fields = {"request": pem_request(), "signerName": "example.com/s", "usages": ["client auth"]}
    return create(CERTIFICATES, REQUESTS, spec=fields | spec)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"request": "bm8="}, ["Invalid spec.request"]),
        ({"usages": []}, ["Required spec.usages"]),
        (
            {"usages": ["any", "any", "odd"]},
            ["NotSupported spec.usages[2]", "Duplicate spec.usages[1]"],
        ),
        ({"signerName": "plain"}, ["Invalid spec.signerName"]),
        ({"signerName": "com/s"}, ["Invalid spec.signerName"]),
        ({"signerName": "kubernetes.io/legacy-unknown"}, ["Invalid spec.signerName"]),
        ({"expirationSeconds": 599}, ["Invalid spec.expirationSeconds"]),
    ],
)
def test_a_certificate_request_gives_these_causes(
    spec: dict[str, Any], expected: list[str]
) -> None:
    assert request(**spec)[1] == expected


def test_a_certificate_request_tells_who_made_it_whatever_they_say() -> None:
    obj, _ = request(username="mallory", groups=["system:masters"], uid="1")
    assert obj["spec"]["username"] == "tester"
    assert not {"groups", "uid"} & set(obj["spec"])


def condition(kind: str, status: str = "True") -> dict[str, str]:
    return {"type": kind, "status": status}


@pytest.mark.parametrize(
    ("through", "conditions", "expected"),
    [
        ("approval", [condition("Approved")], []),
        (
            "approval",
            [condition("Approved", "False")],
            ["NotSupported status.conditions[0].status"],
        ),
        ("approval", [condition("A"), condition("A")], ["Duplicate status.conditions[1].type"]),
        (
            "approval",
            [condition("Approved"), condition("Denied")],
            ["Invalid status.conditions"],
        ),
        ("status", [condition("Approved")], ["Forbidden status.conditions"]),
        ("status", [condition("Failed")], []),
    ],
)
def test_conditions_are_approval_s_and_others_are_the_signer_s(
    through: str, conditions: list[dict[str, str]], expected: list[str]
) -> None:
    old, _ = request()
    change = {"status": {"conditions": conditions}}
    obj, found = update(CERTIFICATES, REQUESTS, old, change, through=through)
    assert found == expected
    assert all(one["lastTransitionTime"] for one in obj["status"]["conditions"])


def test_an_approval_stays() -> None:
    old, _ = request()
    change: dict[str, Any] = {"status": {"conditions": [condition("Approved")]}}
    approved, _ = update(CERTIFICATES, REQUESTS, old, change, through="approval")
    change = {"status": {"conditions": [condition("Other")]}}
    found = update(CERTIFICATES, REQUESTS, approved, change, through="approval")[1]
    assert found == ["Forbidden status.conditions"]
    change = {"spec": {"signerName": "other.com/s"}, "status": None}
    assert update(CERTIFICATES, REQUESTS, approved, change)[0]["spec"] == old["spec"]


def test_only_a_certificate_can_be_issued_and_only_once() -> None:
    old, _ = request()
    change = {"status": {"certificate": base64.b64encode(b"no pem").decode()}}
    found = update(CERTIFICATES, REQUESTS, old, change, through="status")[1]
    assert found == ["Invalid status.certificate"]
    issued = {**old, "status": {"certificate": "bm8="}}
    found = update(
        CERTIFICATES, REQUESTS, issued, {"status": {"certificate": None}}, through="status"
    )[1]
    assert found == ["Forbidden status.certificate"]


RULE = {
    "subjects": [{"kind": "User", "user": {"name": "u"}}],
    "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/a/*"]}],
}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({}, []),
        ({"subjects": []}, ["Required spec.rules[0].subjects"]),
        ({"subjects": [{"kind": "User"}]}, ["Required spec.rules[0].subjects[0].user"]),
        (
            {"subjects": [{"kind": "Group", "group": {"name": "g"}, "user": {"name": "u"}}]},
            ["Forbidden spec.rules[0].subjects[0].user"],
        ),
        ({"nonResourceRules": []}, ["Required spec.rules[0]"]),
        (
            {"nonResourceRules": [{"verbs": ["*", "get"], "nonResourceURLs": ["/a//b", "a", "/"]}]},
            [
                "Invalid spec.rules[0].nonResourceRules[0].verbs",
                "Invalid spec.rules[0].nonResourceRules[0].nonResourceURLs[0]",
                "Invalid spec.rules[0].nonResourceRules[0].nonResourceURLs[1]",
            ],
        ),
        (
            {"resourceRules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]},
            ["Required spec.rules[0].resourceRules[0].namespaces"],
        ),
    ],
)
def test_a_flow_schema_rule_gives_these_causes(rule: dict[str, Any], expected: list[str]) -> None:
    spec = {"priorityLevelConfiguration": {"name": "l"}, "rules": [{**RULE, **rule}]}
    obj, found = create(FLOW, "flowschemas", spec=spec)
    assert (found, obj["spec"]["matchingPrecedence"]) == (expected, 1000)


@pytest.mark.parametrize(
    ("limited", "expected"),
    [
        ({"limitResponse": {"type": "Reject"}}, []),
        ({"limitResponse": {"type": "Queue"}}, ["Required spec.limited.limitResponse.queuing"]),
        ({"limitResponse": {"type": "Queue", "queuing": {}}}, []),
        (
            {"limitResponse": {"type": "Queue", "queuing": {"queues": 4, "handSize": 5}}},
            ["Invalid spec.limited.limitResponse.queuing.handSize"],
        ),
        (
            {"limitResponse": {"type": "Queue", "queuing": {"queues": 10**6, "handSize": 8}}},
            ["Invalid spec.limited.limitResponse.queuing.handSize"],
        ),
        ({"limitResponse": {"type": "Odd"}}, ["NotSupported spec.limited.limitResponse.type"]),
    ],
)
def test_a_priority_level_gives_these_causes(limited: dict[str, Any], expected: list[str]) -> None:
    obj, found = create(FLOW, LEVELS, spec={"type": "Limited", "limited": limited})
    assert (found, obj["spec"]["limited"]["nominalConcurrencyShares"]) == (expected, 30)


@pytest.mark.parametrize(
    ("resource", "specs"),
    [("flowschemas", MANDATORY_FLOW_SCHEMAS), (LEVELS, MANDATORY_PRIORITY_LEVELS)],
)
def test_mandatory_objects_are_valid_and_cannot_differ(
    resource: str, specs: dict[str, Object]
) -> None:
    for name, spec in specs.items():
        old, found = create(FLOW, resource, metadata={"name": name}, spec=dict(spec))
        assert found == []
        change = {"matchingPrecedence": 2} if resource == "flowschemas" else {"type": "Odd"}
        assert "Invalid spec" in update(FLOW, resource, old, {"spec": change})[1]
