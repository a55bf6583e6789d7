"""Repair of allocations: what no Service has comes free, what a Service has never does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.apiserver.kinds import service_repair
from services.apiserver.kinds.service_allocation import (
    ServiceAllocators,
    release_all,
    reserve,
)
from services.apiserver.kinds.service_repair import ROUNDS_OF_A_LEAK, AllocationRepair
from services.apiserver.registry.allocators import NodePorts, NotAvailable, ServiceAddresses
from shared.storage import KeyValue, StorageUnavailable
from shared.storage.sqlite import SqliteStorage

ADDRESSES = b"/registry/ipaddresses/"
SERVICES = b"/registry/services/specs/"

Body = dict[str, Any]


class World:
    """A real store, the allocators of one replica, and the repair of another."""

    def __init__(self, storage: SqliteStorage, cidr: str = "10.0.0.0/24") -> None:
        self.storage = storage
        self.allocators = ServiceAllocators(ServiceAddresses(storage, (cidr,)), NodePorts(storage))
        self.repair = AllocationRepair(
            storage,
            ServiceAllocators(ServiceAddresses(storage, (cidr,)), NodePorts(storage)),
            self.read,
        )

    async def read(self, prefix: bytes) -> Sequence[KeyValue]:
        return (await self.storage.list(prefix)).items

    async def reserve(self, name: str, address: str = "", port: int = 0) -> Body:
        """Reserve as a Service's creation does, up to where the process may die."""
        service = service_named(name, address, port)
        await reserve(self.allocators, service, None, dry_run=False)
        return service

    async def write(self, service: Body) -> None:
        await self.storage.create(key_of(service), orjson.dumps(service))

    async def create(self, name: str, address: str = "", port: int = 0) -> Body:
        service = await self.reserve(name, address, port)
        await self.write(service)
        return service

    async def remove(self, service: Body) -> None:
        """Delete the Service without giving back what it had."""
        found = await self.storage.get(key_of(service))
        assert found is not None
        await self.storage.delete(found.key, expected=found.revision)

    async def addresses(self) -> dict[str, Body]:
        page = await self.storage.list(ADDRESSES)
        return {
            item.key.removeprefix(ADDRESSES).decode(): orjson.loads(item.value)
            for item in page.items
        }

    async def change_address(self, address: str, change: Callable[[Body], None]) -> None:
        found = await self.storage.get(ADDRESSES + address.encode())
        assert found is not None
        body = orjson.loads(found.value)
        change(body)
        await self.storage.update(found.key, orjson.dumps(body), expected=found.revision)

    async def ports(self) -> set[int]:
        return await self.allocators.ports.taken()


def service_named(name: str, address: str = "", port: int = 0) -> Body:
    spec: Body = {
        "type": "NodePort",
        "ipFamilies": ["IPv4"],
        "ports": [{"port": 80, "protocol": "TCP"}],
    }
    if address:
        spec["clusterIPs"] = [address]
    if port:
        spec["ports"][0]["nodePort"] = port
    return {"metadata": {"name": name, "namespace": "ns"}, "spec": spec}


def key_of(service: Body) -> bytes:
    meta = service["metadata"]
    return SERVICES + f"{meta['namespace']}/{meta['name']}".encode()


@asynccontextmanager
async def world(directory: Path, cidr: str = "10.0.0.0/24") -> AsyncIterator[World]:
    storage = SqliteStorage.open(directory / "store.db")
    try:
        yield World(storage, cidr)
    finally:
        await storage.aclose()


