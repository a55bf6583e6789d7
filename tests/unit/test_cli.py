"""The command kubefan."""

from __future__ import annotations

import subprocess
import sys

import pytest

from services import cli


def test_version_names_the_kubernetes_version_it_behaves_like(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["version"]) == 0
    assert "(Kubernetes v1.36.2)" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["--nonsense"]])
def test_an_unknown_command_is_exit_code_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 2


@pytest.mark.parametrize("command", ["up", "controllers"])
def test_help_behind_a_command_is_that_commands(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"])
    assert caught.value.code == 0
    assert f"usage: kubefan {command}" in capsys.readouterr().out


def test_a_command_imports_only_its_own_service() -> None:
    script = (
        "import sys; from services import cli; cli.main(['version']);"
        "sys.exit(any(name.startswith('services.') and name != 'services.cli'"
        " for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
