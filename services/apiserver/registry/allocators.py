"""Allocators: service addresses and node ports, unique across all replicas.

An address is taken by creating its IPAddress object, a port by setting its bit in the one
RangeAllocation object; both are guarded writes in the shared storage, so two replicas can't
take the same one.
Source: kube-apiserver v1.36.2, pkg/registry/core/service/ipallocator/ipallocator.go,
pkg/registry/core/service/{portallocator,allocator}.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import random
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import orjson

from services.apiserver.http.request import new_uuid
from services.apiserver.values.time import now
from shared.storage import KeyExists, KeyValue, Page, Revision, RevisionConflict

T = TypeVar("T")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

DRY_RUN_FIRST_PORT = 32769
"""What a dry run shows where it does not look for a free port."""
RANDOM_ATTEMPTS = 8
"""Random picks before a full look at what is taken."""
MANAGED_BY = "ipaddress.kubernetes.io/managed-by"
MANAGER = "ipallocator.k8s.io"
"""Who the label names on the IPAddress objects of Services; all others are left alone."""


class NotAvailable(Exception):
    """The address or port can't be had; the text says why."""


class RangeFull(NotAvailable):
    """Nothing is left in the range."""


class ObjectStore(Protocol):
    """What the allocators need of a Storage."""

    async def get(self, key: bytes, *, revision: Revision | None = None) -> KeyValue | None: ...

    async def list(
        self,
        prefix: bytes,
        *,
        start: bytes | None = None,
        limit: int = 0,
        revision: Revision | None = None,
    ) -> Page: ...

    async def create(self, key: bytes, value: bytes, *, ttl_s: int | None = None) -> Revision: ...

    async def update(
        self, key: bytes, value: bytes, *, expected: Revision, ttl_s: int | None = None
    ) -> Revision: ...

    async def delete(self, key: bytes, *, expected: Revision) -> Revision: ...


class ServiceAddresses:
    """The addresses of Services, one range a family; an IPAddress object holds each taken one."""

    def __init__(
        self, storage: ObjectStore, cidrs: Sequence[str], *, etcd_prefix: str = "/registry"
    ) -> None:
        """`cidrs` are one or two networks of different families; the first is the default."""
        self._storage = storage
        self._prefix = f"{etcd_prefix}/ipaddresses/".encode()
        self._ranges = {
            f"IPv{network.version}": _AddressRange(network)
            for network in map(ipaddress.ip_network, cidrs)
        }
        self.families = tuple(self._ranges)
        self.default_family = self.families[0]

    async def allocate(
        self, address: str, *, namespace: str, service: str, dry_run: bool = False
    ) -> None:
        """Take one address for a Service.

        Raises:
            NotAvailable: it is outside of the range or taken.
        """
        wanted = ipaddress.ip_address(address)
        within = self._ranges[f"IPv{wanted.version}"]
        if wanted not in within:
            raise NotAvailable(
                f"the provided IP ({address}) is not in the valid range."
                f" The range of valid IPs is {within.network}"
            )
        if dry_run:
            return
        if not await self.take(wanted, namespace, service):
            raise NotAvailable("provided IP is already allocated")

    async def allocate_next(
        self, family: str, *, namespace: str, service: str, dry_run: bool = False
    ) -> str:
        """Take any free address of a family; a dry run answers with the network's own address.

        Raises:
            RangeFull: none is free.
        """
        within = self._ranges[family]
        if dry_run:
            return str(within.network.network_address)
        for _ in range(RANDOM_ATTEMPTS):
            candidate = within.pick()
            if await self.take(candidate, namespace, service):
                return str(candidate)
        page = await self._storage.list(self._prefix)
        taken = {item.key.removeprefix(self._prefix).decode() for item in page.items}
        for candidate in within.in_order():
            if str(candidate) not in taken and await self.take(candidate, namespace, service):
                return str(candidate)
        raise RangeFull("range is full")

    def __contains__(self, address: Address) -> bool:
        within = self._ranges.get(f"IPv{address.version}")
        return within is not None and address in within

    async def release(self, address: str) -> None:
        """Give an address back; one that is not taken is fine."""
        key = self._prefix + address.encode()
        found = await self._storage.get(key)
        while found is not None:
            try:
                await self._storage.delete(key, expected=found.revision)
            except RevisionConflict as conflict:
                found = conflict.current
            else:
                return

    async def take(self, address: Address, namespace: str, service: str) -> bool:
        """Take an address within the ranges for a Service; False if it is taken."""
        body = {
            "kind": "IPAddress",
            "apiVersion": "networking.k8s.io/v1",
            "metadata": {
                "name": str(address),
                "uid": new_uuid(),
                "creationTimestamp": now(),
                "labels": address_labels(address),
            },
            "spec": {"parentRef": parent_reference(namespace, service)},
        }
        try:
            await self._storage.create(self._prefix + str(address).encode(), orjson.dumps(body))
        except KeyExists:
            return False
        return True


