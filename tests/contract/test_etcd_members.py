"""A watch on one of several members of etcd, which falls silent while the others go on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.storage import Revision
from shared.storage.etcd import EtcdStorage
from tests.chaos.relay import Relay
from tests.contract.etcd_server import EtcdProcess, start_etcd

SOON_S = 6.0


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[EtcdProcess]:
    process = start_etcd(tmp_path / "etcd", "--unsafe-no-fsync")
    yield process
    process.kill()


@pytest.mark.parametrize("new_ones_too", [True, False])
def test_a_watch_whose_member_has_vanished_goes_on_at_another(
    etcd: EtcdProcess, new_ones_too: bool
) -> None:
    """As when its machine lost power: nobody says that the connection has ended."""

    async def story() -> None:
        links = [Relay(f"link {number}", [etcd.client_port]) for number in range(2)]
        for link in links:
            await link.start()
        storage = await EtcdStorage.open([f"http://127.0.0.1:{link.port}" for link in links])
        writer = await EtcdStorage.open(etcd.url)
        watch = storage.watch(b"", after=await storage.current_revision())
        first = await writer.create(b"/a", b"1")
        assert (await anext(watch)).revision == first
        links[0].freeze(new_ones_too=new_ones_too)
        began = time.monotonic()
        last = await writer.create(b"/b", b"2")
        batch = await anext(watch)
        assert ([change.key for change in batch.changes], batch.revision) == ([b"/b"], last)
        assert time.monotonic() - began < SOON_S
        await storage.aclose()
        await writer.aclose()
        for link in links:
            link.close()

    async def bounded() -> None:
        async with asyncio.timeout(40):
            await story()

    asyncio.run(bounded())


def test_a_watch_of_nothing_new_is_left_alone(etcd: EtcdProcess) -> None:
    async def story() -> None:
        storage = await EtcdStorage.open(etcd.url)
        watch = storage.watch(b"/here/", after=Revision(await storage.current_revision()))
        coming = asyncio.ensure_future(anext(watch))
        for number in range(5):
            await storage.create(b"/elsewhere/%d" % number, b"")
            await asyncio.sleep(0.5)
        last = await storage.create(b"/here/a", b"1")
        assert (await coming).revision == last
        await storage.aclose()

    asyncio.run(story())
