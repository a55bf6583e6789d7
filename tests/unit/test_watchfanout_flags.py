"""The flags of `kubefan watchfanout`."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.watchfanout.options import WatchfanoutOptions
from shared.fanout.client import SnapshotAccess
from shared.flags import OptionsError, read_secret


def read(directory: Path, *flags: str, token: str = "secret\n") -> WatchfanoutOptions:
    for name in ("tls.crt", "tls.key"):
        (directory / name).touch()
    (directory / "token").write_text(token)
    return WatchfanoutOptions.from_argv(
        [
            "--etcd-servers=http://127.0.0.1:2379",
            "--redis-url=redis://127.0.0.1:6379",
            f"--tls-cert-file={directory / 'tls.crt'}",
            f"--tls-private-key-file={directory / 'tls.key'}",
            f"--token-file={directory / 'token'}",
            *flags,
        ]
    )


@pytest.mark.parametrize("flags", [("-v=3",), ("--v=3",), ("-v", "3"), ("--v", "3")])
def test_verbosity_may_be_written_in_any_form_that_the_api_server_takes(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    assert read(tmp_path, *flags).verbosity == 3


@pytest.mark.parametrize("token", ["", "\n"])
def test_an_empty_token_is_refused_for_it_would_let_everybody_in(
    tmp_path: Path, token: str
) -> None:
    with pytest.raises(OptionsError, match="--token-file"):
        read(tmp_path, token=token)


def test_a_token_that_is_no_text_is_told_with_the_flag(tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.write_bytes(b"secret\xff")
    with pytest.raises(OptionsError, match="--token-file: not UTF-8 text"):
        read(tmp_path, f"--token-file={bad}")


def test_secrets_of_other_files_that_are_no_text_are_errors_of_the_file(tmp_path: Path) -> None:
    """An OSError, as of a file that is not there: each service tells those in one line."""
    bad = tmp_path / "bad"
    bad.write_bytes(b"secret\xff")
    for reader in (read_secret, lambda path: SnapshotAccess.from_files("", str(path))):
        with pytest.raises(OSError, match="not UTF-8 text"):
            reader(bad)


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_who_listens_everywhere_says_where_others_find_it(tmp_path: Path, address: str) -> None:
    with pytest.raises(OptionsError, match="--advertise-address"):
        read(tmp_path, f"--bind-address={address}")
    options = read(tmp_path, f"--bind-address={address}", "--advertise-address=10.1.2.3")
    assert options.url == "https://10.1.2.3:8443"
