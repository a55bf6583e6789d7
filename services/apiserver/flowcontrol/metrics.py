"""Flow control in the metrics.

Source: kube-apiserver v1.36.2, apiserver/pkg/util/flowcontrol/metrics/metrics.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from services.apiserver.flowcontrol.levels import PriorityLevel, PriorityLevels
from services.apiserver.flowcontrol.queueset import WAIT_BUCKETS_S, Tally
from services.apiserver.metrics import Distribution

PREFIX = "apiserver_flowcontrol"
OF_FLOW = ("priority_level", "flow_schema")

_FLOW_GAUGES: tuple[tuple[str, str, Callable[[Tally], int]], ...] = (
    (
        "current_executing_requests",
        "Number of requests in initial (for a WATCH) or any (for a non-WATCH) execution stage in"
        " the API Priority and Fairness subsystem",
        lambda tally: tally.executing,
    ),
    (
        "current_executing_seats",
        "Concurrency (number of seats) occupied by the currently executing requests in the API"
        " Priority and Fairness subsystem",
        lambda tally: tally.executing_seats,
    ),
    (
        "current_inqueue_requests",
        "Number of requests currently pending in queues of the API Priority and Fairness subsystem",
        lambda tally: tally.waiting,
    ),
)
_LEVEL_GAUGES: tuple[tuple[str, str, Callable[[PriorityLevel], float]], ...] = (
    (
        "nominal_limit_seats",
        "Nominal number of execution seats configured for each priority level",
        lambda level: level.nominal,
    ),
    (
        "lower_limit_seats",
        "Configured lower bound on number of execution seats available to each priority level",
        lambda level: level.minimum,
    ),
    (
        "upper_limit_seats",
        "Configured upper bound on number of execution seats available to each priority level",
        lambda level: level.maximum,
    ),
    (
        "current_limit_seats",
        "current derived number of execution seats available to each priority level",
        lambda level: level.queues.limit,
    ),
    (
        "demand_seats_high_watermark",
        "High watermark, over last adjustment period, of demand_seats",
        lambda level: level.queues.demand.high_watermark,
    ),
    (
        "demand_seats_average",
        "Time-weighted average, over last adjustment period, of demand_seats",
        lambda level: level.queues.demand.average,
    ),
    (
        "demand_seats_stdev",
        "Time-weighted standard deviation, over last adjustment period, of demand_seats",
        lambda level: level.queues.demand.deviation,
    ),
    (
        "demand_seats_smoothed",
        "Smoothed seat demands",
        lambda level: level.queues.demand.smoothed,
    ),
    ("target_seats", "Seat allocation targets", lambda level: level.target),
)


def families(levels: PriorityLevels) -> Iterator[Metric]:
    """Yield the metric families of all levels."""
    tallies = list(levels.tallies)
    for name, text, read in _FLOW_GAUGES:
        gauge = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=OF_FLOW)
        for level, schema, tally in tallies:
            gauge.add_metric((level, schema), read(tally))
        yield gauge
    for name, text, of_level in _LEVEL_GAUGES:
        gauge = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=("priority_level",))
        for level, state in levels.levels.items():
            gauge.add_metric((level,), of_level(state))
        yield gauge
    dispatched = CounterMetricFamily(
        f"{PREFIX}_dispatched_requests",
        "Number of requests executed by API Priority and Fairness subsystem",
        labels=OF_FLOW,
    )
    rejected = CounterMetricFamily(
        f"{PREFIX}_rejected_requests",
        "Number of requests rejected by API Priority and Fairness subsystem",
        labels=(*OF_FLOW, "reason"),
    )
    waits = HistogramMetricFamily(
        f"{PREFIX}_request_wait_duration_seconds",
        "Length of time a request spent waiting in its queue",
        labels=(*OF_FLOW, "execute"),
    )
    for level, schema, tally in tallies:
        dispatched.add_metric((level, schema), tally.dispatched)
        for reason, count in tally.refused.items():
            rejected.add_metric((level, schema, reason), count)
        at_once = tally.dispatched - sum(tally.waited_s.counts)
        for execute, waited, before in (
            ("true", tally.waited_s, at_once),
            ("false", tally.waited_in_vain, 0),
        ):
            waits.add_metric((level, schema, execute), _with(waited, before), sum_value=waited.sum)
    yield from (dispatched, rejected, waits)


def _with(waited: Distribution, at_once: int) -> Sequence[tuple[str, float]]:
    """Return the buckets of those that waited and those that did not."""
    assert len(waited.bounds) == len(WAIT_BUCKETS_S)
    return [(bound, count + at_once) for bound, count in waited.buckets()]
