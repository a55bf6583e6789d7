"""A story is told to a storage of its own: what it is made of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar, cast

from shared.storage import Change, ChangeBatch, Revision, Storage

T = TypeVar("T")

Story = Callable[[Storage], Awaitable[None]]
Run = Callable[[Story], None]


def watching(storage: Storage, prefix: bytes, after: Revision) -> Any:
    """Watch for the length of an `async with`."""
    watch = storage.watch(prefix, after=after)
    return aclosing(cast("Any", watch))


async def collect(watch: AsyncIterator[ChangeBatch], count: int) -> list[Change]:
    """Return the next changes, `count` or more of them if the last batch holds more."""
    changes: list[Change] = []
    while len(changes) < count:
        batch = await anext(watch)
        changes += batch.changes
        assert all(change.revision <= batch.revision for change in batch.changes)
    return changes


async def begun(reading: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Let a read come to where it waits, so that what is written next finds it there."""
    task = asyncio.create_task(reading)
    await asyncio.sleep(0)
    return task
