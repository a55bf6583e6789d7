"""Flags: who gets in, and by which credentials."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from shared.flags import AddFlag, boolean, files, flag

HEADER_LISTS = (
    "requestheader_username_headers",
    "requestheader_uid_headers",
    "requestheader_group_headers",
    "requestheader_extra_headers_prefix",
    "requestheader_allowed_names",
)
FILES = (
    "token_auth_file",
    "client_ca_file",
    "requestheader_client_ca_file",
    "authentication_config",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationOptions:
    token_auth_file: str = ""
    client_ca_file: str = ""
    """PEM; clients with a certificate of one of these authorities are who it says."""
    requestheader_client_ca_file: str = ""
    """PEM; a front proxy with a certificate of one of these names the user in headers."""
    requestheader_allowed_names: tuple[str, ...] = ()
    """Common names that a front proxy may have; none: any."""
    requestheader_username_headers: tuple[str, ...] = ()
    requestheader_uid_headers: tuple[str, ...] = ()
    requestheader_group_headers: tuple[str, ...] = ()
    requestheader_extra_headers_prefix: tuple[str, ...] = ()
    enable_bootstrap_token_auth: bool = False
    anonymous_auth: bool = True
    anonymous_auth_given: bool = False
    """Whether the flag was there: then the file of --authentication-config must not say it."""
    authentication_config: str = ""


def add_flags(add: AddFlag) -> None:
    add("--token-auth-file", default="", metavar="FILE")
    add("--client-ca-file", default="", metavar="FILE", help="PEM; whose certificates are users")
    add("--requestheader-client-ca-file", default="", metavar="FILE")
    for name in HEADER_LISTS:
        add(flag(name), default=[], action="append", metavar="NAME,...")
    add("--enable-bootstrap-token-auth", default="false", nargs="?", const="true", metavar="BOOL")
    add("--anonymous-auth", default=None, nargs="?", const="true", metavar="BOOL")
    add("--authentication-config", default="", metavar="FILE")


def read(known: argparse.Namespace, mistakes: list[str]) -> AuthenticationOptions:
    files(known, FILES, mistakes)
    anonymous_auth_given = known.anonymous_auth is not None
    if not anonymous_auth_given:
        known.anonymous_auth = "true"
    return AuthenticationOptions(
        token_auth_file=known.token_auth_file,
        client_ca_file=known.client_ca_file,
        requestheader_client_ca_file=known.requestheader_client_ca_file,
        **{name: _list(known, name, mistakes) for name in HEADER_LISTS},
        enable_bootstrap_token_auth=boolean(known, "enable_bootstrap_token_auth", mistakes),
        anonymous_auth=boolean(known, "anonymous_auth", mistakes),
        anonymous_auth_given=anonymous_auth_given,
        authentication_config=known.authentication_config,
    )


def _list(known: argparse.Namespace, name: str, mistakes: list[str]) -> tuple[str, ...]:
    """Return the items of a flag that may be given more than once, with commas or without."""
    items = tuple(item.strip() for text in getattr(known, name) if text for item in text.split(","))
    if not all(items):
        mistakes.append(f"{flag(name)}: empty value")
    return items
