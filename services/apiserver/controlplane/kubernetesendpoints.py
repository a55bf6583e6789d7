"""The endpoints of the kubernetes Service: the addresses of all API servers that are alive.

Each keeps a key with its address alive in etcd and writes the addresses of all such keys into
the Endpoints and the EndpointSlice. Behind a load balancer (--advertise-port), and on a store that
is nobody else's, the address is one and stays.
Source: kube-apiserver v1.36.2, pkg/controlplane/reconcilers/lease.go, endpointsadapter.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
from collections.abc import Sequence

import orjson

from services.apiserver.controlplane.bootstrap import (
    APISERVER_USER,
    ClusterAddresses,
    endpoint_slice,
    endpoints,
)
from services.apiserver.errors import ApiError
from services.apiserver.options import ApiServerOptions
from services.apiserver.registry.served import Registry
from services.apiserver.registry.store import ResourceStore
from services.apiserver.registry.strategy import Lookup, Object, WriteContext
from services.apiserver.requestinfo import RequestInfo
from services.apiserver.startup.state import State
from services.apiserver.values.time import now
from shared.resources import resource_prefix
from shared.storage import KeyExists, RevisionConflict, Storage, StorageError
from shared.watchcache import WatchCache

log = logging.getLogger("kubefan.apiserver.endpoints")

INTERVAL_S = 10.0
TTL_S = 15
"""An API server that died is left out within these and one interval, as in kube-apiserver."""


class AddressLeases:
    """The keys PREFIX/masterleases/IP: which addresses are alive."""

    def __init__(self, storage: Storage, cache: WatchCache, address: str, etcd_prefix: str) -> None:
        self._storage = storage
        prefix = resource_prefix("masterleases", etcd_prefix)
        self._cached = cache.resource(prefix)
        self._address = address
        self._key = prefix + address.encode()

    async def renew(self) -> None:
        """Keep our key for another TTL_S.

        Raises:
            StorageError: the storage did not answer, or another wrote the key again and again.
        """
        value = orjson.dumps(
            {
                "kind": "Endpoints",
                "apiVersion": "v1",
                "metadata": {"creationTimestamp": None},
                "subsets": [{"addresses": [{"ip": self._address}]}],
            }
        )
        found = await self._storage.get(self._key)
        try:
            if found is None:
                await self._storage.create(self._key, value, ttl_s=TTL_S)
            else:
                await self._storage.update(self._key, value, expected=found.revision, ttl_s=TTL_S)
        except (KeyExists, RevisionConflict):
            return  # another process of this address has just renewed it

    async def remove(self) -> None:
        """Raises StorageError: the storage did not answer; then it ends by itself."""
        found = await self._storage.get(self._key)
        if found is not None:
            with contextlib.suppress(RevisionConflict):
                await self._storage.delete(self._key, expected=found.revision)

    def alive(self) -> set[str]:
        """Return the addresses that the cache shows."""
        return {key.rpartition(b"/")[2].decode() for key in self._cached.keys}


def kubernetes_endpoints(
    options: ApiServerOptions, state: State, addresses: ClusterAddresses
) -> KubernetesEndpoints | None:
    """Return who keeps the endpoints; None where there can be none.

    An endpoint on the loopback would lead every node to itself.
    """
    address = addresses.advertise_address
    if ipaddress.ip_address(address).is_loopback:
        return None
    leases = None
    if options.etcd_servers and not options.advertise_port:
        leases = AddressLeases(state.storage, state.cache, address, options.etcd_prefix)
    return KubernetesEndpoints(state.registry, state.lookup, addresses, leases)


class KubernetesEndpoints:
    """Keeps default/kubernetes' Endpoints and EndpointSlice. `leases` None: one address alone."""

    def __init__(
        self,
        registry: Registry,
        lookup: Lookup,
        addresses: ClusterAddresses,
        leases: AddressLeases | None,
    ) -> None:
        self._registry = registry
        self._lookup = lookup
        self._addresses = addresses
        self._leases = leases

    def __repr__(self) -> str:
        return f"<KubernetesEndpoints of {self._addresses.advertise_address}>"

    async def run(self) -> None:
        """Work until cancelled; then our address goes, so that nobody is sent to us."""
        try:
            while True:
                try:
                    await self._once()
                except (ApiError, StorageError) as error:
                    log.warning("kubernetes endpoints", extra={"why": str(error)})
                await asyncio.sleep(INTERVAL_S)
        finally:
            if self._leases is not None:
                await self._leave(self._leases)

    async def _once(self) -> None:
        alive = {self._addresses.advertise_address}
        if self._leases is not None:
            await self._leases.renew()
            alive |= self._leases.alive()
        await self._write(sorted(alive))

    async def _leave(self, leases: AddressLeases) -> None:
        try:
            await leases.remove()
            others = leases.alive() - {self._addresses.advertise_address}
            if others:  # the last one leaves the address: there is no better one
                await self._write(sorted(others))
        except (ApiError, StorageError) as error:
            log.info("the address stays for a while", extra={"why": str(error)})

    async def _write(self, alive: Sequence[str]) -> None:
        await self._put("", "endpoints", endpoints(self._addresses, alive))
        slices = endpoint_slice(self._addresses, alive)
        await self._put("discovery.k8s.io", "endpointslices", slices)

    async def _put(self, group: str, resource: str, wanted: Object) -> None:
        store = self._registry.stored(group, resource)
        assert store is not None
        parts = [name for name in wanted if name not in ("kind", "apiVersion", "metadata")]
        cached = store.cache.get(store.key("default", "kubernetes"))
        if cached is not None:
            present = store.decode(cached.body)
            if all(present.get(part) == wanted[part] for part in parts):
                return

        async def change(old: Object | None) -> Object:
            if old is None:
                return wanted
            # Labels and what else somebody has put there stay.
            return {**old, **{part: wanted[part] for part in parts}}

        await store.update(
            self._context(store), "kubernetes", change, may_create=True, may_be_unconditional=True
        )

    def _context(self, store: ResourceStore) -> WriteContext:
        resource = store.resource
        info = RequestInfo(
            True,
            "",
            "update",
            "",
            resource.group,
            resource.version,
            "default",
            resource.name,
            "",
            "kubernetes",
        )
        return WriteContext(info, APISERVER_USER, now(), self._lookup)
