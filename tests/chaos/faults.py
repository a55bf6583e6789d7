"""What goes wrong: faults in an order, at times and for durations that a seed decides.

Each fault ends by itself: a killed process is started again by its supervisor, a paused one goes
on, a cut link is mended. Now and then a second one comes while the first still lasts.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from redis.exceptions import RedisError

from tests.chaos.history import Fault, History
from tests.chaos.recorder import now
from tests.chaos.relay import EVERYBODY, Relay
from tests.chaos.system import Part, System

CALM_S = (1.0, 5.0)
"""Between two faults."""
SECOND_FAULT = 0.25
"""How often another fault begins before one has ended."""
PAUSE_S = (0.5, 8.0)
CUT_S = (0.5, 6.0)
BREAKS = ("cut", "freeze", "freeze open connections")
"""What can happen to a link."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A kind of fault, how likely it is, and to whom it can happen (roles, or links)."""

    kind: str
    weight: int
    targets: tuple[str, ...]


PLANS = (
    Plan("kill", 6, ("apiserver",)),
    Plan("kill", 4, ("watchfanout",)),
    Plan("kill leader", 4, ("watchfanout",)),
    Plan("kill", 3, ("redis",)),
    Plan("kill", 3, ("etcd",)),
    Plan("kill", 1, ("haproxy",)),
    Plan("terminate", 2, ("apiserver", "watchfanout")),
    Plan("pause", 3, ("apiserver",)),
    Plan("pause leader", 3, ("watchfanout",)),
    Plan("pause", 1, ("watchfanout",)),
    Plan("pause", 2, ("redis",)),
    Plan("pause", 2, ("etcd",)),
    Plan("flush", 3, ("redis",)),
    Plan("cut", 3, ("etcd", "redis")),
    Plan("freeze", 3, ("etcd", "redis")),
    Plan("freeze open connections", 2, ("etcd", "redis")),
    Plan("isolate", 4, ("apiserver", "watchfanout")),
    Plan("isolate leader", 3, ("watchfanout",)),
    Plan("kill all", 1, ("apiserver",)),
)


class Faults:
    def __init__(self, system: System, history: History, seed: int) -> None:
        self._system = system
        self._history = history
        self._dice = random.Random(f"{seed} faults")

    async def run(self, stop: asyncio.Event) -> None:
        """Do harm until `stop`; every fault has ended when this returns."""
        async with asyncio.TaskGroup() as tasks:
            while not stop.is_set():
                await asyncio.sleep(self._dice.uniform(*CALM_S))
                fault = tasks.create_task(self._one(), name="fault")
                if self._dice.random() >= SECOND_FAULT:
                    await fault

    async def _one(self) -> None:
        possible = [(plan, targets) for plan in PLANS if (targets := self._targets(plan))]
        ((plan, targets),) = self._dice.choices(possible, [plan.weight for plan, _ in possible])
        target = self._dice.choice(targets)
        began = now()
        name = await self._do(plan.kind, target)
        if name:
            self._history.faults.append(Fault(plan.kind, name, began, now()))

    def _targets(self, plan: Plan) -> list[str]:
        """Return those that are there."""
        if plan.kind in BREAKS:
            there = set(self._system.links)
        elif plan.kind.startswith("isolate") and not self._system.links:
            there = set()
        else:
            there = {part.role for part in self._system.parts()}
        return [target for target in plan.targets if target in there]

    async def _do(self, kind: str, target: str) -> str:
        """Return to whom it happened, "" if there was nobody."""
        match kind:
            case "flush":
                return target if await self._flush() else ""
            case _ if kind in BREAKS:
                return await self._disturb(kind, target)
            case "kill all":
                for part in self._parts(target):
                    _signal(part, signal.SIGKILL)
                return target
        parts = self._parts(target)
        if kind.endswith("leader"):
            parts = [part for part in parts if await self._system.leads(part)]
        if not parts:
            return ""
        part = self._dice.choice(parts)
        match kind.split()[0]:
            case "kill":
                _signal(part, signal.SIGKILL)
            case "terminate":
                _signal(part, signal.SIGTERM)
            case "pause":
                await self._pause(part)
            case "isolate":
                return await self._isolate(part)
        return part.role

    def _parts(self, role: str) -> list[Part]:
        return [part for part in self._system.parts() if part.role == role]

    async def _flush(self) -> bool:
        try:
            await self._system.flush()
        except (RedisError, OSError):
            return False  # it is down already
        return True

    async def _pause(self, part: Part) -> None:
        _signal(part, signal.SIGSTOP)
        try:
            await asyncio.sleep(self._dice.uniform(*PAUSE_S))
        finally:
            _signal(part, signal.SIGCONT)

    async def _disturb(self, kind: str, target: str) -> str:
        await self._broken([self._system.links[target]], EVERYBODY, kind)
        return f"link to {target}"

    async def _isolate(self, part: Part) -> str:
        """Cut one process off, from one of its stores or from all; the others go on."""
        names = sorted(self._system.links)
        chosen = self._dice.choice([names, *([name] for name in names)])
        links = [self._system.links[name] for name in chosen]
        if not await self._broken(links, part.name, self._dice.choice(BREAKS)):
            return ""  # it was down
        return f"{part.role} from {' and '.join(chosen)}"

    async def _broken(self, links: Sequence[Relay], client: str, kind: str) -> int:
        """Return how many connections were broken at first."""
        broken = 0
        for link in links:
            if kind == "cut":
                broken += link.cut(client)
            else:
                broken += link.freeze(client, new_ones_too=kind == "freeze")
        try:
            await asyncio.sleep(self._dice.uniform(*CUT_S))
        finally:
            for link in links:
                link.mend(client)
        return broken


def _signal(part: Part, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it died already, of another fault
        os.kill(part.pid, number)
