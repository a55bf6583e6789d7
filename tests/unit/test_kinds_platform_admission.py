"""Webhook configurations, admission policies and their bindings, APIService."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.platformtools import causes, create, update

GROUP = "admissionregistration.k8s.io"
RULE = {
    "operations": ["CREATE"],
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "resources": ["pods"],
}


def hook(**fields: Any) -> dict[str, Any]:
    return {
        "name": "a.example.com",
        "clientConfig": {"url": "https://example.com/hook"},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        **fields,
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        ({"name": "two.labels"}, ["Invalid webhooks[0].name"]),
        ({"sideEffects": None}, ["Required webhooks[0].sideEffects"]),
        ({"sideEffects": "Some"}, ["NotSupported webhooks[0].sideEffects"]),
        ({"timeoutSeconds": 31}, ["Invalid webhooks[0].timeoutSeconds"]),
        ({"admissionReviewVersions": []}, ["Required webhooks[0].admissionReviewVersions"]),
        ({"admissionReviewVersions": ["v9"]}, ["Invalid webhooks[0].admissionReviewVersions"]),
        ({"clientConfig": {}}, ["Required webhooks[0].clientConfig"]),
        (
            {"clientConfig": {"url": "http://u@h/?q=1#f"}},
            ["Invalid webhooks[0].clientConfig.url"] * 4,
        ),
        ({"clientConfig": {"url": "https://%zz"}}, []),
        ({"clientConfig": {"url": "https://h/%zz"}}, ["Required webhooks[0].clientConfig.url"]),
        (
            {"clientConfig": {"service": {"name": "s", "namespace": "", "path": "/a//b"}}},
            [
                "Required webhooks[0].clientConfig.service.name",
                "Invalid webhooks[0].clientConfig.service.path",
            ],
        ),
        (
            {"matchConditions": [{"name": "a", "expression": "true"}, {"name": "a"}]},
            [
                "Required webhooks[0].matchConditions[1].expression",
                "Duplicate webhooks[0].matchConditions[1].name",
            ],
        ),
    ],
)
def test_a_webhook_gives_these_causes(fields: dict[str, Any], expected: list[str]) -> None:
    assert causes(GROUP, "validatingwebhookconfigurations", webhooks=[hook(**fields)]) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({}, []),
        ({"operations": ["*", "CREATE"]}, ["operations"]),
        ({"apiGroups": []}, ["apiGroups"]),
        ({"apiVersions": [""]}, ["apiVersions[0]"]),
        ({"resources": ["*/*", "pods"]}, ["resources"]),
        ({"resources": ["*", "pods"]}, ["resources"]),
        ({"resources": ["*", "pods/log"]}, []),
        ({"resources": ["pods/*", "pods/log"]}, ["resources[1]"]),
        ({"resources": ["*/log", "pods/log"]}, ["resources[1]"]),
        ({"scope": "Odd"}, ["scope"]),
    ],
)
def test_a_webhook_rule_gives_causes_at_these_fields(
    rule: dict[str, Any], expected: list[str]
) -> None:
    found = causes(
        GROUP, "mutatingwebhookconfigurations", webhooks=[hook(rules=[{**RULE, **rule}])]
    )
    assert [cause.partition("rules[0].")[2] for cause in found] == expected


def test_webhooks_get_their_defaults() -> None:
    service = {"name": "s", "namespace": "n"}
    obj, found = create(
        GROUP,
        "mutatingwebhookconfigurations",
        webhooks=[hook(clientConfig={"service": service}, rules=[RULE])],
    )
    (made,) = obj["webhooks"]
    assert found == []
    assert made["clientConfig"]["service"]["port"] == 443
    assert made["rules"][0]["scope"] == "*"
    assert {name: made[name] for name in ("failurePolicy", "matchPolicy", "timeoutSeconds")} == {
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "timeoutSeconds": 10,
    }
    assert (made["namespaceSelector"], made["reinvocationPolicy"]) == ({}, "Never")


def test_what_a_configuration_had_already_may_stay_wrong() -> None:
    resource = "validatingwebhookconfigurations"
    old, _ = create(GROUP, resource, webhooks=[hook(sideEffects="Some"), hook()])
    changed = [hook(sideEffects="Some", timeoutSeconds=5), hook()]
    obj, found = update(GROUP, resource, old, {"webhooks": changed})
    assert (found, obj["metadata"]["generation"]) == ([], 2)


POLICY = {"matchConstraints": {"resourceRules": [RULE]}, "validations": [{"expression": "true"}]}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"matchConstraints": None}, ["Required spec.matchConstraints"]),
        ({"matchConstraints": {}}, ["Required spec.matchConstraints.resourceRules"]),
        ({"validations": []}, ["Required spec.validations", "Required spec.auditAnnotations"]),
        (
            {"paramKind": {"apiVersion": "a/b/c", "kind": "K"}},
            ["Invalid spec.paramKind.apiVersion"],
        ),
        ({"variables": [{"name": "in", "expression": "1"}]}, ["Invalid spec.variables[0].name"]),
        (
            {
                "variables": [
                    {"name": "a", "expression": "variables.b"},
                    {"name": "b", "expression": "variables.a + 1"},
                ],
                "validations": [{"expression": "variables.b > 1 && variables.c"}],
            },
            ["Invalid spec.variables[0].expression", "Invalid spec.validations[0].expression"],
        ),
        (
            {"validations": [{"expression": "true", "message": "a\nb", "reason": "Odd"}]},
            ["Invalid spec.validations[0].message", "NotSupported spec.validations[0].reason"],
        ),
        (
            {"auditAnnotations": [{"key": "a b", "valueExpression": ""}]},
            [
                "Invalid spec.auditAnnotations[0].key",
                "Required spec.auditAnnotations[0].valueExpression",
            ],
        ),
    ],
)
def test_a_validating_policy_gives_these_causes(spec: dict[str, Any], expected: list[str]) -> None:
    assert causes(GROUP, "validatingadmissionpolicies", spec=POLICY | spec) == expected


@pytest.mark.parametrize(
    ("mutation", "expected"),
    [
        ({"patchType": "JSONPatch", "jsonPatch": {"expression": "[]"}}, []),
        ({}, ["Required spec.mutations[0].patchType"]),
        ({"patchType": "Odd"}, ["NotSupported spec.mutations[0].patchType"]),
        (
            {"patchType": "JSONPatch", "applyConfiguration": {"expression": "x"}},
            [
                "Required spec.mutations[0].jsonPatch",
                "Invalid spec.mutations[0].applyConfiguration",
            ],
        ),
    ],
)
def test_a_mutation_gives_these_causes(mutation: dict[str, Any], expected: list[str]) -> None:
    spec = {
        "matchConstraints": {"resourceRules": [RULE]},
        "mutations": [mutation],
        "reinvocationPolicy": "Never",
    }
    assert causes(GROUP, "mutatingadmissionpolicies", spec=spec) == expected


def test_a_deletion_cannot_be_mutated() -> None:
    rule = {**RULE, "operations": ["DELETE"]}
    spec = {"policyName": "p", "matchResources": {"resourceRules": [rule]}}
    found = causes(GROUP, "mutatingadmissionpolicybindings", spec=spec)
    assert found == ["NotSupported spec.matchResources.resourceRules.operations"]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"policyName": ""}, ["Required spec.policyName"]),
        ({"validationActions": []}, ["Required spec.validationActions"]),
        ({"validationActions": ["Deny", "Warn"]}, ["Invalid spec.validationActions"]),
        ({"validationActions": ["Deny", "Deny"]}, ["Duplicate spec.validationActions[1]"]),
        (
            {"paramRef": {}},
            ["Required spec.paramRef", "Required spec.paramRef.parameterNotFoundAction"],
        ),
    ],
)
def test_a_binding_gives_these_causes(spec: dict[str, Any], expected: list[str]) -> None:
    fields = {"policyName": "p", "validationActions": ["Deny"]} | spec
    assert causes(GROUP, "validatingadmissionpolicybindings", spec=fields) == expected


def test_the_status_of_a_policy_is_checked() -> None:
    resource = "validatingadmissionpolicies"
    old, _ = create(GROUP, resource, spec=POLICY)
    status = {"typeChecking": {"expressionWarnings": [{}]}, "conditions": [{"type": "a"}]}
    found = update(GROUP, resource, old, {"status": status}, through="status")[1]
    at = "status.typeChecking.expressionWarnings[0]"
    assert found[:3] == [
        f"Required {at}.warning",
        f"Required {at}.fieldRef",
        "NotSupported status.conditions[0].status",
    ]


SERVICE = {"name": "s", "namespace": "n"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"version": "V_"}, ["Invalid metadata.name", "Invalid spec.version"]),
        ({"groupPriorityMinimum": 20001}, ["Invalid spec.groupPriorityMinimum"]),
        ({"versionPriority": 0}, ["Invalid spec.versionPriority"]),
        (
            {"insecureSkipTLSVerify": True, "caBundle": "YQ=="},
            ["Invalid spec.caBundle", "Invalid spec.insecureSkipTLSVerify"],
        ),
        ({"service": {}}, ["Required spec.service.namespace", "Required spec.service.name"]),
        (
            {"service": {**SERVICE, "port": 0}, "insecureSkipTLSVerify": True, "caBundle": "YQ=="},
            ["Invalid spec.service.port", "Invalid spec.insecureSkipTLSVerify"],
        ),
    ],
)
def test_an_api_service_gives_these_causes(spec: dict[str, Any], expected: list[str]) -> None:
    fields = {"group": "e.com", "version": "v1", "groupPriorityMinimum": 1, "versionPriority": 1}
    found = causes(
        "apiregistration.k8s.io",
        "apiservices",
        metadata={"name": "v1.e.com"},
        spec=fields | spec,
    )
    assert found == expected


def test_only_a_local_api_service_is_available_from_the_start() -> None:
    group, resource = "apiregistration.k8s.io", "apiservices"
    spec: dict[str, Any] = {"group": "e.com", "version": "v1"}
    local, _ = create(group, resource, metadata={"name": "v1.e.com"}, spec=spec)
    assert local["status"]["conditions"][0]["reason"] == "Local"
    remote, _ = create(
        group, resource, metadata={"name": "v1.e.com"}, spec=spec | {"service": SERVICE}
    )
    assert (remote["status"], remote["spec"]["service"]["port"]) == ({}, 443)
