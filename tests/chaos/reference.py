"""What happened, in order of revisions: put together from all that clients wrote and saw.

An acknowledged write tells its revision. One without an answer counts if somebody saw its mark;
a deletion counts where somebody saw it, since its answer holds no revision. What does not fit
together here is a violation already.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from tests.chaos.history import UNCONDITIONAL, History, Outcome, Seen, Write


@dataclass(frozen=True, slots=True)
class Change:
    """An object as of a revision. `mark` "": it was deleted then."""

    revision: int
    name: str
    mark: str
    group: str
    write: Write | None
    """Whose it was; None where nobody is known to have written it."""


@dataclass(frozen=True, slots=True)
class Reference:
    changes: tuple[Change, ...]
    """Of all objects, by revision."""
    by_name: dict[str, tuple[Change, ...]]
    acknowledged: dict[Write, Change]
    """The change of each acknowledged write that left one."""
    mistakes: tuple[str, ...]


def build(history: History) -> Reference:
    mistakes = list(history.contradictions)
    changes = _puts(history, mistakes)
    deletions = {
        revision: seen for revision, seen in history.seen_deleted.items() if revision not in changes
    }
    for revision, seen in deletions.items():
        changes[revision] = Change(revision, seen.name, "", "", None)
    by_name: dict[str, list[Change]] = defaultdict(list)
    for revision in sorted(changes):
        by_name[changes[revision].name].append(changes[revision])
    chains = _with_deleters(history.writes, by_name, deletions, mistakes)
    ordered = sorted(
        (change for chain in chains.values() for change in chain), key=lambda one: one.revision
    )
    acknowledged = {
        change.write: change
        for change in ordered
        if change.write is not None and change.write.outcome is Outcome.OK
    }
    return Reference(tuple(ordered), chains, acknowledged, tuple(mistakes))


def _puts(history: History, mistakes: list[str]) -> dict[int, Change]:
    """Return creates and updates by revision."""
    changes: dict[int, Change] = {}
    by_mark = {write.mark: write for write in history.writes if write.mark}
    for write in history.writes:
        if write.outcome is not Outcome.OK or not write.mark:
            continue
        if (other := changes.get(write.revision)) is not None:
            mistakes.append(f"two writes have one revision: {write} and {other.write}")
        changes[write.revision] = Change(write.revision, write.name, write.mark, write.group, write)
    applied: dict[str, int] = {}
    for revision, seen in sorted(history.seen.items()):
        write_seen = by_mark.get(seen.mark)
        if (mistake := _does_not_fit(revision, seen, write_seen)) is not None:
            mistakes.append(mistake)
        if applied.setdefault(seen.mark, revision) != revision:
            mistakes.append(
                f"one write took effect twice, at {applied[seen.mark]} and {revision}: {write_seen}"
            )
        changes.setdefault(revision, Change(revision, seen.name, seen.mark, seen.group, write_seen))
    return changes


def _does_not_fit(revision: int, seen: Seen, write: Write | None) -> str | None:
    if write is None:
        return f"revision {revision} shows what nobody wrote: {seen}"
    if write.outcome is Outcome.FAILED:
        return f"a refused write took effect at {revision}: {write}"
    if (write.name, write.group) != (seen.name, seen.group):
        return f"revision {revision} shows {seen} for {write}"
    if write.outcome is Outcome.OK and write.revision != revision:
        return f"seen at revision {revision}: {write}"
    return None


def _with_deleters(
    writes: Iterable[Write],
    by_name: dict[str, list[Change]],
    deletions: dict[int, Seen],
    mistakes: list[str],
) -> dict[str, tuple[Change, ...]]:
    """Put to each deletion the delete that did it: the one guarded by what it deleted."""
    deletes: dict[tuple[str, int], list[Write]] = defaultdict(list)
    for write in writes:
        if write.verb == "delete" and write.outcome is not Outcome.FAILED:
            deletes[write.name, write.guard].append(write)
    chains: dict[str, tuple[Change, ...]] = {}
    for name, chain in by_name.items():
        complete = []
        before: Change | None = None
        for change in chain:
            if change.revision in deletions:
                change = _deletion(change, before, deletes, deletions[change.revision], mistakes)
            complete.append(change)
            before = change
        chains[name] = tuple(complete)
    for undone in deletes.values():
        mistakes.extend(
            f"an acknowledged delete that nobody saw: {write}"
            for write in undone
            if write.outcome is Outcome.OK
        )
    return chains


def _deletion(
    change: Change,
    before: Change | None,
    deletes: dict[tuple[str, int], list[Write]],
    seen: Seen,
    mistakes: list[str],
) -> Change:
    guard = before.revision if before is not None else 0
    if before is not None and before.mark != seen.mark:
        mistakes.append(f"deletion {change.revision} of {seen} shows not the last state {before}")
    candidates = deletes.get((change.name, guard), [])
    if not candidates:
        mistakes.append(f"{change.name} was deleted at {change.revision} by nobody")
        return change
    # Of several without an answer any may have been it; an acknowledged one was.
    write = min(candidates, key=lambda one: (one.outcome is not Outcome.OK, one.began))
    candidates.remove(write)
    return Change(change.revision, change.name, "", "", write)


def broken_chains(reference: Reference) -> Iterable[str]:
    """Say where a conditional write did not stand on the change right before it."""
    for chain in reference.by_name.values():
        before: Change | None = None
        for change in chain:
            write = change.write
            there = before.revision if before is not None and before.mark else 0
            if write is not None and write.guard not in (UNCONDITIONAL, there):
                yield f"at revision {change.revision}, on top of {there}: {write}"
            before = change