def address_labels(address: Address) -> dict[str, str]:
    """Return the labels by which the allocator knows its IPAddress objects."""
    return {
        "ipaddress.kubernetes.io/ip-family": f"IPv{address.version}",
        MANAGED_BY: MANAGER,
    }


def parent_reference(namespace: str, service: str) -> dict[str, str]:
    """Return the reference of an IPAddress to its Service."""
    return {"resource": "services", "namespace": namespace, "name": service}


class _AddressRange:
    """The usable addresses of a network; automatic picks prefer its upper part."""

    def __init__(self, network: Network) -> None:
        self.network = network
        size = network.num_addresses
        # The first address names the network, the last IPv4 one is the broadcast address.
        self._first = 1 if size > 2 else 0
        self._last = size - (2 if network.version == 4 and size > 2 else 1)
        # An upper bound keeps enormous IPv6 networks walkable, as kube-apiserver does.
        self._last = min(self._last, 2**64)
        reserved = 0 if size < 32 else min(max(16, size >> 4), 256)
        self._dynamic = self._first + reserved

    def __contains__(self, address: Address) -> bool:
        if address not in self.network:
            return False
        return self._first <= int(address) - int(self.network.network_address) <= self._last

    def pick(self) -> Address:
        return self._at(random.randint(min(self._dynamic, self._last), self._last))

    def in_order(self) -> Sequence[Address]:
        """Return up to 65536 addresses to try: the dynamic part first, then the rest."""
        most = 65536
        upper = range(self._dynamic, min(self._last, self._dynamic + most) + 1)
        lower = range(self._first, self._dynamic)
        return [self._at(offset) for part in (upper, lower) for offset in part]

    def _at(self, offset: int) -> Address:
        return self.network.network_address + offset


