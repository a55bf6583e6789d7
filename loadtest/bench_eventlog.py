"""What the event log costs an appender, a reader and Redis for each event.

    python -m loadtest.bench_eventlog [--events 6000] [--seconds 3] [--rate 2000]

Starts a redis-server of its own. Objects of 3 KB, one connection each, uvloop; microseconds are
CPU of the process named. The last part follows an appender in another process.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager

import redis
import uvloop

from shared.eventlog import Entry, Event, EventLog, MemoryEventLog, Unpacker, pack_entry
from shared.eventlog.redis import RedisEventLog, RedisServer
from shared.objects import Selection, to_body
from shared.storage import Revision

OBJECT_BYTES = 3_000
END = b"end"


def event(revision: int, key: bytes = b"/registry/pods/default/pod") -> Event:
    stored = b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"%b"}}' % (b"x" * OBJECT_BYTES)
    prefix, body = to_body(stored, Revision(revision))
    labels = {"app": f"app-{revision % 100}", "pod-template-hash": "5d4f8c7b9"}
    fields = {"status.phase": "Running", "spec.nodeName": f"node-{revision % 50}"}
    return Event("MODIFIED", key, Revision(revision), prefix, body, Selection(labels, fields))


def entries(count: int, size: int) -> list[Entry]:
    """`count` events in entries of `size`."""
    return [
        Entry(Revision(n), Revision(n + size), tuple(event(n + i + 1) for i in range(size)))
        for n in range(0, count, size)
    ]


@contextmanager
def running_redis() -> Iterator[int]:
    """A redis-server that keeps nothing, on the port given."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with tempfile.TemporaryDirectory() as directory:
        command = f"redis-server --port {port} --bind 127.0.0.1 --appendonly no --dir {directory}"
        process = subprocess.Popen([*command.split(), "--save", ""], stdout=subprocess.DEVNULL)
        try:
            while socket.socket().connect_ex(("127.0.0.1", port)):
                time.sleep(0.02)
            yield port
        finally:
            process.kill()
            process.wait()


def redis_cpu_s(port: int) -> float:
    with redis.Redis(port=port) as client:
        cpu = client.info("cpu")
    return float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])


@asynccontextmanager
async def opened(port: int) -> AsyncIterator[RedisEventLog]:
    log = RedisEventLog(RedisServer(host="127.0.0.1", port=port))
    try:
        yield log
    finally:
        await log.aclose()


def report(what: str, value: float, unit: str) -> None:
    print(f"{what:<64}{value:>9.1f} {unit}")


async def append_all(log: EventLog, items: list[Entry]) -> None:
    for item in items:
        await log.append(item)


async def read_all(log: EventLog, last: Revision) -> None:
    async with aclosing(log.read(after=Revision(0))) as found:
        async for item in found:
            if item.revision >= last:
                return


def bench_packing(count: int) -> None:
    for size in (1, 8):
        items = entries(count, size)
        started = time.process_time()
        packed = [pack_entry(item) for item in items]
        half = time.process_time()
        unpacker = Unpacker()
        for one in packed:
            unpacker.entry(one)
        ended = time.process_time()
        report(f"pack, entries of {size}", (half - started) / count * 1e6, "us/event")
        report(f"unpack, entries of {size}", (ended - half) / count * 1e6, "us/event")


async def bench_backlog(port: int, count: int) -> None:
    """As fast as it goes: everything appended, then everything read."""
    for size in (1, 8, 64):
        items = entries(count, size)
        last = items[-1].revision
        memory = MemoryEventLog()
        started = time.process_time()
        await append_all(memory, items)
        report(
            f"append to memory, entries of {size}",
            (time.process_time() - started) / count * 1e6,
            "us/event",
        )
        with redis.Redis(port=port) as client:
            client.flushall()
        async with opened(port) as log:
            started, wall, of_redis = time.process_time(), time.perf_counter(), redis_cpu_s(port)
            await append_all(log, items)
            used, wall = time.process_time() - started, time.perf_counter() - wall
            report(f"append, entries of {size}", used / count * 1e6, "us/event")
            report("   Redis", (redis_cpu_s(port) - of_redis) / count * 1e6, "us/event")
            report("   one after the other", count / wall, "events/s")
            started, of_redis = time.process_time(), redis_cpu_s(port)
            await read_all(log, last)
            used = time.process_time() - started
            report(f"read a backlog, entries of {size}", used / count * 1e6, "us/event")
            report("   Redis", (redis_cpu_s(port) - of_redis) / count * 1e6, "us/event")
        async with opened(port) as successor:
            started_at = time.perf_counter()
            await successor.append(Entry(last, Revision(last + 1)))
            report(
                f"first append behind {len(items)} entries",
                (time.perf_counter() - started_at) * 1e3,
                "ms",
            )


async def bench_following(port: int, rate: int, seconds: float, size: int) -> None:
    """One reader, one appender in another process, `size` events an entry."""
    with redis.Redis(port=port) as client:
        client.flushall()
    appender = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtest.bench_eventlog"),
        *("--append-to", str(port), "--rate", str(rate), "--seconds", str(seconds)),
        *("--entry-events", str(size)),
    )
    lags: list[float] = []
    async with opened(port) as log, aclosing(log.read(after=Revision(0))) as found:
        await anext(found)
        started, of_redis = time.process_time(), redis_cpu_s(port)
        async for item in found:
            key = item.events[-1].key
            if key == END:
                break
            lags += [(time.monotonic_ns() - int(key)) / 1e6] * size
        used, of_redis = time.process_time() - started, redis_cpu_s(port) - of_redis
    await appender.wait()
    report(
        f"follow {len(lags) / seconds:.0f} events/s, entries of {size}",
        used / len(lags) * 1e6,
        "us/event",
    )
    report("   Redis, the appender's included", of_redis / len(lags) * 1e6, "us/event")
    cuts = statistics.quantiles(lags, n=100)
    report("   behind the appender, p50", cuts[49], "ms")
    report("   behind the appender, p99", cuts[98], "ms")


async def append_at(port: int, rate: int, seconds: float, size: int) -> None:
    """Append `rate` events a second; an event's key is the time of its making."""
    async with opened(port) as log:
        started = time.monotonic()
        last = 0
        while time.monotonic() - started < seconds:
            key = b"%d" % time.monotonic_ns()
            events = tuple(event(last + number + 1, key) for number in range(size))
            await log.append(Entry(Revision(last), Revision(last + size), events))
            last += size
            await asyncio.sleep(max(started + last / rate - time.monotonic(), 0))
        await log.append(Entry(Revision(last), Revision(last + 1), (event(last + 1, END),)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=6_400)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rate", type=int, default=2_000, help="events/s that are followed")
    parser.add_argument("--entry-events", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--append-to", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.append_to:
        uvloop.run(
            append_at(options.append_to, options.rate, options.seconds, options.entry_events)
        )
        return
    if shutil.which("redis-server") is None:
        print("redis-server is not installed")
        return
    bench_packing(options.events)
    with running_redis() as port:
        uvloop.run(bench_backlog(port, options.events))
        for rate, size in ((options.rate // 10, 1), (options.rate, 1), (options.rate, 8)):
            uvloop.run(bench_following(port, rate, options.seconds, size))


if __name__ == "__main__":
    main()
