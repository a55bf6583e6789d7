"""Certificates, passwords and tokens of the parts behind the API servers, under DATA/pki.

Their authority is another than that of the API: etcd lets in whoever has a certificate of it,
and a client of the API must not be one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.local.ports import LOOPBACK
from shared.certificates import KeyPair, Subject, authority, issued, secret


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretFiles:
    ca: Path
    etcd: KeyPair
    etcd_client: KeyPair
    redis: KeyPair
    redis_password: Path
    watchfanout: KeyPair
    watchfanout_token: Path


def secret_files(directory: Path) -> SecretFiles:
    """Return all of them, made where they are missing or expire soon."""
    signer = authority(directory, common_name="kubefan-system-ca")

    def make(name: str, *, server: bool = True, client: bool = False) -> KeyPair:
        subject = Subject(
            common_name=f"kubefan-{name}",
            dns_names=("localhost",),
            addresses=(LOOPBACK,),
            server=server,
            client=client,
        )
        return issued(directory, name, subject, signer)

    files = SecretFiles(
        ca=signer.certificate,
        # Its gateway for HTTP/1 and its peers are clients of its own.
        etcd=make("etcd", client=True),
        etcd_client=make("etcd-client", server=False, client=True),
        redis=make("redis"),
        redis_password=directory / "redis.password",
        watchfanout=make("watchfanout"),
        watchfanout_token=directory / "watchfanout.token",
    )
    secret(files.redis_password)
    secret(files.watchfanout_token)
    return files
