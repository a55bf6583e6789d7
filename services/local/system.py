"""`kubefan up`, in order: lock, API server, ready, controllers, tell the user; and back again."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.local import plan
from services.local.options import LocalOptions, OptionsError
from services.local.readiness import wait_ready
from services.local.supervisor import End, Supervisor

READY_TIMEOUT_S = 60.0


async def up(options: LocalOptions) -> int:
    """Run the system until it is told to stop or a process dies; return the exit code.

    Raises:
        OptionsError: the data directory cannot be used.
    """
    with _locked(options.data_dir):
        async with asyncio.TaskGroup() as tasks:
            supervisor = Supervisor(tasks, output=sys.stderr)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, supervisor.end, End(0))
            try:
                starting = tasks.create_task(_start(options, supervisor), name="start")
                end = await supervisor.wait()
                starting.cancel()
            finally:
                await supervisor.stop()
                _system_file(options).unlink(missing_ok=True)
    if end.message:
        print(f"kubefan up: {end.message}", file=sys.stderr)
    return end.exit_code


async def _start(options: LocalOptions, supervisor: Supervisor) -> None:
    # A kubeconfig of an earlier run may name another port: only the new one counts.
    options.kubeconfig.unlink(missing_ok=True)
    await supervisor.start(plan.apiserver(options))
    _write_system_file(options, supervisor)
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            await wait_ready(options.kubeconfig)
    except TimeoutError:
        supervisor.end(End(1, f"the API server was not ready within {READY_TIMEOUT_S:.0f} s"))
        return
    if (program := plan.controllers(options)) is not None:
        await supervisor.start(program)
        _write_system_file(options, supervisor)
    print(f"export KUBECONFIG={shlex.quote(str(options.kubeconfig))}", flush=True)


def _system_file(options: LocalOptions) -> Path:
    return options.data_dir / "system.json"


def _write_system_file(options: LocalOptions, supervisor: Supervisor) -> None:
    """Say which processes run, for scripts and tests; replaced whole, gone after the end."""
    system = {
        "pid": os.getpid(),
        "kubeconfig": str(options.kubeconfig),
        "processes": [
            {
                "role": running.program.role,
                "pid": running.process.pid,
                "port": running.program.port,
            }
            for running in supervisor.running
        ],
    }
    path = _system_file(options)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(system, indent=2) + "\n")
    new.replace(path)


@contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    """Hold `data_dir` (made where missing) for this process alone."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (data_dir / "up.lock").open("w")
    except OSError as error:
        raise OptionsError(f"--data-dir: {error.filename}: {error.strerror}") from error
    with lock:
        try:
            # The kernel drops it with the process, however that ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OptionsError(f"--data-dir: another kubefan runs in {data_dir}") from error
        yield
