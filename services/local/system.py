"""`kubefan up`, in order: lock, processes, ready, controllers, tell the user; and back again."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import resource
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.local.options import LocalOptions
from services.local.plan import Plan, single
from services.local.readiness import wait_ready
from services.local.replicated import replicated
from services.local.supervisor import End, Supervisor
from shared.certificates import write_private
from shared.flags import OptionsError

READY_TIMEOUT_S = 60.0
MAX_OPEN_FILES = 65536


async def up(options: LocalOptions) -> int:
    """Run the system until it is told to stop or a process dies; return the exit code.

    With replicas a process that dies is started again, and it goes on until it is told.

    Raises:
        OptionsError: the data directory or the port cannot be used, or a program is missing.
    """
    with _locked(options.data_dir):
        plan = _prepared(options)
        _allow_many_connections()
        async with asyncio.TaskGroup() as tasks:
            supervisor = Supervisor(
                tasks,
                output=sys.stderr,
                label_width=plan.label_width,
                restart=plan.restart,
                on_change=lambda: _write_system_file(options, plan, supervisor),
            )
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, supervisor.end, End(0))
            try:
                starting = tasks.create_task(_start(options, plan, supervisor), name="start")
                end = await supervisor.wait()
                starting.cancel()
            finally:
                await supervisor.stop()
                _system_file(options).unlink(missing_ok=True)
    if end.message:
        print(f"kubefan up: {end.message}", file=sys.stderr)
    return end.exit_code


def _prepared(options: LocalOptions) -> Plan:
    try:
        return replicated(options) if options.replicas else single(options)
    except OSError as error:
        raise OptionsError(f"--data-dir: {error.filename}: {error.strerror}") from error


async def _start(options: LocalOptions, plan: Plan, supervisor: Supervisor) -> None:
    for group in plan.groups:
        await supervisor.start(*group)
    deadline = asyncio.get_running_loop().time() + READY_TIMEOUT_S
    for name, kubeconfig in plan.kubeconfigs.items():
        try:
            async with asyncio.timeout_at(deadline):
                await wait_ready(kubeconfig)
        except TimeoutError:
            supervisor.end(End(1, f"{name} was not ready within {READY_TIMEOUT_S:.0f} s"))
            return
    supervisor.settled = True
    if plan.controllers is not None:
        await supervisor.start(plan.controllers)
    print(f"export KUBECONFIG={shlex.quote(str(options.kubeconfig))}", flush=True)


def _allow_many_connections() -> None:
    """Let our children open more files than the 1024 that are usual."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _system_file(options: LocalOptions) -> Path:
    return options.data_dir / "system.json"


def _write_system_file(options: LocalOptions, plan: Plan, supervisor: Supervisor) -> None:
    """Say which processes run, for scripts and tests; replaced whole, gone after the end.

    Only its owner may read it: the URL of Redis may hold a password.

    {
      "pid": 1,                     of the supervisor
      "kubeconfig": "FILE",         of the admin, for the API server or the balancer
      "processes": [{
        "role": "apiserver",        or etcd, redis, watchfanout, haproxy, controllers
        "name": "apiserver-2",      the role where there is but one
        "pid": 3,                   null between its end and its next start
        "port": 20123,              null where it does not listen
        "restarts": 0               since the system started
      }],
      "etcd": {"servers", "cafile", "certfile", "keyfile"},        with replicas only:
      "redis": {"url", "password_file", "cafile"},                 how to reach the parts,
      "watchfanout": {"servers", "cafile", "token_file"},          in the words of the flags
      "haproxy": {"socket"}                                        that name them
    }
    """
    system = {
        "pid": os.getpid(),
        "kubeconfig": str(options.kubeconfig),
        "processes": [
            {
                "role": running.program.role,
                "name": running.program.name,
                "pid": running.pid,
                "port": running.program.port,
                "restarts": running.restarts,
            }
            for running in supervisor.running
        ],
        **plan.parts,
    }
    write_private(_system_file(options), f"{json.dumps(system, indent=2)}\n".encode())


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
