"""The apiserver's metrics, by kube-apiserver's names where the meaning is the same.

Hot counters are plain integers in dicts: a labelled prometheus child costs several times as
much per request. They become metric families when somebody scrapes.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

REQUEST_LABELS: Final = ("verb", "group", "version", "resource", "subresource", "scope")
DURATION_BUCKETS_S: Final = (
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0,
    10.0, 15.0, 20.0, 30.0, 45.0, 60.0,
)  # fmt: skip
STORAGE_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
LAG_BUCKETS_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0)
LAG_SAMPLE_INTERVAL_S: Final = 0.005
LAG_IDLE_INTERVAL_S: Final = 0.25
"""Between samples while nothing is being served: 200 wake-ups a second would cost 2 % CPU."""

RequestKey = tuple[str, str, str, str, str, str]


class Distribution:
    """Counts by bucket, and the sum. `observe` is one bisection and two additions."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        return sum(self.counts)

    def buckets(self) -> list[tuple[str, float]]:
        """Return cumulative counts by upper bound, as Prometheus wants them."""
        out: list[tuple[str, float]] = []
        total = 0
        for bound, count in zip((*map(_bound, self.bounds), "+Inf"), self.counts, strict=True):
            total += count
            out.append((bound, total))
        return out


def _bound(value: float) -> str:
    """Print a bound as Go does: all its digits, and no more."""
    return repr(float(value)).removesuffix(".0")


