"""Work: how many seats a request takes, and for how long after its answer.

Source: kube-apiserver v1.36.2, apiserver/pkg/util/flowcontrol/request/width.go and
.../fairqueuing/queueset/types.go (completeWorkEstimate).
"""

from __future__ import annotations

ESTIMATED_SERVICE_S = 0.003
"""What a request is taken to need until it has shown what it does (queueset.go)."""


class Work:
    """The cost of one request.

    While it is served it holds `seats`: the larger of `initial_seats` and `final_seats`. After
    its answer it goes on holding them for `additional_latency_s`: what its event costs the
    watches. `total` is the whole in seat-seconds, as far as it is known beforehand.
    """

    __slots__ = ("additional_latency_s", "final_seats", "initial_seats", "seats", "total")

    def __init__(
        self, initial_seats: int, final_seats: int = 0, additional_latency_s: float = 0.0
    ) -> None:
        self.initial_seats = initial_seats
        self.final_seats = final_seats
        self.additional_latency_s = additional_latency_s
        self.seats = max(initial_seats, final_seats)
        self.total = initial_seats * ESTIMATED_SERVICE_S + final_seats * additional_latency_s

    def __repr__(self) -> str:
        return f"<Work {self.initial_seats}, {self.final_seats}×{self.additional_latency_s}s>"

    def within(self, seats: int) -> Work:
        """Return the same amount of work with at most so many final seats."""
        if self.final_seats <= seats:
            return self
        seats = max(seats, 1)
        latency_s = self.final_seats * self.additional_latency_s / seats
        return Work(self.initial_seats, seats, latency_s)


ONE_SEAT = Work(1)
