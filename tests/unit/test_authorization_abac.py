"""The lines of an ABAC policy file, and what they allow."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from services.apiserver.authorization.abac import (
    AbacAuthorizer,
    PolicyFileError,
    parse_policy,
    read_policy_file,
)
from services.apiserver.requestinfo import RequestInfo, UserInfo
from tests.unit.rbac_world import ALICE, BOB, asks

ANONYMOUS = UserInfo("system:anonymous", groups=("system:unauthenticated",))
GET, CREATE = asks("get", "pods"), asks("create", "pods")
DEPLOYMENTS = asks("get", "deployments", group="apps")
URL = RequestInfo(False, "/healthz/etcd", "get")


def policy(**spec: Any) -> str:
    version = "abac.authorization.kubernetes.io/v1beta1"
    return json.dumps({"apiVersion": version, "kind": "Policy", "spec": spec})


def older(**fields: Any) -> str:
    return json.dumps(fields)


def may(line: str, user: UserInfo, info: RequestInfo) -> bool:
    authorizer = AbacAuthorizer([parse_policy(line)])
    return asyncio.run(authorizer.authorize(user, info)).allowed


ANY = {"namespace": "*", "resource": "*", "apiGroup": "*"}


@pytest.mark.parametrize(
    ("line", "user", "info", "expected"),
    [
        (policy(user="alice", **ANY), ALICE, GET, True),
        (policy(user="alice", **ANY), BOB, GET, False),
        (policy(group="developers", **ANY), ALICE, GET, True),
        (policy(user="alice", group="operators", **ANY), ALICE, GET, False),
        (policy(user="*", **ANY), BOB, GET, True),
        (policy(user="*", **ANY), ANONYMOUS, GET, False),
        (policy(group="*", **ANY), ANONYMOUS, GET, False),
        (policy(**ANY), ALICE, GET, False),
        (policy(user="alice", readonly=True, **ANY), ALICE, GET, True),
        (policy(user="alice", readonly=True, **ANY), ALICE, CREATE, False),
        (policy(user="alice", namespace="ns", resource="pods"), ALICE, GET, True),
        (policy(user="alice", namespace="other", resource="pods"), ALICE, GET, False),
        (policy(user="alice", resource="pods"), ALICE, GET, False),
        (policy(user="alice", namespace="*", resource="*"), ALICE, DEPLOYMENTS, False),
        (policy(user="alice", **ANY), ALICE, URL, False),
        (policy(user="alice", nonResourcePath="*"), ALICE, URL, True),
        (policy(user="alice", nonResourcePath="/healthz/*"), ALICE, URL, True),
        (policy(user="alice", nonResourcePath="/healthz"), ALICE, URL, False),
        (policy(user="alice", nonResourcePath="*"), ALICE, GET, False),
        (older(user="alice"), ALICE, DEPLOYMENTS, True),
        (older(user="alice"), ALICE, URL, True),
        (older(user="alice", resource="pods"), ALICE, GET, True),
        (older(user="alice", resource="pods"), ALICE, URL, False),
        (older(user="alice", namespace="other"), ALICE, GET, False),
        (older(), BOB, CREATE, True),
        (older(), ANONYMOUS, GET, False),
        (older(readonly=True), BOB, CREATE, False),
    ],
)
def test_what_a_line_allows(line: str, user: UserInfo, info: RequestInfo, expected: bool) -> None:
    assert may(line, user, info) is expected


def test_a_file_has_comments_and_empty_lines(tmp_path: Path) -> None:
    file = tmp_path / "policy"
    file.write_text(f"# who\n\n  {policy(user='alice', **ANY)}\n{older(user='bob')}\n")
    assert [one.user for one in read_policy_file(file)] == ["alice", "bob"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "line 2"),
        ("[]", "not a JSON object"),
        ('{"kind": "Policy"}', "unrecognized version or kind"),
        (policy(user="alice", readonly="yes"), "readonly is not true or false"),
        (older(user=["alice"]), "user is not a string"),
    ],
)
def test_a_mistake_names_its_line(line: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "policy"
    file.write_text(f"# one\n{line}\n")
    with pytest.raises(PolicyFileError, match=told):
        read_policy_file(file)


def test_the_rules_of_a_user_are_those_of_its_lines() -> None:
    lines = [
        policy(user="alice", namespace="ns", resource="pods", readonly=True),
        policy(user="alice", namespace="other", resource="secrets"),
        policy(user="*", namespace="*", nonResourcePath="/healthz"),
    ]
    authorizer = AbacAuthorizer([parse_policy(line) for line in lines])
    found = asyncio.run(authorizer.user_rules(ALICE, "ns"))
    assert found.rules == [
        {"verbs": ["get", "list", "watch"], "apiGroups": [""], "resources": ["pods"]},
        {"verbs": ["*"], "nonResourceURLs": ["/healthz"]},
    ]
    assert not found.incomplete
