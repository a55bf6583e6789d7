"""What is counted of auditing, by kube-apiserver's names."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

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
        gauge = metrics.gauge
        gauge(
            "apiserver_audit_event_total",
            "Counter of audit events generated and sent to the audit backend.",
            "",
            lambda: {"": self.events},
        )
        gauge(
            "apiserver_audit_error_total",
            "Counter of audit events that failed to be audited properly. Plugin identifies the"
            " plugin affected by the error.",
            "plugin",
            lambda: self.errors,
        )
        gauge(
            "apiserver_audit_level_total",
            "Counter of policy levels for audit events (1 per request).",
            "level",
            lambda: {NAME_OF_LEVEL[level]: self.levels[level] for level in Level},
        )
        gauge(
            "apiserver_audit_requests_rejected_total",
            "Counter of apiserver requests rejected due to an error in audit logging backend.",
            "",
            lambda: {"": self.rejected},
        )
