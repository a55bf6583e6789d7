"""An event loop whose clock jumps over waits, so that tests of minutes take no time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting for the next timer it moves the clock to it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("every task waits and no timer is set: the test would hang")
            self.now += timeout
        return ready


class FakeClockLoop(asyncio.SelectorEventLoop):
    """Its `time` starts at 1000 and moves only when all tasks wait."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run(test: Coroutine[Any, Any, T]) -> T:
    """Run `test` as asyncio.run does, on a FakeClockLoop. Not for tests with sockets."""
    with asyncio.Runner(loop_factory=FakeClockLoop) as runner:
        return runner.run(test)
