"""The flags of `kubefan up`. What it does not know is the API server's."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Self


class OptionsError(ValueError):
    """A mistake in the flags; one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalOptions:
    data_dir: Path
    """Objects, certificates and admin.kubeconfig; made where it is missing."""
    secure_port: int = 6443
    controllers: str = "*"
    """As `kubefan controllers --controllers`; empty for no controllers at all."""
    apiserver_flags: tuple[str, ...] = ()
    """Passed on as they are."""

    @property
    def kubeconfig(self) -> Path:
        """The file that the API server writes for its administrator."""
        return self.data_dir / "admin.kubeconfig"

    @classmethod
    def from_argv(cls, argv: Sequence[str]) -> Self:
        """Read the flags.

        Raises:
            OptionsError: something is wrong.
            SystemExit: --help was printed.
        """
        given, others = _parser().parse_known_args(argv)
        if not 0 < given.secure_port < 65536:
            raise OptionsError(f"--secure-port: {given.secure_port} is not a port (1 to 65535)")
        data_dir = Path(given.data_dir).absolute()
        if data_dir.exists() and not data_dir.is_dir():
            raise OptionsError(f"--data-dir: {data_dir} is not a directory")
        return cls(
            data_dir=data_dir,
            secure_port=given.secure_port,
            controllers=given.controllers,
            apiserver_flags=tuple(others),
        )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise OptionsError(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="kubefan up",
        description="Starts an API server and its controllers on this machine, until Ctrl-C.",
        epilog="All other flags go to the API server: see kubefan apiserver --help.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--data-dir",
        default=".kubefan",
        metavar="DIR",
        help="where everything is kept (default ./.kubefan)",
    )
    parser.add_argument(
        "--secure-port", type=int, default=6443, metavar="PORT", help="HTTPS port (default 6443)"
    )
    parser.add_argument(
        "--controllers",
        default="*",
        metavar="LIST",
        help='which controllers run beside it, "" for none (default *)',
    )
    return parser
