"""How many seats a priority level could have used, over time: what it may keep or lend.

Source: kube-apiserver v1.36.2, apiserver/pkg/util/flowcontrol/fairqueuing/integrator.go and
apf_controller.go (seatDemandStats).
"""

from __future__ import annotations

import math

SMOOTHING = 0.977
"""Of the smoothed demand what is left after a period without any (a half-life of 5 minutes)."""


class SeatDemand:
    """The demand since the last look: its time-weighted average, deviation and maximum."""

    __slots__ = (
        "_since",
        "_squares",
        "_sum",
        "_updated",
        "_value",
        "average",
        "deviation",
        "high_watermark",
        "maximum",
        "smoothed",
    )

    def __init__(self, now: float) -> None:
        self._since = self._updated = now
        self._value = 0
        self._sum = self._squares = 0.0
        self.maximum = 0
        """Of the present period."""
        self.average = self.deviation = self.smoothed = 0.0
        """Of the period before, as `high_watermark`; `smoothed` falls slowly."""
        self.high_watermark = 0

    def set(self, value: int, now: float) -> None:
        before = self._value
        if before:
            weighted = before * (now - self._updated)
            self._sum += weighted
            self._squares += before * weighted
        self._updated = now
        self._value = value
        if value > self.maximum:
            self.maximum = value

    def end_period(self, now: float) -> None:
        """Take the statistics of the period that ends now, and begin the next."""
        self.set(self._value, now)
        seconds = now - self._since
        self.high_watermark = self.maximum
        if seconds > 0:
            self.average = self._sum / seconds
            variance = self._squares / seconds - self.average * self.average
            self.deviation = math.sqrt(max(variance, 0.0))
            envelope = self.average + self.deviation
            self.smoothed = max(envelope, SMOOTHING * self.smoothed + (1 - SMOOTHING) * envelope)
        self._since = now
        self._sum = self._squares = 0.0
        self.maximum = self._value
