"""What rules match, and which rights cover which others."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.authorization.rules import RuleSet, described, missing_rights
from services.apiserver.requestinfo import RequestInfo
from tests.unit.rbac_world import asks, rule

GET_PODS = rule("get", "pods")


@pytest.mark.parametrize(
    ("given", "asked", "allowed"),
    [
        (GET_PODS, asks("get", "pods"), True),
        (GET_PODS, asks("get", "pods", name="one"), True),
        (GET_PODS, asks("list", "pods"), False),
        (GET_PODS, asks("get", "secrets"), False),
        (GET_PODS, asks("get", "pods", group="apps"), False),
        (GET_PODS, asks("get", "pods/log"), False),
        (rule("*", "pods"), asks("list", "pods"), True),
        (rule("*", "pods"), asks("", "pods"), True),
        (rule("get", "*"), asks("get", "pods"), True),
        (rule("get", "*"), asks("get", "pods/log"), True),
        (rule("get", "pods", group="*"), asks("get", "pods", group="apps"), True),
        (rule("get", "pods/log"), asks("get", "pods/log"), True),
        (rule("get", "pods/log"), asks("get", "pods"), False),
        (rule("get", "*/scale"), asks("get", "deployments/scale"), True),
        (rule("get", "*/scale"), asks("get", "deployments/status"), False),
        (rule("get", "*/scale"), asks("get", "deployments"), False),
        (rule("get", "pods/*"), asks("get", "pods/log"), False),
        (rule("get", "pods/eph*"), asks("get", "pods/ephemeralcontainers"), False),
        (rule("get", "pods", names="a b"), asks("get", "pods", name="b"), True),
        (rule("get", "pods", names="a b"), asks("get", "pods", name="c"), False),
        (rule("list", "pods", names="a"), asks("list", "pods"), False),
        (rule("create", "pods/exec", names="a"), asks("create", "pods/exec", name="a"), True),
    ],
)
def test_a_resource_rule(given: dict[str, Any], asked: RequestInfo, allowed: bool) -> None:
    assert RuleSet([given]).allows(asked) is allowed


@pytest.mark.parametrize(
    ("urls", "path", "allowed"),
    [
        ("/a", "/a", True),
        ("/a", "/a/", False),
        ("/a/*", "/a/", True),
        ("/a/*", "/a/b/c", True),
        ("/a/*", "/a", False),
        ("/x-pre*", "/x-prefixed/y", True),
        ("*", "/anything", True),
        ("/a /b", "/b", True),
    ],
)
def test_a_path_rule(urls: str, path: str, allowed: bool) -> None:
    rules = RuleSet([rule("get", urls=urls)])
    assert rules.allows(RequestInfo(False, path, "get")) is allowed
    assert not rules.allows(RequestInfo(False, path, "post"))


def test_resource_rules_say_nothing_of_paths() -> None:
    assert not RuleSet([rule("*", "*", group="*")]).allows(RequestInfo(False, "/metrics", "get"))


@pytest.mark.parametrize(
    ("owned", "wanted", "covered"),
    [
        (rule("get list", "pods"), rule("get", "pods"), True),
        (rule("get", "pods"), rule("get list", "pods"), False),
        (rule("*", "*", group="*"), rule("get delete", "pods secrets", group="apps"), True),
        (rule("get", "pods"), rule("get", "pods", names="a"), True),
        (rule("get", "pods", names="a"), rule("get", "pods"), False),
        (rule("get", "pods", names="a"), rule("get", "pods", names="a b"), False),
        (rule("get", "pods", names="a b"), rule("get", "pods", names="a b"), True),
        (rule("get", "pods"), rule("get", "pods/log"), False),
        (rule("get", "*/scale"), rule("get", "deployments/scale"), True),
        (rule("get", "*/scale"), rule("get", "deployments"), False),
        (rule("get", "pods"), rule("get", "*"), False),
        (rule("*", "pods"), rule("*", "pods"), True),
        (rule("get", "pods"), rule("*", "pods"), False),
        (rule("get", urls="/a/*"), rule("get", urls="/a/b /a/c/*"), True),
        (rule("get", urls="/a/b"), rule("get", urls="/a/*"), False),
        (rule("get", urls="*"), rule("get", urls="/metrics"), True),
        (rule("*", "*", group="*"), rule("get", urls="/metrics"), False),
        (rule("get", "pods"), rule("", "pods"), True),
    ],
)
def test_a_rule_covers_another(
    owned: dict[str, Any], wanted: dict[str, Any], covered: bool
) -> None:
    assert (not missing_rights([owned], [wanted])) is covered


def test_several_rules_cover_one_together() -> None:
    owned = [rule("get", "pods"), rule("list", "pods secrets"), rule("get", "secrets", names="a")]
    assert missing_rights(owned, [rule("get list", "pods")]) == []
    missing = missing_rights(owned, [rule("get list", "pods secrets")])
    assert missing == [rule("get", "secrets")]


def test_a_rule_is_described_as_kube_apiserver_prints_it() -> None:
    text = described(rule("get list", "pods", names="a"))
    assert text == '{APIGroups:[""], Resources:["pods"], ResourceNames:["a"], Verbs:["get" "list"]}'
