"""Flags: who gets in, and by which credentials."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from shared.flags import AddFlag, boolean, files


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationOptions:
    token_auth_file: str = ""
    anonymous_auth: bool = True


def add_flags(add: AddFlag) -> None:
    add("--token-auth-file", default="", metavar="FILE")
    add("--anonymous-auth", default="true", nargs="?", const="true", metavar="BOOL")


def read(known: argparse.Namespace, mistakes: list[str]) -> AuthenticationOptions:
    files(known, ("token_auth_file",), mistakes)
    return AuthenticationOptions(
        token_auth_file=known.token_auth_file,
        anonymous_auth=boolean(known, "anonymous_auth", mistakes),
    )
