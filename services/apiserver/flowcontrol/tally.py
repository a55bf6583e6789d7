"""Tally: what one FlowSchema's requests do in one level, counted for the metrics.

Every request passes here, so that counted is only what can't be told from the rest: those that
waited, those that are wide.
"""

from __future__ import annotations

from services.apiserver.metrics import Distribution

DURATION_BUCKETS_S = (0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0)
SEAT_BUCKETS = (1.0, 2.0, 4.0, 10.0)


class Refused(Exception):
    """The level takes no more of this flow now. `reason` is what the metrics call it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Tally:
    """What one FlowSchema's requests do in one level: the metrics' numbers."""

    __slots__ = (
        "dispatched",
        "executed_s",
        "executing",
        "executing_seats",
        "initialized_s",
        "refused",
        "unaccommodated",
        "waited_in_vain",
        "waited_s",
        "waiting",
        "waiting_seats",
        "wide_seats",
    )

    def __init__(self) -> None:
        self.executing = 0
        self.executing_seats = 0
        self.waiting = 0
        self.waiting_seats = 0
        self.dispatched = 0
        self.unaccommodated = 0
        """How often the first in turn had to wait on because the free seats are too few for it."""
        self.refused: dict[str, int] = {}
        """Count by reason."""
        self.waited_s = Distribution(DURATION_BUCKETS_S)
        """Of the requests that had to wait; all others were dispatched at once."""
        self.waited_in_vain = Distribution(DURATION_BUCKETS_S)
        """Of those that waited and got nothing (seconds, too)."""
        self.executed_s = Distribution(DURATION_BUCKETS_S)
        """How long requests had their seats: all but watches."""
        self.initialized_s = Distribution(DURATION_BUCKETS_S)
        """How long watches had theirs: until their initial events were out."""
        self.wide_seats = Distribution(SEAT_BUCKETS)
        """Of the requests that want more than one seat."""

    @property
    def arrived(self) -> int:
        """How many requests have come, whatever became of them."""
        return self.dispatched + self.waiting + sum(self.refused.values())

    def refuse(self, reason: str) -> Refused:
        self.refused[reason] = self.refused.get(reason, 0) + 1
        return Refused(reason)
