"""A connection to etcd that the network has forgotten is left, also by who asks one by one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from shared.storage import StorageUnavailable
from shared.storage.etcd import EtcdStorage
from tests.chaos.relay import Relay
from tests.contract.etcd_server import start_etcd

TIMEOUT_S = 1.0


def test_calls_one_by_one_get_another_connection_when_theirs_is_silent(tmp_path: Path) -> None:
    etcd = start_etcd(tmp_path, "--unsafe-no-fsync")

    async def story() -> None:
        relay = Relay("link to etcd", [etcd.client_port])
        await relay.start()
        storage = await EtcdStorage.open(f"http://127.0.0.1:{relay.port}", timeout_s=TIMEOUT_S)
        try:
            relay.freeze(new_ones_too=False)
            failures = 0
            while True:
                try:
                    await storage.current_revision()
                    break
                except StorageUnavailable:
                    failures += 1
                    assert failures < 4
                    await asyncio.sleep(0.2)
        finally:
            await storage.aclose()
            relay.close()

    async def bounded() -> None:
        async with asyncio.timeout(20):
            await story()

    try:
        asyncio.run(bounded())
    finally:
        etcd.kill()
