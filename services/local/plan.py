"""Which processes make the system, and with which arguments."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.local.options import LocalOptions
from services.local.supervisor import Program

# -P: a directory named "services" where the user happens to be must not be taken for ours.
KUBEFAN = (sys.executable, "-P", "-m", "services")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A system that can be started."""

    groups: tuple[tuple[Program, ...], ...]
    """Started in this order without waiting in between; stopped in reverse, a group at once."""
    kubeconfigs: Mapping[str, Path]
    """Of each API server and then of what stands before them, by the name of the process: the
    system is ready when all are."""
    controllers: Program | None
    """Started when the system is ready."""
    restart: bool = False
    """Whether a process that ends is started again, or ends all."""
    parts: Mapping[str, Any] = field(default_factory=dict)
    """What system.json says of how to reach the parts behind the API servers."""

    @property
    def label_width(self) -> int:
        """How wide the longest name of a process is."""
        names = [program.name for group in self.groups for program in group]
        return max(map(len, [*names, "controllers"]))


def single(options: LocalOptions) -> Plan:
    """Return one API server that stores by itself, or in an etcd that somebody else runs."""
    # A kubeconfig of an earlier run may name another port: only the new one counts.
    options.kubeconfig.unlink(missing_ok=True)
    return Plan(
        groups=((apiserver(options),),),
        kubeconfigs={"apiserver": options.kubeconfig},
        controllers=controllers(options),
    )


def apiserver(options: LocalOptions) -> Program:
    arguments = [f"--data-dir={options.data_dir}", f"--secure-port={options.secure_port}"]
    if options.apiserver_flag("--bind-address") is None:
        arguments.append("--bind-address=127.0.0.1")
    return Program(
        role="apiserver",
        command=(*KUBEFAN, "apiserver", *arguments, *options.apiserver_flags),
        port=options.secure_port,
    )


def controllers(options: LocalOptions) -> Program | None:
    """Return the process of the controllers, or None where none are wanted."""
    if not options.controllers:
        return None
    # A store of our own belongs to this system alone: there is nobody to elect against.
    alone = options.apiserver_flag("--etcd-servers") is None
    certificates = Path(options.apiserver_flag("--cert-dir") or options.data_dir / "certs")
    token_key = options.apiserver_flag("--service-account-signing-key-file")
    return Program(
        role="controllers",
        command=(
            *KUBEFAN,
            "controllers",
            f"--kubeconfig={options.kubeconfig}",
            f"--controllers={options.controllers}",
            f"--leader-elect={'false' if alone else 'true'}",
            # Made by the API server, which is ready before the controllers start.
            f"--service-account-private-key-file={token_key or certificates / 'sa.key'}",
        ),
    )
