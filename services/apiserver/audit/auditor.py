"""Auditor: the policy and the backends of one server, and the task that owns their buffers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from services.apiserver.audit.backend import Batching, BufferedBackend, Mode
from services.apiserver.audit.event import RequestAudit
from services.apiserver.audit.logfile import (
    MEGABYTE,
    Format,
    LogDestination,
    LogFile,
    Output,
    Rotation,
    StandardOutput,
)
from services.apiserver.audit.metrics import AuditMetrics
from services.apiserver.audit.policy import Policy, PolicyError, load_policy
from services.apiserver.audit.recording import Recording
from services.apiserver.audit.webhook import WebhookDestination
from services.apiserver.http.request import Request
from services.apiserver.options.audit import AuditBatchOptions, AuditOptions
from services.apiserver.requestinfo import RequestInfo, UserInfo
from shared import kubeconfig
from shared.flags import OptionsError

log = logging.getLogger("kubefan.apiserver")

LOG_INTERVAL_S = 0.02
"""Between two writes of the log, where requests come without end: each costs a change of
threads, about 0.2 ms."""
LOG_BATCH = 1000
STOP_WITHIN_S = 10.0
"""What a webhook has not taken so long after the stop is lost."""


class Auditor:
    """Gives every request the `Audit` that records it."""

    def __init__(
        self, policy: Policy, backends: Sequence[BufferedBackend], metrics: AuditMetrics
    ) -> None:
        self.backends = backends
        self.metrics = metrics
        self._policy = policy
        self._stopped = asyncio.Event()

    def begin(self, request: Request) -> None:
        """Let a request be recorded; the policy is asked when its user is known."""
        request.audit = RequestAudit(self, request)

    def decide(self, user: UserInfo | None, info: RequestInfo) -> Recording:
        recording = self._policy.recording(user, info)
        self.metrics.levels[recording.level] += 1
        return recording

    async def run(self) -> None:
        """Write events until `stop`, then what is left."""
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(backend.run(), name=repr(backend)) for backend in self.backends
            ]
            await self._stopped.wait()
            for backend in self.backends:
                backend.stop()
            _, late = await asyncio.wait(running, timeout=STOP_WITHIN_S)
            for task in late:
                task.cancel()

    def stop(self) -> None:
        """Let `run` end: no request is being served any more."""
        self._stopped.set()


def open_auditor(options: AuditOptions) -> Auditor | None:
    """Return the auditor that the flags ask for; None if nothing is to be recorded.

    Called in the event loop. Log files are opened here: what can't be written is told at once.

    Raises:
        OptionsError: the policy, the log file or the webhook's kubeconfig can't be used.
    """
    has_backend = options.log_path or options.webhook_config_file
    if not options.policy_file:
        if has_backend:
            log.warning("no --audit-policy-file: no audit events will be recorded")
        return None
    try:
        policy = load_policy(Path(options.policy_file))
    except PolicyError as error:
        raise OptionsError(f"--audit-policy-file: {error}") from error
    if not has_backend:
        return None
    metrics = AuditMetrics()
    backends: list[BufferedBackend] = []
    # The webhook first: it leaves nothing open where the other one fails.
    if options.webhook_config_file:
        backends.append(_webhook(options, metrics))
    if options.log_path:
        backends.append(_log(options, metrics))
    return Auditor(policy, backends, metrics)


def _log(options: AuditOptions, metrics: AuditMetrics) -> BufferedBackend:
    output: Output
    if options.log_path == "-":
        output = StandardOutput()
    else:
        rotation = Rotation(
            limit_bytes=options.log_limit_megabytes * MEGABYTE,
            limit_age_days=options.log_limit_age_days,
            limit_files=options.log_limit_files,
            compress=options.log_compress,
        )
        try:
            output = LogFile(Path(options.log_path), rotation)
        except OSError as error:
            raise OptionsError(f"--audit-log-path: {error}") from error
    batch = options.log
    asked_for = batch.mode == "batch" and batch.limit_batch > 1
    batching = Batching(
        limit_buffer=batch.limit_buffer,
        limit_batch=batch.limit_batch if asked_for else LOG_BATCH,
        wait_s=max(batch.wait_s, LOG_INTERVAL_S) if asked_for else LOG_INTERVAL_S,
        limit_batch_bytes=batch.truncate_batch_bytes,
        throttle_qps=_qps(batch),
        throttle_burst=max(batch.throttle_burst, 1),
    )
    destination = LogDestination(output, cast(Format, options.log_format))
    return _buffered(destination, batch, batching, metrics)


def _webhook(options: AuditOptions, metrics: AuditMetrics) -> BufferedBackend:
    try:
        access = kubeconfig.load(Path(options.webhook_config_file))
        destination = WebhookDestination(access, options.webhook_initial_backoff_s)
    except (kubeconfig.KubeconfigError, OSError, ValueError) as error:
        raise OptionsError(f"--audit-webhook-config-file: {error}") from error
    batch = options.webhook
    batching = Batching(
        limit_buffer=batch.limit_buffer,
        limit_batch=batch.limit_batch,
        wait_s=batch.wait_s if batch.mode == "batch" else 0.0,
        limit_batch_bytes=batch.truncate_batch_bytes,
        throttle_qps=_qps(batch),
        throttle_burst=max(batch.throttle_burst, 1),
    )
    return _buffered(destination, batch, batching, metrics)


def _qps(batch: AuditBatchOptions) -> float:
    # Blocking modes have no throttle: who waits for its event shall not wait for others'.
    return batch.throttle_qps if batch.throttle_enabled and batch.mode == "batch" else 0.0


def _buffered(
    destination: LogDestination | WebhookDestination,
    batch: AuditBatchOptions,
    batching: Batching,
    metrics: AuditMetrics,
) -> BufferedBackend:
    return BufferedBackend(
        destination,
        cast(Mode, batch.mode),
        batching,
        metrics,
        limit_event_bytes=batch.truncate_event_bytes if batch.truncate else None,
    )
