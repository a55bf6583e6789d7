"""In-flight limits: who gets in, and who is asked to come back."""

from __future__ import annotations

import pytest

from services.apiserver.errors import TooManyRequests
from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.apiserver.stages.flowcontrol import InFlight

USER = UserInfo("user")
MASTER = UserInfo("admin", groups=("system:masters",))


def info(verb: str) -> RequestInfo:
    return RequestInfo(True, "/api/v1/pods", verb)


def test_up_to_the_limit_requests_get_in_and_the_next_is_refused() -> None:
    limits = InFlight(limit_reading=2, limit_mutating=1)
    limits.admit(info("get"), USER)
    limits.admit(info("list"), USER)
    with pytest.raises(TooManyRequests) as caught:
        limits.admit(info("get"), USER)
    assert (caught.value.code, caught.value.retry_after_s) == (429, 1)


@pytest.mark.parametrize("verb", ["create", "update", "patch", "delete", "post"])
def test_changes_are_counted_apart_from_reads(verb: str) -> None:
    limits = InFlight(limit_reading=1, limit_mutating=1)
    limits.admit(info("get"), USER)
    assert limits.admit(info(verb), USER) is True
    with pytest.raises(TooManyRequests):
        limits.admit(info(verb), USER)
    assert (limits.reading, limits.mutating) == (1, 1)


def test_who_leaves_makes_room() -> None:
    limits = InFlight(limit_reading=1, limit_mutating=1)
    for verb in ("get", "create") * 3:
        limits.leave(limits.admit(info(verb), USER))
    assert (limits.reading, limits.mutating) == (0, 0)


def test_who_was_refused_is_not_counted() -> None:
    limits = InFlight(limit_reading=1, limit_mutating=1)
    limits.admit(info("get"), USER)
    for _ in range(3):
        with pytest.raises(TooManyRequests):
            limits.admit(info("get"), USER)
    assert limits.reading == 1


def test_masters_always_get_in_and_are_counted() -> None:
    limits = InFlight(limit_reading=1, limit_mutating=1)
    for _ in range(3):
        limits.admit(info("get"), MASTER)
        limits.admit(info("create"), MASTER)
    assert (limits.reading, limits.mutating) == (3, 3)
    with pytest.raises(TooManyRequests):
        limits.admit(info("get"), USER)


def test_zero_is_no_limit() -> None:
    limits = InFlight(limit_reading=0, limit_mutating=0)
    for _ in range(1000):
        limits.admit(info("get"), USER)
        limits.admit(info("create"), USER)
    assert repr(limits) == "<InFlight reading 1000/0, mutating 1000/0>"
