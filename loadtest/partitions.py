"""What consistent reads wait if the stream is partitioned: a simulation.

    python -m loadtest.partitions

Writes arrive at random and belong to one of P partitions; each reaches the caches after a lag. A
read of one partition learns etcd's revision and waits until that partition has passed it: by an
event of its own, or by a progress entry, which its leader asks etcd for while somebody waits, at
most once an interval. Prints the waiting time of reads, and progress entries a second.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

SECONDS = 20.0
LAG_S = 0.003
"""From a commit to the caches, and from a question for progress to its entry there."""


@dataclass(frozen=True, slots=True)
class Outcome:
    p50_ms: float
    p99_ms: float
    progress_a_second: float


def simulate(
    partitions: int, writes_a_second: float, reads_a_second: float, interval_s: float, seed: int = 1
) -> Outcome:
    """Return what reads of the quietest partition wait.

    Half of the writes go to the first partition, as events and leases do, the rest evenly.
    """
    chance = random.Random(seed)
    # What matters of a write is when, and whether it is of the partition that is read.
    writes: list[tuple[float, bool]] = []
    now = 0.0
    share = 1.0 if partitions == 1 else 0.5 / (partitions - 1)
    while now < SECONDS:
        now += chance.expovariate(writes_a_second)
        writes.append((now, chance.random() < share))
    waits: list[float] = []
    progress = 0
    next_question = 0.0
    answered_up_to = -1.0  # the moment of etcd that the last progress entry covers
    entry_at = -1.0
    position = 0
    now = 0.0
    while True:
        now += chance.expovariate(reads_a_second)
        if now >= SECONDS:
            break
        while position < len(writes) and writes[position][0] <= now:
            position += 1
        if position == 0:
            continue
        newest_at = writes[position - 1][0]
        own_at = next((at for at, own in reversed(writes[:position]) if own), -1.0)
        done = []
        if own_at == newest_at:
            done.append(own_at + LAG_S)
        if answered_up_to >= newest_at:
            done.append(entry_at)
        following = next((at for at, own in writes[position:] if own), SECONDS)
        done.append(following + LAG_S)
        if min(done) > now and own_at != newest_at and answered_up_to < newest_at:
            asked_at = max(now, next_question)
            next_question = asked_at + interval_s
            answered_up_to, entry_at = asked_at, asked_at + LAG_S
            progress += 1
            done.append(entry_at)
        waits.append(max(min(done) - now, 0.0))
    waits.sort()
    return Outcome(
        waits[len(waits) // 2] * 1000, waits[len(waits) * 99 // 100] * 1000, progress / SECONDS
    )


def main() -> None:
    print("partitions  writes/s  reads/s  interval ms   wait p50 ms  p99 ms  progress entries/s")
    for partitions in (1, 4, 16):
        for writes in (200.0, 2000.0):
            for interval_ms in (2, 10):
                found = simulate(partitions, writes, 500.0, interval_ms / 1000)
                print(
                    f"{partitions:10}  {writes:8.0f}  {500:7}  {interval_ms:11}   "
                    f"{found.p50_ms:11.1f}  {found.p99_ms:6.1f}  {found.progress_a_second:18.0f}"
                )


if __name__ == "__main__":
    main()
