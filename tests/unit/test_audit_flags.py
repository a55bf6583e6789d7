"""The flags of audit: kube-apiserver's names, defaults and refusals."""

from __future__ import annotations

import pytest

from services.apiserver.options import ApiServerOptions, OptionsError
from services.apiserver.options.audit import AuditOptions


def read(*argv: str) -> AuditOptions:
    return ApiServerOptions.from_argv(argv).audit


def test_defaults_are_those_of_kube_apiserver() -> None:
    options = read()
    assert (options.log_format, options.log_limit_age_days) == ("json", 366)
    assert (options.log_limit_files, options.log_limit_megabytes) == (100, 100)
    assert (options.log.mode, options.log.limit_batch, options.log.throttle_enabled) == (
        "blocking",
        1,
        False,
    )
    webhook = options.webhook
    assert (webhook.mode, webhook.limit_buffer, webhook.limit_batch) == ("batch", 10_000, 400)
    assert (webhook.wait_s, webhook.throttle_qps, webhook.throttle_burst) == (30.0, 10.0, 15)
    assert (webhook.truncate, webhook.truncate_event_bytes) == (False, 102_400)
    assert options.webhook_initial_backoff_s == 10.0


def test_flags_are_read() -> None:
    options = read(
        "--audit-log-path=-",
        "--audit-log-format=legacy",
        "--audit-log-mode=blocking-strict",
        "--audit-log-maxsize=0",
        "--audit-log-compress",
        "--audit-log-truncate-enabled=true",
        "--audit-webhook-batch-max-size=7",
        "--audit-webhook-batch-max-wait=1m",
        "--audit-webhook-batch-throttle-qps=2.5",
        "--audit-webhook-batch-initial-backoff=3s",
    )
    assert (options.log_path, options.log_format, options.log.mode) == (
        "-",
        "legacy",
        "blocking-strict",
    )
    assert options.log_limit_megabytes == 0
    assert options.log_compress
    assert options.log.truncate
    assert (options.webhook.limit_batch, options.webhook.wait_s) == (7, 60.0)
    assert options.webhook.throttle_qps == 2.5
    assert options.webhook_initial_backoff_s == 3.0


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--audit-log-mode=fast", "'fast' is not batch or blocking or blocking-strict"),
        ("--audit-log-format=text", "'text' is not legacy or json"),
        ("--audit-log-maxage=-1", "--audit-log-maxage"),
        ("--audit-log-version=audit.k8s.io/v1beta1", "the only version is audit.k8s.io/v1"),
        ("--audit-webhook-batch-buffer-size=0", "--audit-webhook-batch-buffer-size"),
        ("--audit-webhook-batch-throttle-qps=0", "must be a positive number"),
        ("--audit-log-truncate-max-batch-size=5", "must be greater than the max event size"),
        ("--audit-webhook-config-file=/missing", "no such file"),
    ],
)
def test_what_makes_no_sense_is_refused(flag: str, message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        read(flag)
