"""Decisions follow roles and bindings as the watch cache shows them."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.apiserver.authorization import NO_OPINION, Decision
from services.apiserver.authorization.roleindex import GROUP
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


def test_names_are_asked_of_every_request() -> None:
    """What is remembered is about all objects; which of them are meant is not."""
    some = role("some", rule("get", "configmaps", names="a b"), rule("get", "secrets", names="s"))
    world = RbacWorld(some, binding("x", "some", ("User", "alice"), namespace="ns"))
    answers = [world.may(ALICE, asks("get", "configmaps", name=name)) for name in "acbs"]
    assert answers == [True, False, True, False]


def test_of_very_long_names_nothing_is_remembered() -> None:
    """Anybody may ask for resources of any name: a megabyte each would fill the memory."""
    world = RbacWorld(READER, READS)
    assert not world.may(BOB, asks("get", "x" * 100_000))
    in_many = UserInfo("carol", groups=("x" * 100_000,))
    assert not world.may(in_many, GET)
    assert not world.may(BOB, GET)
    assert "remembers 1 kinds" in repr(world.rbac)


RULES = st.builds(
    lambda verb, resource, names: rule(verb, resource, **({"names": names} if names else {})),
    st.sampled_from(["get", "list", "*"]),
    st.sampled_from(["configmaps", "configmaps/status", "*/status", "*"]),
    st.sampled_from(["", "a", "a b"]),
)
BOUND = st.lists(
    st.tuples(
        st.lists(RULES, max_size=2),
        st.sampled_from([("User", "alice"), ("Group", "developers"), ("User", "bob")]),
        st.sampled_from(["", "ns"]),
        st.booleans(),  # whether the role is there
    ),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(BOUND)
def test_what_is_remembered_is_what_the_bindings_say(
    bound: list[tuple[list[dict[str, Any]], tuple[str, str], str, bool]],
) -> None:
    world = RbacWorld()
    for number, (rules, subject, namespace, is_there) in enumerate(bound):
        if is_there:
            world.put(role(f"r{number}", *rules))
        world.put(binding(f"b{number}", f"r{number}", subject, namespace=namespace))
        for resource in ("configmaps", "configmaps/status"):
            for name in ("", "a", "b"):
                asked = asks("get", resource, name=name)
                for user in (ALICE, BOB, ALICE):
                    assert world.decision(user, asked) == walked(world, user, asked)


def walked(world: RbacWorld, user: UserInfo, info: RequestInfo) -> Decision:
    """Decide without remembering anything."""
    missing: dict[str, None] = {}
    for found, rules in world.index.bindings(user, info.namespace):
        if rules is None:
            missing[f'{found.role_kind.lower()}.{GROUP} "{found.role_name}" not found'] = None
        elif rules.allows(info):
            return found.permission_for(user)
    if not missing:
        return NO_OPINION
    told = ", ".join(missing)
    return Decision(False, f"RBAC: {told}" if len(missing) == 1 else f"RBAC: [{told}]")
