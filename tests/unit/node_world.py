"""Pods and volumes in a watch cache, and what nodes may by them."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from services.apiserver.authorization import Decision, NodeAuthorizer, NodeGraph
from services.apiserver.authorization.bootstrappolicy import node_rules
from services.apiserver.authorization.followed import Source
from services.apiserver.requestinfo import RequestInfo, UserInfo
from shared.eventlog import Entry, Event
from shared.fanout import Snapshot
from shared.objects import Selection, to_body
from shared.storage import Revision
from shared.watchcache import WatchCache

RESOURCES = {
    "Pod": "pods",
    "PersistentVolume": "persistentvolumes",
    "VolumeAttachment": "volumeattachments",
    "ResourceSlice": "resourceslices",
}


def node_user(name: str) -> UserInfo:
    return UserInfo(f"system:node:{name}", groups=("system:nodes", "system:authenticated"))


def pod(name: str, node: str = "n1", *, mirror: bool = False, **spec: Any) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": name, "namespace": "ns"}
    if mirror:
        meta["annotations"] = {"kubernetes.io/config.mirror": "x"}
    return {"kind": "Pod", "metadata": meta, "spec": {"nodeName": node, **spec}}


def on_node(kind: str, name: str, node: str) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name}, "spec": {"nodeName": node}}


class NodeWorld:
    """The cache, to be changed by `put` and `drop`, and the authorizer over it."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self._cache = WatchCache()
        self._revision = 10
        sources = {
            resource: Source(self._cache.resource(_prefix(kind)), _decode)
            for kind, resource in RESOURCES.items()
        }
        asyncio.run(self._cache.load(Snapshot(Revision(self._revision), ())))
        self.graph = NodeGraph(
            pods=sources["pods"],
            volumes=sources["persistentvolumes"],
            attachments=sources["volumeattachments"],
            slices=sources["resourceslices"],
        )
        self.authorizer = NodeAuthorizer(self.graph, node_rules())
        self.put(*objects)

    def put(self, *objects: dict[str, Any]) -> None:
        for obj in objects:
            known = self._cache.resource(_prefix(obj["kind"])).get(_key(obj)) is not None
            self._tell("MODIFIED" if known else "ADDED", obj)

    def drop(self, *objects: dict[str, Any]) -> None:
        for obj in objects:
            self._tell("DELETED", obj)

    def decision(self, user: UserInfo, info: RequestInfo) -> Decision:
        return asyncio.run(self.authorizer.authorize(user, info))

    def may(self, node: str, info: RequestInfo) -> bool:
        return self.decision(node_user(node), info).allowed

    def _tell(self, kind: Any, obj: dict[str, Any]) -> None:
        before, self._revision = self._revision, self._revision + 1
        revision = Revision(self._revision)
        prefix, body = to_body(orjson.dumps({"apiVersion": "v1", **obj}), revision)
        event = Event(kind, _key(obj), revision, prefix, body, Selection({}))
        self._cache.apply(Entry(Revision(before), revision, (event,)))


def _decode(body: bytes) -> dict[str, Any]:
    decoded: dict[str, Any] = orjson.loads(b'{"apiVersion":"v1",' + body)
    return decoded


def _prefix(kind: str) -> bytes:
    return f"/registry/{RESOURCES[kind]}/".encode()


def _key(obj: dict[str, Any]) -> bytes:
    meta = obj["metadata"]
    namespace = f"{meta['namespace']}/" if "namespace" in meta else ""
    return _prefix(obj["kind"]) + f"{namespace}{meta['name']}".encode()
