"""PriorityLevels: who belongs to which, and how the server's seats are divided among them.

Source: kube-apiserver v1.36.2, apiserver/pkg/util/flowcontrol/apf_controller.go.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import NamedTuple

from services.apiserver.flowcontrol.allocation import Claim, Unsolvable, allocate
from services.apiserver.flowcontrol.config import (
    CATCH_ALL,
    EVERY,
    EXEMPT,
    LevelConfig,
    SchemaConfig,
    in_matching_order,
    mandatory_level,
)
from services.apiserver.flowcontrol.queueset import QueueSet
from services.apiserver.flowcontrol.retryafter import RetryAfter
from services.apiserver.flowcontrol.shufflesharding import deal, flow_hash
from services.apiserver.flowcontrol.tally import Tally
from services.apiserver.http.request import Header
from services.apiserver.requestinfo import RequestInfo, UserInfo

log = logging.getLogger("kubefan.apiserver.flowcontrol")

ADJUSTMENT_PERIOD_S = 10.0
MAXIMUM_SEATS_OF_LEVEL = 0.15
"""The part of a level's seats that one request may take."""
MAXIMUM_ROUTES = 4096
MAXIMUM_PLANS = 4096
MAXIMUM_HANDS = 4096
MAXIMUM_PATH = 1024
"""Characters of a path, and so of what it names: of longer ones nothing is remembered. Anybody
may ask for them, and thousands of a megabyte would fill the memory."""
SCHEMA_HEADER = b"x-kubernetes-pf-flowschema-uid"
LEVEL_HEADER = b"x-kubernetes-pf-prioritylevel-uid"

RouteKey = tuple[str, tuple[str, ...], str, str, str, str, str]


