"""Flags: encryption at rest."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from services.apiserver.encryption.configuration import ConfigurationError, load
from shared.flags import AddFlag, boolean

FLAG = "--encryption-provider-config"


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionOptions:
    config_file: str = ""
    """An EncryptionConfiguration; "" keeps everything as plain text."""
    automatic_reload: bool = False
    """Take over changes of the file while the server runs."""


def add_flags(add: AddFlag) -> None:
    add(FLAG, default="", metavar="FILE", help="what is stored encrypted, and with which keys")
    add(f"{FLAG}-automatic-reload", default="false", nargs="?", const="true", metavar="BOOL")


def read(known: argparse.Namespace, mistakes: list[str]) -> EncryptionOptions:
    reload = boolean(known, "encryption_provider_config_automatic_reload", mistakes)
    file = known.encryption_provider_config
    if file:
        try:
            load(Path(file))
        except ConfigurationError as error:
            mistakes += [f"{FLAG}: {line}" for line in str(error).splitlines()]
    elif reload:
        mistakes.append(f"{FLAG}-automatic-reload must be set with {FLAG}")
    return EncryptionOptions(config_file=file, automatic_reload=reload)
