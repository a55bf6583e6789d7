"""Flags: the tokens of service accounts."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from shared.flags import AddFlag


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccountOptions:
    issuers: tuple[str, ...] = ()
    """URLs; the audiences of this server's tokens too, as there is no --api-audiences yet."""


def add_flags(add: AddFlag) -> None:
    add("--service-account-issuer", default=[], action="append", metavar="URL")


def read(known: argparse.Namespace, mistakes: list[str]) -> ServiceAccountOptions:
    return ServiceAccountOptions(issuers=tuple(known.service_account_issuer))
