"""kubefan up --replicas: which processes there are, with which flags, and what is refused."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from services.local import programs, replicated
from services.local.__main__ import main
from services.local.balancer import configuration
from services.local.options import LocalOptions
from services.local.plan import Plan
from services.local.ports import check_free, free_ports
from services.local.supervisor import Program
from shared import kubeconfig


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is installed, whatever this machine has."""
    monkeypatch.setattr(
        replicated, "find", lambda needed: {one: f"/usr/bin/{one.name}" for one in needed}
    )


def plan(data_dir: Path, *flags: str, replicas: int = 2, **environ: str) -> Plan:
    port = free_ports(1)[0]
    argv = [f"--data-dir={data_dir}", f"--replicas={replicas}", f"--secure-port={port}", *flags]
    data_dir.mkdir(exist_ok=True)
    return replicated.replicated(LocalOptions.from_argv(argv, environ=environ))


def named(plan: Plan) -> dict[str, Program]:
    return {program.name: program for group in plan.groups for program in group}


def flag(program: Program, name: str) -> str | None:
    """Return the value that counts: the last."""
    values = [word.partition("=")[2] for word in program.command if word.startswith(f"{name}=")]
    return values[-1] if values else None


def test_each_group_needs_only_those_before_it(tmp_path: Path) -> None:
    groups = [[program.name for program in group] for group in plan(tmp_path).groups]
    assert groups == [
        ["etcd", "redis"],
        ["watchfanout-1", "watchfanout-2"],
        ["haproxy"],
        ["apiserver-1", "apiserver-2"],
    ]


def test_each_process_has_a_port_of_its_own(tmp_path: Path) -> None:
    ports = [program.port for program in named(plan(tmp_path)).values()]
    assert None not in ports
    assert len(set(ports)) == len(ports)


def test_replicas_share_certificates_and_have_directories_of_their_own(tmp_path: Path) -> None:
    replicas = plan(tmp_path).groups[-1]
    assert {flag(one, "--cert-dir") for one in replicas} == {str(tmp_path / "certs")}
    assert [flag(one, "--data-dir") for one in replicas] == [
        str(tmp_path / "apiserver-1"),
        str(tmp_path / "apiserver-2"),
    ]


def test_flags_go_to_each_replica(tmp_path: Path) -> None:
    for one in plan(tmp_path, "--authorization-mode=RBAC", "-v", "2").groups[-1]:
        assert "--authorization-mode=RBAC" in one.command
        assert one.command[one.command.index("-v") + 1] == "2"


def test_only_the_balancer_listens_beyond_this_machine(tmp_path: Path) -> None:
    made = plan(tmp_path, "--bind-address=0.0.0.0")
    assert {flag(one, "--bind-address") for one in made.groups[-1]} == {"127.0.0.1"}
    port = named(made)["haproxy"].port
    assert f"    bind 0.0.0.0:{port}\n" in (tmp_path / "haproxy" / "haproxy.cfg").read_text()


def test_the_admin_is_sent_to_the_balancer(tmp_path: Path) -> None:
    port = named(plan(tmp_path))["haproxy"].port
    access = kubeconfig.load(tmp_path / "admin.kubeconfig")
    assert access.server == f"https://127.0.0.1:{port}"
    assert access.token == (tmp_path / "certs" / "admin.token").read_text().strip()
    assert access.ca == (tmp_path / "certs" / "ca.crt").read_bytes()


