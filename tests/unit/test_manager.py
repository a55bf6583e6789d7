"""The controllers process: its flags, which controllers run, how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.controllers.__main__ import main
from services.controllers.manager import CONTROLLERS
from services.controllers.options import ControllersOptions, is_enabled
from shared.flags import OptionsError

KNOWN = ("foo", "bar")


def options(*argv: str) -> ControllersOptions:
    return ControllersOptions.from_argv(["--kubeconfig=k", *argv], known=KNOWN)


@pytest.mark.parametrize(
    ("controllers", "enabled"),
    [
        (["*"], True),
        (["foo"], True),
        (["bar"], False),
        (["-foo"], False),
        (["*", "-foo"], False),
        (["-foo", "*"], False),
        (["foo", "-foo"], True),
        ([], False),
    ],
)
def test_is_enabled(controllers: list[str], enabled: bool) -> None:
    assert is_enabled("foo", controllers) is enabled


def test_all_controllers_run_under_leader_election_unless_told_otherwise() -> None:
    given = options()
    assert given.kubeconfig == Path("k")
    assert given.controllers == ("*",)
    assert given.leader_election is not None
    assert given.leader_election.lease_duration_s == 15


def test_controllers_may_be_given_as_a_list_and_repeatedly() -> None:
    assert options("--controllers=*,-foo", "--controllers", "bar").controllers == (
        "*",
        "-foo",
        "bar",
    )


@pytest.mark.parametrize("flag", ["--leader-elect=false", "--leader-elect=0"])
def test_leader_election_can_be_turned_off(flag: str) -> None:
    assert options(flag).leader_election is None


def test_durations_are_read_as_go_writes_them() -> None:
    election = options(
        "--leader-elect-lease-duration=1m",
        "--leader-elect-renew-deadline=1500ms",
        "--leader-elect-retry-period=0.5s",
    ).leader_election
    assert election is not None
    assert (election.lease_duration_s, election.renew_deadline_s) == (60, 1.5)
    assert election.retry_period_s == 0.5


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--controllers=baz", '"baz" is not in the list of known controllers'),
        ("--controllers=-baz", '"-baz" is not in the list of known controllers'),
        ("--leader-elect=maybe", "'maybe' is not a boolean"),
        ("--leader-elect-retry-period=5", "'5' is not a duration"),
        ("--leader-elect-renew-deadline=15s", "--leader-elect-lease-duration: must be greater"),
        ("--leader-elect-retry-period=10s", "--leader-elect-renew-deadline: must be greater"),
        ("--nonsense", "unrecognized arguments: --nonsense"),
    ],
)
def test_a_mistake_names_the_flag(flag: str, message: str) -> None:
    with pytest.raises(OptionsError) as caught:
        options(flag)
    assert message in str(caught.value)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(OptionsError, match=r"--kubeconfig: is required; --controllers: .*baz"):
        ControllersOptions.from_argv(["--controllers=baz"], known=KNOWN)


def test_a_missing_kubeconfig_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main([f"--kubeconfig={tmp_path}/none"]) == 2
    error = capsys.readouterr().err
    assert error == (
        f"kubefan controllers: kubeconfig {tmp_path}/none: "
        f"{tmp_path}/none: No such file or directory\n"
    )


def test_controllers_bear_the_names_kube_controller_manager_gives_them() -> None:
    assert "namespace-controller" in CONTROLLERS
