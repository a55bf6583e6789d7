"""The Lease by which this replica shows that it is there.

Source: kube-apiserver v1.36.2, pkg/controlplane/apiserver/server.go (the lease),
pkg/controlplane/controller/apiserverleasegc (the removal of expired ones).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import socket
from datetime import UTC, datetime, timedelta

from services.apiserver.errors import ApiError
from services.apiserver.http.request import new_uuid
from services.apiserver.registry.deletion import DeleteRequest, Preconditions
from services.apiserver.registry.served import Registry
from services.apiserver.registry.strategy import Lookup, Object, WriteContext
from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.apiserver.values.time import now, now_micro
from shared.storage import StorageError

log = logging.getLogger("kubefan.apiserver.identity")

NAMESPACE = "kube-system"
LABEL = "apiserver.kubernetes.io/identity"
COMPONENT = "kube-apiserver"
DURATION_S = 3600
RENEWAL_S = 600.0
"""kube-apiserver renews every 10 s; six times within the duration do as well, and an idle
server's storage stays as it is."""
USER = UserInfo("system:apiserver", groups=("system:masters",))


class IdentityLease:
    """Keeps the lease of the replica at `address` (host:port), and removes expired ones."""

    def __init__(self, registry: Registry, lookup: Lookup, address: str) -> None:
        store = registry.stored("coordination.k8s.io", "leases")
        assert store is not None
        self._store = store
        self._lookup = lookup
        self._hostname = socket.gethostname()
        self.name = identity_of(self._hostname, address)
        self._holder = f"{self.name}_{new_uuid()}"

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                await self._renew()
                await self._remove_expired()
            except (ApiError, StorageError) as error:
                log.warning("identity lease", extra={"why": str(error)})
            await asyncio.sleep(RENEWAL_S)

    async def _renew(self) -> None:
        renewed_at = now_micro()
        spec = {
            "holderIdentity": self._holder,
            "leaseDurationSeconds": DURATION_S,
            "acquireTime": renewed_at,
            "renewTime": renewed_at,
        }
        labels = {LABEL: COMPONENT, "kubernetes.io/hostname": self._hostname}

        async def change(old: Object | None) -> Object:
            if old is None:
                meta = {"name": self.name, "namespace": NAMESPACE, "labels": labels}
                return {"metadata": meta, "spec": spec}
            kept = old["spec"] if old["spec"].get("holderIdentity") == self._holder else spec
            return {**old, "spec": {**kept, "renewTime": renewed_at}}

        ctx = self._context("update", self.name)
        await self._store.update(ctx, self.name, change, may_create=True, may_be_unconditional=True)

    async def _remove_expired(self) -> None:
        before = datetime.now(UTC)
        store = self._store
        for item in store.cache.scan(store.key(NAMESPACE, "")):
            lease = store.decode(item.body)
            meta = lease["metadata"]
            if (meta.get("labels") or {}).get(LABEL) == COMPONENT and is_expired(lease, before):
                # The cache may be behind, and the lease renewed.
                seen = Preconditions(resource_version=str(item.revision))
                await store.delete(
                    self._context("delete", meta["name"]),
                    meta["name"],
                    DeleteRequest(preconditions=seen),
                )

    def _context(self, verb: str, name: str) -> WriteContext:
        resource = self._store.resource
        info = RequestInfo(
            True, "", verb, "", resource.group, resource.version, NAMESPACE, resource.name, "", name
        )
        return WriteContext(info, USER, now(), self._lookup)


def identity_of(hostname: str, address: str) -> str:
    """Return what tells a server from all others of its cluster."""
    # Several replicas of one host are several servers, so the address is part of it.
    digest = hashlib.sha256(f"{hostname}/{address}".encode()).digest()[:16]
    return "apiserver-" + base64.b32encode(digest).decode().lower().rstrip("=")


def is_expired(lease: Object, at: datetime) -> bool:
    spec = lease.get("spec") or {}
    renewed, seconds = spec.get("renewTime"), spec.get("leaseDurationSeconds")
    if not renewed or not seconds:
        return True
    return datetime.fromisoformat(renewed) + timedelta(seconds=seconds) < at
