"""What is counted of service accounts' tokens, by kube-apiserver's names.

Source: kube-apiserver v1.36.2, pkg/serviceaccount/metrics.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric


class TokenUses:
    """How often tokens were used: every request counts."""

    __slots__ = ("legacy", "stale", "valid")

    def __init__(self) -> None:
        self.legacy = 0
        """Tokens without an audience, out of Secrets."""
        self.stale = 0
        """Tokens that live longer than was asked for, after the time asked for."""
        self.valid = 0
        """The same, before it."""

    def families(self) -> Iterator[Metric]:
        for name, text, count in (
            ("legacy", "Cumulative legacy service account tokens used", self.legacy),
            ("stale", "Cumulative stale projected service account tokens used", self.stale),
            ("valid", "Cumulative valid projected service account tokens used", self.valid),
        ):
            yield CounterMetricFamily(f"serviceaccount_{name}_tokens", text, count)
