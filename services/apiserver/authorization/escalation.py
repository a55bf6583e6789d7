"""Nobody gives away rights it does not have: the check before roles and bindings are written.

Source: kube-apiserver v1.36.2, pkg/registry/rbac/*/policybased/storage.go,
pkg/registry/rbac/escalation_check.go, helpers.go and validation/rule.go (ConfirmNoEscalation).
"""

from __future__ import annotations

from collections.abc import Sequence

from services.apiserver.authorization.authorizer import MASTERS, Authorizer, Rule, decide
from services.apiserver.authorization.rbac import RbacAuthorizer
from services.apiserver.authorization.roleindex import GROUP
from services.apiserver.authorization.rules import described, missing_rights
from services.apiserver.errors import Forbidden, NotFound
from services.apiserver.registry.strategy import Object
from services.apiserver.requestinfo import RequestInfo, UserInfo

ROLES = ("clusterroles", "roles")
BINDINGS = ("clusterrolebindings", "rolebindings")
FULL_AUTHORITY: tuple[Rule, ...] = (
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["*"], "nonResourceURLs": ["*"]},
)
"""What it takes to write an aggregation rule, which can gather anything."""


class EscalationCheck:
    """Judges new and changed roles and bindings by the rights of who writes them."""

    def __init__(self, authorizers: Sequence[Authorizer], rbac: RbacAuthorizer) -> None:
        self._authorizers = authorizers
        self._rbac = rbac

    async def check(
        self, user: UserInfo, info: RequestInfo, obj: Object, old: Object | None
    ) -> None:
        """Pass a write of the resource that `info` names; `old` is None for a new object.

        Raises:
            Forbidden: it would grant rights that the user does not have.
            NotFound: a binding refers to a role that is not there, so nobody knows what it
                would grant.
        """
        if info.group != GROUP or MASTERS in user.groups:
            return
        if old is not None and _differ_in_upkeep_only(obj, old):
            return
        if info.resource in ROLES:
            await self._check_role(user, info, obj, old)
        elif info.resource in BINDINGS:
            await self._check_binding(user, info, obj)

    async def _check_role(
        self, user: UserInfo, info: RequestInfo, obj: Object, old: Object | None
    ) -> None:
        # A POST has no name: `escalate` on named roles does not cover it.
        if await self._may(user, "escalate", info.resource, info.namespace, info.name):
            return
        self._confirm(user, info, obj, obj.get("rules") or ())
        if obj.get("aggregationRule") or (old or {}).get("aggregationRule"):
            self._confirm(user, info, obj, FULL_AUTHORITY)

    async def _check_binding(self, user: UserInfo, info: RequestInfo, obj: Object) -> None:
        reference = obj.get("roleRef") or {}
        kind, name = reference.get("kind", ""), reference.get("name", "")
        resource = {"ClusterRole": "clusterroles", "Role": "roles"}.get(kind)
        if resource is None:
            return  # validation refuses it
        if await self._may(user, "bind", resource, info.namespace, name):
            return
        rules = self._rbac.role_rules(info.namespace if kind == "Role" else "", name)
        if rules is None:
            raise NotFound(
                f'{kind.lower()}.{GROUP} "{name}" not found',
                details={"name": name, "group": GROUP, "kind": info.resource},
            )
        self._confirm(user, info, obj, rules)

    async def _may(
        self, user: UserInfo, verb: str, resource: str, namespace: str, name: str
    ) -> bool:
        info = RequestInfo(
            True,
            "",
            verb,
            group=GROUP,
            version="*",
            namespace=namespace,
            resource=resource,
            name=name,
        )
        return (await decide(self._authorizers, user, info)).allowed

    def _confirm(
        self, user: UserInfo, info: RequestInfo, obj: Object, wanted: Sequence[Rule]
    ) -> None:
        owned, unread = self._rbac.rules_for(user, info.namespace)
        missing = missing_rights(owned, wanted)
        if not missing:
            return
        name = obj["metadata"].get("name", "")
        groups = " ".join(f'"{group}"' for group in user.groups)
        lines = "\n".join(sorted({described(rule) for rule in _compact(missing)}))
        errors = f"; resolution errors: {unread}" if unread else ""
        raise Forbidden(
            f'{info.resource}.{GROUP} "{name}" is forbidden: user "{user.name}" '
            f"(groups=[{groups}]) is attempting to grant RBAC permissions not currently held:\n"
            f"{lines}{errors}",
            details={**({"name": name} if name else {}), "group": GROUP, "kind": info.resource},
        )


def _differ_in_upkeep_only(obj: Object, old: Object) -> bool:
    """Whether only owner references and finalizers change, as when dependents are collected."""
    return _without_upkeep(obj) == _without_upkeep(old)


def _without_upkeep(obj: Object) -> Object:
    left_out = ("ownerReferences", "finalizers", "managedFields")
    meta = {name: value for name, value in obj["metadata"].items() if name not in left_out}
    return {**obj, "metadata": meta}


def _compact(parts: Sequence[Rule]) -> list[Rule]:
    """Return rules of one verb each with the verbs of what is otherwise the same together."""
    by_rest: dict[str, Rule] = {}
    for part in parts:
        rest = {name: value for name, value in part.items() if name != "verbs"}
        found = by_rest.setdefault(repr(rest), {**rest, "verbs": []})
        found["verbs"] = [*found["verbs"], *part["verbs"]]
    return list(by_rest.values())
