"""RBAC: a user may what a role says that a binding gives to it or to one of its groups.

Source: kube-apiserver v1.36.2, plugin/pkg/auth/authorizer/rbac/rbac.go and
component-helpers/auth/rbac/validation/rule.go.
"""

from __future__ import annotations

from services.apiserver.authorization.authorizer import NO_OPINION, Decision, Rule, UserRules
from services.apiserver.authorization.roleindex import GROUP, Binding, RoleIndex
from services.apiserver.requestinfo import RequestInfo, UserInfo


class RbacAuthorizer:
    """Decides by the roles and bindings that the index shows."""

    def __init__(self, index: RoleIndex) -> None:
        self._index = index

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        # A path has no namespace, whatever the roles of one say of it.
        namespace = info.namespace if info.is_resource_request else ""
        missing: list[Binding] = []
        for binding, rules in self._index.bindings(user, namespace):
            if rules is None:
                missing.append(binding)
            elif rules.allows(info):
                return binding.permission_for(user)
        if not missing:
            return NO_OPINION
        return Decision(False, f"RBAC: {_not_found(missing)}")

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


def _not_found(bindings: list[Binding]) -> str:
    texts = dict.fromkeys(
        f'{one.role_kind.lower()}.{GROUP} "{one.role_name}" not found' for one in bindings
    )
    return next(iter(texts)) if len(texts) == 1 else f"[{', '.join(texts)}]"
