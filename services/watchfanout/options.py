"""The flags of `kubefan watchfanout`."""

from __future__ import annotations

import argparse
import os
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from shared.flags import (
    FlagParser,
    OptionsError,
    add_etcd_flags,
    addresses,
    duration,
    etcd_servers,
    files,
    flag,
    integer,
    read_secret,
)

URL_VARIABLE = "KUBEFAN_EVENT_LOG_URL"

_FILES = (
    "redis_password_file", "redis_cafile", "tls_cert_file", "tls_private_key_file",
    "token_file", "peer_cafile",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchfanoutOptions:
    etcd_servers: tuple[str, ...]
    etcd_cafile: str = ""
    etcd_certfile: str = ""
    etcd_keyfile: str = ""
    etcd_prefix: str = "/registry"
    etcd_compaction_interval_s: float = 300.0
    redis_url: str
    redis_password_file: str = ""
    redis_cafile: str = ""
    stream_bytes: int = 256 * 2**20
    stream_age_s: float = 300.0
    bind_address: str = "127.0.0.1"
    secure_port: int = 8443
    advertise_address: str = ""
    """Where standbys reach this one; the bind address unless given."""
    tls_cert_file: str
    tls_private_key_file: str
    peer_cafile: str
    """The authority of the other watchfanouts' certificates."""
    token_file: str
    """The bearer token of snapshot readers, in a file."""
    identity: str = ""
    lease_s: int = 2
    verbosity: int = 0

    @property
    def url(self) -> str:
        """Where this one is reached by the others."""
        host = self.advertise_address or self.bind_address
        return f"https://{f'[{host}]' if ':' in host else host}:{self.secure_port}"

    @property
    def token(self) -> str:
        return read_secret(self.token_file)

    @classmethod
    def from_argv(cls, argv: Sequence[str]) -> Self:
        """Read the flags.

        Raises:
            OptionsError: one line a mistake.
            SystemExit: --help was printed.
        """
        known = _parser().parse_args([re.sub(r"^-v=", "--v=", word) for word in argv])
        mistakes: list[str] = []
        servers = etcd_servers(known, mistakes)
        if not servers:
            mistakes.append("--etcd-servers is needed: the etcd that is followed")
        if not re.match(r"(rediss?|unix)://", known.redis_url):
            mistakes.append("--redis-url: a URL like redis://127.0.0.1:6379 is needed")
        for name in ("tls_cert_file", "tls_private_key_file", "token_file"):
            if not getattr(known, name):
                mistakes.append(f"{flag(name)} is needed")
        addresses(known, ("bind_address", "advertise_address"), mistakes)
        if known.bind_address in ("0.0.0.0", "::") and not known.advertise_address:
            # A standby would look for the leader on its own machine, and take it for dead.
            mistakes.append("--advertise-address is needed where --bind-address is no address")
        files(known, _FILES, mistakes)
        if known.token_file and not mistakes:
            try:
                if not read_secret(known.token_file):
                    mistakes.append("--token-file: the file is empty, and nobody would be kept out")
            except OSError as error:
                mistakes.append(f"--token-file: {error.strerror}: {known.token_file}")
        lease_s = duration(known, "lease_duration", mistakes)
        if lease_s < 2:
            mistakes.append("--lease-duration: etcd knows no lease shorter than 2s")
        port = integer(known, "secure_port", 1, 65535, mistakes)
        stream_bytes = integer(known, "stream_bytes", 2**20, 10**12, mistakes)
        stream_age_s = duration(known, "stream_age", mistakes)
        compaction_s = duration(known, "etcd_compaction_interval", mistakes)
        verbosity = integer(known, "v", 0, 10, mistakes)
        if mistakes:
            raise OptionsError("\n".join(mistakes))
        return cls(
            etcd_servers=servers,
            etcd_cafile=known.etcd_cafile,
            etcd_certfile=known.etcd_certfile,
            etcd_keyfile=known.etcd_keyfile,
            etcd_prefix="/" + known.etcd_prefix.strip("/"),
            redis_url=known.redis_url,
            redis_password_file=known.redis_password_file,
            redis_cafile=known.redis_cafile,
            bind_address=known.bind_address,
            advertise_address=known.advertise_address,
            tls_cert_file=known.tls_cert_file,
            tls_private_key_file=known.tls_private_key_file,
            peer_cafile=known.peer_cafile or known.tls_cert_file,
            token_file=known.token_file,
            identity=known.identity or f"{socket.gethostname()}-{os.getpid()}",
            lease_s=int(lease_s),
            secure_port=port,
            stream_bytes=stream_bytes,
            stream_age_s=stream_age_s,
            etcd_compaction_interval_s=compaction_s,
            verbosity=verbosity,
        )


def _parser() -> argparse.ArgumentParser:
    parser = FlagParser(
        "kubefan watchfanout",
        "Reads etcd once and hands its changes to all replicas through Redis.",
    )
    add = parser.add_argument
    add_etcd_flags(add)
    add(
        "--redis-url",
        default=os.environ.get(URL_VARIABLE, ""),
        metavar="URL",
        help=f"redis://, rediss:// or unix://; also from {URL_VARIABLE}",
    )
    add("--redis-password-file", default="", metavar="FILE")
    add("--redis-cafile", default="", metavar="FILE")
    add("--stream-bytes", default=str(256 * 2**20), metavar="BYTES", help="memory of the stream")
    add("--stream-age", default="5m", metavar="DURATION", help="how long the stream keeps entries")
    add("--bind-address", default="127.0.0.1", metavar="IP")
    add("--secure-port", default="8443", metavar="PORT")
    add("--advertise-address", default="", metavar="IP")
    add("--tls-cert-file", default="", metavar="FILE")
    add("--tls-private-key-file", default="", metavar="FILE")
    add("--peer-cafile", default="", metavar="FILE", help="default: the certificate's own file")
    add("--token-file", default="", metavar="FILE", help="what readers of snapshots must present")
    add("--identity", default="", metavar="NAME")
    add("--lease-duration", default="2s", metavar="DURATION")
    add("-v", "--v", default="0", metavar="LEVEL")
    return parser
