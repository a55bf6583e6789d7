"""kubefan up --replicas: several API servers on one etcd, behind one address."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e import system
from tests.e2e.kubectl import Kubectl
from tests.e2e.manifests import configmap

REPLICAS = 3
ROLES = {
    "etcd": 1,
    "redis": 1,
    "watchfanout": 2,
    "haproxy": 1,
    "apiserver": REPLICAS,
    "controllers": 1,
}


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[system.Server]:
    with system.replicated(tmp_path_factory.mktemp("replicas"), REPLICAS) as server:
        yield server


@pytest.fixture(scope="module")
def kubectl(replicas: system.Server, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return Kubectl(replicas.kubeconfig, tmp_path_factory.mktemp("home"), "default")


def apiservers(server: system.Server) -> list[system.Part]:
    return [part for part in server.parts().values() if part.role == "apiserver"]


def directly(server: system.Server, part: system.Part, home: Path) -> Kubectl:
    """kubectl that asks one replica."""
    return Kubectl(server.data_dir / part.name / "admin.kubeconfig", home, "default")


def alive(pid: int | None) -> bool:
    """Whether `pid` runs; one that waits for its parent to collect it does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def wait_gone(pids: list[int | None], timeout_s: float = 20) -> list[int | None]:
    """Wait until none of `pids` runs; return those that still do."""
    deadline = time.monotonic() + timeout_s
    while (left := [pid for pid in pids if alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def test_system_json_names_every_process(replicas: system.Server) -> None:
    parts = replicas.parts()
    roles = [part.role for part in parts.values()]
    assert {role: roles.count(role) for role in roles} == ROLES
    assert all(alive(part.pid) for part in parts.values())
    assert parts["haproxy"].port == replicas.port
    assert len({part.port for part in parts.values()}) == len(parts)


def test_what_is_written_at_the_balancer_is_read_from_each_replica(
    replicas: system.Server, kubectl: Kubectl
) -> None:
    kubectl.create(configmap("everywhere", data={"k": "v"}))
    versions = set()
    for part in apiservers(replicas):
        found = directly(replicas, part, kubectl.home).get("configmap", "everywhere")
        assert found["data"] == {"k": "v"}
        versions.add(found["metadata"]["resourceVersion"])
    assert len(versions) == 1


def test_replicas_name_the_balancer_and_not_themselves(
    replicas: system.Server, kubectl: Kubectl
) -> None:
    answers = {
        directly(replicas, part, kubectl.home)("get", "--raw", "/api")
        for part in apiservers(replicas)
    }
    assert len(answers) == 1
    assert f':{replicas.port}"' in answers.pop()
    endpoints = kubectl.get("endpoints", "kubernetes")
    assert [port["port"] for port in endpoints["subsets"][0]["ports"]] == [replicas.port]


def test_links_between_the_parts_are_encrypted_and_locked(replicas: system.Server) -> None:
    parts = replicas.parts()
    etcd = subprocess.run(
        ["curl", "-sk", f"https://127.0.0.1:{parts['etcd'].port}/health"],
        capture_output=True,
        check=False,
    )
    assert etcd.returncode != 0, "etcd wants a certificate"
    command = ["redis-cli", "-p", str(parts["redis"].port)]
    plain = subprocess.run([*command, "PING"], capture_output=True, text=True, check=False)
    assert "PONG" not in plain.stdout
    tls = [*command, "--tls", "--cacert", replicas.system["redis"]["cafile"], "PING"]
    locked = subprocess.run(tls, capture_output=True, text=True, check=False)
    assert "NOAUTH" in locked.stdout


@pytest.mark.parametrize("secret", ["pki/etcd.key", "pki/redis.password", "haproxy/haproxy.cfg"])
def test_secrets_are_for_their_owner_alone(secret: str, replicas: system.Server) -> None:
    assert (replicas.data_dir / secret).stat().st_mode & 0o077 == 0


def test_no_secret_is_an_argument_of_a_process(replicas: system.Server) -> None:
    secrets = [
        path.read_text().strip()
        for name in ("pki/*.password", "pki/*.token", "certs/*.token")
        for path in replicas.data_dir.glob(name)
    ]
    assert len(secrets) >= 3
    for part in replicas.parts().values():
        arguments = Path(f"/proc/{part.pid}/cmdline").read_text()
        assert not any(secret in arguments for secret in secrets)


@pytest.mark.parametrize("name", ["apiserver-2", "haproxy", "redis", "etcd", "controllers"])
def test_a_part_that_was_killed_comes_back(
    name: str, replicas: system.Server, kubectl: Kubectl
) -> None:
    before = replicas.parts()[name]
    replicas.send(name, signal.SIGKILL)
    after = replicas.wait_restarted(before)
    assert after.pid != before.pid
    assert after.port == before.port
    assert f"== {name} was killed by SIGKILL; it starts again" in replicas.log.read_text()
    wait_served(kubectl)
    kubectl.create(configmap(f"after-{name}"))


def test_a_replica_that_was_killed_is_not_missed(replicas: system.Server, kubectl: Kubectl) -> None:
    before = replicas.parts()["apiserver-1"]
    replicas.send("apiserver-1", signal.SIGKILL)
    for number in range(10):
        kubectl.create(configmap(f"unmissed-{number}"))
    replicas.wait_restarted(before)


def test_a_replica_that_hangs_is_left(replicas: system.Server, kubectl: Kubectl) -> None:
    replicas.send("apiserver-1", signal.SIGSTOP)
    try:
        for _ in range(5):
            kubectl("get", "configmaps", "--request-timeout=20s")
    finally:
        replicas.send("apiserver-1", signal.SIGCONT)


def test_without_etcd_what_the_caches_hold_is_still_served(
    replicas: system.Server, kubectl: Kubectl
) -> None:
    kubectl.create(configmap("cached"))
    path = "/api/v1/namespaces/default/configmaps/cached?resourceVersion=0"
    replicas.send("etcd", signal.SIGSTOP)
    try:
        time.sleep(6)  # for the balancer to have its opinion
        assert '"name":"cached"' in kubectl("get", "--raw", path)
    finally:
        replicas.send("etcd", signal.SIGCONT)
    wait_served(kubectl)


def test_a_client_that_waits_does_not_notice_a_rolling_restart(
    replicas: system.Server, kubectl: Kubectl
) -> None:
    kubectl.create(configmap("waited-for", data={"k": "old"}))
    wait = (
        "wait",
        "configmap/waited-for",
        "--for=jsonpath={.data.k}=new",
        "--timeout=60s",
    )
    with kubectl.background(*wait) as waiting:
        for part in apiservers(replicas):
            replicas.send(part.name, signal.SIGTERM)
            replicas.wait_restarted(part)
            kubectl("get", "configmap", "waited-for")
        assert waiting.poll() is None
        kubectl("patch", "configmap", "waited-for", "--type=merge", "-p", '{"data":{"k":"new"}}')
        out, _ = waiting.communicate(timeout=30)
    assert waiting.returncode == 0, out
    # A line before it may tell of a watch that lasted less than a second: kubectl started
    # while its replica was about to stop.
    assert out.splitlines()[-1] == "configmap/waited-for condition met"


def test_a_watch_ends_cleanly_when_its_replica_stops(
    replicas: system.Server, kubectl: Kubectl
) -> None:
    kubectl.create(configmap("watched"))
    with kubectl.background("get", "configmap", "watched", "--watch", "-o", "name") as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline() == "configmap/watched\n"
        for part in apiservers(replicas):
            replicas.send(part.name, signal.SIGTERM)
            replicas.wait_restarted(part)
        out, _ = watching.communicate(timeout=30)
    assert (watching.returncode, out) == (0, "")


def test_a_second_system_in_one_directory_is_refused(replicas: system.Server) -> None:
    done = up(f"--data-dir={replicas.data_dir}", "--replicas=1")
    assert done.returncode == 2
    assert "another kubefan runs in" in done.stderr


def test_a_port_that_is_taken_is_refused(replicas: system.Server, tmp_path: Path) -> None:
    done = up(f"--data-dir={tmp_path}", "--replicas=1", f"--secure-port={replicas.port}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"kubefan up: --secure-port: 127.0.0.1:{replicas.port} is in use")


def test_a_mistake_in_the_apiservers_flags_ends_all(tmp_path: Path) -> None:
    port = system.free_port()
    done = up(f"--data-dir={tmp_path}", "--replicas=2", f"--secure-port={port}", "--no-such=1")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert any("unknown flag: --no-such" in line for line in lines)
    assert re.fullmatch("kubefan up: apiserver-[12] ended with exit code 2", lines[-1])


def test_after_any_end_nothing_is_left_but_the_data(tmp_path: Path) -> None:
    flags = [
        f"--data-dir={tmp_path / 'data'}",
        "--replicas=1",
        f"--secure-port={system.free_port()}",
    ]
    with running(*flags) as (process, kubectl):
        kubectl.create(configmap("kept"))
        assert end(process, tmp_path / "data", signal.SIGKILL) == -signal.SIGKILL
    with running(*flags) as (process, kubectl):
        assert kubectl("get", "configmap", "kept", "-o", "name") == "configmap/kept\n"
        assert end(process, tmp_path / "data", signal.SIGINT) == 0
    assert not (tmp_path / "data" / "system.json").exists()


def end(process: subprocess.Popen[str], data_dir: Path, number: signal.Signals) -> int:
    """End a system, wait until none of its parts runs, and return its return code."""
    pids = [part["pid"] for part in json.loads((data_dir / "system.json").read_text())["processes"]]
    assert len(pids) > len(ROLES)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert wait_gone(pids) == []
    return process.returncode


@contextmanager
def running(*flags: str) -> Iterator[tuple[subprocess.Popen[str], Kubectl]]:
    """Run a `kubefan up`; the block starts when it says that it is ready."""
    process = subprocess.Popen(
        [*system.KUBEFAN, "up", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("export KUBECONFIG="), line
        path = Path(line.strip().removeprefix("export KUBECONFIG="))
        yield process, Kubectl(path, path.parent, "default")
    finally:
        process.terminate()
        process.communicate(timeout=30)


def wait_served(kubectl: Kubectl, timeout_s: float = 20) -> None:
    """Wait until writes are served again."""
    deadline = time.monotonic() + timeout_s
    while kubectl.run("create", "namespace", f"probe-{time.monotonic_ns()}").code != 0:
        assert time.monotonic() < deadline, "nothing is served"
        time.sleep(0.2)


def up(*flags: str) -> subprocess.CompletedProcess[str]:
    """Run a `kubefan up` that ends by itself."""
    command = [*system.KUBEFAN, "up", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
