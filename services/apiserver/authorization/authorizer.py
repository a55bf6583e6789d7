"""Authorizer: says that a user may, or has no opinion.

Source: kube-apiserver v1.36.2, apiserver/pkg/authorization/authorizer/interfaces.go,
.../authorization/union and .../authorizerfactory (privileged groups).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.apiserver.requestinfo import RequestInfo, UserInfo

MASTERS = "system:masters"


@dataclass(frozen=True, slots=True)
class Decision:
    """`allowed` False is «no opinion», never «no». `reason` may be empty either way."""

    allowed: bool
    reason: str = ""


ALWAYS = Decision(True)
NO_OPINION = Decision(False)


class Authorizer(Protocol):
    def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """Return whether `user` may do what `info` says; never waits."""
        ...


class MastersMay:
    """Members of system:masters may do anything."""

    def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        return ALWAYS if MASTERS in user.groups else NO_OPINION


class AlwaysAllow:
    """--authorization-mode=AlwaysAllow: everybody may do anything."""

    def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        return ALWAYS


def decide(authorizers: Sequence[Authorizer], user: UserInfo, info: RequestInfo) -> Decision:
    """Return the first permission; without one, the reasons of all for having no opinion."""
    reasons: list[str] = []
    for authorizer in authorizers:
        decision = authorizer.authorize(user, info)
        if decision.allowed:
            return decision
        if decision.reason:
            reasons.append(decision.reason)
    return Decision(False, "\n".join(reasons)) if reasons else NO_OPINION
