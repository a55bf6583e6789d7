"""Compaction: history is forgotten an interval later, by the one whose turn it is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from shared.storage import Compacted, Revision
from shared.storage.compaction import Compaction
from shared.storage.sqlite import SqliteStorage

INTERVAL_S = 0.05


def compacted(path: Path, *, is_ours: bool) -> bool:
    """Whether what was old after an interval can be read no more after two of them."""

    async def main() -> bool:
        storage = SqliteStorage.open(path / "store.db")
        try:
            revision = await storage.create(b"/a", b"1")
            await storage.create(b"/b", b"1")
            work = Compaction(storage, INTERVAL_S, is_ours=lambda: is_ours).run()
            compacting = asyncio.create_task(work)
            for number in range(10):
                await storage.create(b"/c%d" % number, b"1")
                await asyncio.sleep(INTERVAL_S / 2)
            compacting.cancel()
            await storage.get(b"/a", revision=Revision(revision))
        except Compacted:
            return True
        finally:
            await storage.aclose()
        return False

    return asyncio.run(main())


@pytest.mark.parametrize("is_ours", [True, False])
def test_it_is_done_by_the_one_whose_turn_it_is(tmp_path: Path, is_ours: bool) -> None:
    assert compacted(tmp_path, is_ours=is_ours) is is_ours