class PortBitmap:
    """Which ports of a range are taken, while one operation looks and changes."""

    def __init__(self, base: int, size: int, bits: int = 0, *, dry_run: bool = False) -> None:
        self.base = base
        self.size = size
        self.bits = bits
        self._dry_run = dry_run
        self._claimed: list[int] = []

    @property
    def claimed(self) -> Sequence[int]:
        """The ports that this operation has taken."""
        return self._claimed

    def allocate(self, port: int) -> None:
        """Take a port.

        Raises:
            NotAvailable: it is outside of the range or taken.
        """
        offset = port - self.base
        within = 0 <= offset < self.size
        if not within and not self._dry_run:
            raise NotAvailable(
                "provided port is not in the valid range. The range of valid ports is"
                f" {self.base}-{self.base + self.size - 1}"
            )
        if port in self._claimed or (within and self.bits >> offset & 1):
            raise NotAvailable("provided port is already allocated")
        if within:
            self.bits |= 1 << offset
        self._claimed.append(port)

    def allocate_next(self) -> int:
        """Take any free port; a dry run answers with one beyond the range.

        Raises:
            RangeFull: none is free.
        """
        if self._dry_run:
            port = max((DRY_RUN_FIRST_PORT - 1, *self._claimed)) + 1
            self._claimed.append(port)
            return port
        reserved = 0 if self.size < 32 else min(max(16, self.size >> 5), 128)
        for _ in range(RANDOM_ATTEMPTS):
            offset = random.randrange(reserved, self.size)
            if not self.bits >> offset & 1:
                break
        else:
            order = (*range(reserved, self.size), *range(reserved))
            offset = next((one for one in order if not self.bits >> one & 1), -1)
            if offset < 0:
                raise RangeFull("range is full")
        self.bits |= 1 << offset
        self._claimed.append(self.base + offset)
        return self.base + offset

    def release(self, port: int) -> None:
        offset = port - self.base
        if 0 <= offset < self.size:
            self.bits &= ~(1 << offset)

    @property
    def taken(self) -> set[int]:
        """All ports that are taken."""
        return {self.base + offset for offset in range(self.size) if self.bits >> offset & 1}


class NodePorts:
    """The node ports of all Services: one RangeAllocation object with a bitmap."""

    def __init__(
        self,
        storage: ObjectStore,
        *,
        base: int = 30000,
        size: int = 2768,
        etcd_prefix: str = "/registry",
    ) -> None:
        self._storage = storage
        self._base = base
        self._size = size
        self._key = f"{etcd_prefix}/ranges/servicenodeports".encode()
        self._one_at_a_time = asyncio.Lock()

    async def change(self, plan: Callable[[PortBitmap], T], *, dry_run: bool = False) -> T:
        """Run `plan` on the bitmap and store what it made of it; again if another was faster.

        Raises:
            NotAvailable: what `plan` raised; nothing is stored then.
        """
        # Requests of this replica would only make each other try again.
        async with self._one_at_a_time:
            current = await self._storage.get(self._key)
            while True:
                bits = 0 if current is None else self._decode(current.value)
                bitmap = PortBitmap(self._base, self._size, bits, dry_run=dry_run)
                result = plan(bitmap)
                if dry_run or bitmap.bits == bits:
                    return result
                body = self._encode(bitmap.bits)
                try:
                    if current is None:
                        await self._storage.create(self._key, body)
                    else:
                        await self._storage.update(self._key, body, expected=current.revision)
                except (KeyExists, RevisionConflict) as conflict:
                    current = conflict.current
                else:
                    return result

    def __contains__(self, port: int) -> bool:
        return 0 <= port - self._base < self._size

    async def taken(self) -> set[int]:
        """Return the ports that are taken now."""
        current = await self._storage.get(self._key)
        bits = 0 if current is None else self._decode(current.value)
        return PortBitmap(self._base, self._size, bits).taken

    async def release(self, ports: Sequence[int]) -> None:
        """Give ports back; those that are not taken are fine."""
        if not ports:
            return

        def free(bitmap: PortBitmap) -> None:
            for port in ports:
                bitmap.release(port)

        await self.change(free)

    def _decode(self, value: bytes) -> int:
        stored = orjson.loads(value)
        bits = int.from_bytes(base64.b64decode(stored.get("data", "")), "big")
        # Written under another --service-node-port-range, its first bit is another port.
        base = int(stored.get("range", "").partition("-")[0] or self._base)
        moved = bits << base - self._base if base >= self._base else bits >> self._base - base
        return moved & (1 << self._size) - 1

    def _encode(self, bits: int) -> bytes:
        data = bits.to_bytes((bits.bit_length() + 7) // 8, "big")
        body: dict[str, Any] = {
            "kind": "RangeAllocation",
            "apiVersion": "v1",
            "metadata": {},
            "range": f"{self._base}-{self._base + self._size - 1}",
            "data": base64.b64encode(data).decode(),
        }
        return orjson.dumps(body)
