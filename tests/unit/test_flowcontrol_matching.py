"""Which FlowSchema takes a request, and what of its flow."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.flowcontrol import PriorityLevels
from services.apiserver.flowcontrol.config import level_config, schema_config
from services.apiserver.kinds.platform.flowcontrolbootstrap import flow_control_objects
from services.apiserver.requestinfo import RequestInfo, UserInfo
from tests.unit.flowtools import account, group, level, schema, user

AUTHENTICATED = "system:authenticated"


def configured(*objects: dict[str, Any]) -> PriorityLevels:
    levels = PriorityLevels(600)
    configure(levels, *objects)
    return levels


def configure(levels: PriorityLevels, *objects: dict[str, Any]) -> None:
    found = [level_config(one) for one in objects if "type" in one["spec"]]
    levels.configure(
        [one for one in found if one is not None],
        [schema_config(one) for one in objects if "matchingPrecedence" in one["spec"]],
    )


DEFAULTS = configured(*(obj for _, obj in flow_control_objects()))


def resource(verb: str, text: str, namespace: str = "") -> RequestInfo:
    """`text`: [GROUP/]RESOURCE[:SUBRESOURCE]."""
    group, _, name = text.rpartition("/")
    name, _, subresource = name.partition(":")
    return RequestInfo(
        True, "/", verb, group=group, resource=name, subresource=subresource, namespace=namespace
    )


def path(verb: str, url: str) -> RequestInfo:
    return RequestInfo(False, url, verb)


def service_account(name: str) -> UserInfo:
    namespace = name.partition(":")[0]
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
    return UserInfo(f"system:serviceaccount:{name}", groups=groups)


ALICE = UserInfo("alice", groups=("developers", AUTHENTICATED))
MASTER = UserInfo("admin", groups=("system:masters", AUTHENTICATED))
NOBODY = UserInfo("system:anonymous", groups=("system:unauthenticated",))
NODE = UserInfo("system:node:a", groups=("system:nodes", AUTHENTICATED))
MANAGER = UserInfo("system:kube-controller-manager", groups=(AUTHENTICATED,))
LEASES = "coordination.k8s.io/leases"


@pytest.mark.parametrize(
    ("who", "info", "expected"),
    [
        (MASTER, resource("list", "pods"), "exempt"),
        (MASTER, path("get", "/version"), "exempt"),
        (NOBODY, path("get", "/readyz"), "probes"),
        (NOBODY, path("get", "/readyz/etcd"), "probes"),
        (NOBODY, path("get", "/readyzz"), "global-default"),
        (NOBODY, path("post", "/readyz"), "global-default"),
        (MANAGER, resource("update", LEASES, "kube-system"), "system-leader-election"),
        (MANAGER, resource("list", LEASES, "kube-system"), "kube-controller-manager"),
        (MANAGER, resource("update", "endpoints", "a"), "endpoint-controller"),
        (MANAGER, resource("delete", "endpoints", "a"), "kube-controller-manager"),
        (
            service_account("kube-system:endpoint-controller"),
            resource("create", "endpoints", "a"),
            "endpoint-controller",
        ),
        (
            service_account("kube-system:other"),
            resource("create", "endpoints", "a"),
            "workload-leader-election",
        ),
        (
            service_account("kube-system:other"),
            resource("get", LEASES, "kube-system"),
            "system-leader-election",
        ),
        (
            service_account("kube-system:other"),
            resource("get", "pods", "a"),
            "kube-system-service-accounts",
        ),
        (service_account("kube-systems:other"), resource("get", LEASES, "a"), "service-accounts"),
        (NODE, resource("update", "nodes"), "system-node-high"),
        (NODE, resource("patch", "nodes:status"), "system-node-high"),
        (NODE, resource("get", "nodes:proxy"), "system-nodes"),
        (NODE, resource("get", LEASES), "system-nodes"),
        (ALICE, resource("get", "pods", "a"), "global-default"),
        (ALICE, resource("get", "pods:log", "a"), "global-default"),
        (UserInfo("odd"), resource("get", "pods", "a"), "catch-all"),
    ],
)
def test_the_default_schemas(who: UserInfo, info: RequestInfo, expected: str) -> None:
    assert DEFAULTS.route(who, info).schema.name == expected
    assert DEFAULTS.route(who, info).schema.name == expected  # from the cache, too


@pytest.mark.parametrize(
    ("one", "info", "takes"),
    [
        ({"verbs": ["get"]}, resource("get", "pods", "a"), True),
        ({"verbs": ["get"]}, resource("list", "pods", "a"), False),
        ({"apiGroups": [""]}, resource("get", "apps/deployments", "a"), False),
        ({"resources": ["pods"]}, resource("get", "pods:status", "a"), False),
        ({"resources": ["pods/status"]}, resource("get", "pods:status", "a"), True),
        ({"resources": ["*"]}, resource("get", "pods:status", "a"), True),
        ({"namespaces": ["a"]}, resource("get", "pods", "a"), True),
        ({"namespaces": ["a"]}, resource("get", "pods", "b"), False),
        ({"clusterScope": False}, resource("list", "pods"), False),
        ({"namespaces": []}, resource("list", "pods"), True),
        ({}, path("get", "/api"), False),
    ],
)
def test_a_resource_rule(one: dict[str, Any], info: RequestInfo, takes: bool) -> None:
    every = {
        "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"],
        "clusterScope": True,
    }  # fmt: skip
    levels = configured(level("l"), schema("s", "l", 5, user("*"), resources=[every | one]))
    assert (levels.route(ALICE, info).schema.name == "s") is takes


@pytest.mark.parametrize(
    ("url", "asked", "takes"),
    [
        ("*", "/anything", True),
        ("/apis", "/apis", True),
        ("/apis", "/apis/apps", True),
        ("/apis", "/apiservices", False),
        ("/apis/*", "/apis/apps", True),
        ("/apis/*", "/apis", False),
    ],
)
def test_a_rule_for_other_paths(url: str, asked: str, takes: bool) -> None:
    rule = {"verbs": ["get"], "nonResourceURLs": [url]}
    levels = configured(level("l"), schema("s", "l", 5, user("*"), urls=[rule]))
    assert (levels.route(ALICE, path("get", asked)).schema.name == "s") is takes


@pytest.mark.parametrize(
    ("subject", "who", "takes"),
    [
        (user("alice"), ALICE, True),
        (user("bob"), ALICE, False),
        (user("*"), NOBODY, True),
        (group("developers"), ALICE, True),
        (group("developers"), NODE, False),
        (group("*"), UserInfo("of no group"), True),
        (account("a", "b"), service_account("a:b"), True),
        (account("a", "b"), service_account("a:c"), False),
        (account("a", "*"), service_account("a:c"), True),
        (account("a", "*"), service_account("aa:c"), False),
    ],
)
def test_a_subject(subject: dict[str, Any], who: UserInfo, takes: bool) -> None:
    levels = configured(level("l"), schema("s", "l", 5, subject))
    assert (levels.route(who, resource("get", "pods", "a")).schema.name == "s") is takes


def test_the_lower_precedence_comes_first_and_then_the_name() -> None:
    levels = configured(
        level("l"),
        schema("late", "l", 6, user("alice")),
        schema("b", "l", 5, user("alice")),
        schema("a", "l", 5, user("alice")),
    )
    assert [one.schema.name for one in levels.routes] == ["exempt", "a", "b", "late", "catch-all"]
    assert levels.route(ALICE, resource("get", "pods", "a")).schema.name == "a"


def test_a_schema_of_a_level_that_is_not_there_takes_nothing() -> None:
    levels = configured(schema("s", "gone", 5, user("*")))
    assert levels.route(ALICE, resource("get", "pods", "a")).schema.name == "catch-all"


def test_users_and_namespaces_that_no_rule_names_share_what_is_remembered() -> None:
    levels = configured(*(obj for _, obj in flow_control_objects()))
    for number in range(100):
        who = UserInfo(f"user {number}", groups=(AUTHENTICATED,))
        levels.route(who, resource("get", "pods", f"namespace {number}"))
    assert len(levels._routes) == 1


def test_what_is_remembered_is_bounded_and_forgotten_with_the_configuration() -> None:
    levels = configured(level("l"), schema("s", "l", 5, user("alice")))
    for number in range(5000):
        levels.route(NOBODY, path("get", f"/{number}"))
    assert len(levels._routes) <= 4096
    info = resource("get", "pods", "a")
    assert levels.route(ALICE, info).schema.name == "s"
    configure(levels)
    assert levels.route(ALICE, info).schema.name == "catch-all"


def test_flows_differ_by_what_the_schema_says() -> None:
    levels = configured(
        level("l", queues=64, hand=4),
        schema("by user", "l", 5, user("alice"), method="ByUser"),
        schema("by namespace", "l", 5, user("bob"), method="ByNamespace"),
        schema("all one", "l", 5, user("carol")),
    )
    routes = {one.schema.name: one for one in levels.routes}
    assert (routes["by user"].by_user, routes["by user"].by_namespace) == (True, False)
    assert (routes["by namespace"].by_user, routes["by namespace"].by_namespace) == (False, True)
    assert (routes["all one"].by_user, routes["all one"].by_namespace) == (False, False)
    hands = {routes["by user"].hand(name) for name in ("alice", "bob", "carol", "dave")}
    assert len(hands) == 4
    assert all(len(set(hand)) == 4 for hand in hands)


def test_a_level_whose_parts_contradict_each_other_counts_for_none() -> None:
    odd = level("odd")
    odd["spec"]["limited"]["limitResponse"] = {"type": "Queue"}
    exempt = {"metadata": {"name": "other"}, "spec": {"type": "Exempt", "exempt": {}}}
    assert level_config(odd) is None
    assert level_config(exempt) is None
    assert level_config({"metadata": {"name": "a"}, "spec": {"type": "Limited"}}) is None
