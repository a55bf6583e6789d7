"""What is counted of the values that are encrypted and decrypted, by kube-apiserver's names.

Source: kube-apiserver v1.36.2, apiserver/pkg/storage/value/metrics.go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from services.apiserver.metrics import Distribution
from shared.storage.encryption import Direction

BUCKETS_S: Final = tuple(5e-6 * 2**power for power in range(25))
WENT_WELL, FAILED = "OK", "unknown-non-grpc"

Key = tuple[Direction, str]
"""To or from storage, and the prefix by which it was tried."""


class TransformationMetrics:
    """Plain numbers, shown when somebody scrapes."""

    def __init__(self) -> None:
        self._durations_s: dict[Key, Distribution] = {}
        self._failures: Counter[Key] = Counter()

    def observe(self, direction: Direction, prefix: str, seconds: float, went_well: bool) -> None:
        key = (direction, prefix)
        if not went_well:
            self._failures[key] += 1
            return
        durations = self._durations_s.get(key)
        if durations is None:
            durations = self._durations_s[key] = Distribution(BUCKETS_S)
        durations.observe(seconds)

    def families(self) -> Iterator[Metric]:
        labels = ("transformation_type", "transformer_prefix")
        counts = CounterMetricFamily(
            "apiserver_storage_transformation_operations",
            "Total number of transformations.",
            labels=(*labels, "status"),
        )
        durations = HistogramMetricFamily(
            "apiserver_storage_transformation_duration_seconds",
            "Latencies in seconds of value transformation operations.",
            labels=labels,
        )
        for key, seconds in self._durations_s.items():
            counts.add_metric((*key, WENT_WELL), seconds.count)
            durations.add_metric(key, seconds.buckets(), sum_value=seconds.sum)
        for key, count in self._failures.items():
            counts.add_metric((*key, FAILED), count)
        return iter((counts, durations))
