"""The apiserver's flags: kube-apiserver's names and meanings, read once into a frozen dataclass.

A flag of kube-apiserver that is known but not supported yet is refused or warned about by
name: it is refused where ignoring it would make the server less safe or lose data, and
warned about where it only tunes.
"""

from __future__ import annotations

import argparse
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from services.apiserver.admission.chain import KNOWN_PLUGINS
from services.apiserver.admission.defaults import SUPPORTED_PLUGINS
from services.apiserver.options import (
    audit,
    authentication,
    authorization,
    encryption,
    event_log,
    flow_control,
    oidc,
    service_accounts,
    token_webhook,
)
from services.apiserver.options.audit import AuditOptions
from services.apiserver.options.authentication import AuthenticationOptions
from services.apiserver.options.authorization import AuthorizationOptions
from services.apiserver.options.encryption import EncryptionOptions
from services.apiserver.options.event_log import EventLogOptions
from services.apiserver.options.flow_control import FlowControlOptions
from services.apiserver.options.oidc import OidcOptions
from services.apiserver.options.service_accounts import ServiceAccountOptions
from services.apiserver.options.token_webhook import TokenWebhookOptions
from services.apiserver.options.unsupported import REFUSED_FLAGS, WARNED_FLAGS
from shared.flags import (
    AddFlag,
    FlagParser,
    OptionsError,
    add_etcd_flags,
    addresses,
    boolean,
    duration,
    etcd_servers,
    files,
    flag,
    integer,
    pair,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServerOptions:
    """What one apiserver process is told."""

    bind_address: str = "127.0.0.1"
    """Address to listen on. kube-apiserver's default is every address; a laptop's server
    should not be open to the network unless it is asked to."""
    secure_port: int = 6443
    advertise_address: str = ""
    """Address that members of the cluster use; the bind address unless given."""
    advertise_port: int = 0
    """Port that they use, the load balancer's where there is one; the secure port unless given.
    kube-apiserver has no such flag: its replicas have addresses of their own."""
    data_dir: Path = Path(".kubefan")
    """Where the embedded store, the certificates and the admin kubeconfig lie."""
    etcd_servers: tuple[str, ...] = ()
    """URLs of etcd; without any, the embedded store is used."""
    etcd_cafile: str = ""
    etcd_certfile: str = ""
    etcd_keyfile: str = ""
    etcd_prefix: str = "/registry"
    etcd_compaction_interval_s: float = 300.0
    cert_dir: Path | None = None
    tls_cert_file: str = ""
    tls_private_key_file: str = ""
    event_log: EventLogOptions = field(default_factory=EventLogOptions)
    authentication: AuthenticationOptions = field(default_factory=AuthenticationOptions)
    oidc: OidcOptions = field(default_factory=OidcOptions)
    token_webhook: TokenWebhookOptions = field(default_factory=TokenWebhookOptions)
    service_accounts: ServiceAccountOptions = field(default_factory=ServiceAccountOptions)
    authorization: AuthorizationOptions = field(default_factory=AuthorizationOptions)
    flow_control: FlowControlOptions = field(default_factory=FlowControlOptions)
    audit: AuditOptions = field(default_factory=AuditOptions)
    encryption: EncryptionOptions = field(default_factory=EncryptionOptions)
    watch_cache: bool = True
    default_watch_cache_size: int = 100
    """Events (count) kept per resource for resuming watches, at least; see watchcache."""
    watch_cache_sizes: tuple[tuple[str, int], ...] = ()
    request_timeout_s: float = 60.0
    min_request_timeout_s: int = 1800
    service_cluster_ip_range: str = "10.0.0.0/24"
    service_node_port_range: tuple[int, int] = (30000, 32767)
    allow_privileged: bool = True
    """kube-apiserver's default is false; every real cluster turns it on."""
    enabled_admission_plugins: tuple[str, ...] = ()
    disabled_admission_plugins: tuple[str, ...] = ()
    event_ttl_s: int = 3600
    feature_gates: tuple[tuple[str, bool], ...] = ()
    shutdown_delay_s: float = 0.0
    verbosity: int = 0
    warnings: tuple[str, ...] = ()
    """Texts about flags that were accepted without effect."""

    @property
    def certificates_dir(self) -> Path:
        return self.cert_dir or self.data_dir / "certs"

    @classmethod
    def from_argv(cls, argv: Sequence[str]) -> ApiServerOptions:
        """Parse a command line.

        Raises:
            OptionsError: one line a mistake.
            SystemExit: --help was asked for.
        """
        parser = _parser()
        known, unknown = parser.parse_known_args(_normalised(argv))
        mistakes, warnings = _judge_unknown(unknown)
        fields = _fields(known, mistakes)
        warnings += _without_effect(fields)
        if not fields["allow_privileged"]:
            # To ignore it would let in what its operator wants kept out.
            mistakes.append("--allow-privileged=false is not supported yet")
        if mistakes:
            raise OptionsError("\n".join(mistakes))
        return cls(**fields, warnings=tuple(warnings))  # type: ignore[arg-type]


class FlagGroup(Protocol):
    """The flags of one topic: a module of this package."""

    def add_flags(self, add: AddFlag) -> None: ...

    def read(self, known: argparse.Namespace, mistakes: list[str]) -> object:
        """Return the group's options; each mistake is added to `mistakes`, a line a flag."""
        ...


GROUPS: Mapping[str, FlagGroup] = {
    "event_log": event_log,
    "authentication": authentication,
    "oidc": oidc,
    "token_webhook": token_webhook,
    "service_accounts": service_accounts,
    "authorization": authorization,
    "flow_control": flow_control,
    "audit": audit,
    "encryption": encryption,
}
"""By the field of ApiServerOptions."""

FILES = ("tls_cert_file", "tls_private_key_file")


def _parser() -> argparse.ArgumentParser:
    parser = FlagParser(
        "kubefan apiserver", "One replica of the Kubernetes API. Flags as kube-apiserver's."
    )
    add = parser.add_argument
    add("--bind-address", default="127.0.0.1", metavar="IP")
    add("--secure-port", default="6443", metavar="PORT", help="0 takes a free port")
    add("--advertise-address", default="", metavar="IP")
    add("--advertise-port", default="0", metavar="PORT", help="of a load balancer before it")
    add("--data-dir", default=".kubefan", metavar="DIR", help="the embedded store, certificates")
    add("--storage-backend", default="", metavar="NAME", help="etcd3, or sqlite (embedded)")
    add("--storage-media-type", default="application/json", metavar="TYPE")
    add_etcd_flags(add)
    add("--cert-dir", default="", metavar="DIR")
    add("--tls-cert-file", default="", metavar="FILE")
    add("--tls-private-key-file", default="", metavar="FILE")
    add("--watch-cache", default="true", nargs="?", const="true", metavar="BOOL")
    add("--watch-cache-sizes", default="", metavar="RESOURCE[.GROUP]#SIZE,...")
    add("--default-watch-cache-size", default="100", metavar="EVENTS")
    add("--request-timeout", default="1m0s", metavar="DURATION")
    add("--min-request-timeout", default="1800", metavar="SECONDS")
    add("--service-cluster-ip-range", default="10.0.0.0/24", metavar="CIDR")
    add("--service-node-port-range", default="30000-32767", metavar="FROM-TO")
    add("--allow-privileged", default="true", nargs="?", const="true", metavar="BOOL")
    add("--enable-admission-plugins", default="", metavar="NAME,...")
    add("--disable-admission-plugins", default="", metavar="NAME,...")
    add("--event-ttl", default="1h0m0s", metavar="DURATION")
    add("--feature-gates", default="", metavar="NAME=BOOL,...")
    add("--shutdown-delay-duration", default="0s", metavar="DURATION")
    for group in GROUPS.values():
        group.add_flags(add)
    add("-v", "--v", default="0", metavar="LEVEL", help="verbosity of the log, 0 to 10")
    return parser


def _normalised(argv: Sequence[str]) -> list[str]:
    """Return argv with `-v=2` as argparse reads it and pflag's underscores as dashes."""
    out: list[str] = []
    for word in argv:
        if word.startswith("-v="):
            out += ["--v", word[3:]]
        elif word.startswith("--"):
            name, equals, value = word.partition("=")
            out.append(name.replace("_", "-") + equals + value)
        else:
            out.append(word)
    return out


def _judge_unknown(unknown: Sequence[str]) -> tuple[list[str], list[str]]:
    mistakes: list[str] = []
    warnings: list[str] = []
    skip_value = False
    for word in unknown:
        if not word.startswith("-"):
            # The value of the flag before it, or a stray word.
            if not skip_value:
                mistakes.append(f"unexpected argument {word!r}")
            skip_value = False
            continue
        name, equals, _ = word.lstrip("-").partition("=")
        skip_value = not equals
        if name in WARNED_FLAGS:
            warnings.append(f"--{name} is not supported yet and has no effect")
        elif name in REFUSED_FLAGS:
            mistakes.append(f"--{name} is not supported yet")
        else:
            mistakes.append(f"unknown flag: --{name}")
    return mistakes, warnings


def _fields(known: argparse.Namespace, mistakes: list[str]) -> dict[str, object]:
    servers = etcd_servers(known, mistakes)
    if known.storage_backend not in ("", "etcd3", "sqlite"):
        mistakes.append(f"--storage-backend: {known.storage_backend!r} is not etcd3 or sqlite")
    elif known.storage_backend == "etcd3" and not servers:
        mistakes.append("--storage-backend=etcd3 needs --etcd-servers")
    elif known.storage_backend == "sqlite" and servers:
        mistakes.append("--storage-backend=sqlite and --etcd-servers exclude each other")
    if known.storage_media_type != "application/json":
        mistakes.append("--storage-media-type: only application/json is supported yet")
    pair(known, "tls_cert_file", "tls_private_key_file", mistakes)
    files(known, FILES, mistakes)
    addresses(known, ("bind_address", "advertise_address"), mistakes)
    try:
        network = ipaddress.ip_network(known.service_cluster_ip_range.split(",")[0])
        if network.num_addresses < 8:
            mistakes.append("--service-cluster-ip-range: must hold at least 8 addresses")
    except ValueError as error:
        mistakes.append(f"--service-cluster-ip-range: {error}")
    groups = {name: group.read(known, mistakes) for name, group in GROUPS.items()}
    return {
        **groups,
        "bind_address": known.bind_address,
        "secure_port": integer(known, "secure_port", 0, 65535, mistakes),
        "advertise_address": known.advertise_address,
        "advertise_port": integer(known, "advertise_port", 0, 65535, mistakes),
        "data_dir": Path(known.data_dir),
        "etcd_servers": servers,
        "etcd_cafile": known.etcd_cafile,
        "etcd_certfile": known.etcd_certfile,
        "etcd_keyfile": known.etcd_keyfile,
        "etcd_prefix": "/" + known.etcd_prefix.strip("/"),
        "etcd_compaction_interval_s": duration(known, "etcd_compaction_interval", mistakes),
        "cert_dir": Path(known.cert_dir) if known.cert_dir else None,
        "tls_cert_file": known.tls_cert_file,
        "tls_private_key_file": known.tls_private_key_file,
        "watch_cache": boolean(known, "watch_cache", mistakes),
        "default_watch_cache_size": integer(known, "default_watch_cache_size", 0, 10**9, mistakes),
        "watch_cache_sizes": _watch_cache_sizes(known.watch_cache_sizes, mistakes),
        "request_timeout_s": duration(known, "request_timeout", mistakes),
        "min_request_timeout_s": integer(known, "min_request_timeout", 0, 10**9, mistakes),
        "service_cluster_ip_range": known.service_cluster_ip_range,
        "service_node_port_range": _port_range(known.service_node_port_range, mistakes),
        "allow_privileged": boolean(known, "allow_privileged", mistakes),
        "enabled_admission_plugins": _plugins(known, "enable_admission_plugins", mistakes),
        "disabled_admission_plugins": _plugins(known, "disable_admission_plugins", mistakes),
        "event_ttl_s": int(duration(known, "event_ttl", mistakes)),
        "feature_gates": _feature_gates(known.feature_gates, mistakes),
        "shutdown_delay_s": duration(known, "shutdown_delay_duration", mistakes),
        "verbosity": integer(known, "v", 0, 10, mistakes),
    }


def _without_effect(fields: dict[str, object]) -> list[str]:
    """Return warnings about flags that are understood but change nothing yet."""
    warnings = []
    if fields["feature_gates"]:
        warnings.append("--feature-gates is not supported yet and has no effect")
    if not fields["watch_cache"]:
        warnings.append("--watch-cache=false is not supported: every read goes by the cache")
    return warnings


def _plugins(known: argparse.Namespace, name: str, mistakes: list[str]) -> tuple[str, ...]:
    names = tuple(one for one in getattr(known, name).split(",") if one)
    for one in names:
        if one not in KNOWN_PLUGINS:
            mistakes.append(f"{flag(name)}: there is no admission plugin {one!r}")
        elif name == "enable_admission_plugins" and one not in SUPPORTED_PLUGINS:
            mistakes.append(f"{flag(name)}: {one} is not supported yet")
    return names


def _port_range(text: str, mistakes: list[str]) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})-(\d{1,5})", text)
    if not match or not 0 < int(match[1]) <= int(match[2]) <= 65535:
        mistakes.append(f"--service-node-port-range: {text!r} is not a range like 30000-32767")
        return (30000, 32767)
    return (int(match[1]), int(match[2]))


def _watch_cache_sizes(text: str, mistakes: list[str]) -> tuple[tuple[str, int], ...]:
    out: list[tuple[str, int]] = []
    for item in filter(None, text.split(",")):
        name, mark, size = item.partition("#")
        if not name or not mark or not re.fullmatch(r"\d{1,9}", size):
            mistakes.append(f"--watch-cache-sizes: {item!r} is not like pods#1000")
            continue
        out.append((name, int(size)))
    return tuple(out)


def _feature_gates(text: str, mistakes: list[str]) -> tuple[tuple[str, bool], ...]:
    out: list[tuple[str, bool]] = []
    for item in filter(None, text.split(",")):
        name, equals, value = item.partition("=")
        if not equals or value.lower() not in ("true", "false"):
            mistakes.append(f"--feature-gates: {item!r} is not like Name=true")
            continue
        out.append((name.strip(), value.lower() == "true"))
    return tuple(out)
