"""NodeGraph: which node needs which object, by what the pods that run on it refer to.

    node ← pod ← secret, config map, claim, resource claim, service account
                 claim ← volume ← secret
    node ← volume attachment, resource slice

Source: kube-apiserver v1.36.2, plugin/pkg/auth/authorizer/node/graph.go, graph_populator.go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from services.apiserver.authorization.followed import Followed, Source
from services.apiserver.authorization.podreferences import (
    claim_names,
    config_map_names,
    resource_claim_names,
    secret_names,
    volume_secrets,
)
from services.apiserver.registry.strategy import Object
from shared.timeslice import TimeSlice

Reference = tuple[str, str, str]
"""Resource, namespace ("" for none), name."""
MIRROR_ANNOTATION = "kubernetes.io/config.mirror"


@dataclass(frozen=True, slots=True)
class _Bound:
    """An object that belongs to a node, and what it makes the node need; itself first."""

    node: str
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class _Volume:
    """A claimed PersistentVolume."""

    name: str
    claim: Reference
    secrets: tuple[Reference, ...]


class NodeGraph:
    """Answers whether an object is needed on a node."""

    def __init__(
        self, *, pods: Source, volumes: Source, attachments: Source, slices: Source
    ) -> None:
        # By reference, how many objects of each node refer to it.
        self._nodes: dict[Reference, dict[str, int]] = {}
        self._claim_of_volume: dict[str, Reference] = {}
        self._volumes_of_secret: dict[Reference, set[str]] = {}
        self._catching_up = asyncio.Lock()
        self._followed = (
            Followed(pods, _pod, self._bound_changed),
            Followed(volumes, _volume, self._volume_changed),
            Followed(attachments, _on_node("volumeattachments"), self._bound_changed),
            Followed(slices, _on_node("resourceslices"), self._bound_changed),
        )

    def __repr__(self) -> str:
        return f"<NodeGraph {len(self._nodes)} references>"

    async def catch_up(self) -> None:
        """Take in what the watch cache shows; the first time, that is all the pods there are."""
        if any(one.is_behind for one in self._followed):
            async with self._catching_up:
                time_slice = TimeSlice()
                for one in self._followed:
                    await one.catch_up_in_slices(time_slice)

    def relates(self, node: str, reference: Reference) -> bool:
        """Whether an object is needed on a node, by what has been caught up with."""
        if self._is_used(node, reference):
            return True
        match reference[0]:
            case "persistentvolumes":
                return self._is_claimed(node, reference[2])
            case "secrets":
                volumes = self._volumes_of_secret.get(reference, ())
                return any(self._is_claimed(node, volume) for volume in volumes)
        return False

    def _is_used(self, node: str, reference: Reference) -> bool:
        return node in self._nodes.get(reference, ())

    def _is_claimed(self, node: str, volume: str) -> bool:
        claim = self._claim_of_volume.get(volume)
        return claim is not None and self._is_used(node, claim)

    def _bound_changed(self, key: bytes, old: _Bound | None, new: _Bound | None) -> None:
        if old == new:
            return
        if new is not None:
            for reference in new.references:
                counts = self._nodes.setdefault(reference, {})
                counts[new.node] = counts.get(new.node, 0) + 1
        if old is not None:
            for reference in old.references:
                counts = self._nodes[reference]
                counts[old.node] -= 1
                if not counts[old.node]:
                    del counts[old.node]
                    if not counts:
                        del self._nodes[reference]

    def _volume_changed(self, key: bytes, old: _Volume | None, new: _Volume | None) -> None:
        if old is not None:
            self._claim_of_volume.pop(old.name, None)
            for secret in old.secrets:
                volumes = self._volumes_of_secret[secret]
                volumes.discard(old.name)
                if not volumes:
                    del self._volumes_of_secret[secret]
        if new is not None:
            self._claim_of_volume[new.name] = new.claim
            for secret in new.secrets:
                self._volumes_of_secret.setdefault(secret, set()).add(new.name)


def _pod(pod: Object) -> _Bound | None:
    spec, meta = pod.get("spec", {}), pod["metadata"]
    node = spec.get("nodeName", "")
    if not node:
        return None
    namespace = meta.get("namespace", "")
    references: dict[Reference, None] = {("pods", namespace, meta["name"]): None}
    # A node makes its mirror pods itself: they must give it nothing.
    if MIRROR_ANNOTATION not in (meta.get("annotations") or {}):
        account = spec.get("serviceAccountName")
        if account:
            references["serviceaccounts", namespace, account] = None
        for resource, names in (
            ("secrets", secret_names),
            ("configmaps", config_map_names),
            ("persistentvolumeclaims", claim_names),
            ("resourceclaims", resource_claim_names),
        ):
            for name in names(pod):
                references[resource, namespace, name] = None
    return _Bound(node, tuple(references))


def _volume(volume: Object) -> _Volume | None:
    claim = volume.get("spec", {}).get("claimRef")
    if not claim:
        return None
    namespace, name = claim.get("namespace", ""), claim.get("name", "")
    secrets = dict.fromkeys(("secrets", *one) for one in volume_secrets(volume))
    return _Volume(
        volume["metadata"]["name"], ("persistentvolumeclaims", namespace, name), tuple(secrets)
    )


def _on_node(resource: str) -> Callable[[Object], _Bound | None]:
    def read(obj: Object) -> _Bound | None:
        node = obj.get("spec", {}).get("nodeName", "")
        return _Bound(node, ((resource, "", obj["metadata"]["name"]),)) if node else None

    return read
