"""How many seats a request is taken to need."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.flowcontrol import ONE_SEAT, Work
from services.apiserver.flowcontrol.estimate import WorkEstimator
from services.apiserver.requestinfo import UserInfo
from tests.unit.flowtools import asking

USER = UserInfo("user")


class Objects:
    """A resource's watch cache, as far as an estimate looks at it."""

    def __init__(self, count: int, size: int) -> None:
        self.keys = [b"%d" % number for number in range(count)]
        self._body = b"x" * size

    def __len__(self) -> int:
        return len(self.keys)

    def get(self, key: bytes) -> Any:
        class Item:
            body = self._body

        return Item


def estimator(count: int = 0, size: int = 0) -> WorkEstimator:
    caches: dict[tuple[str, str], Any] = {("", "pods"): Objects(count, size)}
    return WorkEstimator(lambda group, resource: caches.get((group, resource)))


@pytest.mark.parametrize(
    ("count", "size", "query", "seats"),
    [
        # What comes from the cache goes out in slices of 1 MB at most.
        (0, 0, "", 1),
        (10, 4_000, "", 1),
        (100, 4_000, "", 4),
        (10_000, 4_000, "", 10),
        (10_000, 4_000, "resourceVersion=0", 10),
        (10_000, 4_000, "limit=50", 2),
        (10_000, 4_000, "resourceVersion=0&limit=50", 2),
        (10_000, 4_000, "labelSelector=a%3Db", 10),
        # What a storage is read for is held as a whole.
        (10_000, 4_000, "continue=x", 100),
        (10_000, 4_000, "continue=x&limit=500", 20),
        (10_000, 400, "continue=x&limit=500&labelSelector=a", 20),
        (10_000, 4_000, "resourceVersion=5&limit=500", 20),
        (10_000, 4_000, "resourceVersion=5&resourceVersionMatch=Exact&limit=250", 10),
        (10_000, 4_000, "resourceVersion=5&resourceVersionMatch=NotOlderThan&limit=25", 1),
        (10_000, 4_000, "limit=many", 100),
        (10_000, 4_000, "limit=%C2%B2", 100),
        pytest.param(10_000, 4_000, "limit=" + "9" * 5000, 100, id="very many digits"),
    ],
)
def test_a_list_costs_what_it_holds(count: int, size: int, query: str, seats: int) -> None:
    work = estimator(count, size).estimate(asking(USER, "list", query=query), 0)
    assert (work.initial_seats, work.final_seats, work.seats) == (seats, 0, seats)


def test_a_level_says_how_much_of_it_one_request_gets() -> None:
    work = estimator(10_000, 4_000).estimate(asking(USER, "list"), 8)
    assert work.seats == 8


def test_one_object_by_name_is_one_object() -> None:
    assert estimator(10_000, 4_000).estimate(asking(USER, "list", name="a"), 0).seats == 1


def test_a_resource_that_is_not_kept_here_costs_one_seat() -> None:
    request = asking(USER, "list", resource="unheard")
    assert estimator(10_000, 4_000).estimate(request, 0) is ONE_SEAT


@pytest.mark.parametrize(
    ("query", "seats"),
    [
        ("watch=1", 10),
        ("watch=1&resourceVersion=0", 10),
        ("watch=1&resourceVersion=5", 1),
        ("watch=1&resourceVersion=5&sendInitialEvents=true", 10),
        ("watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", 10),
    ],
)
def test_a_watch_costs_its_initial_events(query: str, seats: int) -> None:
    request = asking(USER, "watch", query=query)
    assert estimator(10_000, 4_000).estimate(request, 0).seats == seats


def test_a_get_and_what_is_no_resource_cost_one_seat() -> None:
    estimates = estimator(10_000, 4_000)
    assert estimates.estimate(asking(USER, "get", name="a"), 0) is ONE_SEAT
    assert estimates.estimate(asking(USER, "list", is_resource_request=False), 0) is ONE_SEAT
    assert estimates.estimate(asking(USER, "deletecollection"), 0) is ONE_SEAT


@pytest.mark.parametrize(
    ("watches", "level_seats", "final_seats", "latency_s"),
    [
        (9, 0, 0, 0.0),
        (10, 0, 1, 0.005),
        (95, 0, 10, 0.005),
        (500, 0, 10, 0.025),
        (500, 4, 4, 0.0625),
    ],
)
def test_a_write_costs_its_watches(
    watches: int, level_seats: int, final_seats: int, latency_s: float
) -> None:
    estimates = estimator()
    for number in range(watches):
        namespace, name = (("a", "b"), ("a", ""), ("", ""))[number % 3]
        estimates.watches.opened(asking(USER, "watch", namespace=namespace, name=name))
    for _ in range(100):
        estimates.watches.opened(asking(USER, "watch", namespace="other"))
        estimates.watches.opened(asking(USER, "watch", resource="secrets"))
        estimates.watches.opened(asking(USER, "watch", query="fieldSelector=spec.nodeName%3Dn"))
    work = estimates.estimate(asking(USER, "update", namespace="a", name="b"), level_seats)
    assert (work.initial_seats, work.final_seats) == (1, final_seats)
    assert work.additional_latency_s == pytest.approx(latency_s)


def test_less_seats_for_longer_are_the_same_work() -> None:
    wide = Work(1, 40, 0.005)
    assert wide.within(8).total == pytest.approx(wide.total)
    assert wide.within(40) is wide
    assert wide.within(0).final_seats == 1


def test_closed_watches_are_forgotten() -> None:
    watches = estimator().watches
    keys = [watches.opened(asking(USER, "watch")) for _ in range(3)]
    for key in keys:
        watches.closed(key)
    watches.closed(None)
    assert watches._counts == {}
