"""Nobody writes roles or bindings that give more than it has."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.apiserver.authorization import MastersMay
from services.apiserver.authorization.escalation import EscalationCheck
from services.apiserver.authorization.roleindex import GROUP
from services.apiserver.errors import Forbidden, NotFound
from services.apiserver.requestinfo import RequestInfo, UserInfo
from tests.unit.rbac_world import ALICE, KINDS, RbacWorld, binding, role, rule

NS = "ns"
HELD = rule("get list", "configmaps")


def world(*rules: dict[str, Any]) -> RbacWorld:
    """alice has `rules` everywhere; there are a weak and a strong Role."""
    return RbacWorld(
        role("alices", HELD, *rules),
        binding("alices", "alices", ("User", "alice")),
        role("weak", HELD, namespace=NS),
        role("strong", rule("get", "secrets"), namespace=NS),
        role("empty"),
    )


def write(
    given: RbacWorld,
    obj: dict[str, Any],
    old: dict[str, Any] | None = None,
    user: UserInfo = ALICE,
) -> None:
    meta = obj["metadata"]
    info = RequestInfo(
        True,
        "",
        "update" if old else "create",
        group=GROUP,
        version="v1",
        namespace=meta.get("namespace", ""),
        resource=KINDS[obj["kind"]],
        name=meta["name"] if old else "",
    )
    check = EscalationCheck((MastersMay(), given.rbac), given.rbac)
    asyncio.run(check.check(user, info, obj, old))


def to_bob(name: str, *, kind: str = "Role") -> dict[str, Any]:
    return binding("b", name, ("User", "bob"), namespace=NS, kind=kind)


def test_a_role_of_held_rights_is_fine() -> None:
    write(world(), role("r", rule("get", "configmaps", names="one"), namespace=NS))
    write(world(), role("r", namespace=NS))


def test_a_role_of_more_rights_is_refused_and_the_missing_ones_are_told() -> None:
    with pytest.raises(Forbidden) as refused:
        write(world(), role("r", rule("get delete watch", "configmaps"), namespace=NS))
    error = refused.value
    assert error.message == (
        'roles.rbac.authorization.k8s.io "r" is forbidden: user "alice" (groups=["developers" '
        '"system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n'
        '{APIGroups:[""], Resources:["configmaps"], Verbs:["delete" "watch"]}'
    )
    assert error.details == {"name": "r", "group": GROUP, "kind": "roles"}


def test_members_of_masters_and_who_may_escalate_are_not_asked() -> None:
    top = role("r", rule("*", "*", group="*"))
    write(world(), top, user=UserInfo("root", groups=("system:masters",)))
    write(world(rule("escalate", "clusterroles", group=GROUP)), top)


def test_escalate_on_a_named_role_covers_updates_of_it_alone() -> None:
    given = world(rule("escalate", "clusterroles", group=GROUP, names="r"))
    top = role("r", rule("*", "*", group="*"))
    with pytest.raises(Forbidden):
        write(given, top)
    write(given, top, old=role("r"))


def test_an_update_is_judged_by_the_whole_role() -> None:
    strong = role("r", rule("get", "secrets"))
    labelled = {**strong, "metadata": {"name": "r", "labels": {"a": "b"}}}
    with pytest.raises(Forbidden):
        write(world(), labelled, old=strong)


def test_finalizers_and_owners_of_a_strong_role_may_change() -> None:
    strong = role("r", rule("get", "secrets"))
    held = {**strong, "metadata": {"name": "r", "finalizers": ["example.com/hold"]}}
    write(world(), strong, old=held)


def test_an_aggregation_rule_needs_every_right() -> None:
    gathers = {**role("r"), "aggregationRule": {"clusterRoleSelectors": [{}]}}
    with pytest.raises(Forbidden):
        write(world(), gathers)
    with pytest.raises(Forbidden):
        write(world(), role("r"), old=gathers)
    write(world(rule("*", "*", group="*"), rule("*", urls="*")), gathers)


def test_a_role_of_held_rights_may_be_bound() -> None:
    write(world(), to_bob("weak"))
    write(world(), to_bob("empty", kind="ClusterRole"))


def test_a_stronger_role_may_not_be_bound_without_the_verb_bind() -> None:
    with pytest.raises(Forbidden) as refused:
        write(world(), to_bob("strong"))
    assert refused.value.details == {"name": "b", "group": GROUP, "kind": "rolebindings"}
    write(world(rule("bind", "roles", group=GROUP, names="strong")), to_bob("strong"))


def test_a_role_that_is_not_there_may_be_bound_with_the_verb_bind_alone() -> None:
    with pytest.raises(NotFound) as refused:
        write(world(), to_bob("unborn"))
    assert refused.value.details == {"name": "unborn", "group": GROUP, "kind": "rolebindings"}
    write(world(rule("bind", "roles", group=GROUP, names="unborn")), to_bob("unborn"))


def test_a_binding_is_judged_when_its_subjects_change() -> None:
    given = {**to_bob("strong"), "subjects": []}
    with pytest.raises(Forbidden):
        write(world(), to_bob("strong"), old=given)


def test_other_groups_are_not_judged() -> None:
    info = RequestInfo(True, "", "create", group="example.com", resource="roles")
    given = world()
    check = EscalationCheck((given.rbac,), given.rbac)
    asyncio.run(check.check(ALICE, info, role("r", rule("*", "*")), None))
