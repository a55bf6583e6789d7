"""kubefan up as a user starts and stops it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.kubectl import Kubectl
from tests.e2e.manifests import configmap
from tests.e2e.system import KUBEFAN, free_port


class Up:
    """One `kubefan up` at a time on one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """Start it and return the line it prints when all is ready."""
        self.process = self.popen()
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def popen(self, *flags: str) -> subprocess.Popen[str]:
        arguments = [f"--data-dir={self.data_dir}", f"--secure-port={self.port}", *flags]
        return subprocess.Popen(
            [*KUBEFAN, "up", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        """Send a signal; return the exit code and what else was printed to stdout and stderr."""
        assert self.process is not None
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err

    def system(self) -> dict[str, dict[str, Any]]:
        """Return the processes of system.json by role."""
        document = json.loads((self.data_dir / "system.json").read_text())
        return {process["role"]: process for process in document["processes"]}


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    up = Up(tmp_path / "data")
    yield up
    if up.process is not None and up.process.poll() is None:
        up.process.kill()
        up.process.communicate()


def kubectl(line: str, home: Path) -> Kubectl:
    assert line.startswith("export KUBECONFIG=")
    return Kubectl(Path(line.strip().removeprefix("export KUBECONFIG=")), home)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_one_line_on_stdout_is_all_kubectl_needs(up: Up, tmp_path: Path) -> None:
    line = up.start()
    assert kubectl(line, tmp_path)("create", "namespace", "x") == "namespace/x created\n"
    processes = up.system()
    assert set(processes) == {"apiserver", "controllers"}
    assert processes["apiserver"]["port"] == up.port
    code, out, err = up.stop()
    assert (code, out) == (0, "")
    assert not any(alive(process["pid"]) for process in processes.values())
    assert not (up.data_dir / "system.json").exists()
    labels = {line.split("|")[0].strip() for line in err.splitlines()}
    assert labels <= {"apiserver", "controllers"}


def test_ctrl_c_is_an_orderly_end(up: Up) -> None:
    up.start()
    code, _, err = up.stop(signal.SIGINT)
    assert code == 0
    assert "Traceback" not in err


def test_objects_are_still_there_after_a_restart(up: Up, tmp_path: Path) -> None:
    kubectl(up.start(), tmp_path).create(configmap("c", data={"k": "v"}, namespace="default"))
    up.stop()
    again = kubectl(up.start(), tmp_path)
    assert again.get("configmap", "c", "-n", "default")["data"] == {"k": "v"}
    up.stop()


def test_acknowledged_objects_survive_the_death_of_everything(up: Up, tmp_path: Path) -> None:
    admin = kubectl(up.start(), tmp_path)
    admin.create(configmap("c", namespace="default"))
    processes = up.system()
    for process in processes.values():
        os.kill(process["pid"], signal.SIGKILL)
    assert up.process is not None
    up.process.kill()
    up.process.communicate()
    again = kubectl(up.start(), tmp_path)
    assert again("get", "configmap", "c", "-n", "default", "-o", "name") == "configmap/c\n"
    up.stop()


def test_work_on_a_namespace_goes_on_after_a_restart(up: Up, tmp_path: Path) -> None:
    admin = kubectl(up.start(), tmp_path)
    admin("create", "namespace", "x")
    admin.create(configmap("c", namespace="x", finalizers=["example.com/f"]))
    admin("delete", "namespace", "x", "--wait=false")
    up.stop()
    admin = kubectl(up.start(), tmp_path)
    release = '{"metadata": {"finalizers": null}}'
    admin("patch", "configmap", "c", "-n", "x", "--type=merge", "-p", release)
    admin("wait", "namespace/x", "--for=delete", "--timeout=20s")
    up.stop()


@pytest.mark.parametrize("role", ["apiserver", "controllers"])
def test_a_process_that_dies_ends_everything(up: Up, role: str) -> None:
    up.start()
    processes = up.system()
    os.kill(processes[role]["pid"], signal.SIGKILL)
    assert up.process is not None
    _, err = up.process.communicate(timeout=30)
    assert up.process.returncode == 137
    assert err.splitlines()[-1] == f"kubefan up: {role} was killed by SIGKILL"
    assert not any(alive(process["pid"]) for process in processes.values())


def test_a_mistake_in_the_apiservers_flags_is_one_line_and_exit_code_2(up: Up) -> None:
    process = up.popen("--no-such-flag=1")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    lines = err.splitlines()
    assert len(lines) == 2
    assert "no-such-flag" in lines[0]
    assert lines[1] == "kubefan up: apiserver ended with exit code 2"


def test_a_second_system_in_one_directory_is_refused(up: Up) -> None:
    up.start()
    second = up.popen()
    _, err = second.communicate(timeout=30)
    assert second.returncode == 2
    assert "another kubefan runs in" in err
    up.stop()


def test_an_api_server_is_ready_quickly(up: Up) -> None:
    start = time.monotonic()
    up.start()
    assert time.monotonic() - start < 10
    up.stop()
