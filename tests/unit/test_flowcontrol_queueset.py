"""QueueSet: never more seats than there are, nobody lost, fair between flows, cancellable."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.apiserver.flowcontrol import ONE_SEAT, QueueSet, Refused, Tally, Ticket, Work
from services.apiserver.flowcontrol.config import Queuing
from services.apiserver.flowcontrol.shufflesharding import deal, flow_hash
from tests import fakeclock


def queue_set(limit: int, queues: int = 0, length: int = 10, **more: bool) -> QueueSet:
    """A set on the running loop's clock."""
    return QueueSet(
        "level",
        queuing=Queuing(queues, 1, length) if queues else None,
        limit=limit,
        clock=asyncio.get_running_loop().time,
        **more,
    )


def running(test: Callable[[], None]) -> None:
    async def body() -> None:
        test()

    fakeclock.run(body())


def test_a_free_seat_is_had_at_once_and_without_a_future() -> None:
    def test() -> None:
        levels = queue_set(1, queues=4)
        ticket = levels.start((2,), ONE_SEAT, Tally())
        assert ticket.granted is None
        assert ticket.started
        assert (levels.seats_in_use, levels.executing, levels.waiting) == (1, 1, 0)
        ticket.leave()
        assert levels.idle
        assert levels.seats_in_use == 0

    running(test)


def test_without_queues_what_finds_no_seat_is_refused() -> None:
    def test() -> None:
        levels, tally = queue_set(1), Tally()
        ticket = levels.start((), ONE_SEAT, tally)
        with pytest.raises(Refused, match="concurrency-limit"):
            levels.start((), ONE_SEAT, tally)
        ticket.leave()
        levels.start((), ONE_SEAT, tally)
        assert tally.refused == {"concurrency-limit": 1}

    running(test)


def test_an_exempt_level_refuses_nobody() -> None:
    def test() -> None:
        levels = queue_set(0, exempt=True)
        tickets = [levels.start((), Work(3), Tally()) for _ in range(50)]
        assert levels.seats_in_use == 150
        for ticket in tickets:
            ticket.leave()
        assert levels.seats_in_use == 0

    running(test)


def test_a_full_queue_refuses_while_others_have_room() -> None:
    def test() -> None:
        levels, tally = queue_set(1, queues=2, length=2), Tally()
        for _ in range(3):
            levels.start((0,), ONE_SEAT, tally)
        with pytest.raises(Refused, match="queue-full"):
            levels.start((0,), ONE_SEAT, tally)
        assert levels.start((1,), ONE_SEAT, tally).granted is not None

    running(test)


def test_a_flow_takes_the_shortest_queue_of_its_hand() -> None:
    def test() -> None:
        levels = queue_set(1, queues=4)
        levels.start((0,), ONE_SEAT, Tally())
        for _ in range(3):
            levels.start((0,), ONE_SEAT, Tally())
        levels.start((1,), ONE_SEAT, Tally())
        chosen = {levels.start((0, 1, 2), ONE_SEAT, Tally()).queue}
        assert {queue.index for queue in chosen if queue is not None} == {2}

    running(test)


def test_who_waits_too_long_is_refused_and_counted() -> None:
    async def test() -> None:
        levels, tally = queue_set(1, queues=1), Tally()
        levels.start((0,), ONE_SEAT, tally)
        late = levels.start((0,), ONE_SEAT, tally)
        granted = late.granted
        assert granted is not None
        asyncio.get_running_loop().call_later(15, late.time_out)
        with pytest.raises(Refused, match="time-out"):
            await granted
        assert tally.refused == {"time-out": 1}
        assert (levels.waiting, levels.seats_waiting) == (0, 0)
        late.leave()  # does nothing
        assert tally.refused == {"time-out": 1}

    fakeclock.run(test())


def test_the_seats_of_a_cancelled_waiter_go_to_the_next() -> None:
    """Whether it was cancelled before it got its seats, or after but before it knew."""

    async def test() -> None:
        for cancel_after_grant in (False, True):
            levels = queue_set(1, queues=1)
            first = levels.start((0,), ONE_SEAT, Tally())
            second, third = (levels.start((0,), ONE_SEAT, Tally()) for _ in range(2))
            waiters = [asyncio.create_task(_served(one)) for one in (second, third)]
            await asyncio.sleep(0)
            if cancel_after_grant:
                first.leave()
                waiters[0].cancel()
            else:
                waiters[0].cancel()
                await asyncio.sleep(0)
                first.leave()
            results = await asyncio.gather(*waiters, return_exceptions=True)
            assert isinstance(results[0], asyncio.CancelledError)
            assert results[1] is None
            assert levels.idle
            assert levels.seats_in_use == 0

    fakeclock.run(test())