def run(directory: Path, play: Callable[[World], Awaitable[None]]) -> None:
    async def within() -> None:
        async with world(directory) as one:
            await play(one)

    asyncio.run(within())


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Returns what moves the clock that ages are measured with."""
    real = service_repair.seconds_now

    def move(seconds: float) -> None:
        monkeypatch.setattr(service_repair, "seconds_now", lambda: real() + seconds)

    return move


def test_an_address_that_was_reserved_and_never_written_comes_free(
    tmp_path: Path, later: Callable[[float], None]
) -> None:
    async def play(one: World) -> None:
        await one.reserve("dead", "10.0.0.7")
        await one.repair.once()
        assert "10.0.0.7" in await one.addresses()
        later(70)
        await one.repair.once()
        assert "10.0.0.7" not in await one.addresses()
        await one.create("next", "10.0.0.7", 30001)

    run(tmp_path, play)


def test_a_port_that_was_reserved_and_never_written_comes_free_in_the_third_round(
    tmp_path: Path,
) -> None:
    async def play(one: World) -> None:
        await one.reserve("dead", port=30007)
        for _ in range(ROUNDS_OF_A_LEAK):
            assert 30007 in await one.ports()
            await one.repair.once()
        assert await one.ports() == set()
        await one.create("next", port=30007)

    run(tmp_path, play)


def test_what_a_deleted_service_did_not_give_back_comes_free(
    tmp_path: Path, later: Callable[[float], None]
) -> None:
    async def play(one: World) -> None:
        await one.remove(await one.create("gone"))
        stays = await one.create("stays")
        later(70)
        for _ in range(ROUNDS_OF_A_LEAK):
            await one.repair.once()
        assert set(await one.addresses()) == {stays["spec"]["clusterIP"]}
        assert await one.ports() == {stays["spec"]["ports"][0]["nodePort"]}

    run(tmp_path, play)


def test_a_port_is_counted_anew_once_a_service_has_had_it(tmp_path: Path) -> None:
    async def play(one: World) -> None:
        slow = await one.reserve("slow", port=30007)
        for _ in range(ROUNDS_OF_A_LEAK - 1):
            await one.repair.once()
        await one.write(slow)
        await one.repair.once()
        await one.remove(slow)
        for _ in range(ROUNDS_OF_A_LEAK - 1):
            await one.repair.once()
        assert 30007 in await one.ports()

    run(tmp_path, play)


def test_what_living_services_have_survives_any_number_of_rounds(
    tmp_path: Path, later: Callable[[float], None]
) -> None:
    async def play(one: World) -> None:
        for number in range(30):
            await one.create(f"s{number}")
        before = await one.addresses(), await one.ports()
        later(3600)
        for _ in range(5):
            await one.repair.once()
        assert (await one.addresses(), await one.ports()) == before

    run(tmp_path, play)


def test_a_service_gets_the_address_and_ports_that_it_lacks(tmp_path: Path) -> None:
    async def play(one: World) -> None:
        service = service_named("bare", "10.0.0.7", 30007)
        service["spec"]["healthCheckNodePort"] = 30008
        await one.write(service)
        await one.repair.once()
        assert await one.ports() == {30007, 30008}
        assert (await one.addresses())["10.0.0.7"]["spec"]["parentRef"]["name"] == "bare"
        with pytest.raises(NotAvailable):
            await one.allocators.addresses.allocate("10.0.0.7", namespace="ns", service="thief")

    run(tmp_path, play)


def name_another(body: Body) -> None:
    body["spec"]["parentRef"]["name"] = "another"


def refer_to_a_gateway(body: Body) -> None:
    body["spec"]["parentRef"] = {"group": "example.com", "resource": "gateways", "name": "g"}


def lose_the_labels(body: Body) -> None:
    del body["metadata"]["labels"]


@pytest.mark.parametrize("change", [name_another, refer_to_a_gateway, lose_the_labels])
def test_a_changed_address_object_is_set_right(
    tmp_path: Path, change: Callable[[Body], None]
) -> None:
    async def play(one: World) -> None:
        await one.create("mine", "10.0.0.7")
        before = await one.addresses()
        await one.change_address("10.0.0.7", change)
        await one.repair.once()
        assert await one.addresses() == before

    run(tmp_path, play)


def test_an_address_object_of_somebody_else_is_left_alone(
    tmp_path: Path, later: Callable[[float], None]
) -> None:
    def give_to_another(body: Body) -> None:
        body["metadata"]["labels"]["ipaddress.kubernetes.io/managed-by"] = "gateway.example.com"

    async def play(one: World) -> None:
        await one.reserve("g", "10.0.0.7")
        await one.change_address("10.0.0.7", give_to_another)
        later(3600)
        await one.repair.once()
        assert "10.0.0.7" in await one.addresses()

    run(tmp_path, play)


def test_what_is_outside_of_the_ranges_is_told_and_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def play(one: World) -> None:
        await one.write(service_named("far", "192.168.0.1", 80))
        await one.repair.once()
        assert await one.addresses() == {}
        assert await one.ports() == set()

    run(tmp_path, play)
    assert [record.getMessage() for record in caplog.records] == [
        "a node port is outside of the range; recreate the service",
        "a cluster IP is outside of the range; recreate the service",
    ]


def test_two_services_with_one_address_are_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def play(one: World) -> None:
        await one.create("first", "10.0.0.7", 30007)
        await one.write(service_named("second", "10.0.0.7", 30007))
        before = await one.addresses()
        await one.repair.once()
        assert await one.addresses() == before

    run(tmp_path, play)
    assert [record.__dict__["services"] for record in caplog.records] == [
        ["ns/first", "ns/second"],
        ["ns/first", "ns/second"],
    ]


def test_a_round_that_fails_is_followed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[int] = []
    done = asyncio.Event()

    async def once(self: AllocationRepair) -> None:
        rounds.append(1)
        if len(rounds) == 3:
            done.set()
        raise StorageUnavailable("away") if len(rounds) == 1 else ValueError("no JSON")

    async def play(one: World) -> None:
        task = asyncio.create_task(one.repair.run())
        await done.wait()
        task.cancel()

    monkeypatch.setattr(AllocationRepair, "once", once)
    monkeypatch.setattr(service_repair, "INTERVAL_S", 0)
    run(tmp_path, play)
    assert len(rounds) >= 3


def test_the_bitmap_follows_a_change_of_the_range(tmp_path: Path) -> None:
    async def play(one: World) -> None:
        await one.create("a", port=30100)
        await one.create("b", port=30300)
        for base, expected in ((29000, {30100, 30300}), (30200, {30300})):
            ports = NodePorts(one.storage, base=base, size=2000)
            assert await ports.taken() == expected

    run(tmp_path, play)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.sampled_from(["create", "delete", "die writing", "die deleting", "repair"]),
        max_size=25,
    ),
    st.randoms(use_true_random=False),
)
def test_creations_beside_the_repair_never_share_and_leaks_end(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], order: random.Random
) -> None:
    """Everything runs at once, in an order that hypothesis shuffles; then the repair rests."""

    async def step(one: World, what: str, living: dict[str, Body], number: int) -> None:
        await asyncio.sleep(order.random() / 1000)
        if what == "repair":
            await one.repair.once()
        elif what == "die writing":
            await one.reserve(f"dead{number}")
        elif what == "create":
            service = await one.reserve(f"s{number}")
            await asyncio.sleep(order.random() / 1000)
            await one.write(service)
            living[service["metadata"]["name"]] = service
        elif living:
            service = living.pop(sorted(living)[0])
            await one.remove(service)
            if what == "delete":
                await release_all(one.allocators, service["spec"])

    async def play(one: World) -> None:
        living: dict[str, Body] = {}
        async with asyncio.TaskGroup() as tasks:
            for number, what in enumerate(steps):
                tasks.create_task(step(one, what, living, number))
        addresses = {service["spec"]["clusterIP"] for service in living.values()}
        ports = {service["spec"]["ports"][0]["nodePort"] for service in living.values()}
        assert len(addresses) == len(ports) == len(living)
        assert addresses <= set(await one.addresses())
        assert ports <= await one.ports()
        with pytest.MonkeyPatch.context() as patch:
            real = service_repair.seconds_now
            patch.setattr(service_repair, "seconds_now", lambda: real() + 70)
            for _ in range(ROUNDS_OF_A_LEAK):
                await one.repair.once()
        assert set(await one.addresses()) == addresses
        assert await one.ports() == ports

    run(tmp_path_factory.mktemp("store"), play)
