"""Roles and bindings in a watch cache, and who may what by them, in few words."""

from __future__ import annotations

import asyncio
from typing import Any

from services.apiserver.authorization import Decision, RbacAuthorizer, RoleIndex
from services.apiserver.authorization.roleindex import GROUP
from services.apiserver.requestinfo import RequestInfo, UserInfo
from shared.watchcache import HistoryLimits
from tests.unit.cache_world import CacheWorld

KINDS = {
    "Role": "roles",
    "ClusterRole": "clusterroles",
    "RoleBinding": "rolebindings",
    "ClusterRoleBinding": "clusterrolebindings",
}

ALICE = UserInfo("alice", groups=("developers", "system:authenticated"))
BOB = UserInfo("bob", groups=("system:authenticated",))


def rule(verbs: str, resources: str = "", *, group: str = "", **more: str) -> dict[str, Any]:
    """A PolicyRule; lists are given with spaces, `names` and `urls` by keyword."""
    out: dict[str, Any] = {"verbs": verbs.split()}
    if resources:
        out |= {"apiGroups": [group], "resources": resources.split()}
    if "names" in more:
        out["resourceNames"] = more["names"].split()
    if "urls" in more:
        out["nonResourceURLs"] = more["urls"].split()
    return out


def role(name: str, *rules: dict[str, Any], namespace: str = "") -> dict[str, Any]:
    kind = "Role" if namespace else "ClusterRole"
    return {"kind": kind, "metadata": _meta(name, namespace), "rules": list(rules)}


def binding(
    name: str, role: str, *subjects: tuple[str, ...], namespace: str = "", kind: str = "ClusterRole"
) -> dict[str, Any]:
    """A binding to ("User", NAME), ("Group", NAME) or ("ServiceAccount", NAME, NAMESPACE)."""
    named = [dict(zip(("kind", "name", "namespace"), one, strict=False)) for one in subjects]
    return {
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": _meta(name, namespace),
        "subjects": named,
        "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role},
    }


def _meta(name: str, namespace: str) -> dict[str, str]:
    return {"name": name, **({"namespace": namespace} if namespace else {})}


def asks(
    verb: str,
    resource: str,
    *,
    group: str = "",
    namespace: str = "ns",
    name: str = "",
) -> RequestInfo:
    """A request about RESOURCE or RESOURCE/SUBRESOURCE."""
    resource, _, subresource = resource.partition("/")
    return RequestInfo(
        True,
        "",
        verb,
        group=group,
        version="v1",
        namespace=namespace,
        resource=resource,
        subresource=subresource,
        name=name,
    )


class RbacWorld(CacheWorld):
    """The cache, and the authorizer over it."""

    def __init__(self, *objects: dict[str, Any], limits: HistoryLimits | None = None) -> None:
        super().__init__(KINDS, api_version=f"{GROUP}/v1", limits=limits)
        self.index = RoleIndex(
            roles=self.sources["roles"],
            cluster_roles=self.sources["clusterroles"],
            role_bindings=self.sources["rolebindings"],
            cluster_role_bindings=self.sources["clusterrolebindings"],
        )
        self.rbac = RbacAuthorizer(self.index)
        self.put(*objects)

    def decision(self, user: UserInfo, info: RequestInfo) -> Decision:
        return asyncio.run(self.rbac.authorize(user, info))

    def may(self, user: UserInfo, info: RequestInfo) -> bool:
        return self.decision(user, info).allowed
