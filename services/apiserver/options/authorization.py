"""Flags: who decides what a user may do.

Source: kube-apiserver v1.36.2, pkg/kubeapiserver/options/authorization.go.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from shared.flags import AddFlag, duration, files, flag

MODES = ("AlwaysAllow", "AlwaysDeny", "ABAC", "Webhook", "RBAC", "Node")
DEFAULT_MODES = "RBAC"
WEBHOOK_VERSIONS = ("v1", "v1beta1")
WEBHOOK_DEFAULTS = {
    "authorization_webhook_config_file": "",
    "authorization_webhook_version": "v1beta1",
    "authorization_webhook_cache_authorized_ttl": "5m0s",
    "authorization_webhook_cache_unauthorized_ttl": "30s",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationOptions:
    modes: tuple[str, ...] = (DEFAULT_MODES,)
    """Who decides, in order; not looked at where `config` is given."""
    config: str = ""
    """The file of an AuthorizationConfiguration, which says who decides instead of `modes`."""
    policy_file: str = ""
    """The lines of the mode ABAC."""
    webhook_config_file: str = ""
    """The kubeconfig of the mode Webhook."""
    webhook_version: str = "v1beta1"
    webhook_authorized_ttl_s: float = 300.0
    webhook_unauthorized_ttl_s: float = 30.0


def add_flags(add: AddFlag) -> None:
    add("--authorization-mode", default=None, metavar="MODE,...", help=", ".join(MODES))
    add("--authorization-config", default="", metavar="FILE")
    add("--authorization-policy-file", default="", metavar="FILE", help="for the mode ABAC")
    for name, metavar in zip(WEBHOOK_DEFAULTS, ("FILE", "VERSION", "TTL", "TTL"), strict=True):
        # None tells a flag that is not there: it must not be where the config says it all.
        add(flag(name), default=None, metavar=metavar)


def read(known: argparse.Namespace, mistakes: list[str]) -> AuthorizationOptions:
    if known.authorization_config:
        for name in ("authorization_mode", *WEBHOOK_DEFAULTS):
            if getattr(known, name) is not None:
                mistakes.append(f"{flag(name)} and --authorization-config exclude each other")
    for name, default in WEBHOOK_DEFAULTS.items():
        if getattr(known, name) is None:
            setattr(known, name, default)
    text = DEFAULT_MODES if known.authorization_mode is None else known.authorization_mode
    modes = tuple(text.split(","))
    _check_modes(known, modes, mistakes)
    version = known.authorization_webhook_version
    if version not in WEBHOOK_VERSIONS:
        mistakes.append(f"--authorization-webhook-version: {version!r} is not v1 or v1beta1")
    files(
        known,
        (
            "authorization_config",
            "authorization_policy_file",
            "authorization_webhook_config_file",
        ),
        mistakes,
    )
    return AuthorizationOptions(
        modes=modes,
        config=known.authorization_config,
        policy_file=known.authorization_policy_file,
        webhook_config_file=known.authorization_webhook_config_file,
        webhook_version=version,
        webhook_authorized_ttl_s=duration(
            known, "authorization_webhook_cache_authorized_ttl", mistakes
        ),
        webhook_unauthorized_ttl_s=duration(
            known, "authorization_webhook_cache_unauthorized_ttl", mistakes
        ),
    )


def _check_modes(known: argparse.Namespace, modes: tuple[str, ...], mistakes: list[str]) -> None:
    for mode in dict.fromkeys(modes):
        if mode not in MODES:
            mistakes.append(f"--authorization-mode: {mode!r} is not one of {', '.join(MODES)}")
        elif modes.count(mode) > 1:
            mistakes.append(f"--authorization-mode: {mode} is given more than once")
    for mode, name in (
        ("ABAC", "authorization_policy_file"),
        ("Webhook", "authorization_webhook_config_file"),
    ):
        has_file = bool(getattr(known, name))
        if mode in modes and not has_file:
            mistakes.append(f"--authorization-mode={mode} needs {flag(name)}")
        elif has_file and mode not in modes and not known.authorization_config:
            mistakes.append(f"{flag(name)} needs --authorization-mode={mode}")
