"""Stage: is there room? → counted in, or 429.

Two counters, as in kube-apiserver without Priority and Fairness: requests that change
something and requests that only read. Long-running requests are not counted.
Source: kube-apiserver v1.36.2, apiserver/pkg/server/filters/maxinflight.go.
"""

from __future__ import annotations

from services.apiserver.authorization import MASTERS
from services.apiserver.errors import TooManyRequests
from services.apiserver.requestinfo import RequestInfo, UserInfo

READING = frozenset({"get", "list", "watch"})


class InFlight:
    """How many requests are being served, by kind, and how many may be. 0 is no limit."""

    def __init__(self, *, limit_reading: int, limit_mutating: int) -> None:
        self.limit_reading = limit_reading
        self.limit_mutating = limit_mutating
        self.reading = 0
        self.mutating = 0

    def __repr__(self) -> str:
        return (
            f"<InFlight reading {self.reading}/{self.limit_reading}, "
            f"mutating {self.mutating}/{self.limit_mutating}>"
        )

    def admit(self, info: RequestInfo, user: UserInfo) -> bool:
        """Count a request in; returns whether it changes something, to be given to `leave`.

        Members of system:masters always get in: they may be the ones to end an overload.

        Raises:
            TooManyRequests: the limit of its kind is reached; the client retries in a second.
        """
        if info.verb in READING:
            if 0 < self.limit_reading <= self.reading and MASTERS not in user.groups:
                raise _refusal()
            self.reading += 1
            return False
        if 0 < self.limit_mutating <= self.mutating and MASTERS not in user.groups:
            raise _refusal()
        self.mutating += 1
        return True

    def leave(self, mutating: bool) -> None:
        if mutating:
            self.mutating -= 1
        else:
            self.reading -= 1


def _refusal() -> TooManyRequests:
    return TooManyRequests("Too many requests, please try again later.", retry_after_s=1)
