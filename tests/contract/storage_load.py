"""A process that writes as fast as it can and prints what was acknowledged, to be killed.

`python -m tests.contract.storage_load sqlite PATH | etcd URL` prints one line a write,
`put KEY REVISION` or `delete KEY REVISION`, after the store has acknowledged it. It ends by
itself when the store is gone.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from shared.storage import Storage, StorageUnavailable

WRITERS = 8
VALUE_BYTES = 2000


def value_of(key: str) -> bytes:
    return key.encode().ljust(VALUE_BYTES, b".")


async def write(storage: Storage, writer: int) -> None:
    number = 0
    while True:
        key = f"/load/{writer}/{number}"
        revision = await storage.create(key.encode(), value_of(key))
        acknowledge("put", key, revision)
        if number % 5 == 4:
            revision = await storage.delete(key.encode(), expected=revision)
            acknowledge("delete", key, revision)
        number += 1


def acknowledge(what: str, key: str, revision: int) -> None:
    os.write(sys.stdout.fileno(), f"{what} {key} {revision}\n".encode())


async def open_storage(kind: str, where: str) -> Storage:
    if kind == "sqlite":
        from shared.storage.sqlite import SqliteStorage

        return SqliteStorage.open(Path(where))
    from shared.storage.etcd import EtcdStorage

    return await EtcdStorage.open(where)


async def main(kind: str, where: str) -> None:
    storage = await open_storage(kind, where)
    try:
        async with asyncio.TaskGroup() as tasks:
            for writer in range(WRITERS):
                tasks.create_task(write(storage, writer))
    except* StorageUnavailable:
        await storage.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
