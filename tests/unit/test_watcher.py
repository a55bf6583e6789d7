"""A watcher gets what it selects, once, in order, or is told that it was too slow."""

from __future__ import annotations

import asyncio

import pytest

from shared.fanout import Snapshot
from shared.objects import Selection
from shared.storage import Revision
from shared.watchcache import BacklogLimits, EndReason, Expired, WatchCache, Watcher, event_frame
from tests.unit.watchcache_world import (
    PODS,
    added,
    cached,
    deleted,
    entry,
    loaded,
    modified,
    seen,
)

A, B, C = (PODS + b"ns/" + name for name in (b"a", b"b", b"c"))
ELSEWHERE = PODS + b"other/a"


def web(key: bytes, selection: Selection) -> bool:
    return selection.labels.get("app") == "web"


def drained(watcher: Watcher) -> list[tuple[str, bytes, int]]:
    taken = []
    while watcher.pending:
        taken.extend(seen(watcher.drain()))
    return taken


# Where a watch starts


def test_a_watch_without_a_revision_begins_with_the_state_in_key_order() -> None:
    cache, pods = loaded(cached(B, 5), cached(A, 9), revision=10)
    watcher = pods.watch(after=None)
    cache.apply(entry(10, modified(A, 11)))
    assert watcher.start_revision == 10
    assert watcher.initial_pending
    assert seen(watcher.drain()) == [("ADDED", A, 9), ("ADDED", B, 5)]
    assert not watcher.initial_pending
    assert seen(watcher.drain()) == [("MODIFIED", A, 11)]


def test_the_initial_events_come_in_slices_and_alone() -> None:
    cache, pods = loaded(*(cached(PODS + b"n/%d" % number, 5) for number in range(5)))
    watcher = pods.watch(after=None)
    cache.apply(entry(10, added(A, 11)))
    sizes = []
    while watcher.initial_pending:
        sizes.append(len(watcher.drain(2)))
    assert sizes == [2, 2, 1]
    assert seen(watcher.drain()) == [("ADDED", A, 11)]


def test_a_watch_of_nothing_has_no_initial_events() -> None:
    _, pods = loaded()
    assert not pods.watch(after=None).initial_pending


def test_a_watch_resumes_after_its_revision_without_hole_or_repetition() -> None:
    cache, pods = loaded()
    cache.apply(entry(10, added(A, 11), added(B, 12)))
    watcher = pods.watch(after=Revision(11))
    cache.apply(entry(12, added(C, 13)))
    assert drained(watcher) == [("ADDED", B, 12), ("ADDED", C, 13)]


def test_a_watch_from_before_the_history_is_refused() -> None:
    _, pods = loaded()
    with pytest.raises(Expired):
        pods.watch(after=Revision(9))
    assert pods.watcher_count == 0


def test_a_watch_from_the_future_drops_what_comes_before_it() -> None:
    cache, pods = loaded()
    watcher = pods.watch(after=Revision(12))
    assert watcher.bookmark_revision == 12
    cache.apply(entry(10, added(A, 11), added(B, 12), added(C, 13)))
    assert drained(watcher) == [("ADDED", C, 13)]


# Scope and selection


