"""Roles and bindings in a watch cache, and who may what by them, in few words."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from services.apiserver.authorization import Decision, RbacAuthorizer, RoleIndex
from services.apiserver.authorization.followed import Source
from services.apiserver.authorization.roleindex import GROUP
from services.apiserver.requestinfo import RequestInfo, UserInfo
from shared.eventlog import Entry, Event
from shared.fanout import Snapshot
from shared.objects import Selection, to_body
from shared.storage import Revision
from shared.watchcache import HistoryLimits, WatchCache

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


class RbacWorld:
    """The cache, to be changed by `put` and `drop`, and the authorizer over it."""

    def __init__(self, *objects: dict[str, Any], limits: HistoryLimits | None = None) -> None:
        self._cache = WatchCache(history_limits=limits or HistoryLimits())
        self._revision = 10
        sources = {}
        for kind, resource in KINDS.items():
            head = orjson.dumps({"kind": kind, "apiVersion": f"{GROUP}/v1"})[:-1] + b","
            sources[resource] = Source(
                self._cache.resource(_prefix(kind)),
                lambda body, head=head: orjson.loads(head + body),  # type: ignore[misc]
            )
        asyncio.run(self._cache.load(Snapshot(Revision(self._revision), ())))
        self.index = RoleIndex(
            roles=sources["roles"],
            cluster_roles=sources["clusterroles"],
            role_bindings=sources["rolebindings"],
            cluster_role_bindings=sources["clusterrolebindings"],
        )
        self.rbac = RbacAuthorizer(self.index)
        self.put(*objects)

    def put(self, *objects: dict[str, Any]) -> None:
        for obj in objects:
            known = self._cache.resource(_prefix(obj["kind"])).get(_key(obj)) is not None
            self._tell("MODIFIED" if known else "ADDED", obj)

    def drop(self, *objects: dict[str, Any]) -> None:
        for obj in objects:
            self._tell("DELETED", obj)

    def decision(self, user: UserInfo, info: RequestInfo) -> Decision:
        return asyncio.run(self.rbac.authorize(user, info))

    def may(self, user: UserInfo, info: RequestInfo) -> bool:
        return self.decision(user, info).allowed

    def _tell(self, kind: Any, obj: dict[str, Any]) -> None:
        before, self._revision = self._revision, self._revision + 1
        revision = Revision(self._revision)
        stored = {"kind": obj["kind"], "apiVersion": f"{GROUP}/v1", **obj}
        prefix, body = to_body(orjson.dumps(stored), revision)
        event = Event(kind, _key(obj), revision, prefix, body, Selection({}))
        self._cache.apply(Entry(Revision(before), revision, (event,)))


def _prefix(kind: str) -> bytes:
    return f"/registry/{KINDS[kind]}/".encode()


def _key(obj: dict[str, Any]) -> bytes:
    meta = obj["metadata"]
    namespace = f"{meta['namespace']}/" if "namespace" in meta else ""
    return _prefix(obj["kind"]) + f"{namespace}{meta['name']}".encode()
