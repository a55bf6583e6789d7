"""Which processes make the system, and with which arguments."""

from __future__ import annotations

import sys

from services.local.options import LocalOptions
from services.local.supervisor import Program

# -P: a directory named "services" where the user happens to be must not be taken for ours.
_KUBEFAN = (sys.executable, "-P", "-m", "services")


def apiserver(options: LocalOptions) -> Program:
    arguments = [f"--data-dir={options.data_dir}", f"--secure-port={options.secure_port}"]
    if not _has_flag(options, "--bind-address"):
        arguments.append("--bind-address=127.0.0.1")
    return Program(
        role="apiserver",
        command=(*_KUBEFAN, "apiserver", *arguments, *options.apiserver_flags),
        port=options.secure_port,
    )


def controllers(options: LocalOptions) -> Program | None:
    """Return the process of the controllers, or None where none are wanted."""
    if not options.controllers:
        return None
    # The embedded store belongs to this system alone: there is nobody to elect against.
    alone = not _has_flag(options, "--etcd-servers")
    return Program(
        role="controllers",
        command=(
            *_KUBEFAN,
            "controllers",
            f"--kubeconfig={options.kubeconfig}",
            f"--controllers={options.controllers}",
            f"--leader-elect={'false' if alone else 'true'}",
        ),
    )


def _has_flag(options: LocalOptions, name: str) -> bool:
    return any(flag == name or flag.startswith(f"{name}=") for flag in options.apiserver_flags)
