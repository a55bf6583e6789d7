"""The flags of `kubefan up`. What it does not know is the API server's."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from shared.flags import FlagParser, OptionsError

EVENT_LOG_URL_VARIABLE = "KUBEFAN_EVENT_LOG_URL"
MAX_REPLICAS = 100
"""A machine has no use for more, and a typing error should not start them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalOptions:
    data_dir: Path
    """Objects, certificates and admin.kubeconfig; made where it is missing."""
    secure_port: int = 6443
    replicas: int = 0
    """How many API servers share an etcd behind a load balancer; 0 for a single one that
    stores by itself."""
    controllers: str = "*"
    """As `kubefan controllers --controllers`; empty for no controllers at all."""
    event_log_url: str = ""
    """From the environment; the flag of this name goes before."""
    apiserver_flags: tuple[str, ...] = ()
    """Passed on as they are."""

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.data_dir / "admin.kubeconfig"

    def apiserver_flag(self, name: str) -> str | None:
        """Return the value that the API server is given for a flag, None where it is not.

        `name` starts with "--". As there, the last one counts and underscores are dashes.
        """
        value = None
        for i, word in enumerate(self.apiserver_flags):
            flag, equals, text = word.partition("=")
            if flag.replace("_", "-") == name:
                following = self.apiserver_flags[i + 1 : i + 2]
                value = text if equals else (following or ("",))[0]
        return value

    @classmethod
    def from_argv(cls, argv: Sequence[str], *, environ: Mapping[str, str] | None = None) -> Self:
        """Read the flags.

        Raises:
            OptionsError: something is wrong.
            SystemExit: --help was printed.
        """
        given, others = _parser().parse_known_args(argv)
        if not 0 < given.secure_port < 65536:
            raise OptionsError(f"--secure-port: {given.secure_port} is not a port (1 to 65535)")
        if not 0 <= given.replicas <= MAX_REPLICAS:
            raise OptionsError(f"--replicas: {given.replicas} is not from 0 to {MAX_REPLICAS}")
        data_dir = Path(given.data_dir).absolute()
        if data_dir.exists() and not data_dir.is_dir():
            raise OptionsError(f"--data-dir: {data_dir} is not a directory")
        return cls(
            data_dir=data_dir,
            secure_port=given.secure_port,
            replicas=given.replicas,
            controllers=given.controllers,
            event_log_url=(os.environ if environ is None else environ).get(
                EVENT_LOG_URL_VARIABLE, ""
            ),
            apiserver_flags=tuple(others),
        )


def _parser() -> argparse.ArgumentParser:
    parser = FlagParser(
        prog="kubefan up",
        description="Starts an API server and its controllers on this machine, until Ctrl-C; "
        "with --replicas several behind a load balancer, with etcd and Redis.",
        epilog="All other flags go to each API server: see kubefan apiserver --help.",
    )
    parser.add_argument(
        "--data-dir",
        default=".kubefan",
        metavar="DIR",
        help="where everything is kept (default ./.kubefan)",
    )
    parser.add_argument(
        "--secure-port",
        type=int,
        default=6443,
        metavar="PORT",
        help="HTTPS port, of the load balancer where there is one (default 6443)",
    )
    parser.add_argument(
        "--replicas",
        type=int,
        default=0,
        metavar="N",
        help="how many API servers (default 0: a single one without etcd, Redis and HAProxy)",
    )
    parser.add_argument(
        "--controllers",
        default="*",
        metavar="LIST",
        help='which controllers run beside it, "" for none (default *)',
    )
    return parser
