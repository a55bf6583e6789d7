"""What the clients do: writers, readers and watchers, each with its own dice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.chaos.client import Access, Connection, Disconnected
from tests.chaos.history import (
    EVERYTHING,
    UNCONDITIONAL,
    Freshness,
    Get,
    History,
    Kind,
    Listing,
    Outcome,
    Segment,
    Selection,
    Watch,
    revisions,
)
from tests.chaos.recorder import CONFIGMAPS, NAMESPACE, PREFIX, Recorder, now

GROUPS = "abcd"
RETRY_S = 0.2
REQUESTS_PER_CONNECTION = 25
"""Then a client takes another way into the system."""
CATCH_UP_S = 60.0


def by_group(group: str) -> Selection:
    return Selection(f"labelSelector=group%3D{group}", frozenset(group))


A, A_OR_B, NOT_A = (
    by_group("a"),
    Selection("labelSelector=group%20in%20(a,b)", frozenset("ab")),
    Selection("labelSelector=group!%3Da", frozenset(GROUPS) - {"a"}),
)


def only(name: str) -> Selection:
    return Selection(f"fieldSelector=metadata.name%3D{name}", name=name)


def name_of(number: int) -> str:
    return f"{PREFIX}{number:04d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    objects: int = 200
    writers: int = 4
    readers: int = 4
    watchers: int = 12
    writes_per_s: float = 60.0
    reads_per_s: float = 20.0
    filling: int = 200
    """Bytes in each object beside what the test needs."""


@dataclass(slots=True)
class World:
    """What all clients share."""

    access: Access
    replica_ports: Sequence[int]
    history: History
    load: Load
    seed: int
    latest: dict[str, int] = field(default_factory=dict)
    """A guess at each object's revision, 0 if deleted: what writers build upon."""

    def client(self, name: str) -> Client:
        return Client(self, name)