@pytest.mark.parametrize(
    ("scope", "keys"),
    [
        (None, [A, B, ELSEWHERE]),
        (PODS, [A, B, ELSEWHERE]),
        (PODS + b"ns/", [A, B]),
        (PODS + b"other/", [ELSEWHERE]),
        (PODS + b"n/", []),
        (A, [A]),
        (PODS + b"ns/aa", []),
    ],
)
def test_a_scope_is_everything_a_namespace_or_one_object(
    scope: bytes | None, keys: list[bytes]
) -> None:
    cache, pods = loaded(*(cached(key, 5) for key in (A, B, ELSEWHERE)))
    live = pods.watch(after=Revision(10), scope=scope)
    changes = [modified(key, 11 + number) for number, key in enumerate((A, B, ELSEWHERE))]
    cache.apply(entry(10, *changes))
    resumed = pods.watch(after=Revision(10), scope=scope)
    initial = pods.watch(after=None, scope=scope)
    assert [key for _, key, _ in drained(live)] == keys
    assert [key for _, key, _ in drained(resumed)] == keys
    assert [key for _, key, _ in drained(initial)] == keys


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (added(A, 11, app="web"), "ADDED"),
        (added(A, 11, app="db"), None),
        (modified(A, 11, app="web"), "MODIFIED"),
        (modified(A, 11, app="db"), None),
        (modified(A, 11, {"app": "db"}, app="web"), "ADDED"),
        (modified(A, 11, {"app": "web"}, app="db"), "DELETED"),
        (modified(A, 11, {"app": "web", "v": "1"}, app="web", v="2"), "MODIFIED"),
        (modified(A, 11, {"app": "db", "v": "1"}, app="db", v="2"), None),
        (deleted(A, 11, app="web"), "DELETED"),
        (deleted(A, 11, app="db"), None),
    ],
)
def test_objects_enter_and_leave_a_selection(event: object, expected: str | None) -> None:
    cache, pods = loaded()
    live = pods.watch(after=Revision(10), matches=web)
    cache.apply(entry(10, event))  # type: ignore[arg-type]
    replayed = pods.watch(after=Revision(10), matches=web)
    wanted = [] if expected is None else [(expected, A, 11)]
    assert drained(live) == wanted
    assert drained(replayed) == wanted


def test_leaving_shows_the_last_selected_state_at_the_revision_of_the_move() -> None:
    cache, pods = loaded()
    watcher = pods.watch(after=Revision(10), matches=web)
    cache.apply(entry(10, modified(A, 11, {"app": "web"}, app="db")))
    (left,) = watcher.drain()
    assert b'"resourceVersion":"11"' in left.object.body
    assert b'"app":"web"' in left.object.body


def test_initial_events_are_selected_too() -> None:
    _, pods = loaded(cached(A, 5, app="web"), cached(B, 6, app="db"))
    assert drained(pods.watch(after=None, matches=web)) == [("ADDED", A, 5)]


def test_an_event_is_one_object_for_all_who_see_it_the_same_way() -> None:
    cache, pods = loaded()
    watchers = [pods.watch(after=Revision(10)) for _ in range(3)]
    cache.apply(entry(10, added(A, 11)))
    first, *others = [watcher.drain()[0] for watcher in watchers]
    assert all(other is first for other in others)
    assert event_frame(first).startswith(b'{"type":"ADDED","object":{"kind":"Pod"')
    assert event_frame(first).endswith(b"}}\n")


# Bookmarks


def test_a_bookmark_says_up_to_where_everything_was_taken() -> None:
    cache, pods = loaded()
    watcher = pods.watch(after=Revision(10))
    assert watcher.bookmark_revision == 10
    cache.apply(entry(10, revision=15))
    assert watcher.bookmark_revision == 15
    cache.apply(entry(15, added(A, 16), revision=20))
    assert watcher.bookmark_revision == 15
    watcher.drain()
    assert watcher.bookmark_revision == 20


def test_a_bookmark_waits_for_initial_events_and_replay() -> None:
    cache, pods = loaded(cached(A, 5))
    cache.apply(entry(10, added(B, 11), added(C, 12)))
    initial = pods.watch(after=None)
    replayed = pods.watch(after=Revision(10))
    cache.apply(entry(12, revision=15))
    assert initial.bookmark_revision == 12
    assert replayed.bookmark_revision == 10
    drained(initial)
    drained(replayed)
    assert initial.bookmark_revision == 15
    assert replayed.bookmark_revision == 15


