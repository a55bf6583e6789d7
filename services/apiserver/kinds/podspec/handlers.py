"""Probes and lifecycle hooks of containers.

Source: kube-apiserver v1.36.2, pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.apiserver.errors import Cause
from services.apiserver.validation import field, names

Object = dict[str, Any]

_PROBE_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_LIFECYCLE_HANDLERS = ("exec", "httpGet", "tcpSocket", "sleep")
_PROBE_NUMBERS = (
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
)
NOT_NEGATIVE = "must be greater than or equal to 0"


def validate_probes(container: Object, grace_period: int | None, path: str) -> Iterator[Cause]:
    if "livenessProbe" in container:
        yield from _liveness(container["livenessProbe"], grace_period, f"{path}.livenessProbe")
    if "readinessProbe" in container:
        at = f"{path}.readinessProbe"
        probe = container["readinessProbe"]
        yield from _probe(probe, grace_period, at)
        if "terminationGracePeriodSeconds" in probe:
            yield field.invalid(
                f"{at}.terminationGracePeriodSeconds",
                probe["terminationGracePeriodSeconds"],
                "must not be set for readinessProbes",
            )
    if "startupProbe" in container:
        yield from _liveness(container["startupProbe"], grace_period, f"{path}.startupProbe")


def validate_lifecycle(lifecycle: Object, grace_period: int | None, path: str) -> Iterator[Cause]:
    for name in ("postStart", "preStop"):
        if name in lifecycle:
            yield from _handler(
                lifecycle[name], _LIFECYCLE_HANDLERS, grace_period, f"{path}.{name}"
            )


def _liveness(probe: Object, grace_period: int | None, path: str) -> Iterator[Cause]:
    yield from _probe(probe, grace_period, path)
    threshold = probe.get("successThreshold", 0)
    if threshold != 1:
        yield field.invalid(f"{path}.successThreshold", threshold, "must be 1")


def _probe(probe: Object, grace_period: int | None, path: str) -> Iterator[Cause]:
    yield from _handler(probe, _PROBE_HANDLERS, grace_period, path)
    for name in _PROBE_NUMBERS:
        if probe.get(name, 0) < 0:
            yield field.invalid(f"{path}.{name}", probe[name], NOT_NEGATIVE)
    period = probe.get("terminationGracePeriodSeconds")
    if period is not None and period <= 0:
        yield field.invalid(
            f"{path}.terminationGracePeriodSeconds", period, "must be greater than 0"
        )


def _handler(
    handler: Object, kinds: tuple[str, ...], grace_period: int | None, path: str
) -> Iterator[Cause]:
    found = [kind for kind in kinds if kind in handler]
    if not found:
        yield field.required(path, "must specify a handler type")
        return
    kind = found[0]
    yield from _action(kind, handler[kind], grace_period, f"{path}.{kind}")
    for other in found[1:]:
        yield field.forbidden(f"{path}.{other}", "may not specify more than 1 handler type")


def _action(kind: str, action: Object, grace_period: int | None, path: str) -> Iterator[Cause]:
    if kind == "exec":
        if not action.get("command"):
            yield field.required(f"{path}.command")
    elif kind == "httpGet":
        yield from _http_get(action, path)
    elif kind == "sleep":
        seconds = action.get("seconds", 0)
        if grace_period is not None and not 0 <= seconds <= grace_period:
            yield field.invalid(
                path,
                seconds,
                "must be non-negative and less than terminationGracePeriodSeconds"
                f" ({grace_period})",
            )
    else:
        yield from _port(action.get("port", 0), f"{path}.port")


def _http_get(action: Object, path: str) -> Iterator[Cause]:
    if not action.get("path"):
        yield field.required(f"{path}.path")
    yield from _port(action.get("port", 0), f"{path}.port")
    if action.get("scheme", "") not in ("HTTP", "HTTPS"):
        yield field.not_supported(f"{path}.scheme", action.get("scheme", ""), ("HTTP", "HTTPS"))
    for header in action.get("httpHeaders", ()):
        name = header.get("name", "")
        for message in names.http_header_name(name):
            yield field.invalid(f"{path}.httpHeaders", name, message)


def _port(port: int | str, path: str) -> Iterator[Cause]:
    messages = names.port_name(port) if isinstance(port, str) else names.port_number(port)
    for message in messages:
        yield field.invalid(path, port, message)
