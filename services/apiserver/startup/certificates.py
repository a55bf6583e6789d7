"""The serving certificate and the admin's token, made on first start.

A small certificate authority signs the serving certificate, so that clients trust a file
that stays when addresses change.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from shared.certificates import Subject, authority, issued, secret

SERVICE_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
)


@dataclass(frozen=True, slots=True)
class ServingFiles:
    """Paths of a certificate with its chain, its key, and the authority clients trust."""

    certificate: Path
    key: Path
    authority: Path


def serving_files(directory: Path, addresses: list[str]) -> ServingFiles:
    """Return a serving certificate for `addresses`, made anew where it is missing, expires
    soon or does not cover them. Replicas may share the directory.

    Raises:
        OSError: the directory can't be written.
    """
    signer = authority(directory)
    subject = Subject(
        common_name="kube-apiserver", dns_names=_dns_names(), addresses=tuple(addresses)
    )
    pair = issued(directory, "apiserver", subject, signer)
    return ServingFiles(pair.certificate, pair.key, signer.certificate)


def admin_token(path: Path) -> str:
    """Return the token of the admin kubeconfig, made on first start."""
    return secret(path)


def _dns_names() -> tuple[str, ...]:
    host = socket.gethostname()
    return (*SERVICE_NAMES, host) if host and host.isascii() else SERVICE_NAMES
