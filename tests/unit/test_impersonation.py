"""Whom the Impersonate headers name, and who may."""

from __future__ import annotations

import asyncio

import pytest

from services.apiserver.authorization import MastersMay
from services.apiserver.errors import BadRequest, Forbidden
from services.apiserver.requestinfo import UserInfo
from services.apiserver.stages.impersonation import impersonated, wanted_user
from tests.unit.rbac_world import ALICE, RbacWorld, asks, binding, role, rule

MASTER = UserInfo("admin", groups=("system:masters", "system:authenticated"))
AUTHENTICATION = "authentication.k8s.io"
GET = asks("get", "configmaps")


def become(
    user: UserInfo, *headers: tuple[str, str], rules: tuple[dict[str, object], ...] = ()
) -> UserInfo:
    """Return whom `user`, who has `rules`, becomes by the headers after "impersonate-"."""
    world = RbacWorld(role("r", *rules), binding("b", "r", ("User", "alice")))
    wanted = wanted_user(
        [(f"impersonate-{name}".encode(), text.encode()) for name, text in headers]
    )
    assert wanted is not None
    return asyncio.run(impersonated((MastersMay(), world.rbac), user, GET, wanted))


@pytest.mark.parametrize(
    ("headers", "groups"),
    [
        ([], ["system:authenticated"]),
        ([("group", "a"), ("group", "b")], ["a", "b", "system:authenticated"]),
        ([("group", "system:authenticated")], ["system:authenticated"]),
        ([("group", "system:unauthenticated")], ["system:unauthenticated"]),
        ([("group", "system:masters")], ["system:masters", "system:authenticated"]),
    ],
)
def test_the_groups_of_an_impersonated_user(
    headers: list[tuple[str, str]], groups: list[str]
) -> None:
    assert become(MASTER, ("user", "zed"), *headers) == UserInfo("zed", groups=tuple(groups))


def test_anonymous_nodes_and_service_accounts_have_their_groups() -> None:
    assert become(MASTER, ("user", "system:anonymous")).groups == ("system:unauthenticated",)
    node = become(MASTER, ("user", "system:node:n"))
    assert node.groups == ("system:nodes", "system:authenticated")
    account = become(MASTER, ("user", "system:serviceaccount:ns:robot"))
    assert account.groups == (
        "system:serviceaccounts",
        "system:serviceaccounts:ns",
        "system:authenticated",
    )


def test_extra_keys_are_unescaped_and_values_are_not() -> None:
    user = become(MASTER, ("user", "zed"), ("extra-a.b%2fc", "one%20two"), ("extra-a.b%2fc", "x"))
    assert user.extra == (("a.b/c", ("one%20two", "x")),)


@pytest.mark.parametrize("name", ["group", "uid", "extra-scopes"])
def test_parts_of_a_user_without_a_name_are_a_bad_request(name: str) -> None:
    with pytest.raises(BadRequest):
        wanted_user([(f"impersonate-{name}".encode(), b"x")])


def test_an_empty_name_impersonates_nobody() -> None:
    assert wanted_user([(b"impersonate-user", b""), (b"accept", b"*/*")]) is None


def test_the_legacy_verb_is_asked_for_every_part() -> None:
    rules = (
        rule("impersonate", "users", names="zed"),
        rule("impersonate", "groups", names="ops"),
        rule("impersonate", "userextras/scopes", group=AUTHENTICATION, names="view"),
    )
    scopes = ("extra-scopes", "view")
    assert become(ALICE, ("user", "zed"), ("group", "ops"), scopes, rules=rules).name == "zed"
    for refused in (("group", "dev"), ("uid", "u"), ("extra-scopes", "edit"), ("extra-x", "view")):
        with pytest.raises(Forbidden):
            become(ALICE, ("user", "zed"), refused, rules=rules)
    with pytest.raises(Forbidden):
        become(ALICE, ("user", "other"), rules=rules)


def test_the_constrained_verbs_are_asked_for_the_user_and_for_the_target() -> None:
    identity = rule("impersonate:user-info", "users", group=AUTHENTICATION, names="zed")
    action = rule("impersonate-on:user-info:get", "configmaps")
    assert become(ALICE, ("user", "zed"), rules=(identity, action)).name == "zed"
    for rules in ((identity,), (action,)):
        with pytest.raises(Forbidden):
            become(ALICE, ("user", "zed"), rules=rules)


def test_a_refusal_is_about_the_target() -> None:
    with pytest.raises(Forbidden) as refused:
        become(ALICE, ("user", "zed"))
    assert refused.value.details == {"kind": "configmaps"}
    assert "cannot impersonate-on:user-info:get resource" in refused.value.message
