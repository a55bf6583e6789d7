"""Decisions follow roles and bindings as the watch cache shows them."""

from __future__ import annotations

from services.apiserver.requestinfo import RequestInfo, UserInfo
from shared.watchcache import HistoryLimits
from tests.unit.rbac_world import ALICE, BOB, RbacWorld, asks, binding, role, rule

GET = asks("get", "configmaps")
READER = role("reader", rule("get", "configmaps"))
READS = binding("reads", "reader", ("User", "alice"))


def test_a_cluster_role_binding_holds_everywhere() -> None:
    world = RbacWorld(READER, READS)
    assert world.may(ALICE, GET)
    assert world.may(ALICE, asks("get", "configmaps", namespace=""))
    assert not world.may(BOB, GET)


def test_a_role_binding_holds_in_its_namespace_alone() -> None:
    world = RbacWorld(READER, binding("reads", "reader", ("User", "alice"), namespace="ns"))
    assert world.may(ALICE, GET)
    assert not world.may(ALICE, asks("get", "configmaps", namespace="other"))
    assert not world.may(ALICE, asks("get", "configmaps", namespace=""))


def test_a_role_binding_takes_the_role_of_its_own_namespace() -> None:
    own = binding("own", "local", ("User", "alice"), namespace="ns", kind="Role")
    other = binding("other", "local", ("User", "alice"), namespace="two", kind="Role")
    world = RbacWorld(role("local", rule("get", "configmaps"), namespace="ns"), own, other)
    assert world.may(ALICE, GET)
    assert not world.may(ALICE, asks("get", "configmaps", namespace="two"))


def test_groups_and_service_accounts_are_subjects() -> None:
    robot = UserInfo("system:serviceaccount:ns:robot")
    world = RbacWorld(
        READER,
        binding("g", "reader", ("Group", "developers")),
        binding("s", "reader", ("ServiceAccount", "robot"), namespace="ns"),
    )
    assert world.may(ALICE, GET)
    assert not world.may(BOB, GET)
    assert world.may(robot, GET)
    assert not world.may(robot, asks("get", "configmaps", namespace="other"))


def test_a_path_is_allowed_by_cluster_role_bindings_alone() -> None:
    metrics = RequestInfo(False, "/metrics", "get")
    urls = role("urls", rule("get", urls="/metrics"))
    world = RbacWorld(urls, binding("b", "urls", ("User", "alice"), namespace="ns"))
    assert not world.may(ALICE, metrics)
    world.put(binding("b", "urls", ("User", "alice")))
    assert world.may(ALICE, metrics)


def test_decisions_follow_changes() -> None:
    world = RbacWorld()
    assert not world.may(ALICE, GET)
    world.put(READS)
    assert not world.may(ALICE, GET)
    world.put(READER)
    assert world.may(ALICE, GET)
    world.put(role("reader", rule("list", "configmaps")))
    assert not world.may(ALICE, GET)
    world.put(READER, binding("reads", "reader", ("User", "bob")))
    assert (world.may(ALICE, GET), world.may(BOB, GET)) == (False, True)
    world.drop(READS)
    assert not world.may(BOB, GET)


def test_a_deleted_role_grants_nothing() -> None:
    world = RbacWorld(READER, READS)
    assert world.may(ALICE, GET)
    world.drop(READER)
    decision = world.decision(ALICE, GET)
    assert not decision.allowed
    assert decision.reason == ('RBAC: clusterrole.rbac.authorization.k8s.io "reader" not found')


def test_a_binding_may_name_a_user_and_its_group() -> None:
    both = binding("both", "reader", ("Group", "developers"), ("User", "alice"))
    world = RbacWorld(READER, both)
    reason = world.decision(ALICE, GET).reason
    assert reason == (
        'RBAC: allowed by ClusterRoleBinding "both" of ClusterRole "reader" to Group "developers"'
    )
    assert world.rbac.rules_for(ALICE, "ns") == ([rule("get", "configmaps")], "")
    world.drop(both)
    assert not world.may(ALICE, GET)


def test_a_service_account_is_told_with_its_namespace() -> None:
    sa = ("ServiceAccount", "robot", "ns")
    world = RbacWorld(READER, binding("b", "reader", sa, namespace="ns"))
    reason = world.decision(UserInfo("system:serviceaccount:ns:robot"), GET).reason
    assert reason == (
        'RBAC: allowed by RoleBinding "b/ns" of ClusterRole "reader" to ServiceAccount "robot/ns"'
    )


def test_an_index_that_fell_behind_the_history_begins_anew() -> None:
    world = RbacWorld(READER, READS, limits=HistoryLimits(limit_events=2))
    assert world.may(ALICE, GET)
    world.drop(READS)
    world.put(*(binding(f"b{number}", "reader", ("User", "bob")) for number in range(5)))
    assert not world.may(ALICE, GET)
    assert world.may(BOB, GET)
