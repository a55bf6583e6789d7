"""The command `kubefan`: hands over to one service, importing only that one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version

KUBERNETES_VERSION = "v1.36.2"

# subcommand -> (module with main(argv) -> exit code, what it does)
_SERVICES = {
    "up": ("services.local.__main__", "start a whole system on this machine"),
    "apiserver": ("services.apiserver.__main__", "the API server; flags as kube-apiserver's"),
    "watchfanout": (
        "services.watchfanout.__main__",
        "reads etcd once for all API servers",
    ),
    "controllers": (
        "services.controllers.__main__",
        "the controllers beside it; flags as kube-controller-manager's",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Only the first word is ours: --help behind a subcommand is that service's own.
    given = _parser().parse_args(arguments[:1])
    if given.command == "version":
        print(f"kubefan {version('kubefan')} (Kubernetes {KUBERNETES_VERSION})")
        return 0
    module, _ = _SERVICES[given.command]
    service: Callable[[Sequence[str]], int] = import_module(module).main
    return service(arguments[1:])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kubefan",
        description="A Kubernetes-compatible API server that scales out.",
        epilog="kubefan COMMAND --help tells the flags of a command.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (_, text) in _SERVICES.items():
        commands.add_parser(name, help=text, add_help=False)
    commands.add_parser("version", help="print the version", add_help=False)
    return parser


if __name__ == "__main__":
    sys.exit(main())