class Client:
    """A client with dice of its own, that comes in through the balancer or at a replica."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.dice = random.Random(f"{world.seed} {name}")
        self.recorder = Recorder(world.history, name, filling=world.load.filling)
        self._requests = 0
        self.where = ""
        self._connection: Connection | None = None

    def connection(self) -> Connection:
        if self._connection is None or self._requests % REQUESTS_PER_CONNECTION == 0:
            self.close()
            self.where, port = self.way_in()
            self._connection = Connection(self.world.access, port)
        self._requests += 1
        return self._connection

    def way_in(self) -> tuple[str, int]:
        ports = self.world.replica_ports
        if not ports or self.dice.random() < 0.7:
            return "balancer", self.world.access.port
        number = self.dice.randrange(len(ports))
        return f"replica {number + 1}", ports[number]

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def some_name(self) -> str:
        return name_of(self.dice.randrange(self.world.load.objects))

    async def get(self, name: str, freshness: Freshness, wanted: int = 0) -> Get | None:
        connection = self.connection()
        return await self.recorder.get(connection, self.where, name, freshness, wanted)

    async def list(
        self, selection: Selection, freshness: Freshness, wanted: int = 0, limit: int = 0
    ) -> Listing | None:
        connection = self.connection()
        return await self.recorder.list(
            connection, self.where, selection, freshness, wanted, limit=limit
        )

    async def write(self, verb: str, name: str, guard: int) -> Outcome:
        """Write once; what is known of the object afterwards is in `world.latest`."""
        group = "" if verb == "delete" else self.dice.choice(GROUPS)
        write = await self.recorder.write(self.connection(), verb, name, guard, group)
        if write.outcome is Outcome.OK:
            self.world.latest[name] = write.revision
        else:
            there = await self.get(name, Freshness.CONSISTENT)
            if there is not None:
                self.world.latest[name] = there.revision
        return write.outcome


async def writer(client: Client, stop: asyncio.Event) -> None:
    """Create, update and delete, sometimes on top of a state that is no more."""
    load = client.world.load
    latest = client.world.latest
    try:
        while not stop.is_set():
            name = client.some_name()
            guard = latest.get(name, 0)
            chance = client.dice.random()
            if guard and chance < 0.05:
                await client.write("update", name, max(guard - client.dice.randrange(1, 50), 1))
            elif not guard or chance < 0.07:
                await client.write("create", name, 0)
            elif chance < 0.18:
                await client.write("delete", name, guard)
            elif chance < 0.30:
                await client.write("patch", name, UNCONDITIONAL)
            else:
                await client.write("update", name, guard)
            await asyncio.sleep(client.dice.expovariate(load.writes_per_s / load.writers))
    finally:
        client.close()


async def reader(client: Client, stop: asyncio.Event) -> None:
    load = client.world.load
    try:
        while not stop.is_set():
            await _read(client)
            await asyncio.sleep(client.dice.expovariate(load.reads_per_s / load.readers))
    finally:
        client.close()


async def _read(client: Client) -> None:
    newest = client.world.history.newest
    name = client.some_name()
    selection = client.dice.choice((EVERYTHING, A, A_OR_B, NOT_A, only(name)))
    past = max(newest - client.dice.randrange(200), 1)
    limit = client.dice.randrange(10, 90)
    match client.dice.randrange(10):
        case 0 | 1:
            await client.get(name, Freshness.CONSISTENT)
        case 2:
            await client.get(name, Freshness.NOT_OLDER, newest)
        case 3:
            await client.get(name, Freshness.ANY)
        case 4 | 5:
            await client.list(selection, Freshness.CONSISTENT)
        case 6:
            await client.list(selection, Freshness.NOT_OLDER, newest)
        case 7:
            await client.list(selection, Freshness.ANY)
        case 8:
            await client.list(selection, Freshness.EXACT, past)
        case 9:
            await client.list(selection, Freshness.CONSISTENT, limit=limit)


async def same_everywhere(client: Client, stop: asyncio.Event) -> None:
    """Now and then, read one revision from every replica."""
    world = client.world
    while not stop.is_set():
        await asyncio.sleep(1.5)
        revision = world.history.newest
        name = client.some_name()
        for number, port in enumerate(world.replica_ports, 1):
            connection = Connection(world.access, port)
            where = f"replica {number}"
            try:
                await client.recorder.list(connection, where, EVERYTHING, Freshness.EXACT, revision)
                await client.recorder.get(connection, where, name, Freshness.NOT_OLDER, revision)
            finally:
                connection.close()


class Watcher:
    """Lists, watches from there, and resumes wherever it is let in, until it is cancelled."""

    def __init__(
        self, client: Client, selection: Selection, *, bookmarks: bool, streamed_list: bool
    ) -> None:
        self.selection = selection
        self._client = client
        self._bookmarks = bookmarks or streamed_list
        self._streamed_list = streamed_list
        self._watch = Watch(client.name, selection)
        client.world.history.watches.append(self._watch)

    @property
    def position(self) -> int:
        return self._watch.segments[-1].position if self._watch.segments else 0

    async def comes_to(self, target: int, *, before: float) -> bool:
        """Wait until this has seen the revision `target`."""
        # Looked at rather than signalled: only at the end of a run.
        while self.position < target and now() < before:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        return self.position >= target

    async def run(self) -> None:
        try:
            while True:
                segment = None
                if not self._streamed_list:
                    listing = await self._client.list(self.selection, Freshness.CONSISTENT)
                    if listing is None:
                        await asyncio.sleep(RETRY_S)
                        continue
                    segment = self._begin(listing.revision)
                await self._follow(segment)
        finally:
            self._client.close()

    def _begin(self, revision: int) -> Segment:
        segment = Segment(revision)
        self._watch.segments.append(segment)
        return segment

    async def _follow(self, segment: Segment | None) -> None:
        """Watch until the history is gone."""
        while True:
            try:
                segment, gone = await self._stream(segment)
            except (Disconnected, TimeoutError) as error:
                self._client.recorder.fail(f"watch: {type(error).__name__}")
                gone = False
                # A streamed list may have been whole before the stream broke.
                if segment is None:
                    segment = self._unfinished
            if gone:
                return
            if segment is not None:
                segment.resumes += 1
            await asyncio.sleep(self._client.dice.uniform(0, 2 * RETRY_S))

    async def _stream(self, segment: Segment | None) -> tuple[Segment | None, bool]:
        """Read one stream to its end; return the segment it belongs to, and whether 410 came."""
        self._unfinished: Segment | None = None
        seconds = self._client.dice.randrange(5, 40)
        query = [f"watch=1&timeoutSeconds={seconds}", self.selection.query]
        if self._bookmarks:
            query.append("allowWatchBookmarks=true")
        if segment is None:
            query.append("sendInitialEvents=true&resourceVersionMatch=NotOlderThan")
        else:
            query.append(f"resourceVersion={segment.position}")
        where, port = self._client.way_in()
        connection = Connection(self._client.world.access, port)
        initial: list[int] = []
        began = now()
        lines = connection.lines(
            f"{CONFIGMAPS}?{'&'.join(filter(None, query))}", silence_s=seconds + 5
        )
        try:
            async for line in lines:
                event = orjson.loads(line)
                if event.get("type") in (None, "ERROR"):
                    return segment, self._refused(event, segment)
                if segment is not None:
                    self._note(event, segment)
                elif event["type"] == "ADDED":
                    if event["object"]["metadata"]["name"].startswith(PREFIX):
                        initial.append(self._client.recorder.see(event["object"]))
                else:
                    segment = self._unfinished = self._listed(event, initial, began, where)
        finally:
            await lines.aclose()
        return segment, False

    def _listed(
        self, event: dict[str, Any], initial: list[int], began: float, where: str
    ) -> Segment:
        """The bookmark after the initial events: a list by another name."""
        metadata = event["object"]["metadata"]
        revision = int(metadata["resourceVersion"])
        history = self._client.world.history
        if "k8s.io/initial-events-end" not in metadata.get("annotations", {}):
            history.contradictions.append(f"{self._client.name}: {event} among initial events")
        history.listings.append(
            Listing(
                self.selection,
                Freshness.CONSISTENT,
                0,
                revision,
                revisions(initial),
                began,
                now(),
                f"{where}, streamed",
            )
        )
        return self._begin(revision)

    def _note(self, event: dict[str, Any], segment: Segment) -> None:
        kind = Kind[event["type"]]
        thing = event["object"]
        if kind is Kind.BOOKMARK or not thing["metadata"]["name"].startswith(PREFIX):
            segment.add(Kind.BOOKMARK, int(thing["metadata"]["resourceVersion"]))
            return
        segment.add(kind, self._client.recorder.see(thing, deleted=kind is Kind.DELETED))

    def _refused(self, event: dict[str, Any], segment: Segment | None) -> bool:
        status = event["object"] if event.get("type") == "ERROR" else event
        self._client.recorder.fail(f"watch: {status.get('code')} {status.get('reason')}")
        if status.get("code") != 410:
            return False
        position = segment.position if segment is not None else 0
        self._client.recorder.gone(f"{self._client.name}: watch", position)
        return True


def watchers(world: World) -> list[Watcher]:
    """Some of each kind."""
    selections = [EVERYTHING, A, EVERYTHING, A_OR_B, NOT_A, only(name_of(3)), only(name_of(4))]
    made = []
    for number in range(world.load.watchers):
        selection = selections[number % len(selections)]
        made.append(
            Watcher(
                world.client(f"watcher-{number}"),
                selection,
                bookmarks=number % 3 != 0,
                streamed_list=number % 4 == 3,
            )
        )
    return made


async def prepare(world: World) -> None:
    """Make the namespace and the first objects."""
    connection = Connection(world.access)
    namespace = {"metadata": {"name": NAMESPACE}}
    answer = await connection.request("POST", "/api/v1/namespaces", namespace)
    assert answer.status in (201, 409), answer
    connection.close()
    client = world.client("prepare")
    for number in range(0, world.load.objects, 2):
        await client.write("create", name_of(number), 0)
    client.close()


async def last_writes(world: World, selections: Iterable[Selection]) -> dict[Selection, int]:
    """Write something that each selection selects; return up to where its watchers have to come."""
    client = world.client("finish")
    last: dict[str, int] = {}
    for number, group in enumerate(GROUPS):
        last[group] = await _until_written(client, f"{PREFIX}last-{number}", group)
    for name in {selection.name for selection in selections if selection.name}:
        last[name] = await _until_written(client, name, "d")
    client.close()
    return {selection: _last_for(selection, last) for selection in selections}


async def finish(world: World, watching: Sequence[Watcher]) -> None:
    """Give each watcher a last event to wait for, and wait until it came."""
    targets = await last_writes(world, {watcher.selection for watcher in watching})
    deadline = now() + CATCH_UP_S
    for watcher in watching:
        target = targets[watcher.selection]
        if not await watcher.comes_to(target, before=deadline):
            world.history.contradictions.append(
                f"{watcher.selection} did not come to {target}, only to {watcher.position}"
            )


def _last_for(selection: Selection, last: dict[str, int]) -> int:
    if selection.name is not None:
        return last[selection.name]
    return max(last[group] for group in selection.groups or GROUPS)


async def _until_written(client: Client, name: str, group: str) -> int:
    async with asyncio.timeout(CATCH_UP_S):
        while True:
            there = await client.get(name, Freshness.CONSISTENT)
            if there is not None:
                verb = "update" if there.revision else "create"
                connection = client.connection()
                write = await client.recorder.write(connection, verb, name, there.revision, group)
                if write.outcome is Outcome.OK:
                    return write.revision
            await asyncio.sleep(RETRY_S)
