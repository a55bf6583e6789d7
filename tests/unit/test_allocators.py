"""Service addresses and node ports: taken once, whoever asks, and given back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest

from services.apiserver.registry.allocators import (
    NodePorts,
    NotAvailable,
    PortBitmap,
    RangeFull,
    ServiceAddresses,
)
from shared.storage import KeyValue, Revision
from shared.storage.sqlite import SqliteStorage
from tests.unit.memorystore import MemoryStore

KEY = b"/registry/ranges/servicenodeports"


def addresses(store: MemoryStore, *cidrs: str) -> ServiceAddresses:
    return ServiceAddresses(store, cidrs or ("10.0.0.0/24",))


async def take(of: ServiceAddresses, address: str, *, dry_run: bool = False) -> None:
    await of.allocate(address, namespace="ns", service="s", dry_run=dry_run)


def test_an_address_is_taken_by_an_object_that_names_the_service() -> None:
    store = MemoryStore()
    asyncio.run(take(addresses(store), "10.0.0.7"))
    stored = orjson.loads(store.items[b"/registry/ipaddresses/10.0.0.7"].value)
    assert stored["kind"] == "IPAddress"
    assert stored["spec"]["parentRef"] == {"resource": "services", "namespace": "ns", "name": "s"}
    assert stored["metadata"]["labels"]["ipaddress.kubernetes.io/ip-family"] == "IPv4"


def test_two_replicas_never_take_the_same_address() -> None:
    async def run() -> list[str]:
        store = MemoryStore()
        replicas = [addresses(store, "10.0.0.0/28") for _ in range(2)]
        return [
            await replicas[number % 2].allocate_next("IPv4", namespace="ns", service="s")
            for number in range(14)
        ]

    taken = asyncio.run(run())
    assert sorted(taken, key=lambda one: int(one.rpartition(".")[2])) == [
        f"10.0.0.{number}" for number in range(1, 15)
    ]


def test_a_full_range_says_so() -> None:
    async def run() -> None:
        of = addresses(MemoryStore(), "10.0.0.0/30")
        for _ in range(3):
            await of.allocate_next("IPv4", namespace="ns", service="s")

    with pytest.raises(RangeFull):
        asyncio.run(run())


@pytest.mark.parametrize("address", ["10.0.0.0", "10.0.0.255", "10.0.1.1", "192.168.0.1"])
def test_addresses_outside_of_the_range_are_refused(address: str) -> None:
    with pytest.raises(NotAvailable, match="not in the valid range"):
        asyncio.run(take(addresses(MemoryStore()), address))


def test_a_taken_address_is_refused_until_it_is_released() -> None:
    async def run() -> None:
        of = addresses(MemoryStore())
        await take(of, "10.0.0.7")
        with pytest.raises(NotAvailable, match="already allocated"):
            await take(of, "10.0.0.7")
        await of.release("10.0.0.7")
        await of.release("10.0.0.7")
        await take(of, "10.0.0.7")

    asyncio.run(run())


def test_a_dry_run_takes_nothing_and_shows_the_networks_own_address() -> None:
    async def run() -> str:
        store = MemoryStore()
        of = addresses(store)
        await take(of, "10.0.0.7", dry_run=True)
        shown = await of.allocate_next("IPv4", namespace="ns", service="s", dry_run=True)
        assert store.items == {}
        return shown

    assert asyncio.run(run()) == "10.0.0.0"


def test_the_first_range_decides_the_default_family() -> None:
    of = addresses(MemoryStore(), "fd00::/108", "10.0.0.0/24")
    assert (of.default_family, of.families) == ("IPv6", ("IPv6", "IPv4"))


def test_automatic_ports_leave_the_lower_part_of_the_range_alone() -> None:
    bitmap = PortBitmap(30000, 2768)
    taken = [bitmap.allocate_next() for _ in range(200)]
    assert len(set(taken)) == 200
    assert min(taken) >= 30086
    assert max(taken) <= 32767


def test_a_small_range_is_used_up_before_it_is_full() -> None:
    bitmap = PortBitmap(30000, 40)
    assert sorted(bitmap.allocate_next() for _ in range(40)) == list(range(30000, 30040))
    with pytest.raises(RangeFull):
        bitmap.allocate_next()


def test_node_ports_survive_in_kube_apiservers_own_format() -> None:
    async def run() -> MemoryStore:
        store = MemoryStore()
        await NodePorts(store).change(lambda bitmap: bitmap.allocate(30003))
        return store

    stored = orjson.loads(asyncio.run(run()).items[KEY].value)
    assert stored == {
        "kind": "RangeAllocation",
        "apiVersion": "v1",
        "metadata": {},
        "range": "30000-32767",
        "data": "CA==",
    }


def test_a_plan_runs_again_when_another_replica_was_faster() -> None:
    async def run() -> tuple[list[int], int]:
        store = MemoryStore()
        ports, other = NodePorts(store), NodePorts(MemoryStore())
        await ports.change(lambda bitmap: bitmap.allocate(30000))
        await other.change(lambda bitmap: [bitmap.allocate(port) for port in (30000, 30001)])
        rival = other._storage.items[KEY].value  # type: ignore[attr-defined]
        store.before_update.append(KeyValue(KEY, rival, Revision(0)))
        seen: list[int] = []

        def plan(bitmap: PortBitmap) -> int:
            seen.append(bitmap.bits)
            bitmap.allocate(30002)
            return bitmap.bits

        return seen, await ports.change(plan)

    assert asyncio.run(run()) == ([0b1, 0b11], 0b111)


def test_a_taken_or_unknown_port_is_refused_and_nothing_is_stored() -> None:
    async def run() -> None:
        store = MemoryStore()
        ports = NodePorts(store)
        await ports.change(lambda bitmap: bitmap.allocate(30005))
        before = store.items[KEY]
        for port in (30005, 80):
            with pytest.raises(NotAvailable):
                await ports.change(lambda bitmap, port=port: bitmap.allocate(port))  # type: ignore[misc]
        assert store.items[KEY] == before
        await ports.release([30005, 1])
        await ports.change(lambda bitmap: bitmap.allocate(30005))

    asyncio.run(run())


def test_a_dry_run_shows_a_port_beyond_the_range() -> None:
    async def run() -> list[int]:
        store = MemoryStore()
        shown = await NodePorts(store).change(
            lambda bitmap: [bitmap.allocate_next(), bitmap.allocate_next()], dry_run=True
        )
        assert store.items == {}
        return shown

    assert asyncio.run(run()) == [32769, 32770]


def test_replicas_on_one_real_store_take_different_addresses_and_ports(tmp_path: Path) -> None:
    async def run() -> tuple[list[str], list[int]]:
        storage = SqliteStorage.open(tmp_path / "store.db")
        try:
            replicas = [
                (ServiceAddresses(storage, ("10.0.0.0/26",)), NodePorts(storage)) for _ in range(3)
            ]
            taken = await asyncio.gather(
                *(
                    one[0].allocate_next("IPv4", namespace="ns", service="s")
                    for one in replicas
                    for _ in range(20)
                )
            )
            ports = await asyncio.gather(
                *(
                    one[1].change(lambda bitmap: bitmap.allocate_next())
                    for one in replicas
                    for _ in range(10)
                )
            )
            return taken, ports
        finally:
            await storage.aclose()

    addresses_taken, ports_taken = asyncio.run(run())
    assert len(set(addresses_taken)) == 60
    assert len(set(ports_taken)) == 30