def test_a_bookmark_in_the_midst_of_a_commit_does_not_cover_it() -> None:
    cache, pods = loaded()
    bookmarks: list[int] = []

    def drain() -> None:
        watcher.drain()
        bookmarks.append(watcher.bookmark_revision)

    watcher = pods.watch(after=Revision(10), on_ready=drain)
    cache.apply(entry(10, added(A, 11), added(B, 11)))
    assert bookmarks == [10, 10]
    assert watcher.bookmark_revision == 11


# Waiting


def test_next_waits_and_takes_everything_there_is() -> None:
    async def test() -> None:
        cache = WatchCache()
        watcher = cache.resource(PODS).watch(after=Revision(0))
        waiting = asyncio.create_task(watcher.next())
        await asyncio.sleep(0)
        cache.apply(entry(0, added(A, 1), added(B, 2)))
        assert seen(await waiting) == [("ADDED", A, 1), ("ADDED", B, 2)]

    asyncio.run(test())


def test_next_is_empty_at_its_deadline() -> None:
    async def test() -> None:
        watcher = WatchCache().resource(PODS).watch(after=Revision(0))
        assert await watcher.next(asyncio.get_running_loop().time() + 0.001) == []
        assert watcher.ended is None

    asyncio.run(test())


def test_next_finds_its_way_through_a_long_replay_without_a_match() -> None:
    async def test() -> None:
        cache = WatchCache()
        pods = cache.resource(PODS)
        changes = [added(PODS + b"n/%d" % number, number) for number in range(1, 2_001)]
        cache.apply(entry(0, *changes, added(A, 2_001, app="web")))
        watcher = pods.watch(after=Revision(0), matches=web)
        assert seen(await watcher.next()) == [("ADDED", A, 2_001)]

    asyncio.run(test())


def test_a_cancelled_next_loses_nothing() -> None:
    async def test() -> None:
        cache = WatchCache()
        watcher = cache.resource(PODS).watch(after=Revision(0))
        waiting = asyncio.create_task(watcher.next())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        cache.apply(entry(0, added(A, 1)))
        assert seen(await watcher.next()) == [("ADDED", A, 1)]

    asyncio.run(test())


def test_a_next_cancelled_when_events_have_just_come_loses_nothing() -> None:
    async def test() -> None:
        cache = WatchCache()
        watcher = cache.resource(PODS).watch(after=Revision(0))
        waiting = asyncio.create_task(watcher.next())
        await asyncio.sleep(0)
        cache.apply(entry(0, added(A, 1)))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert seen(await watcher.next()) == [("ADDED", A, 1)]

    asyncio.run(test())


def test_an_empty_batch_stays_empty() -> None:
    cache, pods = loaded()
    watcher = pods.watch(after=Revision(10))
    batch = watcher.drain()
    cache.apply(entry(10, added(A, 11)))
    assert batch == []
    assert len(watcher.drain()) == 1


def test_on_ready_is_called_once_until_everything_is_drained() -> None:
    cache, pods = loaded()
    calls: list[str] = []
    watcher = pods.watch(after=Revision(10), on_ready=lambda: calls.append("ready"))
    cache.apply(entry(10, added(A, 11), added(B, 12)))
    cache.apply(entry(12, added(C, 13)))
    assert calls == ["ready"]
    assert len(watcher.drain()) == 3
    cache.apply(entry(13, modified(C, 14)))
    assert calls == ["ready", "ready"]


def test_a_backlog_comes_in_slices_and_calls_on_ready_when_all_is_taken() -> None:
    cache, pods = loaded()
    calls: list[str] = []
    watcher = pods.watch(after=Revision(10), on_ready=lambda: calls.append("ready"))
    cache.apply(entry(10, added(A, 11), added(B, 12), added(C, 13)))
    assert seen(watcher.drain(2)) == [("ADDED", A, 11), ("ADDED", B, 12)]
    assert watcher.pending
    assert watcher.bookmark_revision == 11
    cache.apply(entry(13, deleted(A, 14)))
    assert calls == ["ready"]
    assert [revision for _, _, revision in drained(watcher)] == [13, 14]
    assert watcher.backlog_bytes == 0
    cache.apply(entry(14, deleted(B, 15)))
    assert calls == ["ready", "ready"]


