"""Supervisor: processes that live and die together, their output on one stream."""

from __future__ import annotations

import asyncio
import ctypes
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TextIO

STOP_TIMEOUT_S = 10.0
"""How long a process may take to end after SIGTERM before it is killed."""
MAX_LINE_BYTES = 64 * 1024
"""Longer lines of output are shown in pieces."""

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Program:
    """A process to start. `port` is where it listens, if it does."""

    role: str
    command: tuple[str, ...]
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Running:
    program: Program
    process: asyncio.subprocess.Process


@dataclass(frozen=True, slots=True)
class End:
    """Why everything ends. `message` is "" where the user asked for it."""

    exit_code: int
    message: str = ""


class Supervisor:
    """Starts processes; the first that ends, or `end`, ends all.

    `tasks` owns the readers of their output; they finish when the processes do.
    """

    def __init__(self, tasks: asyncio.TaskGroup, *, output: TextIO, label_width: int = 11) -> None:
        self._tasks = tasks
        self._output = output
        self._label_width = label_width
        self._running: list[Running] = []
        self._ended: asyncio.Future[End] = asyncio.get_running_loop().create_future()

    @property
    def running(self) -> tuple[Running, ...]:
        return tuple(self._running)

    async def start(self, program: Program) -> None:
        """Start `program`, which is to run until `stop`."""
        process = await asyncio.create_subprocess_exec(
            *program.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=MAX_LINE_BYTES,
            # Its own process group: Ctrl-C reaches only us, and we stop the parts in order.
            start_new_session=True,
            preexec_fn=_die_with_parent(),
        )
        running = Running(program, process)
        self._running.append(running)
        self._tasks.create_task(self._follow(running), name=program.role)

    def end(self, end: End) -> None:
        """Let `wait` return. Only the first reason counts."""
        if not self._ended.done():
            self._ended.set_result(end)

    async def wait(self) -> End:
        """Wait for the end: the first process that died, or what `end` was told."""
        return await asyncio.shield(self._ended)

    async def stop(self) -> None:
        """End all processes, the last started first; returns when all are gone."""
        self.end(End(0))
        for running in reversed(self._running):
            await _stop(running.process)

    def say(self, role: str, text: str) -> None:
        """Write one line of output under the name of `role`."""
        self._output.write(f"{role:<{self._label_width}} | {text}\n")
        self._output.flush()

    async def _follow(self, running: Running) -> None:
        """Pass on the output of one process until it ends."""
        stream = running.process.stdout
        assert stream is not None  # asked for in start
        async for line in _lines(stream):
            self.say(running.program.role, line)
        returncode = await running.process.wait()
        self.end(death(running.program.role, returncode))


def death(role: str, returncode: int) -> End:
    """Describe a process that should have gone on. The exit code is never 0."""
    if returncode < 0:
        name = signal.Signals(-returncode).name
        return End(128 - returncode, f"{role} was killed by {name}")
    return End(returncode or 1, f"{role} ended with exit code {returncode}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Yield lines without their ends; an over-long one comes in pieces."""
    while True:
        try:
            raw = await stream.readuntil(b"\n")
        except asyncio.IncompleteReadError as end:
            raw = end.partial
        except asyncio.LimitOverrunError as overrun:
            raw = await stream.readexactly(overrun.consumed)
        if not raw:
            return
        yield raw.decode(errors="replace").rstrip("\r\n")


def _die_with_parent() -> Callable[[], None] | None:
    """Return what makes the kernel end a child when we are killed without a chance to do it."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)  # loaded before the fork: afterwards only prctl may be called

    def ask_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return ask_kernel
