"""The promises, as functions over a history: each yields what breaks it.

1. `writes`: no acknowledged write is lost or done twice; the updates of an object form one chain,
   each on top of the one that it named; what was refused did not happen; revisions follow time.
2. `gets`, `listings`: a consistent read shows all that was acknowledged before it began, one with
   resourceVersion=N nothing older than N, an exact one N itself; every list, also one of many
   pages, is the state at exactly the revision that it names.
3. `watches`: a watcher saw every change of its selection once and in order, over everything
   between its list and where it was last, however often it reconnected.
4. `gone`: 410 came only where history is gone.
5. `replicas`: the same revision is the same bytes wherever it was read.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from tests.chaos.history import (
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
from tests.chaos.reference import Change, Reference, broken_chains, build

KEPT_REVISIONS = 5_000
"""How far back a watch can be resumed at any time, also right after a restart."""


@dataclass(frozen=True, slots=True)
class Violation:
    promise: str
    text: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.text}"


def check(history: History, *, kept_revisions: int = KEPT_REVISIONS) -> tuple[Violation, ...]:
    """Return everything in the history that breaks a promise."""
    reference = build(history)
    found: Mapping[str, Iterable[str]] = {
        "writes": (*reference.mistakes, *writes(reference)),
        "gets": gets(history, reference),
        "listings": listings(history, reference),
        "watches": watches(history, reference),
        "gone": gone(history, kept_revisions),
        "replicas": replicas(history),
    }
    return tuple(Violation(promise, text) for promise, texts in found.items() for text in texts)


def writes(reference: Reference) -> Iterator[str]:
    yield from broken_chains(reference)
    floor = Acknowledged(reference)
    for write, change in reference.acknowledged.items():
        before = floor.at(write.began)
        if before >= change.revision:
            yield f"revision {before} was acknowledged before {change.revision} began: {write}"


class Acknowledged:
    """The newest revision that was acknowledged by a time."""

    def __init__(self, reference: Reference) -> None:
        pairs = sorted((w.ended, change.revision) for w, change in reference.acknowledged.items())
        self._times = [ended for ended, _ in pairs]
        self._newest = list(accumulate((revision for _, revision in pairs), max))

    def at(self, time: float) -> int:
        """Return the newest revision acknowledged before `time`, 0 if none was."""
        position = bisect_right(self._times, time)
        return self._newest[position - 1] if position else 0


def gets(history: History, reference: Reference) -> Iterator[str]:
    # Absent before its first change: a state like any other.
    absent = Change(0, "", "", "", None)
    states_of = {name: (absent, *chain) for name, chain in reference.by_name.items()}
    for get in history.gets:
        states = states_of.get(get.name, (absent,))
        fitting = [i for i, state in enumerate(states) if get.revision == _visible(state)]
        possible = [i for i in fitting if not _predates(states[i], get)]
        if not fitting:
            yield f"shows no state there ever was: {get}"
        elif not possible:
            yield f"shows what was written only later: {get}"
        elif not _fresh(states[possible[-1] + 1 :], get):
            yield f"shows an old state: {get}, then came {states[possible[-1] + 1].write}"


def _visible(state: Change) -> int:
    return state.revision if state.mark else 0


def _predates(state: Change, get: Get) -> bool:
    return state.write is not None and state.write.began > get.ended


def _fresh(later: Iterable[Change], get: Get) -> bool:
    """Tell whether a read could still show the state before the changes `later`."""
    for change in later:
        if get.freshness is Freshness.NOT_OLDER and change.revision <= get.wanted:
            return False
        if get.freshness is Freshness.CONSISTENT and _acknowledged(change, before=get.began):
            return False
    return True


def _acknowledged(change: Change, *, before: float) -> bool:
    write = change.write
    return write is not None and write.outcome is Outcome.OK and write.ended < before


def listings(history: History, reference: Reference) -> Iterator[str]:
    floor = Acknowledged(reference)
    state: dict[str, Change] = {}
    changes = iter((*reference.changes, None))
    coming = next(changes)
    for listing in sorted(history.listings, key=lambda one: one.revision):
        while coming is not None and coming.revision <= listing.revision:
            if coming.mark:
                state[coming.name] = coming
            else:
                state.pop(coming.name, None)
            coming = next(changes)
        yield from _freshness(listing, floor)
        expected = revisions(
            [
                change.revision
                for name, change in sorted(state.items())
                if listing.selection.matches(name, change.group)
            ]
        )
        if expected != listing.items:
            yield f"not the state at its revision: {listing}; {_difference(expected, listing)}"


def _freshness(listing: Listing, floor: Acknowledged) -> Iterator[str]:
    match listing.freshness:
        case Freshness.CONSISTENT:
            acknowledged = floor.at(listing.began)
            if listing.revision < acknowledged:
                yield f"older than {acknowledged}, acknowledged before it began: {listing}"
        case Freshness.NOT_OLDER:
            if listing.revision < listing.wanted:
                yield f"older than asked for: {listing}"
        case Freshness.EXACT:
            if listing.revision != listing.wanted:
                yield f"not the revision asked for: {listing}"
        case Freshness.ANY:
            pass


def _difference(expected: Iterable[int], listing: Listing) -> str:
    missing = sorted(set(expected) - set(listing.items))[:5]
    surplus = sorted(set(listing.items) - set(expected))[:5]
    if not missing and not surplus:
        return "in another order"
    return f"without {missing}, with {surplus}"


def watches(history: History, reference: Reference) -> Iterator[str]:
    for watch in history.watches:
        for segment in watch.segments:
            yield from _backwards(watch, segment)
            yield from _unlike(watch, segment, reference)


def _backwards(watch: Watch, segment: Segment) -> Iterator[str]:
    position = segment.start
    for kind, revision in segment:
        if revision < position or (revision == position and kind is not Kind.BOOKMARK):
            yield f"{watch.client}: {kind.name} {revision} came after {position}"
        position = max(position, revision)


def _unlike(watch: Watch, segment: Segment, reference: Reference) -> Iterator[str]:
    seen = [(kind, revision) for kind, revision in segment if kind is not Kind.BOOKMARK]
    end = max((revision for _, revision in segment), default=segment.start)
    expected = list(events(reference, watch.selection, after=segment.start, until=end))
    if seen == expected:
        return
    title = f"{watch.client} [{watch.selection.query}] from {segment.start} to {end}"
    missing = sorted(set(expected) - set(seen), key=lambda one: one[1])
    surplus = sorted(set(seen) - set(expected), key=lambda one: one[1])
    doubled = len(seen) - len(set(seen))
    yield (
        f"{title}: {len(missing)} missing {_some(missing)}, "
        f"{len(surplus)} that should not have come {_some(surplus)}, {doubled} doubled"
    )


def _some(events: Iterable[tuple[Kind, int]]) -> str:
    return " ".join(f"{kind.name}@{revision}" for kind, revision in list(events)[:5])


def events(
    reference: Reference, selection: Selection, *, after: int, until: int
) -> Iterator[tuple[Kind, int]]:
    """Yield what a watcher of `selection` is to see of the revisions in (after, until]."""
    selected: set[str] = set()
    for change in reference.changes:
        if change.revision > until:
            return
        was = change.name in selected
        is_now = bool(change.mark) and selection.matches(change.name, change.group)
        if is_now:
            selected.add(change.name)
        else:
            selected.discard(change.name)
        if change.revision > after and (was or is_now):
            kind = Kind.DELETED if not is_now else Kind.MODIFIED if was else Kind.ADDED
            yield kind, change.revision


def gone(history: History, kept_revisions: int) -> Iterator[str]:
    times = [time for time, _ in history.compactions]
    for one in history.gone:
        # As the store was when it was asked next: what it had forgotten by then.
        known = history.compactions[bisect_right(times, one.at) :] or history.compactions[-1:]
        compacted = known[0][1] if known else 0
        if one.asked >= compacted and one.newest - one.asked <= kept_revisions:
            yield (
                f"{one.what} from {one.asked} at {one.at:.3f}, though the newest was {one.newest}"
                f" and only {compacted} is compacted"
            )


def replicas(history: History) -> Iterator[str]:
    objects: dict[tuple[str, int], Get] = {}
    for get in history.gets:
        if get.revision and get.digest:
            other = objects.setdefault((get.name, get.revision), get)
            if other.digest != get.digest:
                yield f"other bytes of one revision: {get} and {other}"
    lists: dict[tuple[str, int], list[Listing]] = defaultdict(list)
    for listing in history.listings:
        if listing.digest:
            lists[listing.selection.query, listing.revision].append(listing)
    for same in lists.values():
        for listing in same[1:]:
            if listing.digest != same[0].digest:
                yield f"other bytes at one revision: {listing} and {same[0]}"
