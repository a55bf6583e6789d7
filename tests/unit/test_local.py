"""kubefan up: its flags, its plan, and processes that live and die together."""

from __future__ import annotations

import asyncio
import fcntl
import io
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from services.local import plan
from services.local import supervisor as supervisor_module
from services.local.__main__ import main
from services.local.options import LocalOptions
from services.local.readiness import wait_ready
from services.local.supervisor import End, Program, Supervisor, death


def options(*argv: str) -> LocalOptions:
    return LocalOptions.from_argv(["--data-dir=/d", *argv])


def test_the_defaults_are_a_directory_here_and_kube_apiservers_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = LocalOptions.from_argv([])
    assert given.data_dir == tmp_path / ".kubefan"
    assert given.secure_port == 6443
    assert given.kubeconfig == tmp_path / ".kubefan" / "admin.kubeconfig"


def test_unknown_flags_go_to_the_apiserver_as_they_are() -> None:
    command = plan.apiserver(options("--authorization-mode=RBAC", "--etcd-servers", "x")).command
    assert command[-3:] == ("--authorization-mode=RBAC", "--etcd-servers", "x")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [([], ["--bind-address=127.0.0.1"]), (["--bind-address=0.0.0.0"], ["--bind-address=0.0.0.0"])],
)
def test_the_apiserver_listens_on_this_machine_only_unless_told_otherwise(
    flags: list[str], expected: list[str]
) -> None:
    command = plan.apiserver(options(*flags)).command
    assert [flag for flag in command if flag.startswith("--bind-address")] == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], "--leader-elect=false"),
        (["--etcd-servers=http://localhost:2379"], "--leader-elect=true"),
    ],
)
def test_controllers_elect_a_leader_only_where_there_may_be_others(
    flags: list[str], expected: str
) -> None:
    program = plan.controllers(options(*flags))
    assert program is not None
    assert expected in program.command


def test_no_controllers_are_started_when_none_are_wanted() -> None:
    assert plan.controllers(options("--controllers=")) is None


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--secure-port=x"], "--secure-port"),
        (["--secure-port=70000"], "--secure-port: 70000 is not a port"),
        ([f"--data-dir={__file__}"], "is not a directory"),
        (["--data-dir=/proc/none"], "--data-dir: /proc/none"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("kubefan up: ")
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("returncode", "end"),
    [
        (2, End(2, "x ended with exit code 2")),
        (0, End(1, "x ended with exit code 0")),
        (-9, End(137, "x was killed by SIGKILL")),
    ],
)
def test_the_end_of_a_process_becomes_our_exit_code(returncode: int, end: End) -> None:
    assert death("x", returncode) == end


def script(role: str, code: str) -> Program:
    return Program(role, (sys.executable, "-u", "-c", code))


LOOP = "import time\nwhile True: time.sleep(1)"


async def supervise(
    *programs: Program, end_after: int = 0, restart: bool = False, settled: bool = False
) -> tuple[End, str, list[int]]:
    """Run `programs` until one ends, or until `end_after` lines have been written."""
    output = io.StringIO()
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        supervisor = Supervisor(tasks, output=output, restart=restart)
        supervisor.settled = settled
        try:
            for program in programs:
                await supervisor.start(program)
            while output.getvalue().count("\n") < end_after:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)
            if end_after:
                supervisor.end(End(0))
            end = await supervisor.wait()
        finally:
            await supervisor.stop()
    codes = [running.process.returncode or 0 for running in supervisor.running]
    return end, output.getvalue(), codes


def test_output_is_shown_line_by_line_under_the_name_of_its_process() -> None:
    code = "import sys; print('one'); print('two', file=sys.stderr); print('end', end='')"
    _, output, _ = asyncio.run(supervise(script("a", code)))
    assert sorted(output.splitlines()) == [
        "a           | end",
        "a           | one",
        "a           | two",
    ]


def test_an_endless_line_is_shown_in_pieces() -> None:
    _, output, _ = asyncio.run(supervise(script("a", "print('x' * 200_000)")))
    assert output.count("x") == 200_000
    assert len(output.splitlines()) > 1


def test_one_process_that_dies_ends_the_others() -> None:
    end, _, codes = asyncio.run(
        supervise(script("a", LOOP), script("b", "import sys; sys.exit(3)"))
    )
    assert end == End(3, "b ended with exit code 3")
    assert codes == [-signal.SIGTERM, 3]


def test_processes_are_stopped_in_reverse_order() -> None:
    say_bye = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('bye'), sys.exit(0)))\n"
        "print('ready')\n"
        "while True: time.sleep(1)"
    )

    async def scenario() -> str:
        both = [script("a", say_bye), script("b", say_bye)]
        end, output, _ = await supervise(*both, end_after=2)
        assert end == End(0)
        return output

    assert [line for line in asyncio.run(scenario()).splitlines() if "bye" in line] == [
        "b           | bye",
        "a           | bye",
    ]


