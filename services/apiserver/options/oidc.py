"""Flags: one issuer of OpenID Connect tokens. Several are what --authentication-config is for.

Source: kube-apiserver v1.36.2, pkg/kubeapiserver/options/authentication.go.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from shared.flags import AddFlag, files, flag

FLAGS = (
    "oidc_issuer_url",
    "oidc_client_id",
    "oidc_ca_file",
    "oidc_username_claim",
    "oidc_username_prefix",
    "oidc_groups_claim",
    "oidc_groups_prefix",
)
ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512")


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcOptions:
    issuer_url: str = ""
    """"": no such tokens, unless a file of --authentication-config names issuers."""
    client_id: str = ""
    ca_file: str = ""
    username_claim: str = "sub"
    username_prefix: str = ""
    """"": the issuer and "#", but nothing before an email; "-": nothing."""
    groups_claim: str = ""
    groups_prefix: str = ""
    required_claims: tuple[tuple[str, str], ...] = ()
    signing_algorithms: tuple[str, ...] = ("RS256",)


def add_flags(add: AddFlag) -> None:
    for name in FLAGS:
        add(flag(name), default=None, metavar="FILE" if name == "oidc_ca_file" else "TEXT")
    add("--oidc-required-claim", default=[], action="append", metavar="CLAIM=VALUE")
    add("--oidc-signing-algs", default=[], action="append", metavar="NAME,...")


def read(known: argparse.Namespace, mistakes: list[str]) -> OidcOptions:
    given = [name for name in FLAGS if getattr(known, name) is not None]
    if given or known.oidc_required_claim or known.oidc_signing_algs:
        if known.authentication_config:
            mistakes.append("authentication-config file and oidc-* flags are mutually exclusive")
        elif not known.oidc_issuer_url or not known.oidc_client_id:
            mistakes.append(
                "oidc-issuer-url and oidc-client-id must be specified together "
                "when any oidc-* flags are set"
            )
    files(known, ("oidc_ca_file",), mistakes)
    return OidcOptions(
        issuer_url=known.oidc_issuer_url or "",
        client_id=known.oidc_client_id or "",
        ca_file=known.oidc_ca_file or "",
        username_claim="sub" if known.oidc_username_claim is None else known.oidc_username_claim,
        username_prefix=known.oidc_username_prefix or "",
        groups_claim=known.oidc_groups_claim or "",
        groups_prefix=known.oidc_groups_prefix or "",
        required_claims=_required_claims(known, mistakes),
        signing_algorithms=_algorithms(known, mistakes),
    )


def _required_claims(known: argparse.Namespace, mistakes: list[str]) -> tuple[tuple[str, str], ...]:
    claims: dict[str, str] = {}
    for text in known.oidc_required_claim:
        claim, equals, value = text.partition("=")
        if not equals or not claim.strip():
            mistakes.append(f"--oidc-required-claim: malformed pair, expect claim=value: {text!r}")
        claims[claim.strip()] = value.strip()
    return tuple(claims.items())


def _algorithms(known: argparse.Namespace, mistakes: list[str]) -> tuple[str, ...]:
    names = tuple(name for text in known.oidc_signing_algs for name in text.split(","))
    mistakes += [
        f'--oidc-signing-algs: unsupported signing alg: "{name}"'
        for name in names
        if name not in ALGORITHMS
    ]
    return names or ("RS256",)