class Metrics:
    """All of one server's metrics. Gauges are read from their owners when scraped."""

    def __init__(self) -> None:
        self._requests: dict[tuple[RequestKey, int], int] = {}
        self._durations: dict[RequestKey, Distribution] = {}
        self._long_running: dict[RequestKey, int] = {}
        self._storage: dict[str, Distribution] = {}
        self.reads: dict[str, int] = {}
        """Consistent reads by how they were answered: cache, waited, storage."""
        self.resumes: dict[str, int] = {}
        """Watches from a revision on: window (seen by this process), log (back-filled from the
        event log), refused (410)."""
        self.fanout_lag = Distribution(LAG_BUCKETS_S)
        """From the watchfanout's having an event to its being in the cache and with watchers."""
        self.answered = 0
        """Requests that have got their answer."""
        self.serving = 0
        """Requests, other than watches, that are being answered."""
        self.panics = 0
        self.lag = Distribution(LAG_BUCKETS_S)
        self.longest_lag_s = 0.0
        self._gauges: list[tuple[str, str, str, Callable[[], Mapping[str, float]]]] = []
        self._sources: list[Callable[[], Iterable[Metric]]] = []
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(self)

    def request(self, key: RequestKey, code: int, seconds: float) -> None:
        """Count an answered request."""
        self.answered += 1
        counted = (key, code)
        self._requests[counted] = self._requests.get(counted, 0) + 1
        durations = self._durations.get(key)
        if durations is None:
            durations = self._durations[key] = Distribution(DURATION_BUCKETS_S)
        durations.observe(seconds)

    def long_running(self, key: RequestKey, change: int) -> None:
        """Count a watch that begins (+1) or ends (-1)."""
        self._long_running[key] = self._long_running.get(key, 0) + change

    def storage(self, operation: str, seconds: float) -> None:
        durations = self._storage.get(operation)
        if durations is None:
            durations = self._storage[operation] = Distribution(STORAGE_BUCKETS_S)
        durations.observe(seconds)

    def read(self, path: str) -> None:
        self.reads[path] = self.reads.get(path, 0) + 1

    def resume(self, path: str) -> None:
        self.resumes[path] = self.resumes.get(path, 0) + 1

    def gauge(
        self, name: str, documentation: str, label: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        """Show what `read` returns, value by label value, whenever somebody scrapes."""
        self._gauges.append((name, documentation, label, read))

    def source(self, families: Callable[[], Iterable[Metric]]) -> None:
        """Show the families that `families` makes whenever somebody scrapes."""
        self._sources.append(families)

    async def sample_event_loop(self) -> None:
        """Measure for ever how late the event loop comes to its timers: what stalls it."""
        loop = asyncio.get_running_loop()
        answered = -1
        while True:
            busy, answered = answered != self.answered, self.answered
            interval = LAG_SAMPLE_INTERVAL_S if busy or self.serving else LAG_IDLE_INTERVAL_S
            due = loop.time() + interval
            await asyncio.sleep(interval)
            late = max(loop.time() - due, 0.0)
            self.lag.observe(late)
            self.longest_lag_s = max(self.longest_lag_s, late)

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format."""
        text: bytes = generate_latest(self._registry)
        return text

    def collect(self) -> Iterable[Metric]:
        """Yield the metric families; called by the registry."""
        total = CounterMetricFamily(
            "apiserver_request",
            "Counter of apiserver requests broken out for each verb, dry run value, group, version,"
            " resource, scope, component, and HTTP response code.",
            labels=(*REQUEST_LABELS, "code", "component"),
        )
        for (key, code), count in self._requests.items():
            total.add_metric((*key, str(code), "apiserver"), count)
        yield total
        durations = HistogramMetricFamily(
            "apiserver_request_duration_seconds",
            "Response latency distribution in seconds for each verb, group, version, resource,"
            " subresource, scope and component.",
            labels=(*REQUEST_LABELS, "component"),
        )
        for key, distribution in self._durations.items():
            durations.add_metric(
                (*key, "apiserver"), buckets=distribution.buckets(), sum_value=distribution.sum
            )
        yield durations
        running = GaugeMetricFamily(
            "apiserver_longrunning_requests",
            "Gauge of all active long-running apiserver requests broken out by verb, group,"
            " version, resource, scope and component.",
            labels=(*REQUEST_LABELS, "component"),
        )
        for key, value in self._long_running.items():
            running.add_metric((*key, "apiserver"), value)
        yield running
        storage = HistogramMetricFamily(
            "etcd_request_duration_seconds",
            "Storage request latency in seconds for each operation.",
            labels=("operation",),
        )
        for operation, distribution in self._storage.items():
            storage.add_metric(
                (operation,), buckets=distribution.buckets(), sum_value=distribution.sum
            )
        yield storage
        reads = CounterMetricFamily(
            "kubefan_consistent_reads",
            "Consistent reads by how they were answered: cache, waited (for it), storage.",
            labels=("path",),
        )
        for path, count in self.reads.items():
            reads.add_metric((path,), count)
        yield reads
        resumes = CounterMetricFamily(
            "kubefan_watch_resumes",
            "Watches from a resourceVersion on, by where the events came from: window, log"
            " (back-filled from the event log), refused.",
            labels=("path",),
        )
        for path, count in self.resumes.items():
            resumes.add_metric((path,), count)
        yield resumes
        fanout = HistogramMetricFamily(
            "kubefan_fanout_lag_seconds",
            "From the watchfanout's receiving an event to its being applied here.",
        )
        fanout.add_metric((), buckets=self.fanout_lag.buckets(), sum_value=self.fanout_lag.sum)
        yield fanout
        panics = CounterMetricFamily(
            "apiserver_request_aborts", "Requests that ended in an unexpected error."
        )
        panics.add_metric((), self.panics)
        yield panics
        lag = HistogramMetricFamily(
            "kubefan_event_loop_lag_seconds", "How late the event loop came to its timers."
        )
        lag.add_metric((), buckets=self.lag.buckets(), sum_value=self.lag.sum)
        yield lag
        longest = GaugeMetricFamily(
            "kubefan_event_loop_lag_longest_seconds", "The longest such lateness since the start."
        )
        longest.add_metric((), self.longest_lag_s)
        yield longest
        for name, documentation, label, read in self._gauges:
            family = GaugeMetricFamily(name, documentation, labels=(label,) if label else ())
            for which, number in read().items():
                family.add_metric((which,) if label else (), number)
            yield family
        for families in self._sources:
            yield from families()


def now_s() -> float:
    """Return the clock that durations are measured by."""
    return time.perf_counter()