def test_those_started_together_are_stopped_together() -> None:
    """Each ends only when it has seen the file that the other makes at its end."""

    def waits_for(own: str, other: str, directory: Path) -> Program:
        return script(
            own,
            "import pathlib, signal, sys, time\n"
            f"directory = pathlib.Path({str(directory)!r})\n"
            "def end(*_):\n"
            f"    (directory / {own!r}).touch()\n"
            f"    while not (directory / {other!r}).exists(): time.sleep(0.01)\n"
            "    sys.exit(0)\n"
            "signal.signal(signal.SIGTERM, end)\n"
            "print('ready')\n"
            "while True: time.sleep(1)",
        )

    async def scenario() -> list[int | None]:
        output = io.StringIO()
        with tempfile.TemporaryDirectory() as name:
            async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
                supervisor = Supervisor(tasks, output=output)
                pair = [waits_for("a", "b", Path(name)), waits_for("b", "a", Path(name))]
                await supervisor.start(*pair)
                while output.getvalue().count("ready") < 2:  # noqa: ASYNC110 - processes
                    await asyncio.sleep(0.01)
                await supervisor.stop()
        return [running.process.returncode for running in supervisor.running]

    assert asyncio.run(scenario()) == [0, 0]


def test_a_process_that_ends_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "RESTART_DELAYS_S", (0.01, 0.02))
    code = "import sys; print('again'); sys.exit(3)"
    end, output, _ = asyncio.run(supervise(script("a", code), restart=True, end_after=8))
    assert end == End(0)
    said = [line for line in output.splitlines() if "==" in line]
    assert said[0] == "a           | == a ended with exit code 3; it starts again in 0.01 s"
    assert all(line.endswith("in 0.02 s") for line in said[1:])
    assert output.count("again\n") >= 3


@pytest.mark.parametrize("code", ["sys.exit(0)", "os.kill(os.getpid(), signal.SIGTERM)"])
def test_one_that_was_asked_to_end_has_not_failed(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "RESTART_DELAYS_S", (0.01, 5.0))
    program = script("a", f"import os, signal, sys; {code}")
    _, output, _ = asyncio.run(supervise(program, restart=True, end_after=3))
    assert all(line.endswith("in 0.01 s") for line in output.splitlines())


def test_a_mistake_in_the_flags_ends_all_even_where_others_are_started_again() -> None:
    program = script("a", "import sys; sys.exit(2)")
    end, _, _ = asyncio.run(supervise(program, restart=True))
    assert end == End(2, "a ended with exit code 2")


def test_once_all_was_ready_any_end_is_followed_by_a_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor_module, "RESTART_DELAYS_S", (0.01,))
    program = script("a", "import sys; sys.exit(2)")
    end, _, _ = asyncio.run(supervise(program, restart=True, settled=True, end_after=2))
    assert end == End(0)


def test_a_paused_process_can_be_stopped() -> None:
    async def scenario() -> int | None:
        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            supervisor = Supervisor(tasks, output=io.StringIO())
            await supervisor.start(script("a", LOOP))
            process = supervisor.running[0].process
            process.send_signal(signal.SIGSTOP)
            await supervisor.stop()
            return process.returncode

    assert asyncio.run(scenario()) == -signal.SIGTERM


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_processes_do_not_outlive_a_killed_supervisor() -> None:
    code = (
        "import asyncio, os, signal, sys\n"
        "from services.local.supervisor import Program, Supervisor\n"
        "async def main():\n"
        "    async with asyncio.TaskGroup() as tasks:\n"
        "        supervisor = Supervisor(tasks, output=sys.stderr)\n"
        f"        await supervisor.start(Program('a', (sys.executable, '-c', {LOOP!r})))\n"
        "        print(supervisor.running[0].process.pid, flush=True)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )

    async def scenario() -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        child = int(out)
        async with asyncio.timeout(10):
            while _alive(child):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)

    asyncio.run(scenario())


def _alive(pid: int) -> bool:
    """Whether `pid` runs; one that waits for its new parent to collect it does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_a_directory_in_use_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (tmp_path / "up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main([f"--data-dir={tmp_path}"]) == 2
    assert f"another kubefan runs in {tmp_path}" in capsys.readouterr().err


def test_readiness_waits_for_the_file_and_then_for_the_servers_yes(tmp_path: Path) -> None:
    answers = [b"HTTP/1.1 500 no\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\n\r\nok"]
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answers.pop(0))
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        kubeconfig = tmp_path / "kubeconfig"
        waiting = asyncio.create_task(wait_ready(kubeconfig))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        kubeconfig.write_text(
            f"""
            current-context: c
            contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
            clusters: [{{name: c, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
            users: [{{name: u, user: {{token: secret}}}}]
            """
        )
        async with server, asyncio.timeout(5):
            await waiting

    asyncio.run(scenario())
    assert answers == []
    assert all(request.startswith(b"GET /readyz HTTP/1.0\r\n") for request in asked)
    assert b"Authorization: Bearer secret\r\n" in asked[0]
