"""The plan of a system with several API servers: etcd, Redis, two watchfanouts, HAProxy.

DATA/etcd/         etcd's data
DATA/redis/        Redis' configuration; its data is in memory alone
DATA/haproxy/      HAProxy's configuration and its socket for administrators
DATA/pki/          certificates and secrets between the parts
DATA/certs/        what all API servers share: certificates, the admin's token
DATA/apiserver-K/  what the K-th has for itself
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.local import balancer
from services.local.options import LocalOptions
from services.local.plan import KUBEFAN, Plan, controllers
from services.local.ports import LOOPBACK, check_free, free_ports
from services.local.programs import ETCD, HAPROXY, REDIS, Needed, find
from services.local.secretfiles import SecretFiles, secret_files
from services.local.supervisor import Program
from shared import kubeconfig
from shared.certificates import authority, secret, write_private

WATCHFANOUTS = 2
LEASE_DURATION = "2s"
"""How long a watchfanout that died stays the leader."""
SHUTDOWN_DELAY = f"{2 * balancer.CHECK_INTERVAL_S:.0f}s"
"""How long an API server that is to stop still takes connections: the balancer needs one
interval to notice, and a check may be on its way."""
ETCD_QUOTA_BYTES = 8 * 1024**3
REDIS_MAX_BYTES = 1024**3
"""The log is bounded by its writer, far below; this keeps a mistake from taking the machine."""


@dataclass(frozen=True, slots=True)
class Etcd:
    """How to reach it, and its process where it is ours."""

    flags: tuple[str, ...]
    """As the API server and the watchfanout take them."""
    where: dict[str, str]
    program: Program | None


@dataclass(frozen=True, slots=True)
class Log:
    """The event log: how to reach Redis, and its process where it is ours."""

    url: str
    url_flag: str
    """The same for arguments, which everybody may read: "" where the processes find it in the
    environment, maybe with a password."""
    password_file: str
    cafile: str
    program: Program | None


@dataclass(frozen=True, slots=True)
class Watchfanouts:
    flags: tuple[str, ...]
    """As the API server takes them."""
    where: dict[str, Any]
    programs: tuple[Program, ...]


def replicated(options: LocalOptions) -> Plan:
    """Prepare the data directory for `options.replicas` API servers and return their plan.

    What the API server's flags say of etcd, the event log or the watchfanouts is used instead
    of processes of our own.

    Raises:
        OptionsError: a program is missing, or the port is taken.
        OSError: the data directory can't be written.
    """
    paths = find(_needed(options))
    host = options.apiserver_flag("--bind-address") or LOOPBACK
    check_free(host, options.secure_port)
    secrets = secret_files(options.data_dir / "pki")
    etcd = _etcd(options, secrets, paths.get(ETCD))
    log = _log(options, secrets, paths.get(REDIS))
    fanouts = _watchfanouts(options, secrets, etcd, log)
    replicas = _apiservers(options, (*etcd.flags, *fanouts.flags))
    haproxy = _haproxy(options, paths[HAPROXY], host, replicas)
    stores = [program for program in (etcd.program, log.program) if program is not None]
    # In the order of who needs whom, so that the API servers end first and in peace.
    groups = (tuple(stores), fanouts.programs, (haproxy,), replicas)
    return Plan(
        groups=tuple(group for group in groups if group),
        kubeconfigs={
            **{one.name: _directory(options, one) / "admin.kubeconfig" for one in replicas},
            haproxy.name: options.kubeconfig,
        },
        controllers=controllers(options),
        restart=True,
        parts={
            "etcd": etcd.where,
            "redis": {"url": log.url, "password_file": log.password_file, "cafile": log.cafile},
            "watchfanout": fanouts.where,
            "haproxy": {"socket": str(options.data_dir / "haproxy" / balancer.SOCKET_NAME)},
        },
    )


def _needed(options: LocalOptions) -> Iterable[Needed]:
    if options.apiserver_flag("--etcd-servers") is None:
        yield ETCD
    if not _log_url(options):
        yield REDIS
    yield HAPROXY


def _etcd(options: LocalOptions, secrets: SecretFiles, command: str | None) -> Etcd:
    if command is None:
        given = {
            name: options.apiserver_flag(f"--etcd-{name}") or ""
            for name in ("servers", "cafile", "certfile", "keyfile")
        }
        flags = tuple(f"--etcd-{name}={value}" for name, value in given.items() if value)
        return Etcd(flags, given, None)
    port, peer_port = free_ports(2)
    url, peer_url = f"https://{LOOPBACK}:{port}", f"https://{LOOPBACK}:{peer_port}"
    where = {
        "servers": url,
        "cafile": str(secrets.ca),
        "certfile": str(secrets.etcd_client.certificate),
        "keyfile": str(secrets.etcd_client.key),
    }
    pair = (f"cert-file={secrets.etcd.certificate}", f"key-file={secrets.etcd.key}")
    trust = (f"trusted-ca-file={secrets.ca}", "client-cert-auth")
    arguments = [
        "--name=kubefan",
        f"--data-dir={options.data_dir / 'etcd'}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=kubefan={peer_url}",
        *(f"--{flag}" for flag in (*pair, *trust)),
        *(f"--peer-{flag}" for flag in (*pair, *trust)),
        f"--quota-backend-bytes={ETCD_QUOTA_BYTES}",
        "--logger=zap",
        "--log-outputs=stderr",
        "--log-level=warn",
    ]
    return Etcd(
        tuple(f"--etcd-{name}={value}" for name, value in where.items()),
        where,
        Program("etcd", (command, *arguments), port),
    )


def _log_url(options: LocalOptions) -> str:
    return options.apiserver_flag("--event-log-url") or options.event_log_url


def _log(options: LocalOptions, secrets: SecretFiles, command: str | None) -> Log:
    if command is None:
        return Log(
            _log_url(options),
            options.apiserver_flag("--event-log-url") or "",
            options.apiserver_flag("--event-log-password-file") or "",
            options.apiserver_flag("--event-log-cafile") or "",
            None,
        )
    (port,) = free_ports(1)
    directory = options.data_dir / "redis"
    directory.mkdir(mode=0o700, exist_ok=True)
    # A file, as everybody may read the arguments of a process.
    path = directory / "redis.conf"
    lines = [
        f"bind {LOOPBACK}",
        "port 0",
        f"tls-port {port}",
        f'tls-cert-file "{secrets.redis.certificate}"',
        f'tls-key-file "{secrets.redis.key}"',
        f'tls-ca-cert-file "{secrets.ca}"',
        "tls-auth-clients no",
        f"requirepass {secret(secrets.redis_password)}",
        f'dir "{directory}"',
        # It is a log of what etcd has: what is lost is written again.
        'save ""',
        "appendonly no",
        f"maxmemory {REDIS_MAX_BYTES}",
        "maxmemory-policy noeviction",
        "loglevel warning",
        "daemonize no",
    ]
    write_private(path, "\n".join([*lines, ""]).encode())
    url = f"rediss://{LOOPBACK}:{port}"
    return Log(
        url,
        url,
        str(secrets.redis_password),
        str(secrets.ca),
        Program("redis", (command, str(path)), port),
    )


def _watchfanouts(
    options: LocalOptions, secrets: SecretFiles, etcd: Etcd, log: Log
) -> Watchfanouts:
    log_flags = _flags(
        event_log_url=log.url_flag,
        event_log_password_file=log.password_file,
        event_log_cafile=log.cafile,
    )
    if servers := options.apiserver_flag("--watchfanout-servers"):
        return Watchfanouts(log_flags, {"servers": servers}, ())
    ports = free_ports(WATCHFANOUTS)
    where = {
        "servers": ",".join(f"https://{LOOPBACK}:{port}" for port in ports),
        "cafile": str(secrets.ca),
        "token_file": str(secrets.watchfanout_token),
    }
    # What both services have to be told alike.
    shared = {
        name: options.apiserver_flag(name)
        for name in ("--etcd-prefix", "--etcd-compaction-interval", "--v", "-v")
    }
    arguments = (
        *etcd.flags,
        *_flags(
            redis_url=log.url_flag,
            redis_password_file=log.password_file,
            redis_cafile=log.cafile,
            bind_address=LOOPBACK,
            tls_cert_file=str(secrets.watchfanout.certificate),
            tls_private_key_file=str(secrets.watchfanout.key),
            peer_cafile=str(secrets.ca),
            token_file=str(secrets.watchfanout_token),
            lease_duration=LEASE_DURATION,
        ),
        *(f"{name}={value}" for name, value in shared.items() if value),
    )
    programs = tuple(
        Program(
            "watchfanout",
            (
                *KUBEFAN,
                "watchfanout",
                *arguments,
                f"--secure-port={port}",
                f"--identity=watchfanout-{number}",
            ),
            port,
            number,
        )
        for number, port in enumerate(ports, start=1)
    )
    flags = _flags(
        watchfanout_servers=where["servers"],
        watchfanout_cafile=where["cafile"],
        watchfanout_token_file=where["token_file"],
    )
    return Watchfanouts((*log_flags, *flags), where, programs)


def _apiservers(options: LocalOptions, part_flags: tuple[str, ...]) -> tuple[Program, ...]:
    bind_address = options.apiserver_flag("--bind-address")
    programs = []
    for number, port in enumerate(free_ports(options.replicas), start=1):
        program = Program("apiserver", (), port, number)
        directory = _directory(options, program)
        directory.mkdir(mode=0o700, exist_ok=True)
        # Of an earlier run; the server writes it again.
        (directory / "admin.kubeconfig").unlink(missing_ok=True)
        before = [
            f"--cert-dir={options.data_dir / 'certs'}",
            f"--shutdown-delay-duration={SHUTDOWN_DELAY}",
            f"--advertise-port={options.secure_port}",
        ]
        if bind_address and bind_address not in ("0.0.0.0", "::"):
            before.append(f"--advertise-address={bind_address}")
        # Behind the user's flags stand those that the system cannot do without.
        after = [
            f"--data-dir={directory}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={port}",
            *part_flags,
        ]
        command = (*KUBEFAN, "apiserver", *before, *options.apiserver_flags, *after)
        programs.append(Program("apiserver", command, port, number))
    return tuple(programs)


def _directory(options: LocalOptions, program: Program) -> Path:
    return options.data_dir / program.name


def _haproxy(
    options: LocalOptions, command: str, host: str, apiservers: Iterable[Program]
) -> Program:
    """Return the balancer; its configuration and the admin's kubeconfig are written."""
    certificates = Path(options.apiserver_flag("--cert-dir") or options.data_dir / "certs")
    token = secret(certificates / "admin.token")
    given = options.apiserver_flag("--tls-cert-file")
    ca = None if given else authority(certificates).certificate
    shown_host = LOOPBACK if host in ("0.0.0.0", "::") else host
    if ":" in host:
        host = f"[{host}]"
    if ":" in shown_host:
        shown_host = f"[{shown_host}]"
    kubeconfig.write(
        options.kubeconfig,
        server=f"https://{shown_host}:{options.secure_port}",
        authority=Path(given) if given else certificates / "ca.crt",
        token=token,
    )
    directory = options.data_dir / "haproxy"
    directory.mkdir(mode=0o700, exist_ok=True)
    text = balancer.configuration(
        bind=f"{host}:{options.secure_port}",
        servers=[(one.name, f"{LOOPBACK}:{one.port}") for one in apiservers],
        ca=ca,
        token=token,
    )
    write_private(directory / "haproxy.cfg", text.encode())
    # From its directory: the path of a socket must be short.
    arguments = ("-db", "-C", str(directory), "-f", "haproxy.cfg")
    return Program("haproxy", (command, *arguments), options.secure_port)


def _flags(**values: str) -> tuple[str, ...]:
    return tuple(f"--{name.replace('_', '-')}={value}" for name, value in values.items() if value)
