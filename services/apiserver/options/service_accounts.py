"""Flags: the tokens of service accounts."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from urllib.parse import urlsplit

from shared.flags import AddFlag, boolean, duration, files

DEFAULT_ISSUER = "https://kubernetes.default.svc.cluster.local"
MIN_EXPIRATION_S, MAX_EXPIRATION_S = 3600, 2**32


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccountOptions:
    issuers: tuple[str, ...] = (DEFAULT_ISSUER,)
    """Identifiers, as a rule URLs: the first signs, tokens of all are good. kube-apiserver has
    no default."""
    api_audiences: tuple[str, ...] = (DEFAULT_ISSUER,)
    """What a token must be meant for to be good here; the issuers unless given."""
    signing_key_file: str = ""
    """PEM; without, the server makes a key in its certificates directory."""
    key_files: tuple[str, ...] = ()
    """PEM files of the keys that tokens may be signed with, beside the signing key."""
    jwks_uri: str = ""
    """Where others find the keys; this server unless given."""
    lookup: bool = True
    """Whether tokens out of Secrets die with them."""
    max_token_expiration_s: int = 0
    """The longest life of a token that is made, 0: any that may be asked for."""
    extend_token_expiration: bool = True
    """Let the tokens that pods get by default live for a year, for clients that do not read
    them anew."""


def add_flags(add: AddFlag) -> None:
    add("--service-account-issuer", default=[], action="append", metavar="URL")
    add("--api-audiences", default="", metavar="NAME,...", help="default: the issuers")
    add("--service-account-signing-key-file", default="", metavar="FILE")
    add("--service-account-key-file", default=[], action="append", metavar="FILE")
    add("--service-account-jwks-uri", default="", metavar="URL")
    add("--service-account-lookup", default="true", nargs="?", const="true", metavar="BOOL")
    add("--service-account-max-token-expiration", default="0", metavar="DURATION")
    add(
        "--service-account-extend-token-expiration",
        default="true",
        nargs="?",
        const="true",
        metavar="BOOL",
    )


def read(known: argparse.Namespace, mistakes: list[str]) -> ServiceAccountOptions:
    files(known, ("service_account_signing_key_file", "service_account_key_file"), mistakes)
    issuers = tuple(known.service_account_issuer) or (DEFAULT_ISSUER,)
    if len(set(issuers)) < len(issuers):
        mistakes.append("--service-account-issuer: an issuer is given twice")
    for issuer in issuers:
        if not issuer or (":" in issuer and not _is_url(issuer)):
            mistakes.append(f"--service-account-issuer: {issuer!r} is not a URL")
    uri = known.service_account_jwks_uri
    if uri and not (_is_url(uri) and uri.startswith("https://")):
        mistakes.append(f"--service-account-jwks-uri: {uri!r} is not a https URL")
    longest = duration(known, "service_account_max_token_expiration", mistakes)
    if longest and not MIN_EXPIRATION_S <= longest <= MAX_EXPIRATION_S:
        mistakes.append(
            "--service-account-max-token-expiration: must be between 1 hour and 2^32 seconds"
        )
    return ServiceAccountOptions(
        issuers=issuers,
        api_audiences=tuple(filter(None, known.api_audiences.split(","))) or issuers,
        signing_key_file=known.service_account_signing_key_file,
        key_files=tuple(known.service_account_key_file),
        jwks_uri=uri,
        lookup=boolean(known, "service_account_lookup", mistakes),
        max_token_expiration_s=int(longest),
        extend_token_expiration=boolean(known, "service_account_extend_token_expiration", mistakes),
    )


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme)
