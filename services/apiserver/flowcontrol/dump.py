"""What flow control is doing right now, as text for people.

Source: kube-apiserver v1.36.2, apiserver/pkg/util/flowcontrol/apf_controller_debug.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from services.apiserver.flowcontrol.levels import PriorityLevel, PriorityLevels
from services.apiserver.flowcontrol.queueset import Queue, Ticket

PATH = "/debug/api_priority_and_fairness/"
Row = Sequence[object]


def dump(levels: PriorityLevels, name: str) -> str | None:
    """Return what the path PATH + `name` shows; None where there is no such dump."""
    of = sorted(levels.levels.items())
    match name:
        case "dump_priority_levels":
            return _table(_LEVEL_COLUMNS, (_level_row(name, level) for name, level in of))
        case "dump_queues":
            return _table(_QUEUE_COLUMNS, (row for one in of for row in _queue_rows(*one)))
        case "dump_requests":
            return _table(
                _REQUEST_COLUMNS, (row for one in of for row in _request_rows(levels, *one))
            )
    return None


_LEVEL_COLUMNS = (
    "PriorityLevelName", "ActiveQueues", "IsIdle", "IsQuiescing", "WaitingRequests",
    "ExecutingRequests", "DispatchedRequests", "RejectedRequests", "TimedoutRequests",
    "CancelledRequests",
)  # fmt: skip
_QUEUE_COLUMNS = (
    "PriorityLevelName", "Index", "PendingRequests", "ExecutingRequests", "SeatsInUse",
    "NextDispatchR", "InitialSeatsSum", "MaxSeatsSum", "TotalWorkSum",
)  # fmt: skip
_REQUEST_COLUMNS = (
    "PriorityLevelName", "FlowSchemaName", "QueueIndex", "RequestIndexInQueue",
    "FlowDistingsher", "ArriveTime", "InitialSeats", "FinalSeats", "AdditionalLatency",
)  # fmt: skip


def _level_row(name: str, level: PriorityLevel) -> Row:
    queues = level.queues
    return (
        name,
        sum(bool(one.waiting or one.executing) for one in queues.queues),
        _lower(queues.idle),
        _lower(level.quiescing),
        queues.waiting,
        queues.executing,
        queues.dispatched,
        queues.refused,
        queues.timed_out,
        queues.cancelled,
    )


def _queue_rows(name: str, level: PriorityLevel) -> Iterator[Row]:
    for queue in level.queues.queues:
        waiting = queue.waiting
        yield (
            name,
            queue.index,
            len(waiting),
            queue.executing,
            queue.seats_in_use,
            f"{queue.next_dispatch_r:.8f}ss",
            sum(one.work.initial_seats for one in waiting),
            sum(one.work.seats for one in waiting),
            f"{queue.work:.8f}ss",
        )


def _request_rows(levels: PriorityLevels, name: str, level: PriorityLevel) -> Iterator[Row]:
    schemas = {id(tally): schema for _, schema, tally in levels.tallies}
    now_s, now = level.queues.now(), datetime.now(UTC)
    for queue in level.queues.queues:
        for index, ticket in enumerate(queue.waiting):
            arrived = now - timedelta(seconds=now_s - ticket.arrived)
            yield _request_row(
                name, schemas.get(id(ticket.tally), ""), queue, index, ticket, arrived
            )


def _request_row(
    name: str, schema: str, queue: Queue, index: int, ticket: Ticket, arrived: datetime
) -> Row:
    work = ticket.work
    return (
        name,
        schema,
        queue.index,
        index,
        ticket.flow,
        arrived.strftime("%Y-%m-%dT%H:%M:%S.%f000Z"),
        work.initial_seats,
        work.final_seats,
        f"{work.additional_latency_s:g}s",
    )


def _lower(value: bool) -> str:
    return "true" if value else "false"


def _table(columns: Sequence[str], rows: Iterator[Row]) -> str:
    """Return lines of columns of one width each."""
    lines = [list(columns), *([str(value) for value in row] for row in rows)]
    widths = [max(len(line[at]) for line in lines) + 2 for at in range(len(columns) - 1)]
    return "".join(
        "".join(f"{value},".ljust(width) for value, width in zip(line, widths, strict=False))
        + line[-1]
        + "\n"
        for line in lines
    )
