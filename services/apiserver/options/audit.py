"""Flags: what is recorded of requests, and where to."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, field

from shared.flags import AddFlag, boolean, duration, files, flag, integer

MODES = ("batch", "blocking", "blocking-strict")
FORMATS = ("legacy", "json")
VERSION = "audit.k8s.io/v1"
MEGABYTES = 10**6
"""The largest size in megabytes that is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditBatchOptions:
    """How events reach a backend, with and without a buffer in between."""

    mode: str
    limit_buffer: int = 10_000
    limit_batch: int = 1
    wait_s: float = 0.0
    throttle_enabled: bool = False
    throttle_qps: float = 0.0
    throttle_burst: int = 0
    truncate: bool = False
    truncate_batch_bytes: int = 10 * 2**20
    truncate_event_bytes: int = 100 * 2**10


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditOptions:
    policy_file: str = ""
    log_path: str = ""
    """Of the log file; "-" is standard output, "" none."""
    log_format: str = "json"
    log_limit_age_days: int = 366
    log_limit_files: int = 100
    log_limit_megabytes: int = 100
    log_compress: bool = False
    log: AuditBatchOptions = field(default_factory=lambda: AuditBatchOptions(mode="blocking"))
    webhook_config_file: str = ""
    webhook_initial_backoff_s: float = 10.0
    webhook: AuditBatchOptions = field(default_factory=lambda: AuditBatchOptions(mode="batch"))


def add_flags(add: AddFlag) -> None:
    add("--audit-policy-file", default="", metavar="FILE", help="an audit.k8s.io/v1 Policy")
    add("--audit-log-path", default="", metavar="FILE", help="- is standard output")
    add("--audit-log-format", default="json", metavar="|".join(FORMATS))
    add("--audit-log-maxage", default="366", metavar="DAYS")
    add("--audit-log-maxbackup", default="100", metavar="FILES")
    add("--audit-log-maxsize", default="100", metavar="MB")
    add("--audit-log-compress", default="false", nargs="?", const="true", metavar="BOOL")
    add("--audit-webhook-config-file", default="", metavar="FILE", help="a kubeconfig")
    # The later name wins if both are given, as with pflag's two names of one variable.
    add(
        "--audit-webhook-initial-backoff",
        "--audit-webhook-batch-initial-backoff",
        default="10s",
        metavar="DURATION",
    )
    for name, mode, batch, wait, throttled, qps, burst in (
        ("log", "blocking", "1", "0s", "false", "0", "0"),
        ("webhook", "batch", "400", "30s", "true", "10", "15"),
    ):
        prefix = f"--audit-{name}"
        add(f"{prefix}-version", default=VERSION, metavar="GROUP/VERSION")
        add(f"{prefix}-mode", default=mode, metavar="|".join(MODES))
        add(f"{prefix}-batch-buffer-size", default="10000", metavar="EVENTS")
        add(f"{prefix}-batch-max-size", default=batch, metavar="EVENTS")
        add(f"{prefix}-batch-max-wait", default=wait, metavar="DURATION")
        _switch(add, f"{prefix}-batch-throttle-enable", throttled)
        add(f"{prefix}-batch-throttle-qps", default=qps, metavar="BATCHES")
        add(f"{prefix}-batch-throttle-burst", default=burst, metavar="BATCHES")
        _switch(add, f"{prefix}-truncate-enabled", "false")
        add(f"{prefix}-truncate-max-batch-size", default=str(10 * 2**20), metavar="BYTES")
        add(f"{prefix}-truncate-max-event-size", default=str(100 * 2**10), metavar="BYTES")


def _switch(add: AddFlag, name: str, default: str) -> None:
    add(name, default=default, nargs="?", const="true", metavar="BOOL")


def read(known: argparse.Namespace, mistakes: list[str]) -> AuditOptions:
    files(known, ("audit_webhook_config_file",), mistakes)
    _one_of(known, "audit_log_format", FORMATS, mistakes)
    return AuditOptions(
        policy_file=known.audit_policy_file,
        log_path=known.audit_log_path,
        log_format=known.audit_log_format,
        log_limit_age_days=integer(known, "audit_log_maxage", 0, 10**6, mistakes),
        log_limit_files=integer(known, "audit_log_maxbackup", 0, 10**9, mistakes),
        log_limit_megabytes=integer(known, "audit_log_maxsize", 0, MEGABYTES, mistakes),
        log_compress=boolean(known, "audit_log_compress", mistakes),
        log=_batch(known, "log", mistakes),
        webhook_config_file=known.audit_webhook_config_file,
        webhook_initial_backoff_s=duration(known, "audit_webhook_initial_backoff", mistakes),
        webhook=_batch(known, "webhook", mistakes),
    )


def _batch(known: argparse.Namespace, name: str, mistakes: list[str]) -> AuditBatchOptions:
    prefix = f"audit_{name}"
    if getattr(known, f"{prefix}_version") != VERSION:
        mistakes.append(f"--audit-{name}-version: the only version is {VERSION}")
    _one_of(known, f"{prefix}_mode", MODES, mistakes)
    throttled = boolean(known, f"{prefix}_batch_throttle_enable", mistakes)
    qps = _rate(known, f"{prefix}_batch_throttle_qps", mistakes)
    burst = integer(known, f"{prefix}_batch_throttle_burst", 0, 10**9, mistakes)
    if throttled and not qps:
        mistakes.append(f"--audit-{name}-batch-throttle-qps must be a positive number")
    if throttled and not burst:
        mistakes.append(f"--audit-{name}-batch-throttle-burst must be a positive number")
    event_bytes = integer(known, f"{prefix}_truncate_max_event_size", 1, 10**12, mistakes)
    batch_bytes = integer(known, f"{prefix}_truncate_max_batch_size", 1, 10**12, mistakes)
    if batch_bytes < event_bytes:
        mistakes.append(
            f"--audit-{name}-truncate-max-batch-size: {batch_bytes} must be greater than the max"
            f" event size ({event_bytes})"
        )
    return AuditBatchOptions(
        mode=getattr(known, f"{prefix}_mode"),
        limit_buffer=integer(known, f"{prefix}_batch_buffer_size", 1, 10**9, mistakes),
        limit_batch=integer(known, f"{prefix}_batch_max_size", 1, 10**9, mistakes),
        wait_s=duration(known, f"{prefix}_batch_max_wait", mistakes),
        throttle_enabled=throttled,
        throttle_qps=qps,
        throttle_burst=burst,
        truncate=boolean(known, f"{prefix}_truncate_enabled", mistakes),
        truncate_batch_bytes=batch_bytes,
        truncate_event_bytes=event_bytes,
    )


def _one_of(
    known: argparse.Namespace, name: str, values: tuple[str, ...], mistakes: list[str]
) -> None:
    if getattr(known, name) not in values:
        mistakes.append(f"{flag(name)}: {getattr(known, name)!r} is not {' or '.join(values)}")


def _rate(known: argparse.Namespace, name: str, mistakes: list[str]) -> float:
    text = getattr(known, name)
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text):
        mistakes.append(f"{flag(name)}: {text!r} is not a number")
        return 0.0
    return float(text)
