"""Pods and volumes in a watch cache, and what nodes may by them."""

from __future__ import annotations

import asyncio
from typing import Any

from services.apiserver.authorization import Decision, NodeAuthorizer, NodeGraph
from services.apiserver.authorization.bootstrappolicy import node_rules
from services.apiserver.requestinfo import RequestInfo, UserInfo
from tests.unit.cache_world import CacheWorld

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


class NodeWorld(CacheWorld):
    """The cache, and the authorizer over it."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        super().__init__(RESOURCES)
        self.graph = NodeGraph(
            pods=self.sources["pods"],
            volumes=self.sources["persistentvolumes"],
            attachments=self.sources["volumeattachments"],
            slices=self.sources["resourceslices"],
        )
        self.authorizer = NodeAuthorizer(self.graph, node_rules())
        self.put(*objects)

    def decision(self, user: UserInfo, info: RequestInfo) -> Decision:
        return asyncio.run(self.authorizer.authorize(user, info))

    def may(self, node: str, info: RequestInfo) -> bool:
        return self.decision(node_user(node), info).allowed
