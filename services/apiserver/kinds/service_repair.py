"""Repair of what Services hold: a process may die between reserving and writing, or between
deleting a Service and giving back.

Source: kube-apiserver v1.36.2, pkg/registry/core/service/ipallocator/controller/repairip.go,
pkg/registry/core/service/portallocator/controller/repair.go.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import orjson

from services.apiserver.kinds.service_allocation import ServiceAllocators, node_ports
from services.apiserver.registry.allocators import (
    MANAGED_BY,
    MANAGER,
    Address,
    ObjectStore,
    PortBitmap,
    address_labels,
    parent_reference,
)
from services.apiserver.registry.strategy import Object
from services.apiserver.values.time import TimeError, parse_time, seconds_now
from shared.storage import KeyValue, RevisionConflict, StorageError
from shared.timeslice import TimeSlice

log = logging.getLogger("kubefan.apiserver.repair")

INTERVAL_S = 180.0
GRACE_S = 60.0
"""How long an address may be without its Service: a write ends within the request timeout."""
ROUNDS_OF_A_LEAK = 3
"""How many rounds in a row a port has to be without a Service before it is freed; unlike an
address, a bit does not tell when it was set."""
Read = Callable[[bytes], Awaitable[Sequence[KeyValue]]]

Owner = tuple[str, str]
"""A Service's namespace and name."""


class AllocationRepair:
    """Brings IPAddress objects and the bitmap of node ports in line with the Services.

    Any replica may do it at any time, several at once too: every write is guarded, and what
    is read of allocations is never newer than what is read of Services, so that nothing that
    a stored Service has is taken for leaked.
    """

    def __init__(
        self,
        storage: ObjectStore,
        allocators: ServiceAllocators,
        read: Read,
        *,
        etcd_prefix: str = "/registry",
    ) -> None:
        """`read` returns what is under a prefix, as of now or newer; the whole of it at once."""
        self._storage = storage
        self._allocators = allocators
        self._read = read
        self._addresses = f"{etcd_prefix}/ipaddresses/".encode()
        self._services = f"{etcd_prefix}/services/specs/".encode()
        self._leaks: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"AllocationRepair({len(self._leaks)} ports may have leaked)"

    async def run(self) -> None:
        """Repair now and every three minutes, for ever."""
        while True:
            try:
                await self.once()
            except (StorageError, ValueError) as error:
                # The storage is away, or someone stored what is no JSON: next round.
                log.warning("service allocations were not repaired", extra={"why": str(error)})
            await asyncio.sleep(INTERVAL_S)

    async def once(self) -> None:
        """Look at everything once.

        Raises:
            StorageError: it can't be read or written.
            ValueError: a stored object can't be read.
        """
        held = {item.key: item for item in await self._read(self._addresses)}
        taken = await self._allocators.ports.taken()
        owners: dict[Address, list[Owner]] = {}
        ports: dict[int, list[Owner]] = {}
        time_slice = TimeSlice()
        for item in await self._read(self._services):
            if time_slice.is_over():
                await time_slice.give_way()
            service = orjson.loads(item.value)
            meta, spec = service["metadata"], service.get("spec", {})
            owner = (meta.get("namespace", ""), meta["name"])
            for address in addresses_of(spec):
                owners.setdefault(address, []).append(owner)
            for port in ports_of(spec):
                ports.setdefault(port, []).append(owner)
        await self._repair_ports(taken, ports)
        await self._repair_addresses(held, owners)

    async def _repair_ports(self, taken: set[int], used: dict[int, list[Owner]]) -> None:
        within = {port for port in used if port in self._allocators.ports}
        for port, owners in used.items():
            if port not in within:
                _warn("a node port is outside of the range; recreate the service", port, owners)
            elif len(owners) > 1:
                _warn("services share a node port; recreate all but one", port, owners)
        missing = within - taken
        self._leaks = {port: self._leaks.get(port, 0) + 1 for port in taken - within}
        leaked = [port for port, rounds in self._leaks.items() if rounds >= ROUNDS_OF_A_LEAK]
        if not missing and not leaked:
            return
        log.warning(
            "node ports are repaired",
            extra={"not_allocated": sorted(missing), "leaked": sorted(leaked)},
        )

        def plan(bitmap: PortBitmap) -> None:
            for port in leaked:
                bitmap.release(port)
            for port in missing - bitmap.taken:
                bitmap.allocate(port)

        await self._allocators.ports.change(plan)

    async def _repair_addresses(
        self, held: dict[bytes, KeyValue], owners: dict[Address, list[Owner]]
    ) -> None:
        for address, of in owners.items():
            found = held.pop(self._addresses + str(address).encode(), None)
            if len(of) > 1:
                _warn("services share a cluster IP; recreate all but one", address, of)
            if address not in self._allocators.addresses:
                _warn("a cluster IP is outside of the range; recreate the service", address, of)
            elif found is None:
                _warn("a cluster IP is not allocated; repairing", address, of)
                # Taken in the meantime: then the next round sees by whom.
                await self._allocators.addresses.take(address, *of[0])
            else:
                await self._correct(found, address, of)
        for item in held.values():
            await self._free_leaked(item)

    async def _correct(self, item: KeyValue, address: Address, owners: list[Owner]) -> None:
        """Make an IPAddress name a Service that has it, and carry the allocator's labels."""
        stored = orjson.loads(item.value)
        meta, spec = stored["metadata"], stored.setdefault("spec", {})
        labels, parent = meta.setdefault("labels", {}), spec.get("parentRef")
        wanted = [parent_reference(*owner) for owner in owners]
        if parent in wanted and labels.items() >= address_labels(address).items():
            return
        _warn("an IP address has a wrong reference or labels; repairing", address, owners)
        labels.update(address_labels(address))
        meta.pop("resourceVersion", None)  # stored objects have none, cached ones do
        spec["parentRef"] = parent if parent in wanted else wanted[0]
        try:
            await self._storage.update(item.key, orjson.dumps(stored), expected=item.revision)
        except RevisionConflict:
            log.info("an IP address changed before its repair", extra={"address": str(address)})

    async def _free_leaked(self, item: KeyValue) -> None:
        """Delete an IPAddress that no Service has, once no write in flight can need it."""
        meta: Object = orjson.loads(item.value)["metadata"]
        if meta.get("labels", {}).get(MANAGED_BY) != MANAGER or _age_s(meta) <= GRACE_S:
            return
        log.warning("an IP address has leaked; freeing it", extra={"address": meta.get("name")})
        try:
            await self._storage.delete(item.key, expected=item.revision)
        except RevisionConflict:
            log.info("an IP address changed before it was freed", extra={"key": item.key.decode()})


def addresses_of(spec: Object) -> list[Address]:
    """Return the cluster IPs of a Service's spec; none of a headless or external one."""
    texts = spec.get("clusterIPs") or [spec.get("clusterIP", "")]
    return [ipaddress.ip_address(text) for text in texts if text not in ("", "None")]


def ports_of(spec: Object) -> set[int]:
    """Return all node ports that a Service's spec names, whatever its type."""
    health: int = spec.get("healthCheckNodePort", 0)
    return {*node_ports(spec), *([health] if health else [])}


def _age_s(meta: Object) -> float:
    """Return how long ago an object was created; one that does not tell is new."""
    try:
        return seconds_now() - parse_time(meta.get("creationTimestamp", "")).timestamp()
    except TimeError:
        return 0.0


def _warn(text: str, what: Any, owners: Iterable[Owner]) -> None:
    log.warning(text, extra={"what": str(what), "services": ["/".join(one) for one in owners]})