class PriorityLevel:
    """One level: its queues, and how many seats it owns, must keep, may have and has.

    `nominal` is its share of the server's seats; of these it lends down to `minimum` and
    borrows up to `maximum`. What it has now is `queues.limit`.
    """

    __slots__ = (
        "config",
        "max_seats",
        "maximum",
        "minimum",
        "nominal",
        "queues",
        "quiescing",
        "retry_after",
        "target",
    )

    def __init__(self, config: LevelConfig, clock: Callable[[], float]) -> None:
        self.config = config
        self.queues = QueueSet(config.name, exempt=config.exempt, clock=clock)
        self.nominal = self.minimum = self.maximum = -1
        self.target = 0.0
        self.max_seats = 0
        """The most that one request takes; 0: the level does not say."""
        self.quiescing = False
        """Its object is gone; it goes when it is idle."""
        self.retry_after = RetryAfter()

    def __repr__(self) -> str:
        return f"<PriorityLevel {self.minimum}..{self.nominal}..{self.maximum} {self.queues!r}>"

    def divide(self, server_seats: int, share_sum: int) -> None:
        """Take this level's part of the server's seats."""
        config, is_new = self.config, self.nominal < 0
        nominal = math.ceil(server_seats * config.shares / share_sum) if share_sum else 0
        lendable = _rounded(nominal * config.lendable_percent / 100)
        limit = config.borrowing_limit_percent
        borrowing = server_seats if limit is None else _rounded(nominal * limit / 100)
        self.nominal, self.minimum, self.maximum = nominal, nominal - lendable, nominal + borrowing
        if config.queuing is not None:
            most = math.ceil(nominal * MAXIMUM_SEATS_OF_LEVEL)
            self.max_seats = max(1, min(most, nominal // config.queuing.hand_size))
        else:
            self.max_seats = 0
        if is_new:
            self.queues.limit = nominal - lendable // 2

    def claim(self, now: float) -> Claim:
        """Return what it wants of the seats, by what it could have used lately."""
        demand = self.queues.demand
        demand.end_period(now)
        low = max(self.minimum, min(self.nominal, demand.high_watermark))
        self.target = max(low, demand.smoothed)
        return Claim(low, self.target, self.maximum)


class Plan(NamedTuple):
    """Where the requests of one user that ask for the same go, with all that it takes."""

    headers: Sequence[Header]
    level: PriorityLevel
    queues: QueueSet
    hand: tuple[int, ...]
    tally: Tally
    flow: str


class Route:
    """Where a kind of request goes: a FlowSchema and its level."""

    __slots__ = ("_hands", "by_namespace", "by_user", "headers", "level", "schema", "tally")

    def __init__(self, schema: SchemaConfig, level: PriorityLevel, tally: Tally) -> None:
        self.schema = schema
        self.level = level
        self.tally = tally
        self.headers: tuple[Header, ...] = (
            (SCHEMA_HEADER, schema.uid.encode()),
            (LEVEL_HEADER, level.config.uid.encode()),
        )
        queued = level.config.queuing is not None
        self.by_user = queued and schema.distinguisher == "ByUser"
        self.by_namespace = queued and schema.distinguisher == "ByNamespace"
        self._hands: dict[str, tuple[int, ...]] = {}

    def hand(self, flow: str) -> tuple[int, ...]:
        """Return the queues that one flow of the schema may use."""
        hand = self._hands.get(flow)
        if hand is None:
            queuing = self.level.config.queuing
            if queuing is None:
                return ()
            hand = deal(flow_hash(self.schema.name, flow), queuing.queues, queuing.hand_size)
            if len(flow) <= MAXIMUM_PATH:
                if len(self._hands) >= MAXIMUM_HANDS:
                    self._hands.clear()
                self._hands[flow] = hand
        return hand


class PriorityLevels:
    """All levels and schemas as they are configured now."""

    def __init__(self, server_seats: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._server_seats = server_seats
        self._clock = clock
        self._configured: tuple[Sequence[LevelConfig], Sequence[SchemaConfig]] | None = None
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._order: list[Route] = []
        self._routes: dict[RouteKey, Route] = {}
        self._plans: dict[Hashable, Plan] = {}
        self.levels: dict[str, PriorityLevel] = {}
        self.configure((), ())

    @property
    def tallies(self) -> Iterable[tuple[str, str, Tally]]:
        """What happened, by level and FlowSchema."""
        return ((level, schema, tally) for (level, schema), tally in self._tallies.items())

    @property
    def routes(self) -> Sequence[Route]:
        """In the order in which they are asked."""
        return self._order

    def configure(self, levels: Iterable[LevelConfig], schemas: Iterable[SchemaConfig]) -> None:
        """Go over to another configuration. What waits or is served stays where it is."""
        configured = (list(levels), list(schemas))
        if configured == self._configured:
            return  # else every status that is written would end the period of the demand
        self._configured = configured
        wanted = {one.name: one for one in configured[0]}
        for name in (EXEMPT, CATCH_ALL):
            wanted.setdefault(name, mandatory_level(name))
        for name, level in list(self.levels.items()):
            if name not in wanted:
                level.quiescing = True
        for name, config in wanted.items():
            present = self.levels.get(name)
            if present is None:
                self.levels[name] = PriorityLevel(config, self._clock)
            else:
                present.config = config
                present.quiescing = False
        self._arrange([one for one in in_matching_order(configured[1]) if one.level in wanted])
        self._divide()

    def adjust(self) -> None:
        """Lend and borrow seats by the demand since the last time; due every ten seconds."""
        if any(level.quiescing and level.queues.idle for level in self.levels.values()):
            self._divide()
        else:
            self._lend()

    def plan(self, user: UserInfo, info: RequestInfo) -> Plan:
        """Return where a request goes, and by which queues."""
        if info.is_resource_request:
            key: Hashable = (user.name, user.groups, info[2:9])  # verb to subresource
        else:
            key = (user.name, user.groups, info.verb, info.path)
        plan = self._plans.get(key)
        if plan is None:
            route = self.route(user, info)
            flow = user.name if route.by_user else info.namespace if route.by_namespace else ""
            level = route.level
            plan = Plan(route.headers, level, level.queues, route.hand(flow), route.tally, flow)
            if len(info.path) <= MAXIMUM_PATH:
                if len(self._plans) >= MAXIMUM_PLANS:
                    self._plans.clear()
                self._plans[key] = plan
        return plan

    def route(self, user: UserInfo, info: RequestInfo) -> Route:
        """Return where a request belongs."""
        name, namespace = user.name, info.namespace
        if name not in self._named_users and not name.startswith(self._account_prefixes):
            name = ""  # no rule tells it from others
        if info.is_resource_request:
            if namespace and namespace not in self._named_namespaces:
                namespace = EVERY
            key = (
                name, user.groups, info.verb, info.group, info.resource, info.subresource,
                namespace,
            )  # fmt: skip
        else:
            key = (name, user.groups, info.verb, "", "", "", info.path)
        found = self._routes.get(key)
        if found is None:
            found = self._find(user, info)
            if len(info.path) <= MAXIMUM_PATH:
                if len(self._routes) >= MAXIMUM_ROUTES:
                    self._routes.clear()
                self._routes[key] = found
        return found

    def _find(self, user: UserInfo, info: RequestInfo) -> Route:
        for route in self._order:
            if route.schema.covers(user, info):
                return route
        return next(one for one in reversed(self._order) if one.schema.name == CATCH_ALL)

    def _arrange(self, schemas: Sequence[SchemaConfig]) -> None:
        before = self._tallies
        self._tallies = {}
        self._order = []
        for schema in schemas:
            key = (schema.level, schema.name)
            tally = self._tallies[key] = before.pop(key) if key in before else Tally()
            self._order.append(Route(schema, self.levels[schema.level], tally))
        # Those that are still being served are counted to their end.
        self._tallies |= {key: one for key, one in before.items() if one.executing or one.waiting}
        self._routes = {}
        self._plans = {}
        rules = [rule for schema in schemas for rule in schema.rules]
        self._named_users = frozenset(name for one in rules for name in one.subjects.users)
        self._account_prefixes = tuple(
            prefix for one in rules for prefix in one.subjects.account_prefixes
        )
        self._named_namespaces = frozenset(
            name for one in rules for rule in one.resources for name in rule.namespaces
        )

    def _divide(self) -> None:
        for name, level in list(self.levels.items()):
            if level.quiescing and level.queues.idle:
                del self.levels[name]
        share_sum = sum(level.config.shares for level in self.levels.values())
        for level in self.levels.values():
            level.divide(self._server_seats, share_sum)
        self._lend()

    def _lend(self) -> None:
        now = self._clock()
        levels = list(self.levels.values())
        claims = [level.claim(now) for level in levels]
        try:
            shares = allocate(sum(level.nominal for level in levels), claims)
        except Unsolvable as error:
            log.error("seats stay as they are", extra={"why": str(error)})
            shares = [level.queues.limit for level in levels]
        for level, share in zip(levels, shares, strict=True):
            level.queues.configure(level.config.queuing, _rounded(share))


def _rounded(value: float) -> int:
    """Round as Go does: halves up."""
    return math.floor(value + 0.5)
