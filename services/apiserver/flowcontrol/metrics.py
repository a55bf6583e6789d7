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
from services.apiserver.flowcontrol.tally import Tally
from services.apiserver.metrics import Distribution

PREFIX = "apiserver_flowcontrol"
OF_FLOW = ("priority_level", "flow_schema")

OfFlow = tuple[str, str, Tally]
"""What the requests of a FlowSchema (second) do in a level (first)."""

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
    (
        "current_inqueue_seats",
        "Number of seats currently pending in queues of the API Priority and Fairness subsystem",
        lambda tally: tally.waiting_seats,
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
    ("current_r", "R(time of last change)", lambda level: level.queues.r),
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
    yield from _counters(tallies)
    yield from _distributions(tallies)


def _counters(tallies: Sequence[OfFlow]) -> Iterator[Metric]:
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
    unaccommodated = CounterMetricFamily(
        f"{PREFIX}_request_dispatch_no_accommodation",
        "Number of times a dispatch attempt resulted in a non accommodation due to lack of"
        " available seats",
        labels=OF_FLOW,
    )
    for level, schema, tally in tallies:
        dispatched.add_metric((level, schema), tally.dispatched)
        for reason, count in tally.refused.items():
            rejected.add_metric((level, schema, reason), count)
        if tally.unaccommodated:
            unaccommodated.add_metric((level, schema), tally.unaccommodated)
    return iter((dispatched, rejected, unaccommodated))


def _distributions(tallies: Sequence[OfFlow]) -> Iterator[Metric]:
    waits = HistogramMetricFamily(
        f"{PREFIX}_request_wait_duration_seconds",
        "Length of time a request spent waiting in its queue",
        labels=(*OF_FLOW, "execute"),
    )
    executions = HistogramMetricFamily(
        f"{PREFIX}_request_execution_seconds",
        "Duration of initial stage (for a WATCH) or any (for a non-WATCH) stage of request"
        " execution in the API Priority and Fairness subsystem",
        labels=(*OF_FLOW, "type"),
    )
    seats = HistogramMetricFamily(
        f"{PREFIX}_work_estimated_seats",
        "Number of estimated seats (maximum of initial and final seats) associated with requests"
        " in API Priority and Fairness",
        labels=OF_FLOW,
    )
    for level, schema, tally in tallies:
        arrived = tally.arrived
        if not arrived:
            continue
        # Most requests neither wait nor want a second seat: they are counted by what they are
        # not, for nothing.
        for execute, waited, total in (
            ("true", tally.waited_s, tally.dispatched),
            ("false", tally.waited_in_vain, sum(tally.refused.values())),
        ):
            if total:
                buckets = _with(waited, total - waited.count)
                waits.add_metric((level, schema, execute), buckets, sum_value=waited.sum)
        for kind, executed in (("regular", tally.executed_s), ("watch", tally.initialized_s)):
            if executed.count:
                executions.add_metric(
                    (level, schema, kind), executed.buckets(), sum_value=executed.sum
                )
        narrow = arrived - tally.wide_seats.count
        buckets = _with(tally.wide_seats, narrow)
        seats.add_metric((level, schema), buckets, sum_value=tally.wide_seats.sum + narrow)
    return iter((waits, executions, seats))


def _with(distribution: Distribution, first: int) -> Sequence[tuple[str, float]]:
    """Return the buckets with so many more in the first one."""
    return [(bound, count + first) for bound, count in distribution.buckets()]