async def _served(ticket: Ticket, seconds: float = 0.01) -> None:
    try:
        if ticket.granted is not None:
            await ticket.granted
        await asyncio.sleep(seconds)
    finally:
        ticket.leave()


def test_a_wide_request_waits_for_its_seats_and_is_not_overtaken() -> None:
    def test() -> None:
        levels = queue_set(4, queues=1)
        first = levels.start((0,), Work(3), Tally())
        wide = levels.start((0,), Work(3), Tally())
        narrow = levels.start((0,), ONE_SEAT, Tally())
        assert not wide.started
        assert not narrow.started
        first.leave()
        assert wide.started
        assert narrow.started

    running(test)


def test_a_request_wider_than_the_level_is_served_alone() -> None:
    def test() -> None:
        levels = queue_set(2, queues=2)
        first = levels.start((0,), ONE_SEAT, Tally())
        wide = levels.start((1,), Work(5), Tally())
        assert not wide.started
        first.leave()
        assert wide.started
        assert not levels.start((0,), ONE_SEAT, Tally()).started

    running(test)


def test_a_write_holds_its_seats_until_its_events_are_out() -> None:
    async def test() -> None:
        levels = queue_set(4, queues=1)
        write = levels.start((0,), Work(1, 4, 0.02), Tally())
        assert levels.seats_in_use == 4
        write.leave()
        assert (levels.executing, levels.seats_in_use) == (0, 4)
        behind = levels.start((0,), ONE_SEAT, Tally())
        assert not behind.started
        await asyncio.sleep(0.03)
        assert behind.started

    fakeclock.run(test())


def test_more_seats_let_in_those_who_wait() -> None:
    def test() -> None:
        queuing = Queuing(2, 1, 10)
        levels = queue_set(1, queues=2)
        tickets = [levels.start((one % 2,), ONE_SEAT, Tally()) for one in range(4)]
        levels.configure(queuing, 3)
        assert sum(bool(one.started) for one in tickets) == 3

    running(test)


def test_queues_that_are_taken_away_drain() -> None:
    async def test() -> None:
        levels = queue_set(1, queues=8)
        tickets = [levels.start((one,), ONE_SEAT, Tally()) for one in range(8)]
        levels.configure(Queuing(2, 1, 10), 1)
        assert len(list(levels.queues)) == 8
        await asyncio.gather(*(_served(one) for one in tickets))
        assert levels.idle
        assert len(list(levels.queues)) == 2
        levels.configure(None, 1)
        levels.start((), ONE_SEAT, Tally())
        with pytest.raises(Refused):
            levels.start((), ONE_SEAT, Tally())

    fakeclock.run(test())


@pytest.mark.parametrize("heavy_s", [0.003, 0.05])
def test_two_flows_get_equal_seat_time_however_many_one_sends(heavy_s: float) -> None:
    """One floods, with short or long requests; the other keeps two waiting. Both get half."""

    async def test() -> None:
        levels = queue_set(4, queues=2, length=1000)
        busy = [0.0, 0.0]
        loop = asyncio.get_running_loop()

        async def client(flow: int, seconds: float, until: float) -> None:
            while loop.time() < until:
                ticket = levels.start((flow,), ONE_SEAT, Tally())
                await _served(ticket, seconds)
                busy[flow] += seconds

        until = loop.time() + 10
        await asyncio.gather(
            *(client(0, heavy_s, until) for _ in range(50)),
            *(client(1, 0.01, until) for _ in range(6)),
        )
        assert busy[0] + busy[1] == pytest.approx(40, rel=0.1)
        assert busy[1] == pytest.approx(20, rel=0.15)
        assert levels.idle

    fakeclock.run(test())


def test_an_idle_flow_saves_nothing_up() -> None:
    """After a long silence a flow gets its share, not all that it did not use."""

    async def test() -> None:
        levels = queue_set(2, queues=2, length=1000)
        loop = asyncio.get_running_loop()
        served = [0, 0]

        async def client(flow: int, until: float) -> None:
            while loop.time() < until:
                await _served(levels.start((flow,), ONE_SEAT, Tally()))
                served[flow] += 1

        await asyncio.gather(*(client(0, loop.time() + 20) for _ in range(10)))
        served[:] = 0, 0
        until = loop.time() + 1
        await asyncio.gather(
            *(client(0, until) for _ in range(10)), *(client(1, until) for _ in range(10))
        )
        assert served[1] == pytest.approx(served[0], rel=0.2)

    fakeclock.run(test())


