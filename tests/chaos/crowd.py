"""Many watchers in a process of their own, so that the clients are not what is measured.

python -m tests.chaos.crowd KUBECONFIG REVISION WATCHERS FILE: they watch from REVISION, resume
for ever and never list. A line {SELECTION: REVISION} on the input says how far each has to come;
what they saw is then written to FILE (a pickled History).
"""

from __future__ import annotations

import asyncio
import json
import pickle
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from tests.chaos.client import Access, Connection, Disconnected
from tests.chaos.history import EVERYTHING, History, Kind, Segment, Selection, Watch
from tests.chaos.recorder import CONFIGMAPS, PREFIX, Recorder, now
from tests.chaos.workload import GROUPS, Load, by_group, name_of, only

EVERYTHING_EVERY, GROUP_EVERY = 25, 10
"""One in so many watches everything, or one group of four; the others one name each."""
CATCH_UP_S = 60.0
OPENED_PER_S = 100.0


def selection_of(number: int) -> Selection:
    if number % EVERYTHING_EVERY == 0:
        return EVERYTHING
    if number % GROUP_EVERY == 1:
        return by_group(GROUPS[number // GROUP_EVERY % len(GROUPS)])
    return only(name_of(number % Load().objects))


class Crowd:
    def __init__(self, access: Access, revision: int, watchers: int) -> None:
        self.history = History()
        self._access = access
        self._recorder = Recorder(self.history, "crowd")
        for number in range(watchers):
            selection = selection_of(number)
            self.history.watches.append(Watch(f"{number}", selection, [Segment(revision)]))

    async def run(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            running = []
            for watch in self.history.watches:
                running.append(tasks.create_task(self._follow(watch), name=watch.client))
                await asyncio.sleep(1 / OPENED_PER_S)
            print("watching", flush=True)
            await stop.wait()
            for one in running:
                one.cancel()

    async def arrived(self, targets: dict[str, int]) -> None:
        """Wait until each watcher has seen what it has to."""
        deadline = now() + CATCH_UP_S
        for watch in self.history.watches:
            target = targets[watch.selection.query]
            while watch.segments[-1].position < target:
                if now() > deadline:
                    position = watch.segments[-1].position
                    self.history.contradictions.append(
                        f"watcher {watch.client} [{watch.selection.query}] came only to {position}"
                        f", not to {target}"
                    )
                    break
                await asyncio.sleep(0.05)

    async def _follow(self, watch: Watch) -> None:
        dice = random.Random(watch.client)
        (segment,) = watch.segments
        connection = Connection(self._access)
        while True:
            path = (
                f"{CONFIGMAPS}?watch=1&allowWatchBookmarks=true&resourceVersion={segment.position}"
                f"&{watch.selection.query}"
            )
            try:
                async for line in connection.lines(path, silence_s=600):
                    self._note(line, segment, watch)
            except (Disconnected, TimeoutError) as error:
                self._recorder.fail(type(error).__name__)
                await asyncio.sleep(dice.uniform(0.05, 0.5))
            segment.resumes += 1

    def _note(self, line: bytes, segment: Segment, watch: Watch) -> None:
        event = json.loads(line)
        if event.get("type") in (None, "ERROR"):
            status = event["object"] if "type" in event else event
            self._recorder.fail(f"{status.get('code')} {status.get('reason')}")
            if status.get("code") == 410:
                self._recorder.gone(f"watcher {watch.client}", segment.position)
            return
        kind, thing = Kind[event["type"]], event["object"]
        if kind is Kind.BOOKMARK or not thing["metadata"]["name"].startswith(PREFIX):
            segment.add(Kind.BOOKMARK, int(thing["metadata"]["resourceVersion"]))
        else:
            segment.add(kind, self._recorder.see(thing, deleted=kind is Kind.DELETED))


async def main(arguments: Sequence[str]) -> None:
    kubeconfig, revision, watchers, file = arguments
    crowd = Crowd(Access.from_kubeconfig(Path(kubeconfig)), int(revision), int(watchers))
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(crowd.run(stop), name="crowd")
        line = await loop.run_in_executor(None, sys.stdin.readline)
        if line:
            await crowd.arrived(json.loads(line))
        stop.set()
    await loop.run_in_executor(None, Path(file).write_bytes, pickle.dumps(crowd.history))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1:]))
