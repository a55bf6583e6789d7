"""The bootstrap policy, and the repair of what is left of it."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.authentication.users import ANONYMOUS
from services.apiserver.authorization.bootstrappolicy import (
    AUTOUPDATE,
    bootstrap_policy,
    is_replaced,
    repaired,
)
from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.controllers.clusterroleaggregation import aggregated_rules
from tests.unit.rbac_world import BOB, RbacWorld, asks, rule

POLICY = [obj for _, obj in bootstrap_policy()]
MASTER = UserInfo("root", groups=("system:masters",))


def of(kind: str, name: str) -> dict[str, Any]:
    return next(one for one in POLICY if (one["kind"], one["metadata"]["name"]) == (kind, name))


@pytest.fixture(scope="module")
def fresh() -> RbacWorld:
    return RbacWorld(*POLICY)


@pytest.mark.parametrize(
    ("user", "path", "allowed"),
    [
        (ANONYMOUS, "/healthz", True),
        (ANONYMOUS, "/version", True),
        (ANONYMOUS, "/healthz/ping", False),
        (ANONYMOUS, "/api", False),
        (BOB, "/api", True),
        (BOB, "/apis/apps/v1", True),
        (BOB, "/openapi/v3", True),
        (BOB, "/metrics", False),
        (MASTER, "/metrics", True),
    ],
)
def test_a_new_cluster_opens_these_paths(
    fresh: RbacWorld, user: UserInfo, path: str, allowed: bool
) -> None:
    assert fresh.may(user, RequestInfo(False, path, "get")) is allowed


def test_components_have_the_rights_they_work_with(fresh: RbacWorld) -> None:
    scheduler = UserInfo("system:kube-scheduler")
    assert fresh.may(scheduler, asks("create", "pods/binding"))
    assert not fresh.may(scheduler, asks("delete", "secrets"))
    controller = UserInfo("system:serviceaccount:kube-system:replicaset-controller")
    assert fresh.may(controller, asks("create", "pods"))


def test_what_is_complete_is_not_repaired() -> None:
    for obj in POLICY:
        assert repaired(obj, obj) == obj


def test_missing_rules_labels_and_subjects_come_back_and_others_stay() -> None:
    wanted = of("ClusterRole", "system:basic-user")
    own = rule("get", "pods")
    present = {**wanted, "metadata": {"name": "system:basic-user"}, "rules": [own]}
    after = repaired(present, wanted)
    assert after["rules"][0] == own
    assert after["metadata"]["labels"] == wanted["metadata"]["labels"]
    assert repaired(after, wanted) == after
    bound = of("ClusterRoleBinding", "system:discovery")
    other = {"kind": "User", "name": "anna", "apiGroup": "rbac.authorization.k8s.io"}
    subjects = repaired({**bound, "subjects": [other]}, bound)["subjects"]
    assert subjects == [other, *bound["subjects"]]


def test_who_turns_autoupdate_off_is_left_alone() -> None:
    wanted = of("ClusterRoleBinding", "system:discovery")
    meta = {**wanted["metadata"], "annotations": {AUTOUPDATE: "false"}}
    present = {**wanted, "metadata": meta, "subjects": [], "roleRef": {"name": "other"}}
    assert repaired(present, wanted) == present
    assert not is_replaced(present, wanted)


def test_a_binding_to_another_role_is_replaced() -> None:
    wanted = of("ClusterRoleBinding", "system:discovery")
    assert is_replaced({**wanted, "roleRef": {"name": "other"}}, wanted)
    assert not is_replaced(wanted, wanted)


def test_an_aggregated_role_gathers_the_rules_of_the_roles_it_selects() -> None:
    roles = [one for one in POLICY if one["kind"] == "ClusterRole"]
    view = of("ClusterRole", "view")
    assert aggregated_rules(view, roles) == of("ClusterRole", "system:aggregate-to-view")["rules"]
    # edit takes view too, once that is filled in.
    filled = {**view, "rules": aggregated_rules(view, roles)}
    others = [one for one in roles if one is not view]
    rules = aggregated_rules(of("ClusterRole", "edit"), [*others, filled])
    assert rules == (of("ClusterRole", "system:aggregate-to-edit")["rules"] + filled["rules"])