steps = st.lists(
    st.one_of(
        st.tuples(st.just("start"), st.integers(0, 2), st.integers(1, 4), st.booleans()),
        st.tuples(st.just("leave"), st.integers(0, 30)),
        st.tuples(st.just("time out"), st.integers(0, 30)),
        st.tuples(st.just("pass"), st.floats(0.001, 0.1)),
        st.tuples(st.just("limit"), st.integers(1, 6), st.integers(1, 4)),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(steps=steps)
def test_whatever_happens_seats_add_up_and_nobody_is_lost(steps: list[tuple[str, ...]]) -> None:
    """The model: who was let in and has not left holds the seats it asked for, and no more."""

    async def body() -> None:
        levels, tally, limit = queue_set(3, queues=3, length=4), Tally(), 3
        present: list[Ticket] = []
        order: dict[int, deque[Ticket]] = {}

        def check() -> None:
            holding = sum(one.work.seats for one in present if one.started)
            waiting = [one for one in present if not one.started]
            assert levels.executing == sum(bool(one.started) for one in present)
            assert levels.waiting == len(waiting) == tally.waiting
            assert levels.seats_waiting == sum(one.work.seats for one in waiting)
            lingering = levels.seats_in_use - holding
            assert lingering >= 0
            if levels.executing > 1:
                assert holding <= max(highest, limit)
            # Nobody waits for nothing: the next would fit only if somebody left.
            if waiting and not levels.executing and not lingering:
                raise AssertionError("all seats are free and somebody waits")
            for queue in order.values():
                started = [bool(one.started) for one in queue if one in present]
                assert started == sorted(started, reverse=True)

        highest = limit
        for step in steps:
            match step:
                case ("start", flow, seats, lingers):
                    work = Work(seats, seats, 0.01) if lingers else Work(seats)
                    assert levels.queuing is not None
                    try:
                        ticket = levels.start((flow % levels.queuing.queues,), work, tally)
                    except Refused:
                        assert levels.seats_in_use >= limit
                    else:
                        present.append(ticket)
                        order.setdefault(id(ticket.queue), deque()).append(ticket)
                case ("leave", which) if present:
                    present.pop(which % len(present)).leave()
                case ("time out", which) if present:
                    ticket = present[which % len(present)]
                    granted, was_waiting = ticket.granted, not ticket.started
                    ticket.time_out()
                    if was_waiting:
                        present.remove(ticket)
                        assert granted is not None
                        assert isinstance(granted.exception(), Refused)
                case ("pass", seconds):
                    await asyncio.sleep(seconds)
                case ("limit", limit, queues):
                    highest = max(highest, limit)
                    levels.configure(Queuing(queues, 1, 4), limit)
            check()
        while present:
            present.pop(0).leave()
        await asyncio.sleep(1)
        assert levels.idle
        assert levels.seats_in_use == levels.seats_waiting == tally.executing_seats == 0
        assert levels._active == 0

    fakeclock.run(body())


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_cancellation_anywhere_gives_the_seats_back(seed: int) -> None:
    async def body() -> None:
        randomly = random.Random(seed)
        levels = queue_set(3, queues=4, length=50)
        tasks = [
            asyncio.create_task(
                _served(
                    levels.start((randomly.randrange(4),), Work(randomly.randint(1, 3)), Tally()),
                    randomly.random() / 10,
                )
            )
            for _ in range(40)
        ]
        for task in randomly.sample(tasks, 25):
            await asyncio.sleep(randomly.random() / 50)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert levels.idle
        assert levels.seats_in_use == levels.seats_waiting == 0

    fakeclock.run(body())


@given(st.text(max_size=20), st.integers(1, 128), st.data())
def test_a_hand_is_of_different_queues(flow: str, deck: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, min(deck, 8)))
    hand = deal(flow_hash("schema", flow), deck, size)
    assert len(set(hand)) == size
    assert set(hand) <= set(range(deck))


def test_every_hand_is_dealt_equally_often() -> None:
    counts: dict[tuple[int, ...], int] = {}
    for value in range(60):
        hand = deal(value, 5, 3)
        counts[hand] = counts.get(hand, 0) + 1
    assert len(counts) == 60
