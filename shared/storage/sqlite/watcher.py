"""What a watch of the embedded store has yet to deliver of the newest commits."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Sequence

from shared.storage.protocol import Change, ChangeBatch, Revision
from shared.storage.sqlite.writer import Commit

QUEUE_BYTES = 16 << 20
"""Values a slow watch may have waiting in memory; behind that it reads from the history."""

QUEUE_COMMITS = 4096


class Watcher:
    """The commits since `follow`. It fell behind if they were more than the queue holds."""

    def __init__(self, prefix: bytes, loop: AbstractEventLoop) -> None:
        self._prefix = prefix
        self._loop = loop
        self._commits: deque[Commit] = deque()
        self._bytes = 0
        self._fell_behind = False
        self._closed = False
        self._wake: Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Watcher {self._prefix!r}: {len(self._commits)} commits, {self._bytes} bytes>"

    def follow(self) -> None:
        """Start anew: keep every commit from now on."""
        self._drop()
        self._fell_behind = False

    def offer(self, commit: Commit, size_bytes: int) -> None:
        if self._fell_behind:
            return
        self._commits.append(commit)
        self._bytes += size_bytes
        if self._bytes > QUEUE_BYTES or len(self._commits) > QUEUE_COMMITS:
            self._drop()
            self._fell_behind = True
        self._wake_up()

    def close(self) -> None:
        self._closed = True
        self._wake_up()

    async def take(self, position: Revision) -> ChangeBatch | None:
        """Return everything waiting, behind `position`; None: fell behind, or closed."""
        while not (self._commits or self._fell_behind or self._closed):
            self._wake = self._loop.create_future()
            await self._wake
        if self._fell_behind or self._closed:
            return None
        commits, self._commits, self._bytes = self._commits, deque(), 0
        return ChangeBatch(self._select(commits, position), commits[-1].revision)

    def _select(self, commits: Sequence[Commit], position: Revision) -> list[Change]:
        prefix = self._prefix
        return [
            change
            for commit in commits
            for change in commit.changes
            if change.revision > position and change.key.startswith(prefix)
        ]

    def _drop(self) -> None:
        self._commits.clear()
        self._bytes = 0

    def _wake_up(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
