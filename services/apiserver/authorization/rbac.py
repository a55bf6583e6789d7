"""RBAC: a user may what a role says that a binding gives to it or to one of its groups.

Source: kube-apiserver v1.36.2, plugin/pkg/auth/authorizer/rbac/rbac.go and
component-helpers/auth/rbac/validation/rule.go.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from services.apiserver.authorization.authorizer import NO_OPINION, Decision, Rule, UserRules
from services.apiserver.authorization.roleindex import GROUP, Binding, RoleIndex
from services.apiserver.requestinfo import RequestInfo, UserInfo

LIMIT_REMEMBERED = 4096
"""Kinds of requests kept; all are forgotten when there are more."""
LIMIT_REMEMBERED_LENGTH = 8192
"""Characters of such a kind and of who asks: a client may ask for resources with names of a
megabyte, and a review about users with as many groups."""


class Grants(NamedTuple):
    """What bindings say of requests that differ by the object's name alone."""

    by_names: Sequence[tuple[frozenset[str], Decision]]
    """In the order of the bindings; no names are all names."""
    otherwise: Decision


class RbacAuthorizer:
    """Decides by the roles and bindings that the index shows.

    What they say of a kind of request is remembered until one of them changes: to walk them
    takes 20 us where a user has a dozen, to look that up 2.
    """

    def __init__(self, index: RoleIndex) -> None:
        self._index = index
        self._version = -1
        self._remembered: dict[Hashable, Grants] = {}

    def __repr__(self) -> str:
        return f"<RbacAuthorizer of {self._index!r}, remembers {len(self._remembered)} kinds>"

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        if not info.is_resource_request:
            return self._about_path(user, info)
        version = self._index.catch_up()
        if version != self._version:
            self._version = version
            self._remembered.clear()
        kind = info[2:9]  # verb to subresource
        key = (user.name, user.groups, kind)
        grants = self._remembered.get(key)
        if grants is None:
            grants = self._grants(user, info)
            if sum(map(len, (user.name, *user.groups, *kind))) <= LIMIT_REMEMBERED_LENGTH:
                if len(self._remembered) >= LIMIT_REMEMBERED:
                    self._remembered.clear()
                self._remembered[key] = grants
        for names, decision in grants.by_names:
            if not names or info.name in names:
                return decision
        return grants.otherwise

    def _grants(self, user: UserInfo, info: RequestInfo) -> Grants:
        found: list[tuple[frozenset[str], Decision]] = []
        missing: list[Binding] = []
        for binding, rules in self._index.bindings(user, info.namespace):
            if rules is None:
                missing.append(binding)
                continue
            for names in rules.grants(info):
                found.append((names, binding.permission_for(user)))
                if not names:
                    return Grants(found, NO_OPINION)
        return Grants(found, _without_permission(missing))

    def _about_path(self, user: UserInfo, info: RequestInfo) -> Decision:
        missing: list[Binding] = []
        # A path has no namespace, whatever the roles of one say of it.
        for binding, rules in self._index.bindings(user, ""):
            if rules is None:
                missing.append(binding)
            elif rules.allows(info):
                return binding.permission_for(user)
        return _without_permission(missing)

    async def user_rules(self, user: UserInfo, namespace: str) -> UserRules:
        rules, error = self.rules_for(user, namespace)
        return UserRules(rules, error=error)

    def rules_for(self, user: UserInfo, namespace: str) -> tuple[list[Rule], str]:
        """Return all rules of a user in a namespace ("" for none), and what could not be read
        of them ("" for nothing)."""
        found: list[Rule] = []
        missing: list[Binding] = []
        for binding, rules in self._index.bindings(user, namespace):
            if rules is None:
                missing.append(binding)
            else:
                found += rules.rules
        return found, _not_found(missing) if missing else ""

    def role_rules(self, namespace: str, name: str) -> tuple[Rule, ...] | None:
        """Return the rules of a Role, with "" of a ClusterRole; None if it is not there."""
        role = self._index.role(namespace, name)
        return None if role is None else role.rules


def _without_permission(missing: list[Binding]) -> Decision:
    return Decision(False, f"RBAC: {_not_found(missing)}") if missing else NO_OPINION


def _not_found(bindings: list[Binding]) -> str:
    texts = dict.fromkeys(
        f'{one.role_kind.lower()}.{GROUP} "{one.role_name}" not found' for one in bindings
    )
    return next(iter(texts)) if len(texts) == 1 else f"[{', '.join(texts)}]"
