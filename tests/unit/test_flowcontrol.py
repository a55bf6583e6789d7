"""In-flight limits, without priority and fairness: who gets in, and who is asked to come back."""

from __future__ import annotations

import pytest

from services.apiserver.errors import TooManyRequests
from services.apiserver.requestinfo import UserInfo
from services.apiserver.stages.flowcontrol import Admission, InFlight
from tests.unit.flowtools import asking

USER = UserInfo("user")
MASTER = UserInfo("admin", groups=("system:masters",))


def admit(limits: InFlight, verb: str, user: UserInfo = USER, **more: str) -> Admission:
    return limits.admit(asking(user, verb, **more))


def test_up_to_the_limit_requests_get_in_and_the_next_is_refused() -> None:
    limits = InFlight(limit_reading=2, limit_mutating=1)
    admit(limits, "get")
    admit(limits, "list")
    with pytest.raises(TooManyRequests) as caught:
        admit(limits, "get")
    assert (caught.value.code, caught.value.retry_after_s) == (429, 1)


@pytest.mark.parametrize("verb", ["create", "update", "patch", "delete", "post"])
def test_changes_are_counted_apart_from_reads(verb: str) -> None:
    limits = InFlight(limit_reading=1, limit_mutating=1)
    admit(limits, "get")
    admit(limits, verb)
    with pytest.raises(TooManyRequests):
        admit(limits, verb)
    assert (limits.reading, limits.mutating) == (1, 1)


def test_who_leaves_makes_room() -> None:
    limits = InFlight(limit_reading=1, limit_mutating=1)
    for verb in ("get", "create") * 3:
        admission = admit(limits, verb)
        assert not admission.waits
        admission.leave()
    assert (limits.reading, limits.mutating) == (0, 0)


def test_who_was_refused_is_not_counted() -> None:
    limits = InFlight(limit_reading=1, limit_mutating=1)
    admit(limits, "get")
    for _ in range(3):
        with pytest.raises(TooManyRequests):
            admit(limits, "get")
    assert limits.reading == 1


def test_masters_always_get_in_and_are_counted() -> None:
    limits = InFlight(limit_reading=1, limit_mutating=1)
    for _ in range(3):
        admit(limits, "get", MASTER)
        admit(limits, "create", MASTER)
    assert (limits.reading, limits.mutating) == (3, 3)
    with pytest.raises(TooManyRequests):
        admit(limits, "get")


@pytest.mark.parametrize(
    ("verb", "subresource"),
    [("watch", ""), ("get", "log"), ("create", "exec"), ("get", "proxy"), ("create", "attach")],
)
def test_long_running_requests_are_not_counted(verb: str, subresource: str) -> None:
    limits = InFlight(limit_reading=1, limit_mutating=1)
    for _ in range(5):
        admit(limits, verb, subresource=subresource)
    assert (limits.reading, limits.mutating) == (0, 0)


def test_zero_is_no_limit() -> None:
    limits = InFlight(limit_reading=0, limit_mutating=0)
    for _ in range(1000):
        admit(limits, "get")
        admit(limits, "create")
    assert repr(limits) == "<InFlight reading 1000/0, mutating 1000/0>"
