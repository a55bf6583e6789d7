"""The etcd store keeps the contract, and what only it promises."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from shared.storage.etcd import EtcdStorage
from tests.contract.etcd_server import EtcdProcess, start_etcd
from tests.contract.storage import Run, StorageContract, Story


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdProcess]:
    etcd = start_etcd(tmp_path_factory.mktemp("etcd"))
    yield etcd
    etcd.kill()


class TestEtcdStorage(StorageContract):
    @pytest.fixture
    def run(self, etcd: EtcdProcess) -> Run:
        def run(story: Story) -> None:
            async def main() -> None:
                storage = await EtcdStorage.open(etcd.url)
                try:
                    for item in (await storage.list(b"")).items:
                        await storage.delete(item.key, expected=item.revision)
                    async with asyncio.timeout(20):
                        await story(storage)
                finally:
                    await storage.aclose()

            asyncio.run(main())

        return run
