"""Kill a store under load and compare what it holds with what it had acknowledged."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from shared.storage import Revision, Storage
from tests.contract.storage_load import WRITERS, value_of


@dataclass
class Acknowledged:
    """The last thing that was acknowledged for every key."""

    puts: dict[str, int] = field(default_factory=dict)
    deletes: dict[str, int] = field(default_factory=dict)

    def add(self, lines: Iterable[str]) -> None:
        for line in lines:
            if not line.endswith("\n"):
                continue  # cut off by the kill: nobody was told
            what, key, revision = line.split()
            if what == "put":
                self.puts[key] = int(revision)
            else:
                del self.puts[key]
                self.deletes[key] = int(revision)

    def newest(self) -> int:
        return max([*self.puts.values(), *self.deletes.values()])


def load_until_killed(
    kind: str, where: str, writes: int, kill: Callable[[subprocess.Popen[str]], None]
) -> Acknowledged:
    """Run the load, call `kill` in the middle of it, return everything acknowledged."""
    acknowledged = Acknowledged()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.contract.storage_load", kind, where],
        stdout=subprocess.PIPE,
        text=True,
    ) as load:
        try:
            assert load.stdout is not None
            acknowledged.add(load.stdout.readline() for _ in range(writes))
            kill(load)
            acknowledged.add(load.stdout)
        finally:
            load.kill()
    return acknowledged


async def assert_survived(storage: Storage, acknowledged: Acknowledged) -> None:
    """Every acknowledged write is there; of the others at most one a writer."""
    page = await storage.list(b"/load/")
    found = {item.key.decode(): item for item in page.items}
    lost = {key for key in acknowledged.puts if key not in found}
    # A delete that was not answered may have happened all the same.
    assert len(lost) <= WRITERS
    assert all(int(key.rpartition("/")[2]) % 5 == 4 for key in lost)
    for key, revision in acknowledged.puts.items():
        if key not in lost:
            assert (found[key].revision, found[key].value) == (revision, value_of(key))
    assert not acknowledged.deletes.keys() & found.keys()
    unanswered = found.keys() - acknowledged.puts.keys()
    assert len(unanswered) <= WRITERS
    assert await storage.current_revision() >= acknowledged.newest()
    assert await storage.create(b"/load/after", b"") > Revision(acknowledged.newest())