def test_on_ready_waits_for_the_first_drain_of_initial_events() -> None:
    cache, pods = loaded(cached(A, 5))
    calls: list[str] = []
    watcher = pods.watch(after=None, on_ready=lambda: calls.append("ready"))
    cache.apply(entry(10, added(B, 11)))
    assert calls == []
    assert drained(watcher) == [("ADDED", A, 5), ("ADDED", B, 11)]
    cache.apply(entry(11, added(C, 12)))
    assert calls == ["ready"]


# The end


@pytest.mark.parametrize("limits", [BacklogLimits(limit_events=3), BacklogLimits(limit_bytes=300)])
def test_a_slow_watcher_is_ended_and_the_others_go_on(limits: BacklogLimits) -> None:
    cache, pods = loaded()
    slow = pods.watch(after=Revision(10), backlog_limits=limits)
    quick = pods.watch(after=Revision(10))
    for revision in range(11, 21):
        cache.apply(entry(revision - 1, added(PODS + b"n/%d" % revision, revision)))
        assert len(quick.drain()) == 1
    assert slow.ended is EndReason.SLOW
    assert slow.bookmark_revision == 10
    assert not slow.pending
    assert slow.backlog_bytes == 0
    assert pods.watcher_count == 1


def test_initial_events_and_replay_do_not_count_as_backlog() -> None:
    limits = BacklogLimits(limit_events=2)
    cache, pods = loaded(*(cached(PODS + b"n/%d" % number, 5) for number in range(10)))
    cache.apply(entry(10, *(added(PODS + b"m/%d" % number, number) for number in range(11, 21))))
    initial = pods.watch(after=None, backlog_limits=limits)
    replayed = pods.watch(after=Revision(10), backlog_limits=limits)
    cache.apply(entry(20, added(A, 21)))
    assert len(drained(initial)) == 21
    assert len(drained(replayed)) == 11


def test_a_reload_ends_the_watchers_as_expired() -> None:
    async def test() -> None:
        cache = WatchCache()
        watcher = cache.resource(PODS).watch(after=Revision(0))
        waiting = asyncio.create_task(watcher.next())
        await asyncio.sleep(0)
        await cache.load(Snapshot(Revision(5), ()))
        assert await waiting == []
        assert watcher.ended is EndReason.EXPIRED
        assert watcher.bookmark_revision == 0

    asyncio.run(test())


def test_ending_all_watchers_tells_each() -> None:
    cache, pods = loaded()
    calls: list[str] = []
    watchers = [
        pods.watch(after=Revision(10), scope=scope, on_ready=lambda: calls.append("ready"))
        for scope in (None, PODS + b"ns/", A)
    ]
    cache.end_watchers(EndReason.CLOSED)
    assert [watcher.ended for watcher in watchers] == [EndReason.CLOSED] * 3
    assert len(calls) == 3


def test_a_closed_watcher_is_forgotten_and_silent() -> None:
    cache, pods = loaded()
    calls: list[str] = []
    with pods.watch(after=Revision(10), on_ready=lambda: calls.append("ready")) as watcher:
        assert pods.watcher_count == 1
    assert pods.watcher_count == 0
    watcher.close()
    cache.apply(entry(10, added(A, 11)))
    assert calls == []
    assert watcher.ended is EndReason.CLOSED


def test_a_watcher_may_close_itself_and_others_while_events_are_handed_out() -> None:
    cache, pods = loaded()
    watchers: list[Watcher] = []

    def close_all() -> None:
        for watcher in watchers:
            watcher.close()

    watchers.extend(pods.watch(after=Revision(10), on_ready=close_all) for _ in range(3))
    cache.apply(entry(10, added(A, 11)))
    assert pods.watcher_count == 0
    assert not any(watcher.pending for watcher in watchers)
