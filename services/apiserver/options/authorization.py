"""Flags: who decides what a user may do."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from shared.flags import AddFlag

MODES = ("Node", "RBAC", "AlwaysAllow", "AlwaysDeny")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationOptions:
    modes: tuple[str, ...] = ("RBAC",)
    """Who decides, in order."""


def add_flags(add: AddFlag) -> None:
    add("--authorization-mode", default="RBAC", metavar="MODE,...")


def read(known: argparse.Namespace, mistakes: list[str]) -> AuthorizationOptions:
    modes = tuple(known.authorization_mode.split(","))
    for mode in modes:
        if mode not in MODES:
            mistakes.append(f"--authorization-mode: {mode!r} is not supported yet")
    return AuthorizationOptions(modes=modes)
