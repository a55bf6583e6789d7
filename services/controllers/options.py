"""The flags of `kubefan controllers`: kube-controller-manager's names and meanings."""

from __future__ import annotations

import argparse
import os
import socket
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from services.controllers.leaderelection import LeaderElectionOptions
from shared.flags import FlagParser, OptionsError
from shared.signingkeys import KeyFileError, SigningKey, read_signing_key


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllersOptions:
    kubeconfig: Path
    """Where the API server is, and as whom to speak to it."""
    controllers: tuple[str, ...] = ("*",)
    """`*` is every controller, NAME one of them, -NAME not this one."""
    leader_election: LeaderElectionOptions | None
    """None: work at once, as the only process of this kind."""
    root_ca: str = ""
    """What --root-ca-file holds: certificates (PEM) by which the cluster's clients trust the API
    server. Empty: those of the kubeconfig."""
    token_key: SigningKey | None = None
    """Of --service-account-private-key-file; None: Secrets get no tokens."""
    verbosity: int = 0
    """As klog's -v: from 4 on debug messages."""

    @classmethod
    def from_argv(cls, argv: Sequence[str], *, known: Collection[str]) -> Self:
        """Read the flags; `known` names the controllers there are.

        Raises:
            OptionsError: something is wrong; the message names each flag.
            SystemExit: --help was printed.
        """
        given = _parser(known).parse_args(argv)
        mistakes = []
        if not given.kubeconfig:
            mistakes.append("--kubeconfig: is required")
        controllers = tuple(name for part in given.controllers or ["*"] for name in part.split(","))
        for name in controllers:
            if name != "*" and name.removeprefix("-") not in known:
                mistakes.append(
                    f'--controllers: "{name}" is not in the list of known controllers '
                    f"({', '.join(sorted(known))})"
                )
        if given.leader_elect:
            if not given.leader_elect_lease_duration > given.leader_elect_renew_deadline:
                mistakes.append(
                    "--leader-elect-lease-duration: must be greater than the renew deadline"
                )
            if not given.leader_elect_renew_deadline > given.leader_elect_retry_period > 0:
                mistakes.append(
                    "--leader-elect-renew-deadline: must be greater than the retry period"
                )
        root_ca = _read(given.root_ca_file, mistakes) if given.root_ca_file else ""
        token_key = None
        if given.service_account_private_key_file:
            try:
                token_key = read_signing_key(Path(given.service_account_private_key_file))
            except KeyFileError as error:
                mistakes.append(f"--service-account-private-key-file: {error}")
        if mistakes:
            raise OptionsError("; ".join(mistakes))
        election = LeaderElectionOptions(
            identity=f"{socket.gethostname()}_{os.getpid()}_{uuid.uuid4().hex[:8]}",
            namespace=given.leader_elect_resource_namespace,
            name=given.leader_elect_resource_name,
            lease_duration_s=given.leader_elect_lease_duration,
            renew_deadline_s=given.leader_elect_renew_deadline,
            retry_period_s=given.leader_elect_retry_period,
        )
        return cls(
            kubeconfig=Path(given.kubeconfig),
            controllers=controllers,
            leader_election=election if given.leader_elect else None,
            root_ca=root_ca,
            token_key=token_key,
            verbosity=given.v,
        )


def _read(path: str, mistakes: list[str]) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        mistakes.append(f"--root-ca-file: {path}: {error}")
        return ""


def is_enabled(name: str, controllers: Sequence[str]) -> bool:
    """Say whether --controllers asks for `name`; the first mention of it by name counts.

    As kubernetes v1.36.2, controller-manager/app/helper.go, IsControllerEnabled.
    """
    for entry in controllers:
        if entry == name:
            return True
        if entry == f"-{name}":
            return False
    return "*" in controllers


def _parser(known: Collection[str]) -> argparse.ArgumentParser:
    parser = FlagParser(
        prog="kubefan controllers",
        description="Runs the controllers that an API server needs beside it.",
    )
    parser.add_argument("--kubeconfig", metavar="FILE", help="how to reach the API server")
    parser.add_argument(
        "--controllers",
        action="append",
        metavar="LIST",
        help="comma-separated: * for all, NAME to add one, -NAME to drop one; "
        f"known: {', '.join(sorted(known))} (default *)",
    )
    parser.add_argument(
        "--root-ca-file",
        metavar="FILE",
        help="certificates that namespaces get for their pods (default the kubeconfig's)",
    )
    parser.add_argument(
        "--service-account-private-key-file",
        metavar="FILE",
        help="key that signs the tokens in Secrets; without, they get none",
    )
    parser.add_argument(
        "--leader-elect",
        type=_boolean,
        nargs="?",
        const=True,
        default=True,
        metavar="BOOL",
        help="work only while holding a Lease (default true)",
    )
    election = LeaderElectionOptions(identity="")
    for flag, default, text in (
        ("lease-duration", election.lease_duration_s, "followers leave an unrenewed lease alone"),
        ("renew-deadline", election.renew_deadline_s, "the leader tries to renew before it stops"),
        ("retry-period", election.retry_period_s, "between two tries"),
    ):
        parser.add_argument(
            f"--leader-elect-{flag}",
            type=_duration_s,
            default=default,
            metavar="DURATION",
            help=f"time that {text}" if flag != "retry-period" else f"time {text}",
        )
    parser.add_argument(
        "--leader-elect-resource-name", default=election.name, metavar="NAME", help="of the Lease"
    )
    parser.add_argument(
        "--leader-elect-resource-namespace",
        default=election.namespace,
        metavar="NAMESPACE",
        help="of the Lease",
    )
    parser.add_argument(
        "-v", "--v", type=int, default=0, metavar="LEVEL", help="log level, from 4 on debug"
    )
    return parser


def _boolean(text: str) -> bool:
    match text.lower():
        case "true" | "t" | "1":
            return True
        case "false" | "f" | "0":
            return False
    raise argparse.ArgumentTypeError(f"{text!r} is not a boolean")


def _duration_s(text: str) -> float:
    """Read a Go duration of one unit: 15s, 500ms, 1m."""
    for suffix, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)):
        if text.endswith(suffix):
            try:
                return float(text.removesuffix(suffix)) * factor
            except ValueError:
                break
    raise argparse.ArgumentTypeError(f"{text!r} is not a duration like 15s")
