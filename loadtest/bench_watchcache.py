"""What objects cost on their way from the store to a watcher, and in memory.

    python -m loadtest.bench_watchcache [--objects 10000] [--watchers 500]

Prints microseconds of CPU and bytes; pods of about 4.3 KB as in docs/performance.md.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource as process
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import orjson

from shared.eventlog import Entry, Event, Unpacker, pack_entry
from shared.fanout import Snapshot
from shared.fanout.rules import DefinitionRules
from shared.fanout.translate import Translator
from shared.objects import CachedObject, ExtractionRule, Extractor, to_body
from shared.storage import Change, KeyValue, Revision
from shared.watchcache import HistoryLimits, ReadyWatchers, WatchCache, Watcher

PODS = b"/registry/pods/"

RULE = ExtractionRule(
    PODS,
    {
        "spec.nodeName": (("spec", "nodeName"), ""),
        "spec.restartPolicy": (("spec", "restartPolicy"), ""),
        "spec.schedulerName": (("spec", "schedulerName"), ""),
        "spec.serviceAccountName": (("spec", "serviceAccountName"), ""),
        "spec.hostNetwork": (("spec", "hostNetwork"), "false"),
        "status.phase": (("status", "phase"), ""),
        "status.podIP": (("status", "podIP"), ""),
        "status.nominatedNodeName": (("status", "nominatedNodeName"), ""),
    },
)


def translator_of_rule() -> Translator:
    extractor = Extractor([RULE])
    return Translator(extractor, DefinitionRules(extractor, "/registry"))


def pod(number: int, *, phase: str = "Running", turn: int = 0) -> bytes:
    """A stored pod of 4.3 KB."""
    container = {
        "name": "app",
        "image": "registry.example/team/app:v1.2.3",
        "env": [{"name": f"SETTING_{index}", "value": "some value here"} for index in range(40)],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
        "terminationMessagePath": "/dev/termination-log",
        "imagePullPolicy": "IfNotPresent",
    }
    fields = {f"f:field{index}": {"f:sub": {}, ".": {}} for index in range(52)}
    value = {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": f"pod-{number:06}",
            "namespace": f"ns-{number % 10}",
            "uid": f"0b9e33a8-0000-4000-8000-{number:012}",
            "creationTimestamp": "2026-08-01T10:00:00Z",
            "labels": {"app": f"app-{number % 100}", "pod-template-hash": "5d4f8c7b9"},
            "annotations": {"turn": str(turn)},
            "managedFields": [{"manager": "kubectl", "fieldsV1": fields}],
        },
        "spec": {
            "containers": [container],
            "nodeName": f"node-{number % 50}",
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "serviceAccountName": "default",
            "tolerations": [{"key": f"key-{i}", "operator": "Exists"} for i in range(4)],
        },
        "status": {"phase": phase, "podIP": f"10.1.{number // 250 % 250}.{number % 250}"},
    }
    return orjson.dumps(value) + b"\n"


def key(number: int) -> bytes:
    return PODS + f"ns-{number % 10}/pod-{number:06}".encode()


def cpu_us(times: int, work: Callable[[], object]) -> float:
    """The best of five runs of `work`, which does something `times` times."""
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best / times * 1e6


def report(what: str, value: float, unit: str) -> None:
    print(f"{what:<58}{value:>10.2f} {unit}")


def translated(count: int, *, moved: bool) -> tuple[list[Change], list[Event]]:
    """Updates of `count` pods; `moved`: their phase changes."""
    changes = []
    for number in range(count):
        before = KeyValue(key(number), pod(number, phase="Pending"), Revision(1))
        now = pod(number, phase="Running" if moved else "Pending", turn=1)
        changes.append(Change(key(number), now, Revision(number + 2), before))
    translator = translator_of_rule()
    events = [event for change in changes if (event := translator.event(change)) is not None]
    return changes, events


def bench_fanout() -> None:
    stored = [pod(number) for number in range(1_000)]
    report("size of a pod", len(stored[0]), "bytes")
    report("wire form", cpu_us(1_000, lambda: [to_body(v, Revision(7)) for v in stored]), "us")
    extractor = Extractor([RULE])
    extract = cpu_us(1_000, lambda: [extractor.extract(b"/registry/pods/a/b", v) for v in stored])
    report("extraction of labels and fields", extract, "us")

    changes, events = translated(1_000, moved=False)
    fresh = cpu_us(1_000, lambda: [*map(translator_of_rule().event, changes)])
    report("change to event, state before not remembered", fresh, "us")
    remembering = translator_of_rule()
    for change in changes:
        remembering.event(change)
    again = [  # the state before is what was seen above
        replace(change, previous=KeyValue(change.key, change.value or b"", change.revision))
        for change in changes
    ]
    hit = cpu_us(1_000, lambda: [*map(remembering.event, again)])
    report("change to event, state before remembered", hit, "us")
    entries = [Entry(event.revision, Revision(event.revision + 1), (event,)) for event in events]
    packed = [pack_entry(entry) for entry in entries]
    report(
        "packing an entry of one event", cpu_us(1_000, lambda: [*map(pack_entry, entries)]), "us"
    )
    unpacker = Unpacker()
    report("unpacking it", cpu_us(1_000, lambda: [*map(unpacker.entry, packed)]), "us")


def bench_memory(objects: int) -> WatchCache:
    """The cost of a cache of `objects` pods, and of events that replace them."""
    gc.collect()
    before = process.getrusage(process.RUSAGE_SELF).ru_maxrss
    tracemalloc.start(1)
    extractor = Extractor([RULE])
    items = []
    bodies = 0
    for number in range(objects):
        stored = pod(number)
        prefix, body = to_body(stored, Revision(number + 1))
        selection = extractor.extract(key(number), stored)
        items.append(CachedObject(key(number), Revision(number + 1), prefix, body, selection))
        bodies += len(body)
    cache = WatchCache(history_limits=HistoryLimits(limit_bytes=2**30))
    cache.resource(PODS)
    asyncio.run(cache.load(Snapshot(Revision(objects), items)))
    del items
    gc.collect()
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    after = process.getrusage(process.RUSAGE_SELF).ru_maxrss
    report(f"memory of {objects} pods", used / 1e6, "MB")
    report("peak resident set, more than before", (after - before) / 1e3, "MB (twice, traced)")
    report("of an object beside its body", (used - bodies) / objects, "bytes")
    return cache


def bench_reads(cache: WatchCache, objects: int) -> None:
    pods = cache.resource(PODS)
    report("scan of all", cpu_us(1, lambda: pods.scan(PODS)) / objects, "us/object")
    report("scan and join of a page of 500", cpu_us(1, lambda: _page(cache)), "us")
    count = cpu_us(1_000, lambda: [pods.count(PODS + b"ns-3/") for _ in range(1_000)])
    report("count of a namespace", count, "us")


def _page(cache: WatchCache) -> bytes:
    page = cache.resource(PODS).scan(PODS, start=key(5_000), limit=500)
    return b",{".join([item.body for item in page])


def bench_apply(objects: int) -> None:
    _, events = translated(objects, moved=False)
    entries = [Entry(Revision(e.revision - 1), e.revision, (e,)) for e in events]

    def apply_all() -> None:
        cache = WatchCache()
        cache.resource(PODS)
        cache.revision = Revision(1)
        for entry in entries:
            cache.apply(entry)

    report("apply, nobody watching, a new key each", cpu_us(objects, apply_all), "us/event")


def bench_dispatch(watchers: int) -> None:
    count = 400
    for name, moved, selector, drain in (
        ("all, drained at once per entry", False, None, True),
        ("all, left in the queue", False, None, False),
        ("labels that match", False, lambda _, s: s.labels.get("app") != "x", True),
        ("labels that do not match", False, lambda _, s: s.labels.get("app") == "x", True),
        ("a phase that is entered", True, lambda _, s: s.fields["status.phase"] == "Running", True),
    ):
        _, events = translated(count, moved=moved)
        best = float("inf")
        for _ in range(3):
            cache = WatchCache()
            cache.resource(PODS)
            cache.revision = Revision(1)
            open_ = [
                cache.resource(PODS).watch(after=Revision(1), matches=selector)
                for _ in range(watchers)
            ]
            start = time.process_time()
            for event in events:
                cache.apply(Entry(Revision(event.revision - 1), event.revision, (event,)))
                if drain:
                    _drain(cache, open_)
            best = min(best, time.process_time() - start)
        report(f"dispatch to {watchers}: {name}", best / count / watchers * 1e6, "us/watcher/event")


def _drain(cache: WatchCache, watchers: list[Watcher]) -> None:
    """What a connection does, without writing."""
    frame = cache.renderings.frame
    for watcher in watchers:
        for event in watcher.drain():
            frame(event)


def bench_callbacks(watchers: int) -> None:
    """As a server does it: on_ready asks for a drain, the loop runs it."""
    count = 400
    _, events = translated(count, moved=False)
    delivered = 0

    async def run() -> float:
        nonlocal delivered
        loop = asyncio.get_running_loop()
        cache = WatchCache()
        pods = cache.resource(PODS)
        cache.revision = Revision(1)
        ready = ReadyWatchers(loop)

        def connect() -> None:
            def drain() -> None:
                nonlocal delivered
                for event in watcher.drain():
                    cache.renderings.frame(event)
                    delivered += 1

            watcher = pods.watch(after=Revision(1), on_ready=partial(ready.add, drain))

        for _ in range(watchers):
            connect()
        start = time.process_time()
        for event in events:
            cache.apply(Entry(Revision(event.revision - 1), event.revision, (event,)))
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        return time.process_time() - start

    used = asyncio.run(run())
    assert delivered == count * watchers
    report(
        f"dispatch to {watchers}, by on_ready and one callback", used / delivered * 1e6, "us/event"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--watchers", type=int, default=500)
    options = parser.parse_args()
    bench_fanout()
    cache = bench_memory(options.objects)
    bench_reads(cache, options.objects)
    bench_apply(options.objects)
    bench_dispatch(options.watchers)
    bench_callbacks(options.watchers)


if __name__ == "__main__":
    main()
