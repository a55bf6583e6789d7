"""Authorizer: says that a user may, or may not, or has no opinion.

Source: kube-apiserver v1.36.2, apiserver/pkg/authorization/authorizer/interfaces.go,
.../authorization/union and .../authorizerfactory (builtin.go).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from services.apiserver.authorization.metrics import Decided
from services.apiserver.requestinfo import RequestInfo, UserInfo

MASTERS = "system:masters"


@dataclass(frozen=True, slots=True)
class Decision:
    """Neither `allowed` nor `denied` is «no opinion»: the next authorizer is asked.

    `reason` may be empty either way. `error` is what went wrong on the way to the decision, as
    when a webhook does not answer; "" for nothing.
    """

    allowed: bool
    reason: str = ""
    denied: bool = False
    error: str = ""


ALWAYS = Decision(True)
NO_OPINION = Decision(False)


class Authorizer(Protocol):
    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """Return whether `user` may do what `info` says; what goes wrong is in the decision."""
        ...


Rule = dict[str, Any]
"""A PolicyRule as decoded JSON: verbs, apiGroups, resources, resourceNames, nonResourceURLs."""
EVERYTHING: tuple[Rule, ...] = (
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["*"], "nonResourceURLs": ["*"]},
)


@dataclass(frozen=True, slots=True)
class UserRules:
    """What a user may, as far as it can be listed.

    `incomplete`: there may be other rights. `error` is "" where nothing went wrong.
    """

    rules: Sequence[Rule] = ()
    incomplete: bool = False
    error: str = ""


class RuleResolver(Protocol):
    async def user_rules(self, user: UserInfo, namespace: str) -> UserRules:
        """Return what `user` may in `namespace`."""
        ...


class ModeAuthorizer(Authorizer, RuleResolver, Protocol):
    """What a mode stands for: it decides, and lists what it can."""


class MastersMay:
    """Members of system:masters may do anything."""

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        return ALWAYS if MASTERS in user.groups else NO_OPINION


class AlwaysAllow:
    """--authorization-mode=AlwaysAllow: everybody may do anything."""

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        return ALWAYS

    async def user_rules(self, user: UserInfo, namespace: str) -> UserRules:
        return UserRules(EVERYTHING)


class AlwaysDeny:
    """--authorization-mode=AlwaysDeny: nobody may do anything that another does not allow."""

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        return Decision(False, "Everything is forbidden.")

    async def user_rules(self, user: UserInfo, namespace: str) -> UserRules:
        return UserRules()


class NamedAuthorizer:
    """An authorizer as the configuration has it, with the numbers of its name.

    `decide` counts: to do that in here, around the authorizer, would be another 0.3 us a
    request.
    """

    __slots__ = ("authorize", "authorizer", "decided", "user_rules")

    def __init__(self, authorizer: ModeAuthorizer, decided: Decided) -> None:
        self.authorizer = authorizer
        self.authorize = authorizer.authorize
        self.user_rules = authorizer.user_rules
        self.decided = decided

    def __repr__(self) -> str:
        return f"<NamedAuthorizer {self.authorizer!r}>"


async def decide(authorizers: Sequence[Authorizer], user: UserInfo, info: RequestInfo) -> Decision:
    """Return the first permission or denial; without one, the reasons and errors of all."""
    reasons: list[str] = []
    errors: list[str] = []
    for authorizer in authorizers:
        decision = await authorizer.authorize(user, info)
        if decision.allowed or decision.denied:
            if type(authorizer) is NamedAuthorizer:
                authorizer.decided[decision.allowed] += 1
            return decision
        if decision.reason:
            reasons.append(decision.reason)
        if decision.error:
            errors.append(decision.error)
    if not reasons and not errors:
        return NO_OPINION
    return Decision(False, "\n".join(reasons), error=aggregate(errors))


async def all_user_rules(
    resolvers: Sequence[RuleResolver], user: UserInfo, namespace: str
) -> UserRules:
    """Return the rules of all resolvers together."""
    found = [await one.user_rules(user, namespace) for one in resolvers]
    return UserRules(
        [rule for one in found for rule in one.rules],
        incomplete=any(one.incomplete for one in found),
        error=aggregate([one.error for one in found if one.error]),
    )


def aggregate(errors: Sequence[str]) -> str:
    """Return errors as one, in the form of Go's aggregates: [one, another]."""
    distinct = list(dict.fromkeys(errors))
    if len(distinct) < 2:
        return "".join(distinct)
    return f"[{', '.join(distinct)}]"
