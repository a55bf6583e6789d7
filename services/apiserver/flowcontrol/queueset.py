"""The queues and seats of one priority level: fair queuing by virtual time.

Each queue stands for an equal share of the level's seats. R(t) counts the seat-seconds that every
busy queue has been due since the start; a queue's `next_dispatch_r` says where in R its next
request would begin, had it got exactly its share. The queue whose oldest request would finish
first is next. So a flow with a thousand requests waiting gets no more than one with ten.

Nothing in here waits or creates a task; who has to wait gets a future (`Ticket.granted`).
Source: kube-apiserver v1.36.2, apiserver/pkg/util/flowcontrol/fairqueuing/queueset
({doc,queueset,types}.go).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

from services.apiserver.flowcontrol.config import Queuing
from services.apiserver.flowcontrol.demand import SeatDemand
from services.apiserver.flowcontrol.tally import Refused, Tally
from services.apiserver.flowcontrol.work import ESTIMATED_SERVICE_S, Work


class Queue:
    """One queue: its waiting tickets in order, and where it stands in R."""

    __slots__ = ("executing", "index", "next_dispatch_r", "seats_in_use", "waiting", "work")

    def __init__(self, index: int) -> None:
        self.index = index
        self.waiting: dict[Ticket, None] = {}
        """A dict for its order and its quick removal from the middle."""
        self.work = 0.0
        """Seat-seconds of what waits."""
        self.executing = 0
        self.seats_in_use = 0
        self.next_dispatch_r = 0.0

    def __repr__(self) -> str:
        return (
            f"<Queue {self.index}: {len(self.waiting)} waiting, {self.executing} executing, "
            f"next at R={self.next_dispatch_r:.6f}>"
        )

    def bound(self) -> None:
        """Move on to the arrival of the oldest request: a queue that did not use its share
        while it had nothing to do may not claim it later (kube's anti-windup)."""
        for oldest in self.waiting:
            if self.next_dispatch_r < oldest.arrival_r:
                self.next_dispatch_r = oldest.arrival_r
            return


class Ticket:
    """One request in a level. `leave` must be called once, whatever becomes of the request."""

    __slots__ = (
        "_set",
        "arrival_r",
        "arrived",
        "executed",
        "flow",
        "granted",
        "queue",
        "started",
        "tally",
        "work",
    )

    _set: QueueSet
    arrival_r: float
    arrived: float

    def __init__(self, work: Work, tally: Tally, flow: str = "") -> None:
        self.queue: Queue | None = None
        self.tally = tally
        self.work = work
        self.flow = flow
        """What tells its flow from others of its schema; shown to people."""
        self.executed = tally.executed_s
        """Where it is counted how long it had its seats (seconds)."""
        self.started = 0.0
        """When it got its seats; 0 while it has none, and again after `leave`."""
        self.granted: asyncio.Future[None] | None = None
        """Done when it has its seats; None for one that had not to wait. Raises Refused."""

    def leave(self) -> None:
        """Give the seats back, or stop waiting for them. A second call does nothing."""
        if self.started:
            self._set.finish(self)
        elif self.granted is not None:
            self._set.withdraw(self, "cancelled")

    def time_out(self) -> None:
        """Refuse it, unless it has its seats meanwhile."""
        self._give_up("time-out")

    def abandon(self) -> None:
        """Nobody wants it any more: let those behind it move up."""
        self._give_up("cancelled")

    def _give_up(self, reason: str) -> None:
        granted = self.granted
        if not self.started and granted is not None and not granted.done():
            granted.set_exception(self._set.withdraw(self, reason))


class QueueSet:
    """One priority level's seats and who holds them.

    `queuing` None: no queues; a request gets its seats at once or is refused, or, in an exempt
    level, always gets them. `limit` is how many seats there are now.
    """

    def __init__(
        self,
        name: str,
        *,
        exempt: bool = False,
        queuing: Queuing | None = None,
        limit: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.exempt = exempt
        self.limit = limit
        self.queuing: Queuing | None = None
        self._clock = clock
        self._queues: list[Queue] = []
        # Those with somebody waiting, also ones that the configuration has no more.
        self._nonempty: dict[Queue, None] = {}
        # R as a float is good to a quarter of a microsecond after a year of 50 busy seats, so
        # it need not be wound back as kube-apiserver's integers are.
        self.r = 0.0
        self._r_at = clock()
        self._robin = -1
        self._enqueued = 0
        self._active = 0
        """Queues with a request that waits or executes."""
        self.waiting = 0
        self.executing = 0
        self.seats_in_use = 0
        self.seats_waiting = 0
        self.dispatched = 0
        self.timed_out = 0
        self.cancelled = 0
        self.refused = 0
        self.demand = SeatDemand(self._r_at)
        self.configure(queuing, limit)

    def __repr__(self) -> str:
        return (
            f"<QueueSet {self.name}: {self.seats_in_use}/{self.limit} seats, "
            f"{self.executing} executing, {self.waiting} waiting>"
        )

    @property
    def idle(self) -> bool:
        return not self.executing and not self.waiting

    @property
    def queues(self) -> Iterator[Queue]:
        """All queues; those that the configuration no longer has while somebody waits there."""
        yield from self._queues
        for queue in self._nonempty:
            if queue.index >= len(self._queues):
                yield queue

    def now(self) -> float:
        """Return the time by the clock that tickets are stamped with."""
        return self._clock()

    def configure(self, queuing: Queuing | None, limit: int) -> None:
        """Change the queues and the seats. What waits goes on waiting where it is."""
        self._advance(self._clock())
        count = queuing.queues if queuing is not None else 0
        present = len(self._queues)
        if count < present:
            # What is in them drains: tickets hold their queues, and so does `_nonempty`.
            del self._queues[count:]
        elif count > present:
            self._queues += [Queue(index) for index in range(present, count)]
        self.queuing = queuing
        self.limit = limit
        self._dispatch_waiting()

    def start(self, hand: tuple[int, ...], work: Work, tally: Tally) -> Ticket:
        """Return the ticket of a request that has come in; see `enter`."""
        ticket = Ticket(work, tally)
        self.enter(ticket, hand)
        return ticket

    def enter(self, ticket: Ticket, hand: tuple[int, ...]) -> None:
        """Give a new ticket its seats, or, if it then has a `granted`, let it wait for them.

        Raises:
            Refused: there is neither a seat nor room in the queue.
        """
        ticket._set = self
        ticket.arrived = now = self._clock()
        queuing, seats = self.queuing, ticket.work.seats
        if queuing is None:
            if not self.exempt and not self._fits(seats):
                self.refused += 1
                raise ticket.tally.refuse("concurrency-limit")
            self._occupy(ticket, now)
            return
        # As `_advance`; this and `finish` are what every request passes.
        if self._active:
            wanted = self.seats_in_use + self.seats_waiting
            due = wanted if wanted < self.limit else self.limit
            self.r += (now - self._r_at) * due / self._active
        self._r_at = now
        ticket.arrival_r = self.r
        # The order in a hand changes with each request, so that flows whose hands overlap
        # do not all prefer the same queue.
        self._enqueued += 1
        if self.waiting:
            queue = self._choose(hand)
        else:
            queue = self._queues[hand[self._enqueued % len(hand)]]
        if self.seats_in_use >= self.limit and len(queue.waiting) >= queuing.length_limit:
            self.refused += 1
            raise ticket.tally.refuse("queue-full")
        ticket.queue = queue
        if not queue.executing and not queue.waiting:
            self._active += 1
            queue.next_dispatch_r = self.r
        if not self.waiting and self.seats_in_use + seats <= self.limit:
            if queue.next_dispatch_r < self.r:
                queue.next_dispatch_r = self.r
            self._robin = queue.index
            queue.executing += 1
            queue.seats_in_use += seats
            queue.next_dispatch_r += ticket.work.total
            self._occupy(ticket, now)
            return
        self._enqueue(ticket, queue)
        self._dispatch_waiting()
        if not ticket.started:
            ticket.granted = asyncio.get_running_loop().create_future()

    def finish(self, ticket: Ticket) -> None:
        """A request has been served: its seats are free, at once or when its events are out."""
        now = self._clock()
        if self._active:
            wanted = self.seats_in_use + self.seats_waiting
            due = wanted if wanted < self.limit else self.limit
            self.r += (now - self._r_at) * due / self._active
        self._r_at = now
        served_s = now - ticket.started
        ticket.executed.observe(served_s)
        ticket.started = 0.0
        ticket.granted = None
        self.executing -= 1
        ticket.tally.executing -= 1
        queue, work = ticket.queue, ticket.work
        if queue is not None:
            queue.executing -= 1
            # It was charged for an estimate; now it is known what it took.
            queue.next_dispatch_r += work.initial_seats * (served_s - ESTIMATED_SERVICE_S)
            if queue.waiting:
                queue.bound()
            elif not queue.executing:
                self._active -= 1
        if work.additional_latency_s > 0:
            loop = asyncio.get_running_loop()
            loop.call_later(work.additional_latency_s, self._release_later, ticket)
            if self.waiting:
                self._dispatch_waiting()
            return
        seats = work.seats
        if queue is not None:
            queue.seats_in_use -= seats
        ticket.tally.executing_seats -= seats
        self.seats_in_use -= seats
        self.demand.set(self.seats_in_use + self.seats_waiting, now)
        if self.waiting:
            self._dispatch_waiting()

    def withdraw(self, ticket: Ticket, reason: str) -> Refused:
        """Take a waiting request out of its queue; it will get no seats."""
        now = self._clock()
        self._advance(now)
        queue = ticket.queue
        assert queue is not None
        ticket.granted = None
        self._unqueue(ticket, queue)
        if queue.waiting:
            queue.bound()
        elif not queue.executing:
            self._active -= 1
        self.refused += 1
        if reason == "time-out":
            self.timed_out += 1
        else:
            self.cancelled += 1
        ticket.tally.waited_in_vain.observe(now - ticket.arrived)
        self.demand.set(self.seats_in_use + self.seats_waiting, now)
        # It may have been wide, and kept narrow ones behind it from free seats.
        self._dispatch_waiting()
        return ticket.tally.refuse(reason)

    # -- the parts -----------------------------------------------------------------

    def _advance(self, now: float) -> None:
        """Move R on for what has been the case since the last call: before any change."""
        if self._active:
            seats = min(self.seats_in_use + self.seats_waiting, self.limit)
            self.r += (now - self._r_at) * seats / self._active
        self._r_at = now

    def _choose(self, hand: tuple[int, ...]) -> Queue:
        """Return the queue of a hand in which the least work waits."""
        offset = self._enqueued % len(hand)
        queues = self._queues
        best = queues[hand[offset]]
        for position in (*range(offset + 1, len(hand)), *range(offset)):
            queue = queues[hand[position]]
            if queue.work < best.work:
                best = queue
        return best

    def _fits(self, seats: int) -> bool:
        if seats > self.limit:
            return not self.executing  # else it would never be served
        return self.seats_in_use + seats <= self.limit

    def _enqueue(self, ticket: Ticket, queue: Queue) -> None:
        queue.waiting[ticket] = None
        queue.work += ticket.work.total
        queue.bound()
        self._nonempty[queue] = None
        self.waiting += 1
        self.seats_waiting += ticket.work.seats
        ticket.tally.waiting += 1
        ticket.tally.waiting_seats += ticket.work.seats
        self.demand.set(self.seats_in_use + self.seats_waiting, self._r_at)

    def _unqueue(self, ticket: Ticket, queue: Queue) -> None:
        del queue.waiting[ticket]
        if queue.waiting:
            queue.work -= ticket.work.total
        else:
            queue.work = 0.0  # and no rounding errors gather
            del self._nonempty[queue]
        self.waiting -= 1
        self.seats_waiting -= ticket.work.seats
        ticket.tally.waiting -= 1
        ticket.tally.waiting_seats -= ticket.work.seats

    def _dispatch_waiting(self) -> None:
        """Give seats to waiting requests while there are any, in fair order."""
        while self.waiting and self.seats_in_use < self.limit:
            queue = self._next_queue()
            ticket = next(iter(queue.waiting))
            if not self._fits(ticket.work.seats):
                ticket.tally.unaccommodated += 1
                return  # it is its turn: nobody overtakes a wide one
            now = self._r_at
            self._unqueue(ticket, queue)
            self._robin = queue.index
            self._dispatch(ticket, queue, now)
            queue.bound()
            granted = ticket.granted
            if granted is not None and not granted.done():
                granted.set_result(None)

    def _next_queue(self) -> Queue:
        """Return the queue whose oldest request finishes first in R; in turn where equal."""
        best: Queue | None = None
        best_finish, best_turn = 0.0, 0
        turns = max(len(self._queues), 1 + max(queue.index for queue in self._nonempty))
        for queue in self._nonempty:
            finish = queue.next_dispatch_r + next(iter(queue.waiting)).work.total
            turn = (queue.index - self._robin - 1) % turns
            if best is None or finish < best_finish or (finish == best_finish and turn < best_turn):
                best, best_finish, best_turn = queue, finish, turn
        assert best is not None
        return best

    def _dispatch(self, ticket: Ticket, queue: Queue, now: float) -> None:
        work = ticket.work
        if work.final_seats > self.limit:
            work = ticket.work = work.within(self.limit)
        queue.executing += 1
        queue.seats_in_use += work.seats
        queue.next_dispatch_r += work.total
        if ticket.granted is not None:
            ticket.tally.waited_s.observe(now - ticket.arrived)
        self._occupy(ticket, now)

    def _occupy(self, ticket: Ticket, now: float) -> None:
        ticket.started = now
        seats = ticket.work.seats
        self.dispatched += 1
        self.executing += 1
        self.seats_in_use += seats
        tally = ticket.tally
        tally.dispatched += 1
        tally.executing += 1
        tally.executing_seats += seats
        self.demand.set(self.seats_in_use + self.seats_waiting, now)

    def _release_later(self, ticket: Ticket) -> None:
        now = self._clock()
        self._advance(now)
        seats = ticket.work.seats
        self.seats_in_use -= seats
        ticket.tally.executing_seats -= seats
        if ticket.queue is not None:
            ticket.queue.seats_in_use -= seats
        self.demand.set(self.seats_in_use + self.seats_waiting, now)
        if self.waiting:
            self._dispatch_waiting()