def test_certificates_may_lie_elsewhere(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    made = plan(tmp_path, f"--cert-dir={elsewhere}")
    assert {flag(one, "--cert-dir") for one in made.groups[-1]} == {str(elsewhere)}
    access = kubeconfig.load(tmp_path / "admin.kubeconfig")
    assert access.ca == (elsewhere / "ca.crt").read_bytes()


def test_all_of_one_system_speak_of_the_same_stores(tmp_path: Path) -> None:
    made = plan(tmp_path, "--etcd-prefix=/mine")
    everyone = [*made.groups[1], *made.groups[-1]]
    for name in ("--etcd-servers", "--etcd-cafile", "--etcd-certfile", "--etcd-prefix"):
        assert len({flag(one, name) for one in everyone}) == 1, name
    fanouts, replicas = made.groups[1], made.groups[-1]
    assert flag(fanouts[0], "--redis-url") == flag(replicas[0], "--event-log-url")
    assert flag(replicas[0], "--watchfanout-servers") == ",".join(
        f"https://127.0.0.1:{one.port}" for one in fanouts
    )


@pytest.mark.parametrize(
    ("flags", "environ", "missing"),
    [
        (["--etcd-servers=http://e:2379"], {}, {"etcd"}),
        (["--event-log-url=redis://r"], {}, {"redis"}),
        (["--event-log-url=redis://r", "--etcd-servers", "http://e:2379"], {}, {"etcd", "redis"}),
        (["--watchfanout-servers=https://w:1"], {}, {"watchfanout-1", "watchfanout-2"}),
    ],
)
def test_what_somebody_else_runs_is_used(
    flags: list[str], environ: dict[str, str], missing: set[str], tmp_path: Path
) -> None:
    everything = set(named(plan(tmp_path / "all")))
    made = plan(tmp_path / "some", *flags, **environ)
    assert set(named(made)) == everything - missing
    for one in made.groups[-1]:
        if "etcd" in missing:
            assert "http://e:2379" in one.command or "--etcd-servers=http://e:2379" in one.command
        if "redis" in missing:
            assert flag(one, "--event-log-url") == "redis://r"


def test_a_password_in_the_environment_comes_to_nobodys_arguments(tmp_path: Path) -> None:
    everything = set(named(plan(tmp_path / "all")))
    url = "rediss://:sesame@r"
    made = plan(tmp_path / "some", KUBEFAN_EVENT_LOG_URL=url)  # which the processes inherit
    assert set(named(made)) == everything - {"redis"}
    assert "sesame" not in repr([one.command for one in named(made).values()])
    assert made.parts["redis"]["url"] == url


def test_a_second_start_keeps_every_secret(tmp_path: Path) -> None:
    def secrets() -> dict[str, bytes]:
        directories = [tmp_path / "pki", tmp_path / "certs"]
        return {str(one): one.read_bytes() for each in directories for one in each.iterdir()}

    plan(tmp_path)
    before = secrets()
    assert {Path(name).name for name in before} >= {"etcd.key", "redis.password", "admin.token"}
    plan(tmp_path)
    assert secrets() == before


def test_missing_programs_are_named_with_their_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(replicated, "find", programs.find)
    monkeypatch.setattr(shutil, "which", lambda name, path: None if name == "etcd" else name)
    assert main([f"--data-dir={tmp_path}", "--replicas=3"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("kubefan up: --replicas: not installed: etcd. ")
    assert "make run REPLICAS=3" in error
    assert error.endswith("apt-get install etcd-server\n")
    assert [path.name for path in tmp_path.iterdir()] == ["up.lock"], "nothing was started"


@pytest.mark.parametrize("number", ["-1", "101", "x"])
def test_a_senseless_number_of_replicas_is_refused(
    number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"--replicas={number}"]) == 2
    assert "--replicas" in capsys.readouterr().err


def test_a_port_in_use_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        replicated, "check_free", lambda host, port: check_free(host, port, timeout_s=0)
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main([f"--data-dir={tmp_path}", "--replicas=1", f"--secure-port={port}"]) == 2
    assert f"--secure-port: 127.0.0.1:{port} is in use" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], None),
        (["--a=1", "--a=2"], "2"),
        (["--a", "1"], "1"),
        (["--b=--a", "--a"], ""),
        (["--a_b=1"], None),
    ],
)
def test_the_value_of_a_flag_is_the_last_one_given(flags: list[str], expected: str | None) -> None:
    assert LocalOptions.from_argv(flags).apiserver_flag("--a") == expected


def test_underscores_in_flags_are_dashes() -> None:
    assert LocalOptions.from_argv(["--cert_dir=x"]).apiserver_flag("--cert-dir") == "x"


SERVERS = [("apiserver-1", "127.0.0.1:1"), ("apiserver-2", "127.0.0.1:2")]


@pytest.mark.skipif(shutil.which("haproxy", path="/usr/sbin:/usr/bin") is None, reason="no haproxy")
@pytest.mark.parametrize("directory", ["plain", 'with space, "quotes" and $HOME'])
def test_haproxy_takes_its_configuration(directory: str, tmp_path: Path) -> None:
    home = tmp_path / directory
    plan(home)
    command = shutil.which("haproxy", path="/usr/sbin:/usr/bin")
    assert command is not None
    done = subprocess.run(
        [command, "-c", "-C", str(home / "haproxy"), "-f", "haproxy.cfg"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


def test_the_token_is_told_only_to_servers_whose_certificate_is_checked(tmp_path: Path) -> None:
    ours = configuration(bind="a:1", servers=SERVERS, ca=tmp_path / "ca.crt", token="secret")
    assert "verify required" in ours
    assert "secret" in ours
    theirs = configuration(bind="a:1", servers=SERVERS, ca=None, token="secret")
    assert "verify none" in theirs
    assert "secret" not in theirs
