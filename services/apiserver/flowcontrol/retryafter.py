"""How long a refused client is told to wait: longer the longer a level has to refuse.

Source: kube-apiserver v1.36.2, apiserver/pkg/util/flowcontrol/dropped_requests_tracker.go.
"""

from __future__ import annotations

from collections import deque

MAXIMUM_S = 32


class RetryAfter:
    """The seconds that one priority level's refusals name; doubles under pressure, and comes
    back by one a second."""

    __slots__ = ("_count", "_history", "_raised", "_second", "seconds")

    def __init__(self) -> None:
        self.seconds = 1
        self._second = 0
        self._count = 0
        self._raised = 0
        # (second, refusals in it); bounded: older than MAXIMUM_S is dropped.
        self._history: deque[tuple[int, int]] = deque()

    def refused(self, second: int) -> int:
        """Count a refusal in `second` (of any clock); return what to tell."""
        if second == self._second:
            self._count += 1
            return self.seconds
        history = self._history
        history.append((self._second, self._count))
        while self._second - history[0][0] > MAXIMUM_S:
            history.popleft()
        self._second, self._count = second, 1
        recent = sum(count for when, count in history if second - when <= self.seconds)
        if second - self._raised >= self.seconds and recent >= 3 * self.seconds:
            self.seconds = min(2 * self.seconds, MAXIMUM_S)
            self._raised = second
        elif recent < self.seconds and self.seconds > 1:
            self.seconds -= 1
        return self.seconds
