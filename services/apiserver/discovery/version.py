"""The /version document."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

KUBERNETES_VERSION = "v1.36.2"
"""The kube-apiserver release whose behaviour this server has."""
BUILD_DATE = "2026-11-23T00:00:00Z"

_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def version_info() -> Mapping[str, str]:
    """Return version.Info: gitVersion is the Kubernetes release, gitCommit names this program."""
    own = _own_version()
    machine = platform.machine().lower()
    return {
        "major": "1",
        "minor": "36",
        "emulationMajor": "1",
        "emulationMinor": "36",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35",
        "gitVersion": KUBERNETES_VERSION,
        "gitCommit": f"kubefan-{own}",
        "gitTreeState": "",
        "buildDate": BUILD_DATE,
        "goVersion": f"python{platform.python_version()}",
        "compiler": platform.python_implementation().lower(),
        "platform": f"{platform.system().lower()}/{_ARCHITECTURES.get(machine, machine)}",
    }


def _own_version() -> str:
    try:
        return version("kubefan")
    except PackageNotFoundError:  # run from a source tree that was not installed
        return "0.0.0"
