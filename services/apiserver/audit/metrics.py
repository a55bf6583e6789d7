"""What is counted of auditing, by kube-apiserver's names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, Metric

from services.apiserver.audit.recording import NAME_OF_LEVEL, Level

if TYPE_CHECKING:
    from services.apiserver.metrics import Metrics


class AuditMetrics:
    """Plain integers, shown when somebody scrapes."""

    def __init__(self) -> None:
        self.events = 0
        """Events made, whatever became of them."""
        self.rejected = 0
        """Requests refused because their event could not be written."""
        self.errors: Counter[str] = Counter()
        """Events lost, by the part that lost them."""
        self.levels = [0] * len(Level)
        """Requests by how much was recorded of them."""

    def show_in(self, metrics: Metrics) -> None:
        metrics.source(self.families)

    def families(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "apiserver_audit_event",
            "Counter of audit events generated and sent to the audit backend.",
            self.events,
        )
        errors = CounterMetricFamily(
            "apiserver_audit_error",
            "Counter of audit events that failed to be audited properly. Plugin identifies the"
            " plugin affected by the error.",
            labels=("plugin",),
        )
        for plugin, count in self.errors.items():
            errors.add_metric((plugin,), count)
        yield errors
        levels = CounterMetricFamily(
            "apiserver_audit_level",
            "Counter of policy levels for audit events (1 per request).",
            labels=("level",),
        )
        for level in Level:
            levels.add_metric((NAME_OF_LEVEL[level],), self.levels[level])
        yield levels
        yield CounterMetricFamily(
            "apiserver_audit_requests_rejected",
            "Counter of apiserver requests rejected due to an error in audit logging backend.",
            self.rejected,
        )
