"""Consistent reads of a storage that answers nothing: one waits for it, the others need not."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from services.apiserver.registry import backend
from services.apiserver.registry.backend import CurrentRevision
from shared.storage import Revision, StorageUnavailable


class Hung:
    """A storage of which only the newest revision is asked; it answers when it is released."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers: asyncio.Queue[Revision | StorageUnavailable] = asyncio.Queue()

    async def current_revision(self) -> Revision:
        self.asked += 1
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def fail(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        self.answers.put_nowait(StorageUnavailable("no answer in time"))


async def failed(current: CurrentRevision) -> float:
    """Ask; return after how many seconds it failed."""
    started = time.monotonic()
    with pytest.raises(StorageUnavailable):
        await current.get()
    return time.monotonic() - started


def test_who_comes_while_the_storage_hangs_is_told_so_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backend, "HUNG_S", 0.1)

    async def story() -> None:
        hung = Hung()
        storage: Any = hung
        current = CurrentRevision(storage)
        first = asyncio.create_task(failed(current))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(failed(current))  # waits for the next question
        await hung.fail(after_s=0.2)
        assert 0.2 < await first < 0.4
        assert await second < 0.4  # which would hang as well
        assert hung.asked == 1
        third = asyncio.create_task(current.get())
        await asyncio.sleep(0.05)
        assert await failed(current) < 0.1  # while somebody finds out
        hung.answers.put_nowait(Revision(7))
        assert await third == 7
        hung.answers.put_nowait(Revision(8))
        assert await current.get() == 8

    asyncio.run(story())


def test_a_refusal_is_of_the_one_question_alone() -> None:
    async def story() -> None:
        hung = Hung()
        storage: Any = hung
        current = CurrentRevision(storage)
        first = asyncio.create_task(failed(current))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(current.get())
        await hung.fail(after_s=0)
        await first
        third = asyncio.create_task(current.get())
        await asyncio.sleep(0.01)
        hung.answers.put_nowait(Revision(7))
        hung.answers.put_nowait(Revision(7))
        assert await second == await third == 7

    asyncio.run(story())
