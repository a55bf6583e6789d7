"""What clients did and what they saw: the records that the checker judges.

Times are of one monotonic clock. Every write puts a mark of its own into the object, so that what
is seen later can be traced to the write that made it. A change is known by its revision alone,
since each write is a transaction of its own: lists and watches are kept as numbers, and what the
objects of those revisions held is kept once (`Seen`). So an hour fits into memory.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

UNCONDITIONAL = -1
"""The `guard` of a write that names no resourceVersion."""


class Outcome(StrEnum):
    OK = "ok"
    FAILED = "failed"
    """The answer says that nothing was done."""
    UNKNOWN = "unknown"
    """No answer, or one that leaves open whether it was done."""


@dataclass(frozen=True, slots=True)
class Write:
    """A create (`guard` 0), an update on top of the revision `guard`, or a delete of it."""

    verb: str
    name: str
    guard: int
    mark: str
    began: float
    ended: float
    outcome: Outcome
    group: str = ""
    """The label that selectors select by."""
    revision: int = 0
    """Of an acknowledged create or update; the answer to a delete does not tell it."""

    def __str__(self) -> str:
        return (
            f"{self.verb} {self.name} on {self.guard} -> {self.outcome} {self.revision or ''}"
            f" ({self.mark}, {self.began:.3f}-{self.ended:.3f})"
        )


class Freshness(StrEnum):
    """What a read asks for."""

    CONSISTENT = "consistent"
    """No resourceVersion: everything acknowledged before."""
    NOT_OLDER = "not older"
    """resourceVersion=N: the state at N or newer."""
    EXACT = "exact"
    """resourceVersion=N&resourceVersionMatch=Exact, of lists."""
    ANY = "any"
    """resourceVersion=0."""


@dataclass(frozen=True, slots=True)
class Get:
    """An answered GET. `revision` 0: there was no such object."""

    name: str
    freshness: Freshness
    wanted: int
    revision: int
    began: float
    ended: float
    where: str
    digest: bytes = b""

    def __str__(self) -> str:
        return (
            f"get {self.name} ({self.freshness} {self.wanted or ''}) at {self.where}"
            f" -> {self.revision} ({self.began:.3f}-{self.ended:.3f})"
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """What a list or watch selects. `query` says the same to the server."""

    query: str = ""
    groups: frozenset[str] | None = None
    name: str | None = None

    def matches(self, name: str, group: str) -> bool:
        return (self.name is None or name == self.name) and (
            self.groups is None or group in self.groups
        )


EVERYTHING = Selection()


@dataclass(frozen=True, slots=True)
class Listing:
    """An answered list, all pages of it; `items` are the objects' revisions in order."""

    selection: Selection
    freshness: Freshness
    wanted: int
    revision: int
    items: array[int]
    began: float
    ended: float
    where: str
    pages: int = 1
    digest: bytes = b""
    """Of the answer's bytes; b"" where there were several pages."""

    def __str__(self) -> str:
        return (
            f"list [{self.selection.query}] ({self.freshness} {self.wanted or ''}) at {self.where}"
            f" -> {self.revision} ({self.began:.3f}-{self.ended:.3f}, {self.pages} pages)"
        )


class Kind(IntEnum):
    """What a line of a watch says."""

    ADDED = 0
    MODIFIED = 1
    DELETED = 2
    BOOKMARK = 3


@dataclass(slots=True)
class Segment:
    """What a watcher saw between a list and the next: one watch to it, however often resumed."""

    start: int
    """The revision of the list."""
    resumes: int = 0
    _lines: array[int] = field(default_factory=lambda: array("q"))

    def add(self, kind: Kind, revision: int) -> None:
        self._lines.append(revision * len(Kind) + kind)

    def __iter__(self) -> Iterator[tuple[Kind, int]]:
        for line in self._lines:
            revision, kind = divmod(line, len(Kind))
            yield Kind(kind), revision

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def position(self) -> int:
        """Where the client would resume."""
        return self._lines[-1] // len(Kind) if self._lines else self.start


@dataclass(slots=True)
class Watch:
    """One client that lists once and watches from there, again and again."""

    client: str
    selection: Selection
    segments: list[Segment] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Gone:
    """A 410. `newest`: the newest revision the client's process knew of when it came."""

    what: str
    asked: int
    newest: int
    at: float


@dataclass(frozen=True, slots=True)
class Seen:
    """The object as of a revision, by whoever saw it first. `deleted`: a DELETED event's, with
    the last mark the watcher could see."""

    name: str
    mark: str
    group: str
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    kind: str
    target: str
    began: float
    ended: float


@dataclass(slots=True)
class History:
    writes: list[Write] = field(default_factory=list)
    gets: list[Get] = field(default_factory=list)
    listings: list[Listing] = field(default_factory=list)
    watches: list[Watch] = field(default_factory=list)
    gone: list[Gone] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    seen: dict[int, Seen] = field(default_factory=dict)
    seen_deleted: dict[int, Seen] = field(default_factory=dict)
    """Apart from `seen`: to a selector, an object that leaves it is DELETED too."""
    contradictions: list[str] = field(default_factory=list)
    compactions: list[tuple[float, int]] = field(default_factory=list)
    """Up to which revision the store had forgotten its history when it was asked, in time."""
    failures: Counter[str] = field(default_factory=Counter)
    """Requests without a useful answer, by what came instead."""
    newest: int = 0

    def see(self, revision: int, what: Seen, where: str) -> None:
        """Note what an object held as of `revision`; two who saw different things contradict."""
        self.newest = max(self.newest, revision)
        known = (self.seen_deleted if what.deleted else self.seen).setdefault(revision, what)
        if known != what:
            self.contradictions.append(f"revision {revision}: {known}, but {where} saw {what}")

    def counts(self) -> dict[str, int]:
        counts = Counter[str]()
        counts.update(f"{write.verb} {write.outcome}" for write in self.writes)
        counts.update(f"get {get.freshness}" for get in self.gets)
        counts.update(
            f"{'paged ' if one.pages > 1 else ''}list {one.freshness}" for one in self.listings
        )
        counts["watches"] = len(self.watches)
        counts["watch lines"] = sum(len(one) for watch in self.watches for one in watch.segments)
        counts["watch resumes"] = sum(
            one.resumes for watch in self.watches for one in watch.segments
        )
        counts["410"] = len(self.gone)
        counts.update(f"fault {fault.kind} {fault.target}" for fault in self.faults)
        counts.update(f"without answer: {what}" for what in self.failures.elements())
        return dict(sorted(counts.items()))


def revisions(numbers: Sequence[int]) -> array[int]:
    return array("q", numbers)
