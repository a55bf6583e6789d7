"""Authorizers in order, the modes of the flags, and their start-up mistakes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from services.apiserver.authorization import (
    AlwaysAllow,
    AlwaysDeny,
    Authorizer,
    Decision,
    MastersMay,
    NamedAuthorizer,
    UserRules,
    all_user_rules,
    decide,
)
from services.apiserver.errors import InternalError, NotAuthorized
from services.apiserver.handlers.reviews import attributes_of, evaluation_error
from services.apiserver.options import ApiServerOptions, OptionsError
from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.apiserver.stages.authorization import authorize
from services.apiserver.stages.resolve import request_info
from services.apiserver.startup.authorizers import authorization
from tests.unit.rbac_world import ALICE, asks

GET = asks("get", "configmaps", name="c")
KUBECONFIG = """
current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {server: "http://127.0.0.1:1/"}}]
users: [{name: u, user: {}}]
"""


class Says:
    """An authorizer that always decides the same."""

    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        self.asked = 0

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        self.asked += 1
        return self.decision

    async def user_rules(self, user: UserInfo, namespace: str) -> UserRules:
        return UserRules(error=self.decision.error)


def decided(*authorizers: Authorizer) -> Decision:
    return asyncio.run(decide(authorizers, ALICE, GET))


NOTHING = Decision(False)


def test_the_first_permission_or_denial_ends_the_question() -> None:
    last = Says(Decision(True))
    assert decided(Says(NOTHING), Says(Decision(False, "no", denied=True)), last).denied
    assert not last.asked
    assert decided(Says(Decision(False, "hm")), last).allowed


def test_without_one_all_reasons_are_told_and_each_error_once() -> None:
    said = [Decision(False, "a", error="x"), Decision(False, "b", error="y"), Decision(False)]
    decision = decided(*map(Says, said), Says(Decision(False, error="x")))
    assert decision == Decision(False, "a\nb", error="[x, y]")


def test_an_error_is_a_500_only_where_nobody_allows() -> None:
    def run(*said: Decision) -> Decision:
        return asyncio.run(authorize([Says(one) for one in said], ALICE, GET))

    broken = Decision(False, error="no answer")
    assert run(broken, Decision(True)).allowed
    with pytest.raises(InternalError, match="no answer"):
        run(broken)
    with pytest.raises(NotAuthorized, match="because"):
        run(Decision(False, "because", denied=True))


def test_always_allow_and_always_deny() -> None:
    assert decided(AlwaysAllow()).allowed
    assert decided(AlwaysDeny()) == Decision(False, "Everything is forbidden.")
    assert not decided(AlwaysDeny()).denied


def test_rules_of_all_resolvers_are_listed_together() -> None:
    broken = Says(Decision(False, error="not supported"))
    found = asyncio.run(all_user_rules([AlwaysAllow(), broken], ALICE, "ns"))
    assert len(found.rules) == 2
    assert (found.incomplete, found.error) == (False, "not supported")


def options(*flags: str) -> ApiServerOptions:
    return ApiServerOptions.from_argv(flags)


class NoRegistry:
    """The objects of roles and pods, of which there are none."""

    def stored(self, group: str, resource: str) -> Any:
        return self

    cache = None
    decode = None


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("RBAC", ["RbacAuthorizer"]),
        ("Node,RBAC", ["NodeAuthorizer", "RbacAuthorizer"]),
        ("AlwaysAllow", ["AlwaysAllow"]),
        ("Webhook,AlwaysDeny", ["WebhookAuthorizer", "AlwaysDeny"]),
        ("ABAC,Node", ["AbacAuthorizer", "NodeAuthorizer"]),
    ],
)
def test_a_mode_is_an_authorizer(
    mode: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "k").write_text(KUBECONFIG)
    (tmp_path / "p").write_text("")
    flags = [f"--authorization-mode={mode}"]
    flags += [f"--authorization-webhook-config-file={tmp_path}/k"] if "Webhook" in mode else []
    flags += [f"--authorization-policy-file={tmp_path}/p"] if "ABAC" in mode else []
    monkeypatch.setattr("services.apiserver.startup.authorizers.role_index", lambda registry: None)
    monkeypatch.setattr("services.apiserver.startup.authorizers.node_graph", lambda registry: None)
    found = authorization(options(*flags), NoRegistry())  # type: ignore[arg-type]
    assert type(found.authorizers[0]) is MastersMay
    named = [one for one in found.authorizers[1:] if isinstance(one, NamedAuthorizer)]
    assert [type(one.authorizer).__name__ for one in named] == expected


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--authorization-mode=Magic"], "'Magic' is not one of"),
        (["--authorization-mode="], "'' is not one of"),
        (["--authorization-mode=RBAC,RBAC"], "RBAC is given more than once"),
        (["--authorization-mode=ABAC"], "needs --authorization-policy-file"),
        (["--authorization-mode=Webhook"], "needs --authorization-webhook-config-file"),
        (["--authorization-policy-file=FILE"], "needs --authorization-mode=ABAC"),
        (["--authorization-webhook-config-file=FILE"], "needs --authorization-mode=Webhook"),
        (["--authorization-webhook-version=v2"], "'v2' is not v1 or v1beta1"),
        (["--authorization-webhook-cache-authorized-ttl=soon"], "is not a duration"),
        (["--authorization-config=FILE", "--authorization-mode=RBAC"], "exclude each other"),
        (["--authorization-config=NONE"], "no such file"),
    ],
)
def test_flags_that_do_not_go_together_are_told(
    flags: list[str], told: str, tmp_path: Path
) -> None:
    (tmp_path / "f").write_text("")
    named = [one.replace("FILE", f"{tmp_path}/f") for one in flags]
    with pytest.raises(OptionsError, match=told):
        options(*named)


@pytest.mark.parametrize(
    ("flags", "content", "told"),
    [
        (
            ["--authorization-mode=ABAC", "--authorization-policy-file=FILE"],
            "{}\n{",
            "--authorization-policy-file: .*line 2",
        ),
        (
            ["--authorization-mode=Webhook", "--authorization-webhook-config-file=FILE"],
            "{}",
            "--authorization-webhook-config-file: .*no context",
        ),
        (["--authorization-config=FILE"], "{}", "--authorization-config: .*expected kind"),
    ],
)
def test_a_file_that_can_not_be_used_is_told_by_its_flag(
    flags: list[str],
    content: str,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "f").write_text(content)
    monkeypatch.setattr("services.apiserver.startup.authorizers.role_index", lambda registry: None)
    named = [one.replace("FILE", f"{tmp_path}/f") for one in flags]
    with pytest.raises(OptionsError, match=told):
        authorization(options(*named), NoRegistry())  # type: ignore[arg-type]


def review(**selectors: Any) -> RequestInfo:
    about = {"verb": "list", "resource": "pods", **selectors}
    return attributes_of({"resourceAttributes": about})


def test_a_reviews_selectors_are_those_of_a_request() -> None:
    info = review(
        fieldSelector={
            "requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["n"]}]
        },
        labelSelector={"rawSelector": "a in (b,c),!d"},
    )
    assert info.selectors is not None
    assert [str(one) for one in info.selectors.fields()[0]] == ["spec.nodeName=n"]
    assert [str(one) for one in info.selectors.labels()[0]] == ["a in (b,c)", "!d"]
    assert evaluation_error(NOTHING, info) == ""


def test_what_is_not_understood_of_a_selector_is_told_and_the_rest_counts() -> None:
    two = {"key": "b", "operator": "In", "values": ["1", "2"]}
    one = {"key": "a", "operator": "NotIn", "values": ["1"]}
    info = review(
        fieldSelector={"requirements": [two, one]},
        labelSelector={"requirements": [{"key": "a", "operator": "Newer"}]},
    )
    assert info.selectors is not None
    assert [str(one) for one in info.selectors.fields()[0]] == ["a!=1"]
    assert evaluation_error(Decision(False, error="broken"), info) == (
        "broken; spec.resourceAttributes.fieldSelector partially ignored due to parse error; "
        "spec.resourceAttributes.labelSelector ignored due to parse error"
    )


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/api/v1/pods", ["a=b"]),
        ("DELETE", "/api/v1/namespaces/ns/pods", ["a=b"]),
        ("GET", "/api/v1/namespaces/ns/pods/p", None),
        ("POST", "/api/v1/namespaces/ns/pods", None),
        ("GET", "/api/v1/watch/pods", None),
        ("GET", "/version", None),
    ],
)
def test_only_requests_that_select_have_selectors(
    method: str, path: str, expected: list[str] | None
) -> None:
    info = request_info(method, path, {"labelSelector": ["a=b", "c=d"]})
    found = None if info.selectors is None else [str(one) for one in info.selectors.labels()[0]]
    assert found == expected
    assert request_info(method, path, {}).selectors is None
