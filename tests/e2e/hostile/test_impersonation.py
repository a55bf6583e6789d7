"""Nobody becomes somebody else without the right to be it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.hostile.objects import CONFIG_MAPS, right
from tests.e2e.hostile.world import World, impersonate

WHOAMI = ("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews")
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
AUTHENTICATION = "authentication.k8s.io"


@pytest.mark.parametrize(
    ("rules", "headers"),
    [
        ([], impersonate(User="admin")),
        ([], impersonate(User="mallory-0")),
        ([right("impersonate", "users", names="bob")], impersonate(User="admin")),
        ([right("impersonate", "users")], impersonate(User="x", Group="system:masters")),
        (
            [right("impersonate", "users"), right("impersonate", "groups", names="dev")],
            impersonate(User="x", Group="system:masters"),
        ),
        ([right("impersonate", "users")], impersonate(User="x", Uid="uid-admin")),
        ([right("impersonate", "users")], impersonate(User="x", Extra_scopes="all")),
        (
            [
                right("impersonate", "users"),
                right("impersonate", "userextras/scopes", group=AUTHENTICATION, names="view"),
            ],
            impersonate(User="x", Extra_scopes="all"),
        ),
        (
            [
                right("impersonate", "users"),
                right("impersonate", "userextras/scopes", group=AUTHENTICATION),
            ],
            impersonate(User="x", Extra_other="all"),
        ),
        (
            [right("impersonate", "users")],
            impersonate(User="system:serviceaccount:kube-system:namespace-controller"),
        ),
        ([right("impersonate", "groups")], impersonate(User="x", Group="system:masters")),
        (
            [right("impersonate:user-info", "users", group=AUTHENTICATION)],
            impersonate(User="admin"),
        ),
        (
            [right("impersonate:serviceaccount", "serviceaccounts", group=AUTHENTICATION)],
            impersonate(User="system:node:n1"),
        ),
    ],
)
def test_nobody_becomes_whom_it_may_not(
    world: World, rules: list[dict[str, Any]], headers: list[tuple[str, str]]
) -> None:
    user = world.user_with(*rules)
    assert user.ask(*WHOAMI, REVIEW, *headers).status == 403


def test_a_namespaced_right_to_accounts_reaches_no_other_namespace(world: World) -> None:
    user = world.user_with(right("impersonate", "serviceaccounts"), namespace="ns")
    own, other = (f"system:serviceaccount:{one}:robot" for one in ("ns", "other"))
    assert user.ask(*WHOAMI, REVIEW, *impersonate(User=own)).status == 201
    assert user.ask(*WHOAMI, REVIEW, *impersonate(User=other)).status == 403


def test_constrained_impersonation_never_gives_masters(world: World) -> None:
    constrained = right("impersonate:user-info", "users", "groups", group=AUTHENTICATION)
    target = right("impersonate-on:user-info:create", "selfsubjectreviews", group=AUTHENTICATION)
    user = world.user_with(constrained, target)
    assert user.ask(*WHOAMI, REVIEW, *impersonate(User="x", Group="dev")).status == 201
    answer = user.ask(*WHOAMI, REVIEW, *impersonate(User="x", Group="system:masters"))
    assert answer.status == 403
    # What it may do as another is limited to what it was given for that.
    assert not user.may("GET", "/api/v1/nodes", None, *impersonate(User="admin"))


def test_parts_of_a_user_without_a_name_become_nobody(world: World) -> None:
    user = world.user_with(right("impersonate", "users", "groups"))
    answer = user.ask(*WHOAMI, REVIEW, *impersonate(Group="system:masters"))
    assert answer.status in (400, 500)
    for name in ("X-Remote-User", "X-Remote-Group"):
        answer = user.ask(*WHOAMI, REVIEW, (name, "system:masters"))
        assert answer.body["status"]["userInfo"]["username"] == user.name


def test_the_rights_of_the_impersonator_do_not_follow_it(world: World) -> None:
    user = world.user_with(right("impersonate", "users", names="nobody"), CONFIG_MAPS)
    path = "/api/v1/namespaces/ns/configmaps"
    assert user.may("GET", path)
    assert not user.may("GET", path, None, *impersonate(User="nobody"))
