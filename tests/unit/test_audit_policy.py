"""The audit policy: what matches, and what is refused at the start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.apiserver.audit.policy import PolicyError, load_policy, read_policy
from services.apiserver.audit.recording import Level
from services.apiserver.requestinfo import UserInfo
from services.apiserver.stages.resolve import request_info

ALICE = UserInfo("alice", groups=("devs", "system:authenticated"))


def level_of(rule: dict[str, object], method: str, path: str, user: UserInfo | None) -> Level:
    policy = read_policy(policy_text([{"level": "Metadata", **rule}]))
    return policy.recording(user, request_info(method, path, {})).level


def policy_text(rules: object, **fields: object) -> str:
    return json.dumps({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules, **fields})


POD = "/api/v1/namespaces/ns/pods/web"
LOG = f"{POD}/log"
STATUS = "/apis/apps/v1/namespaces/ns/deployments/web/status"


@pytest.mark.parametrize(
    ("rule", "method", "path", "matches"),
    [
        ({}, "GET", POD, True),
        ({}, "GET", "/version", True),
        ({"users": ["alice"]}, "GET", POD, True),
        ({"users": ["bob"]}, "GET", POD, False),
        ({"userGroups": ["ops", "devs"]}, "GET", POD, True),
        ({"userGroups": ["ops"]}, "GET", POD, False),
        ({"users": ["alice"], "userGroups": ["ops"]}, "GET", POD, False),
        ({"verbs": ["get", "list"]}, "GET", POD, True),
        ({"verbs": ["create"]}, "GET", POD, False),
        ({"verbs": ["delete"]}, "DELETE", POD, True),
        ({"namespaces": ["ns"]}, "GET", POD, True),
        ({"namespaces": ["other"]}, "GET", POD, False),
        ({"namespaces": [""]}, "GET", "/api/v1/nodes/a", True),
        ({"namespaces": [""]}, "GET", "/version", False),
        ({"resources": [{"group": ""}]}, "GET", POD, True),
        ({"resources": [{"group": ""}]}, "GET", STATUS, False),
        ({"resources": [{"group": "*"}]}, "GET", STATUS, True),
        ({"resources": [{"group": "apps"}]}, "GET", STATUS, True),
        ({"resources": [{"group": "", "resources": ["pods"]}]}, "GET", POD, True),
        ({"resources": [{"group": "", "resources": ["pods"]}]}, "GET", LOG, False),
        ({"resources": [{"group": "", "resources": ["pods/log"]}]}, "GET", LOG, True),
        ({"resources": [{"group": "", "resources": ["pods/log"]}]}, "GET", POD, False),
        ({"resources": [{"group": "", "resources": ["pods/*"]}]}, "GET", LOG, True),
        ({"resources": [{"group": "", "resources": ["pods/*"]}]}, "GET", POD, True),
        ({"resources": [{"group": "", "resources": ["*"]}]}, "GET", LOG, True),
        ({"resources": [{"group": "", "resources": ["*/log"]}]}, "GET", LOG, True),
        ({"resources": [{"group": "apps", "resources": ["*/scale"]}]}, "GET", STATUS, False),
        (
            {"resources": [{"group": "", "resources": ["pods"], "resourceNames": ["web"]}]},
            "GET",
            POD,
            True,
        ),
        (
            {"resources": [{"group": "", "resources": ["pods"], "resourceNames": ["db"]}]},
            "GET",
            POD,
            False,
        ),
        ({"resources": [{"group": ""}]}, "GET", "/version", False),
        ({"nonResourceURLs": ["/version"]}, "GET", "/version", True),
        ({"nonResourceURLs": ["/version"]}, "GET", "/version/x", False),
        ({"nonResourceURLs": ["/healthz*"]}, "GET", "/healthz/etcd", True),
        ({"nonResourceURLs": ["*"]}, "GET", "/metrics", True),
        ({"nonResourceURLs": ["*"]}, "GET", POD, False),
    ],
)
def test_a_rule_matches_as_in_kube_apiserver(
    rule: dict[str, object], method: str, path: str, matches: bool
) -> None:
    assert level_of(rule, method, path, ALICE) is (Level.METADATA if matches else Level.NONE)


def test_rules_about_users_do_not_match_where_nobody_was_found() -> None:
    assert level_of({"users": ["alice"]}, "GET", POD, None) is Level.NONE
    assert level_of({"userGroups": ["devs"]}, "GET", POD, None) is Level.NONE
    assert level_of({}, "GET", POD, None) is Level.METADATA


def test_the_first_rule_that_matches_decides() -> None:
    policy = read_policy(
        policy_text(
            [
                {"level": "None", "verbs": ["watch"]},
                {"level": "Request", "resources": [{"group": "", "resources": ["pods"]}]},
                {"level": "Metadata"},
            ]
        )
    )
    pods = "/api/v1/namespaces/ns/pods"
    watch = request_info("GET", pods, {"watch": ["1"]})
    assert policy.recording(ALICE, watch).level is Level.NONE
    assert policy.recording(ALICE, request_info("POST", pods, {})).level is Level.REQUEST
    assert policy.recording(ALICE, request_info("GET", "/version", {})).level is Level.METADATA


def test_stages_to_omit_add_up_and_managed_fields_are_the_rules_own_affair() -> None:
    policy = read_policy(
        policy_text(
            [
                {"level": "Request", "verbs": ["get"], "omitManagedFields": False},
                {"level": "Request", "omitStages": ["Panic"]},
            ],
            omitStages=["RequestReceived"],
            omitManagedFields=True,
        )
    )
    got = policy.recording(ALICE, request_info("GET", POD, {}))
    assert (got.omit_stages, got.omit_managed_fields) == ({"RequestReceived"}, False)
    other = policy.recording(ALICE, request_info("DELETE", POD, {}))
    assert other.omit_stages == {"RequestReceived", "Panic"}
    assert other.omit_managed_fields


def test_a_decision_is_not_remembered_for_another_name_or_namespace() -> None:
    named = {"level": "Metadata", "resources": [{"resources": ["pods"], "resourceNames": ["web"]}]}
    policy = read_policy(policy_text([named, {"level": "Request", "namespaces": ["ns"]}]))
    for path, level in (
        (POD, Level.METADATA),
        ("/api/v1/namespaces/ns/pods/db", Level.REQUEST),
        ("/api/v1/namespaces/other/pods/db", Level.NONE),
        ("/api/v1/namespaces/other/pods/web", Level.METADATA),
    ):
        assert policy.recording(ALICE, request_info("GET", path, {})).level is level


def test_decisions_remembered_are_bounded() -> None:
    policy = read_policy(policy_text([{"level": "Metadata", "nonResourceURLs": ["/a*"]}]))
    for number in range(10_000):
        policy.recording(ALICE, request_info("GET", f"/a/{number}", {}))
    assert len(policy._remembered) <= 4096


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: [", "error converting YAML to JSON"),
        ("[]", "Object 'Kind' is missing"),
        ("kind: Policy", "Object 'apiVersion' is missing"),
        (
            "{apiVersion: audit.k8s.io/v1beta1, kind: Policy}",
            'no kind "Policy" is registered for version "audit.k8s.io/v1beta1"',
        ),
        (policy_text([]), "loaded illegal policy with 0 rules"),
        (policy_text([{}]), "rules[0].level: Required value"),
        (
            policy_text([{"level": "Some"}]),
            'rules[0].level: Unsupported value: "Some": supported values: "None", "Metadata",'
            ' "Request", "RequestResponse"',
        ),
        (
            policy_text([{"level": "None", "omitStages": ["X"]}]),
            'rules[0].omitStages[0]: Invalid value: "X": allowed stages are'
            " RequestReceived,ResponseStarted,ResponseComplete,Panic",
        ),
        (policy_text([{"level": "None"}], omitStages=["X"]), 'omitStages[0]: Invalid value: "X"'),
        (
            policy_text([{"level": "None", "nonResourceURLs": ["a", "/b*/c"]}]),
            '[rules[0].nonResourceURLs[0]: Invalid value: "a": non-resource URL rules must begin'
            " with a '/' character, rules[0].nonResourceURLs[1]: Invalid value: \"/b*/c\":"
            " non-resource URL wildcards '*' must be the final character of the rule]",
        ),
        (
            policy_text([{"level": "None", "nonResourceURLs": ["/a"], "namespaces": ["b"]}]),
            'rules[0].nonResourceURLs: Invalid value: ["/a"]: rules cannot apply to both regular'
            " resources and non-resource URLs",
        ),
        (
            policy_text([{"level": "None", "resources": [{"group": "apps/v1"}]}]),
            'rules[0].resources.group: Invalid value: "apps/v1": a lowercase RFC 1123 subdomain',
        ),
        (
            policy_text([{"level": "None", "resources": [{"resourceNames": ["a"]}]}]),
            'rules[0].resources.resourceNames: Invalid value: ["a"]: using resourceNames requires'
            " at least one resource",
        ),
        (policy_text([{"level": 1}]), "rules[0].level: not a string"),
        (policy_text([{"level": "None", "users": "a"}]), "rules[0].users: not a list"),
        (policy_text(["x"]), "rules[0]: not an object"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(text: str, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read_policy(text)
    assert message in str(caught.value)


def test_unknown_fields_of_a_policy_are_only_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    read_policy(policy_text([{"level": "None", "extra": 1, "resources": [{"other": 1}]}]))
    assert caplog.records[0].__dict__["fields"] == ["rules[0].extra", "resources.other"]


def test_the_file_is_named_in_what_is_wrong_with_it(tmp_path: Path) -> None:
    missing = tmp_path / "policy.yaml"
    with pytest.raises(PolicyError, match=r"failed to read file path .*: no such file"):
        load_policy(missing)
    missing.write_text("kind: Policy")
    with pytest.raises(PolicyError, match=f"from file {missing}"):
        load_policy(missing)


def test_decisions_about_very_long_paths_are_not_remembered() -> None:
    policy = read_policy(policy_text([{"level": "Metadata"}]))
    for path in ("/" + "x" * 100_000, f"/api/v1/{'x' * 100_000}"):
        assert policy.recording(ALICE, request_info("GET", path, {})).level is Level.METADATA
    assert not policy._remembered
