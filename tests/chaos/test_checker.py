"""The checker finds what it is there to find: good histories pass, each spoilt one is caught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.chaos.checker import check
from tests.chaos.history import (
    EVERYTHING,
    Freshness,
    Get,
    Gone,
    History,
    Kind,
    Listing,
    Outcome,
    Seen,
    Segment,
    Selection,
    Watch,
    Write,
    revisions,
)

GROUP_A = Selection("labelSelector=group%3Da", groups=frozenset("a"))
OK, FAILED, UNKNOWN = Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN


def get(name: str, revision: int, at: float, asks: Freshness, wanted: int = 0) -> Get:
    return Get(name, asks, wanted, revision, at, at + 0.5, "replica", b"same")


def listing(
    revision: int,
    items: list[int],
    at: float,
    asks: Freshness = Freshness.CONSISTENT,
    *,
    wanted: int = 0,
    selection: Selection = EVERYTHING,
) -> Listing:
    return Listing(
        selection, asks, wanted, revision, revisions(items), at, at + 0.5, "replica", 1, b"same"
    )


def watch(start: int, *lines: tuple[Kind, int], selection: Selection = EVERYTHING) -> Watch:
    segment = Segment(start)
    for kind, revision in lines:
        segment.add(kind, revision)
    return Watch("watcher", selection, [segment])


def good() -> History:
    """x: created in a (10), moved to b (12), deleted (14), made again without answer (16).

    y: created in a (11). At 13 and 15 something else happened.
    """
    history = History(
        writes=[
            Write("create", "x", 0, "x1", 0, 1, OK, "a", 10),
            Write("create", "y", 0, "y1", 0, 2, OK, "a", 11),
            Write("update", "x", 10, "x2", 3, 4, OK, "b", 12),
            Write("update", "x", 10, "x3", 3, 5, FAILED, "a"),
            Write("delete", "x", 12, "", 6, 7, OK),
            Write("create", "x", 0, "x4", 8, 9, UNKNOWN, "a"),
            Write("create", "z", 0, "z1", 8, 9, UNKNOWN, "a"),
        ],
        gets=[
            get("x", 12, 5, Freshness.CONSISTENT),
            get("x", 0, 7.1, Freshness.CONSISTENT),
            get("x", 10, 20, Freshness.ANY),
            get("x", 12, 20, Freshness.NOT_OLDER, wanted=13),
            get("x", 16, 20, Freshness.NOT_OLDER, wanted=13),
        ],
        listings=[
            listing(13, [12, 11], 5),
            listing(16, [16, 11], 20),
            listing(11, [10, 11], 20, Freshness.ANY),
            listing(12, [12, 11], 20, Freshness.EXACT, wanted=12),
            listing(15, [11], 20, Freshness.NOT_OLDER, wanted=14),
            listing(13, [11], 5, selection=GROUP_A),
        ],
        watches=[
            watch(
                9,
                (Kind.ADDED, 10),
                (Kind.ADDED, 11),
                (Kind.BOOKMARK, 11),
                (Kind.MODIFIED, 12),
                (Kind.BOOKMARK, 13),
                (Kind.DELETED, 14),
                (Kind.ADDED, 16),
            ),
            watch(11, (Kind.DELETED, 12), (Kind.ADDED, 16), selection=GROUP_A),
            watch(12, (Kind.DELETED, 14)),
        ],
    )
    for revision, seen in {
        10: Seen("x", "x1", "a"),
        11: Seen("y", "y1", "a"),
        12: Seen("x", "x2", "b"),
        16: Seen("x", "x4", "a"),
    }.items():
        history.see(revision, seen, "a watcher")
    history.see(14, Seen("x", "x2", "b", deleted=True), "a watcher")
    history.see(12, Seen("x", "x1", "a", deleted=True), "a watcher of group a")
    history.newest = 16
    return history


def test_a_good_history_has_no_violations() -> None:
    assert check(good()) == ()


def spoil_write(index: int, **changes: object) -> Callable[[History], None]:
    def spoil(history: History) -> None:
        history.writes[index] = replace(history.writes[index], **changes)  # type: ignore[arg-type]

    return spoil


def one_more_write(write: Write) -> Callable[[History], None]:
    return lambda history: history.writes.append(write)


def one_more_get(one: Get) -> Callable[[History], None]:
    return lambda history: history.gets.append(one)


def one_more_list(one: Listing) -> Callable[[History], None]:
    return lambda history: history.listings.append(one)


def one_more_watch(one: Watch) -> Callable[[History], None]:
    return lambda history: history.watches.append(one)


def one_more_sight(revision: int, seen: Seen) -> Callable[[History], None]:
    return lambda history: history.see(revision, seen, "somebody")


def one_more_gone(gone: Gone) -> Callable[[History], None]:
    return lambda history: history.gone.append(gone)


@pytest.mark.parametrize(
    ("promise", "text", "spoil"),
    [
        ("writes", "refused write", spoil_write(2, outcome=FAILED, revision=0)),
        ("writes", "on top of 10", spoil_write(2, guard=9)),
        ("writes", "seen at revision 12", spoil_write(2, revision=13)),
        ("writes", "acknowledged before 10 began", spoil_write(0, began=4.5, ended=5)),
        ("writes", "nobody saw", one_more_write(Write("delete", "y", 11, "", 8, 9, OK))),
        ("writes", "deleted at 14 by nobody", spoil_write(4, outcome=FAILED)),
        ("writes", "nobody wrote", one_more_sight(15, Seen("q", "q1", "a"))),
        ("writes", "took effect twice", one_more_sight(15, Seen("x", "x4", "a"))),
        ("writes", "saw", one_more_sight(12, Seen("x", "x1", "b"))),
        (
            "writes",
            "two writes have one revision",
            one_more_write(Write("create", "y", 0, "y2", 8, 9, OK, "a", 11)),
        ),
        (
            "listings",
            "without [18]",
            lambda history: (
                history.writes.append(Write("create", "lost", 0, "l1", 8, 9, OK, "a", 18)),
                history.listings.append(listing(19, [16, 11], 20)),
            ),
        ),
        ("gets", "old state", one_more_get(get("x", 10, 5, Freshness.CONSISTENT))),
        ("gets", "old state", one_more_get(get("y", 0, 5, Freshness.CONSISTENT))),
        ("gets", "old state", one_more_get(get("x", 10, 5, Freshness.NOT_OLDER, wanted=12))),
        ("gets", "only later", one_more_get(get("x", 12, 1, Freshness.CONSISTENT))),
        ("gets", "no state", one_more_get(get("x", 13, 5, Freshness.ANY))),
        ("listings", "older than 12", one_more_list(listing(11, [10, 11], 5))),
        (
            "listings",
            "older than asked for",
            one_more_list(listing(11, [10, 11], 5, Freshness.NOT_OLDER, wanted=12)),
        ),
        (
            "listings",
            "not the revision asked for",
            one_more_list(listing(13, [12, 11], 5, Freshness.EXACT, wanted=12)),
        ),
        ("listings", "with [10]", one_more_list(listing(13, [10, 11], 5, Freshness.ANY))),
        ("listings", "another order", one_more_list(listing(13, [11, 12], 5))),
        ("listings", "with [12]", one_more_list(listing(13, [12, 11], 5, selection=GROUP_A))),
        ("watches", "1 missing MODIFIED@12", one_more_watch(watch(11, (Kind.DELETED, 14)))),
        ("watches", "1 missing DELETED@14", one_more_watch(watch(12, (Kind.BOOKMARK, 15)))),
        (
            "watches",
            "1 doubled",
            one_more_watch(watch(11, (Kind.MODIFIED, 12), (Kind.MODIFIED, 12))),
        ),
        ("watches", "should not have come", one_more_watch(watch(11, (Kind.ADDED, 12)))),
        (
            "watches",
            "came after 12",
            one_more_watch(watch(10, (Kind.MODIFIED, 12), (Kind.ADDED, 11))),
        ),
        (
            "watches",
            "came after 13",
            one_more_watch(watch(11, (Kind.BOOKMARK, 13), (Kind.MODIFIED, 12))),
        ),
        (
            "watches",
            "missing DELETED@12",
            one_more_watch(watch(11, (Kind.ADDED, 16), selection=GROUP_A)),
        ),
        (
            "watches",
            "should not have come MODIFIED@12",
            one_more_watch(watch(11, (Kind.MODIFIED, 12), selection=GROUP_A)),
        ),
        ("gone", "only 0 is compacted", one_more_gone(Gone("watch", 12, 16, 5))),
        (
            "replicas",
            "other bytes at one revision",
            lambda history: history.listings.append(replace(history.listings[0], digest=b"x")),
        ),
        (
            "replicas",
            "other bytes of one revision",
            lambda history: history.gets.append(replace(history.gets[0], digest=b"x")),
        ),
    ],
)
def test_a_spoilt_history_is_caught(
    promise: str, text: str, spoil: Callable[[History], object]
) -> None:
    history = good()
    spoil(history)
    violations = check(history)
    assert any(one.promise == promise and text in one.text for one in violations), violations


def test_410_is_right_where_the_store_has_forgotten() -> None:
    history = good()
    history.compactions = [(4, 0), (6, 13)]
    history.gone.append(Gone("watch", 12, 16, 5))
    assert check(history) == ()


def test_410_is_wrong_before_the_store_has_forgotten() -> None:
    history = good()
    history.compactions = [(4, 0), (6, 10), (60, 13)]
    history.gone.append(Gone("watch", 12, 16, 5))
    assert [one.promise for one in check(history)] == ["gone"]


def test_410_is_right_where_the_client_was_away_for_longer_than_the_window() -> None:
    history = good()
    history.gone.append(Gone("watch", 12, 16, 5))
    assert check(history, kept_revisions=3) == ()


def test_an_unanswered_write_that_nobody_saw_may_never_have_happened() -> None:
    history = good()
    history.writes.append(Write("update", "y", 11, "y2", 8, 9, UNKNOWN, "b"))
    history.writes.append(Write("delete", "y", 11, "", 8, 9, UNKNOWN))
    assert check(history) == ()


def test_an_unanswered_delete_may_have_happened() -> None:
    history = good()
    history.writes.append(Write("delete", "y", 11, "", 8, 9, UNKNOWN))
    history.see(17, Seen("y", "y1", "a", deleted=True), "a watcher")
    history.watches.append(watch(16, (Kind.DELETED, 17)))
    assert check(history) == ()


def test_of_two_deletes_of_one_state_only_one_can_be_acknowledged() -> None:
    history = good()
    history.writes.append(Write("delete", "x", 12, "", 6, 8, OK))
    assert ["nobody saw" in one.text for one in check(history)] == [True]
