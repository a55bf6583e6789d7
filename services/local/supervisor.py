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
RESTART_DELAYS_S = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Pauses before a process starts again: the first after it ran well, then each in turn."""
RAN_WELL_S = 10.0
ASKED_TO_END = (0, -signal.SIGTERM)
"""Return codes after SIGTERM, which is how somebody restarts one process: no failure."""
EXIT_MISTAKE = 2
"""What our services exit with where their flags can't be used."""
MAX_LINE_BYTES = 64 * 1024
"""Longer lines of output are shown in pieces."""

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Program:
    """A process to start. `port` is where it listens, if it does."""

    role: str
    command: tuple[str, ...]
    port: int | None = None
    number: int | None = None
    """Which of its role it is, from 1; None where there is but one."""

    @property
    def name(self) -> str:
        return self.role if self.number is None else f"{self.role}-{self.number}"


@dataclass(slots=True)
class Running:
    """A program and its present process."""

    program: Program
    process: asyncio.subprocess.Process
    restarts: int = 0

    @property
    def pid(self) -> int | None:
        """The process id; None between its end and its next start."""
        return self.process.pid if self.process.returncode is None else None


@dataclass(frozen=True, slots=True)
class End:
    """Why everything ends. `message` is "" where the user asked for it."""

    exit_code: int
    message: str = ""


class Supervisor:
    """Starts processes and passes on what they print, until `end`.

    Without `restart` the first process that ends, ends all. With it, a process that ends is
    started again; but one that can't be (see `Supervisor.settled`) still ends all.

    `tasks` owns what follows the processes; it finishes when they do.
    """

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        *,
        output: TextIO,
        label_width: int = 11,
        restart: bool = False,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._tasks = tasks
        self._output = output
        self._label_width = label_width
        self._restart = restart
        self._on_change = on_change
        self._groups: list[list[Running]] = []
        self._ended: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self.settled = False
        """Set once all has been ready: before, a mistake in a process's flags ends all, for
        it would not get better by trying again."""

    def __repr__(self) -> str:
        states = (f"{one.program.name}={one.pid}" for one in self.running)
        return f"<Supervisor {' '.join(states)}>"

    @property
    def running(self) -> tuple[Running, ...]:
        return tuple(running for group in self._groups for running in group)

    async def start(self, *programs: Program) -> None:
        """Start `programs`, which are to run until `stop`, and are then stopped together."""
        group: list[Running] = []
        self._groups.append(group)
        for program in programs:
            running = Running(program, await _spawn(program))
            group.append(running)
            self._tasks.create_task(self._follow(running), name=program.name)
        self._on_change()

    def end(self, end: End) -> None:
        """Let `wait` return. Only the first reason counts."""
        if not self._ended.done():
            self._ended.set_result(end)

    async def wait(self) -> End:
        """Wait for the end: the process whose death ends all, or what `end` was told."""
        return await asyncio.shield(self._ended)

    async def stop(self) -> None:
        """End all processes, the last started first; returns when all are gone."""
        self.end(End(0))  # nothing starts again from here on
        for group in reversed(self._groups):
            await asyncio.gather(*(_stop(running.process) for running in group))

    def say(self, name: str, text: str) -> None:
        """Write one line of output under the name of a process."""
        self._output.write(f"{name:<{self._label_width}} | {text}\n")
        self._output.flush()

    async def _follow(self, running: Running) -> None:
        """Pass on the output of one program, and start it again where that is wanted."""
        failures = 0
        now = asyncio.get_running_loop().time
        while True:
            started = now()
            returncode = await self._pass_on(running)
            end = death(running.program.name, returncode)
            hopeless = returncode == EXIT_MISTAKE and not self.settled
            if not self._restart or hopeless:
                self.end(end)
            if self._ended.done():
                return
            if returncode in ASKED_TO_END or now() - started >= RAN_WELL_S:
                failures = 0
            delay_s = RESTART_DELAYS_S[min(failures, len(RESTART_DELAYS_S) - 1)]
            failures += 1
            self._on_change()
            self.say(running.program.name, f"== {end.message}; it starts again in {delay_s} s")
            await asyncio.wait({self._ended}, timeout=delay_s)
            if self._ended.done():
                return
            running.process = await _spawn(running.program)
            running.restarts += 1
            self._on_change()
            if self._ended.done():
                # `stop` may have passed by while there was no process yet.
                running.process.terminate()

    async def _pass_on(self, running: Running) -> int:
        """Show the output of a process until it ends; return its return code."""
        stream = running.process.stdout
        assert stream is not None  # asked for in _spawn
        async for line in _lines(stream):
            self.say(running.program.name, line)
        return await running.process.wait()


def death(name: str, returncode: int) -> End:
    """Describe a process that should have gone on. The exit code is never 0."""
    if returncode < 0:
        killer = signal.Signals(-returncode).name
        return End(128 - returncode, f"{name} was killed by {killer}")
    return End(returncode or 1, f"{name} ended with exit code {returncode}")


async def _spawn(program: Program) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *program.command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=MAX_LINE_BYTES,
        # Its own process group: Ctrl-C reaches only us, and we stop the parts in order.
        start_new_session=True,
        preexec_fn=_die_with_parent(),
    )


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGCONT)  # one that somebody paused could not obey
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
