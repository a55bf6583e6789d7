"""Nobody gives away, by roles and bindings, what it does not have."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.hostile.objects import (
    ALL,
    CONFIG_MAPS,
    GROUP,
    RBAC,
    SECRETS,
    WRITE_RBAC,
    binding,
    right,
    role,
)
from tests.e2e.hostile.world import World


@pytest.mark.parametrize(
    "rule",
    [
        SECRETS,
        ALL,
        right("get", "*"),
        right("*", "configmaps"),
        right("get", "configmaps/status"),
        {**CONFIG_MAPS, "apiGroups": ["*"]},
        {"nonResourceURLs": ["*"], "verbs": ["get"]},
        right("impersonate", "users"),
        right("bind", "clusterroles", group=GROUP),
    ],
)
def test_roles_are_not_written_with_rights_their_author_lacks(
    world: World, rule: dict[str, Any]
) -> None:
    user = world.user_with(WRITE_RBAC, CONFIG_MAPS)
    roles, cluster_roles = f"{RBAC}/namespaces/ns/roles", f"{RBAC}/clusterroles"
    name = user.name
    assert user.may("POST", cluster_roles, role(name, CONFIG_MAPS))
    assert not user.may("POST", cluster_roles, role(f"{name}-more", rule))
    assert not user.may("PUT", f"{cluster_roles}/{name}", role(name, CONFIG_MAPS, rule))
    assert not user.may("PATCH", f"{cluster_roles}/{name}", {"rules": [rule]})
    if "nonResourceURLs" not in rule:
        assert not user.may("POST", roles, role(name, rule, kind="Role"))


def test_a_right_to_named_objects_is_none_to_all(world: World) -> None:
    user = world.user_with(WRITE_RBAC, right("get", "secrets", names="one"))
    path = f"{RBAC}/clusterroles"
    assert user.may("POST", path, role(f"{user.name}-a", right("get", "secrets", names="one")))
    assert not user.may("POST", path, role(f"{user.name}-b", right("get", "secrets")))
    assert not user.may(
        "POST", path, role(f"{user.name}-c", right("get", "secrets", names="one two"))
    )


@pytest.mark.parametrize("label", ["admin", "edit", "view"])
def test_aggregated_roles_are_not_fed_and_not_made(world: World, label: str) -> None:
    user = world.user_with(WRITE_RBAC, CONFIG_MAPS)
    labels = {f"{GROUP}/aggregate-to-{label}": "true"}
    fed = role(f"{user.name}-fed", SECRETS, metadata={"labels": labels})
    assert not user.may("POST", f"{RBAC}/clusterroles", fed)
    gathers = {"clusterRoleSelectors": [{"matchLabels": {"any": "thing"}}]}
    made = role(f"{user.name}-made", aggregationRule=gathers)
    assert not user.may("POST", f"{RBAC}/clusterroles", made)
    assert user.may("POST", f"{RBAC}/clusterroles", role(f"{user.name}-plain", CONFIG_MAPS))
    change = {"aggregationRule": gathers}
    assert not user.may("PATCH", f"{RBAC}/clusterroles/{user.name}-plain", change)


@pytest.mark.parametrize("verb", ["escalate", "bind"])
def test_escalate_and_bind_on_named_roles_reach_no_others(world: World, verb: str) -> None:
    limited = right(verb, "clusterroles", group=GROUP, names="view")
    user = world.user_with(WRITE_RBAC, limited)
    if verb == "escalate":
        # A new role has no name yet when the right is looked for.
        assert not user.may("POST", f"{RBAC}/clusterroles", role(f"{user.name}-new", SECRETS))
        assert not user.may("PATCH", f"{RBAC}/clusterroles/edit", {"rules": [ALL]})
        return
    mine = ("User", user.name)
    path = f"{RBAC}/namespaces/ns/rolebindings"
    allowed = binding(f"{user.name}-view", ("ClusterRole", "view"), mine, kind="RoleBinding")
    assert user.may("POST", path, allowed)
    for name in ("system:node", "system:aggregate-to-edit", "cluster-admin"):
        wanted = binding(f"{user.name}-{name}", ("ClusterRole", name), mine, kind="RoleBinding")
        assert not user.may("POST", path, wanted)


def test_nobody_binds_itself_to_what_it_does_not_have(world: World) -> None:
    user = world.user_with(WRITE_RBAC, CONFIG_MAPS)
    mine = ("User", user.name)
    for referred in ("cluster-admin", "system:aggregate-to-admin", "system:node", "not-there"):
        wanted = binding(f"{user.name}-{referred}", ("ClusterRole", referred), mine)
        answer = user.ask("POST", f"{RBAC}/clusterrolebindings", wanted)
        assert answer.status in (403, 404), answer.body
        in_namespace = {**wanted, "kind": "RoleBinding"}
        answer = user.ask("POST", f"{RBAC}/namespaces/ns/rolebindings", in_namespace)
        assert answer.status in (403, 404), answer.body


def test_a_binding_to_a_role_that_is_made_later_is_not_written(world: World) -> None:
    user = world.user_with(WRITE_RBAC)
    wanted = binding(f"{user.name}-early", ("ClusterRole", "not-there"), ("User", user.name))
    assert user.ask("POST", f"{RBAC}/clusterrolebindings", wanted).status == 404


def test_nobody_adds_itself_to_a_binding(world: World) -> None:
    user = world.user_with(WRITE_RBAC)
    path = f"{RBAC}/clusterrolebindings/cluster-admin"
    subject = {"apiGroup": GROUP, "kind": "User", "name": user.name}
    assert not user.may("PATCH", path, {"subjects": [subject]})
    present = world.admin.ask("GET", path).body
    assert not user.may("PUT", path, {**present, "subjects": [*present["subjects"], subject]})


def test_rights_in_one_namespace_bind_nothing_in_another(world: World) -> None:
    user = world.user_with(WRITE_RBAC, ALL, namespace="ns")
    mine = ("User", user.name)
    wanted = binding("mine", ("ClusterRole", "cluster-admin"), mine, kind="RoleBinding")
    assert not user.may("POST", f"{RBAC}/namespaces/other/rolebindings", wanted)
    cluster_wide = binding("mine", ("ClusterRole", "cluster-admin"), mine)
    assert not user.may("POST", f"{RBAC}/clusterrolebindings", cluster_wide)
    # "*" in a namespace covers what it holds, not the paths of the server.
    assert not user.may("GET", "/metrics")
