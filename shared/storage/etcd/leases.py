"""Leases for keys that expire, shared by keys that expire at about the same time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aetcd import rpc

from shared.storage.etcd.connection import Connection

REUSE_S = 60
"""Keys may expire this much later than asked for, but not more than REUSE_SHARE of their TTL."""

REUSE_SHARE = 0.05

KEYS_PER_LEASE = 1000
"""etcd deletes the keys of a lease in one transaction: more would make that one slow."""


@dataclass(slots=True)
class _Lease:
    id: int
    ends: float
    keys: int


class Leases:
    """As kube-apiserver v1.36.2, staging/src/k8s.io/apiserver/pkg/storage/etcd3/lease_manager.go.

    Unlike there, keys of different TTLs do not push out each other's lease.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._by_ttl: dict[int, _Lease] = {}
        self._granting = asyncio.Lock()

    async def lease_for(self, ttl_s: int) -> int:
        """Return the ID of a lease that ends in `ttl_s` or a little later."""
        lease = self._usable(ttl_s)
        if lease is None:
            async with self._granting:
                lease = self._usable(ttl_s) or await self._grant(ttl_s)
        lease.keys += 1
        return lease.id

    def forget(self, lease_id: int) -> None:
        """Do not hand out a lease that etcd does not know any more."""
        self._by_ttl = {ttl: held for ttl, held in self._by_ttl.items() if held.id != lease_id}

    def _usable(self, ttl_s: int) -> _Lease | None:
        lease = self._by_ttl.get(ttl_s)
        if lease is None or lease.keys >= KEYS_PER_LEASE:
            return None
        left_s = lease.ends - asyncio.get_running_loop().time()
        return lease if left_s >= ttl_s else None

    async def _grant(self, ttl_s: int) -> _Lease:
        asked_at = asyncio.get_running_loop().time()
        granted_s = ttl_s + int(min(REUSE_S, ttl_s * REUSE_SHARE))
        response = await self._connection.call(
            lambda server: server.lease.LeaseGrant, rpc.LeaseGrantRequest(TTL=granted_s)
        )
        # Counted from before the call: etcd's own end is a little later.
        lease = _Lease(response.ID, asked_at + response.TTL, 0)
        self._by_ttl = {ttl: held for ttl, held in self._by_ttl.items() if held.ends > asked_at}
        self._by_ttl[ttl_s] = lease
        return lease
