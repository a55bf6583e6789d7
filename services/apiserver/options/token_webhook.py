"""Flags: the webhook that knows tokens.

Source: kube-apiserver v1.36.2, pkg/kubeapiserver/options/authentication.go.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from shared.flags import AddFlag, duration, files

PREFIX = "authentication_token_webhook"
VERSIONS = ("v1", "v1beta1")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenWebhookOptions:
    config_file: str = ""
    """A kubeconfig: where the webhook is, and who we are there; "": there is none."""
    version: str = "v1beta1"
    """Of the TokenReview that is sent."""
    cache_ttl_s: float = 120.0


def add_flags(add: AddFlag) -> None:
    add("--authentication-token-webhook-config-file", default="", metavar="FILE")
    add("--authentication-token-webhook-version", default="v1beta1", metavar="VERSION")
    add("--authentication-token-webhook-cache-ttl", default="2m", metavar="DURATION")


def read(known: argparse.Namespace, mistakes: list[str]) -> TokenWebhookOptions:
    files(known, (f"{PREFIX}_config_file",), mistakes)
    version = known.authentication_token_webhook_version
    if version not in VERSIONS:
        mistakes.append(
            f'--authentication-token-webhook-version: unsupported version "{version}", '
            'supported versions are "v1", "v1beta1"'
        )
    return TokenWebhookOptions(
        config_file=known.authentication_token_webhook_config_file,
        version=version,
        cache_ttl_s=duration(known, f"{PREFIX}_cache_ttl", mistakes),
    )
