"""FlowSchemas and PriorityLevelConfigurations as flow control reads them.

Source: kube-apiserver v1.36.2, apiserver/pkg/util/flowcontrol/{rule.go,apf_controller.go}.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.apiserver.kinds.platform.flowschemas import MANDATORY_FLOW_SCHEMAS
from services.apiserver.kinds.platform.prioritylevels import MANDATORY_PRIORITY_LEVELS
from services.apiserver.registry.strategy import Object
from services.apiserver.requestinfo import RequestInfo, UserInfo

ACCOUNT_PREFIX = "system:serviceaccount:"
EVERY = "*"
EXEMPT = "exempt"
CATCH_ALL = "catch-all"


@dataclass(frozen=True, slots=True)
class Queuing:
    """How a level's requests wait: in how many queues, one flow in how many, how long each."""

    queues: int
    hand_size: int
    length_limit: int


@dataclass(frozen=True, slots=True)
class LevelConfig:
    """A PriorityLevelConfiguration. `queuing` None: what finds no seat is refused."""

    name: str
    uid: str
    exempt: bool
    shares: int
    lendable_percent: int
    borrowing_limit_percent: int | None
    """None: it may borrow as much as the server has."""
    queuing: Queuing | None


def level_config(obj: Object) -> LevelConfig | None:
    """Return what a PriorityLevelConfiguration says, None if its parts contradict each other."""
    meta, spec = obj["metadata"], obj.get("spec") or {}
    exempt = spec.get("type") == "Exempt"
    part = spec.get("exempt" if exempt else "limited")
    if part is None or exempt != (meta["name"] == EXEMPT):
        return None
    queuing = None
    if not exempt:
        response = part.get("limitResponse") or {}
        found = response.get("queuing")
        if (response.get("type") == "Queue") != (found is not None):
            return None
        if found is not None:
            queuing = Queuing(found["queues"], found["handSize"], found["queueLengthLimit"])
    return LevelConfig(
        meta["name"],
        meta.get("uid", ""),
        exempt,
        part.get("nominalConcurrencyShares") or 0,
        part.get("lendablePercent") or 0,
        part.get("borrowingLimitPercent"),
        queuing,
    )


@dataclass(frozen=True, slots=True)
class Subjects:
    """Whom a rule is about. "*" among the users or groups is everybody in any."""

    users: frozenset[str]
    groups: frozenset[str]
    account_prefixes: tuple[str, ...]
    """What the names of a namespace's service accounts begin with, where all are meant."""

    def include(self, user: UserInfo) -> bool:
        users, groups = self.users, self.groups
        return (
            user.name in users
            or EVERY in users
            or not groups.isdisjoint(user.groups)
            or EVERY in groups
            or user.name.startswith(self.account_prefixes)
        )


@dataclass(frozen=True, slots=True)
class ResourceRule:
    verbs: frozenset[str]
    groups: frozenset[str]
    resources: frozenset[str]
    namespaces: frozenset[str]
    cluster_scope: bool

    def covers(self, info: RequestInfo) -> bool:
        resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
        return (
            _has(self.verbs, info.verb)
            and _has(self.resources, resource)
            and _has(self.groups, info.group)
            and (_has(self.namespaces, info.namespace) if info.namespace else self.cluster_scope)
        )


@dataclass(frozen=True, slots=True)
class NonResourceRule:
    verbs: frozenset[str]
    paths: tuple[str, ...]

    def covers(self, info: RequestInfo) -> bool:
        if not _has(self.verbs, info.verb):
            return False
        for path in self.paths:
            if path in (EVERY, info.path):
                return True
            # Without a star, too: a path stands for all below it.
            if info.path.startswith(path.removesuffix("*").removesuffix("/") + "/"):
                return True
        return False


@dataclass(frozen=True, slots=True)
class Rule:
    subjects: Subjects
    resources: tuple[ResourceRule, ...]
    non_resources: tuple[NonResourceRule, ...]

    def covers(self, user: UserInfo, info: RequestInfo) -> bool:
        if not self.subjects.include(user):
            return False
        if info.is_resource_request:
            return any(rule.covers(info) for rule in self.resources)
        return any(rule.covers(info) for rule in self.non_resources)


@dataclass(frozen=True, slots=True)
class SchemaConfig:
    """A FlowSchema. `distinguisher` is ByUser, ByNamespace or "": all of it is one flow."""

    name: str
    uid: str
    level: str
    precedence: int
    distinguisher: str
    rules: tuple[Rule, ...]

    def covers(self, user: UserInfo, info: RequestInfo) -> bool:
        return any(rule.covers(user, info) for rule in self.rules)


def schema_config(obj: Object) -> SchemaConfig:
    meta, spec = obj["metadata"], obj["spec"]
    return SchemaConfig(
        meta["name"],
        meta.get("uid", ""),
        spec["priorityLevelConfiguration"]["name"],
        spec.get("matchingPrecedence", 0),
        (spec.get("distinguisherMethod") or {}).get("type", ""),
        tuple(_rule(one) for one in spec.get("rules") or ()),
    )


def in_matching_order(schemas: Sequence[SchemaConfig]) -> list[SchemaConfig]:
    """Return the schemas as they are asked, with the mandatory ones where they are missing."""
    ordered = sorted(schemas, key=lambda one: (one.precedence, one.name))
    names = {one.name for one in ordered}
    if EXEMPT not in names:
        ordered.insert(0, _mandatory_schema(EXEMPT))
    if CATCH_ALL not in names:
        ordered.append(_mandatory_schema(CATCH_ALL))
    return ordered


def mandatory_level(name: str) -> LevelConfig:
    """Return the level exempt or catch-all as it is even where no object says so."""
    level = level_config({"metadata": {"name": name}, "spec": MANDATORY_PRIORITY_LEVELS[name]})
    assert level is not None
    return level


def _mandatory_schema(name: str) -> SchemaConfig:
    return schema_config({"metadata": {"name": name}, "spec": MANDATORY_FLOW_SCHEMAS[name]})


def _rule(obj: dict[str, Any]) -> Rule:
    users: set[str] = set()
    groups: set[str] = set()
    prefixes: list[str] = []
    for subject in obj.get("subjects") or ():
        match subject["kind"]:
            case "User":
                users.add(subject["user"]["name"])
            case "Group":
                groups.add(subject["group"]["name"])
            case "ServiceAccount":
                account = subject["serviceAccount"]
                prefix = f"{ACCOUNT_PREFIX}{account['namespace']}:"
                if account["name"] == EVERY:
                    prefixes.append(prefix)
                else:
                    users.add(prefix + account["name"])
    return Rule(
        Subjects(frozenset(users), frozenset(groups), tuple(prefixes)),
        tuple(
            ResourceRule(
                frozenset(one.get("verbs") or ()),
                frozenset(one.get("apiGroups") or ()),
                frozenset(one.get("resources") or ()),
                frozenset(one.get("namespaces") or ()),
                bool(one.get("clusterScope")),
            )
            for one in obj.get("resourceRules") or ()
        ),
        tuple(
            NonResourceRule(
                frozenset(one.get("verbs") or ()), tuple(one.get("nonResourceURLs") or ())
            )
            for one in obj.get("nonResourceRules") or ()
        ),
    )


def _has(values: frozenset[str], value: str) -> bool:
    return EVERY in values or value in values
