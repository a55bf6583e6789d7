"""Levels: what a namespace's labels ask of its pods.

Source: kube-apiserver v1.36.2, pod-security-admission/api/helpers.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from services.apiserver.errors import Cause
from services.apiserver.validation.field import invalid, key

Level = Literal["privileged", "baseline", "restricted"]

PREFIX = "pod-security.kubernetes.io/"
LEVELS: tuple[Level, ...] = ("privileged", "baseline", "restricted")
LATEST = "latest"
LATEST_MINOR = 36
_VERSION = re.compile(r"v1\.(0|[1-9][0-9]*)").fullmatch


@dataclass(frozen=True, slots=True)
class LevelVersion:
    """A level as of a version, printed like "baseline:latest"."""

    level: Level
    version: str

    def __str__(self) -> str:
        return f"{self.level}:{self.version}"

    @property
    def minor(self) -> int:
        """The minor version; a later one than this server's counts as the latest."""
        return LATEST_MINOR if self.version == LATEST else int(self.version.removeprefix("v1."))

    @property
    def rank(self) -> int:
        """Higher is stricter."""
        return LEVELS.index(self.level)


@dataclass(frozen=True, slots=True)
class Policy:
    """What is enforced, what is only recorded or warned of."""

    enforce: LevelVersion
    audit: LevelVersion
    warn: LevelVersion


_PRIVILEGED = LevelVersion("privileged", LATEST)
OPEN = Policy(_PRIVILEGED, _PRIVILEGED, _PRIVILEGED)


def read_policy(labels: Mapping[str, str]) -> tuple[Policy, list[Cause]]:
    """Return the policy of a namespace, and what is wrong with its labels.

    A level that does not exist counts as restricted.
    """
    if not any(name.startswith(PREFIX) for name in labels):
        return OPEN, []
    causes: list[Cause] = []
    chosen: dict[str, LevelVersion] = {}
    for mode in ("enforce", "audit", "warn"):
        level: Level = "privileged"
        version = LATEST
        name = PREFIX + mode
        if name in labels:
            text = labels[name]
            if text in LEVELS:
                level = text
            else:
                level = "restricted"
                causes.append(_invalid(name, text, f"must be one of {', '.join(LEVELS)}"))
        name = f"{PREFIX}{mode}-version"
        if name in labels:
            if labels[name] == LATEST or _VERSION(labels[name]):
                version = labels[name]
            else:
                causes.append(_invalid(name, labels[name], 'must be "latest" or "v1.x"'))
        chosen[mode] = LevelVersion(level, version)
    return Policy(chosen["enforce"], chosen["audit"], chosen["warn"]), causes


def _invalid(label: str, value: str, message: str) -> Cause:
    return invalid(key("metadata.labels", label), value, message)
