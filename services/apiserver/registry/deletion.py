"""What a deletion does to an object: preconditions, grace periods, finalizers. Plain functions.

Source: kube-apiserver v1.36.2, apiserver/pkg/registry/rest/delete.go (BeforeDelete) and
apiserver/pkg/registry/generic/registry/store.go (deletionFinalizersForGarbageCollection,
markAsDeleting).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from services.apiserver.errors import Conflict
from services.apiserver.registry.interpret import details_of
from services.apiserver.registry.strategy import Object, Strategy, WriteContext
from services.apiserver.values.time import shifted
from shared.resources import Resource

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"


@dataclass(frozen=True, slots=True)
class Preconditions:
    """What a DELETE wants the object to be."""

    uid: str | None = None
    resource_version: str | None = None


@dataclass(frozen=True, slots=True)
class DeleteRequest:
    """The parts of DeleteOptions that decide what a deletion does."""

    grace_period_s: int | None = None
    propagation: str | None = None
    """Orphan, Background, Foreground, or None where nothing is asked for."""
    preconditions: Preconditions = Preconditions()


class Verdict(Enum):
    """What comes next for an object that is to be deleted."""

    REMOVE = auto()
    """Nothing holds it: it goes."""
    KEEP = auto()
    """It stays as `mark` left it, until its finalizers or its grace period are over."""
    PENDING = auto()
    """It is on its way already, and this request does not change how."""


class _Grace(Enum):
    """Where graceful deletion stands."""

    BEGUN = auto()
    PENDING = auto()
    OVER = auto()


def check_preconditions(resource: Resource, obj: Object, wanted: Preconditions) -> None:
    """Compare the uid and the resourceVersion that a DELETE names with the object's.

    Raises:
        Conflict: one differs; its details name the Kind, not the plural.
    """
    meta = obj["metadata"]
    for label, asked, there in (
        ("UID", wanted.uid, meta.get("uid", "")),
        ("ResourceVersion", wanted.resource_version, meta.get("resourceVersion", "")),
    ):
        if asked is not None and asked != there:
            raise Conflict(
                f'Operation cannot be fulfilled on {resource.kind} "{meta["name"]}": the {label} '
                f"in the precondition ({asked}) does not match the {label} in record "
                f"({there}). The object might have been deleted and then recreated",
                details=details_of(resource, meta["name"], kind=resource.kind),
            )


def mark(strategy: Strategy, ctx: WriteContext, obj: Object, request: DeleteRequest) -> Verdict:
    """Change `obj` as its deletion wants, and say what comes next."""
    meta = obj["metadata"]
    begun = False
    if strategy.graceful_deletion:
        grace = _mark_graceful(strategy, ctx, obj, request)
        if grace is _Grace.PENDING:
            return Verdict.PENDING
        begun = grace is _Grace.BEGUN
    finalizers = _finalizers(strategy, meta, request.propagation)
    if finalizers:
        meta["finalizers"] = finalizers
    else:
        meta.pop("finalizers", None)
    held = bool(finalizers) or strategy.is_held(obj)
    if held and not begun:
        _mark_held(strategy, ctx, obj)
    if held or (begun and meta["deletionGracePeriodSeconds"] > 0):
        return Verdict.KEEP
    return Verdict.REMOVE


def _mark_graceful(
    strategy: Strategy, ctx: WriteContext, obj: Object, request: DeleteRequest
) -> _Grace:
    """Begin the grace period, or shorten it: it never gets longer."""
    meta = obj["metadata"]
    wanted = request.grace_period_s
    if wanted is not None and wanted < 0:
        wanted = 1
    if "deletionTimestamp" in meta:
        present = meta.get("deletionGracePeriodSeconds", 0)
        if present < 0:
            present = 1
        if not present:
            # Also where a server died between marking the object and removing it.
            return _Grace.OVER
        if wanted is None or wanted >= present:
            return _Grace.PENDING
        meta["deletionTimestamp"] = shifted(meta["deletionTimestamp"], wanted - present)
        meta["deletionGracePeriodSeconds"] = wanted
        return _Grace.BEGUN
    period = strategy.grace_period_s(ctx, obj, wanted)
    meta["deletionTimestamp"] = shifted(ctx.now, period)
    meta["deletionGracePeriodSeconds"] = period
    if meta.get("generation"):
        meta["generation"] += 1
    return _Grace.BEGUN


def _mark_held(strategy: Strategy, ctx: WriteContext, obj: Object) -> None:
    """Mark an object that has no grace period but something that holds it."""
    meta = obj["metadata"]
    if "deletionTimestamp" not in meta:
        if meta.get("generation"):
            meta["generation"] += 1
        meta["deletionTimestamp"] = ctx.now
    elif meta["deletionTimestamp"] > ctx.now:
        meta["deletionTimestamp"] = ctx.now
    meta["deletionGracePeriodSeconds"] = 0
    strategy.mark_deleting(obj)


def _finalizers(strategy: Strategy, meta: Object, propagation: str | None) -> list[str]:
    """Return the finalizers that the propagation policy leads to."""
    present: list[str] = meta.get("finalizers", [])
    default = strategy.default_garbage_collection
    if default == "unsupported":
        return present
    if propagation is not None:
        orphan, foreground = propagation == "Orphan", propagation == "Foreground"
    else:
        # A finalizer that is there already overrides the kind's default.
        first = next((one for one in present if one in (ORPHAN, FOREGROUND)), None)
        orphan = first == ORPHAN or (first is None and default == "orphan")
        foreground = FOREGROUND in present
    wanted = [one for one in present if one not in (ORPHAN, FOREGROUND)]
    if orphan:
        wanted.append(ORPHAN)
    if foreground:
        wanted.append(FOREGROUND)
    # The same set in another order is no change.
    return present if set(wanted) == set(present) else wanted
