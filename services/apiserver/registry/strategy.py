"""Strategy: what differs between kinds on the write path. One subclass a kind, in kinds/.

The generic flow (handlers/) calls the hooks in this order:

    create: decode → default → [mutating admission → default] → prepare_for_create →
            metadata rules + validate_create → [validating admission] → allocate → storage
    update: decode → default → [mutating admission → default] → prepare_for_update →
            metadata rules + validate_update → [validating admission] → allocate → storage

Objects are plain dicts in the API's JSON form, decoded (types are right, unknown fields
are gone, zero values are left out where Go's omitempty leaves them out). Hooks change the
new object in place and never the old one.
Source of the shape: kube-apiserver v1.36.2, apiserver/pkg/registry/rest (create.go, update.go).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from services.apiserver.audit import NO_AUDIT, Audit
from services.apiserver.errors import Cause
from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.apiserver.validation.names import dns1123_subdomain
from shared.resources import Resource

Object = dict[str, Any]
"""An API object as decoded JSON."""

GarbageCollection = Literal["background", "orphan", "unsupported"]


class Lookup(Protocol):
    """Reads other objects, from the watch cache; what admission and validation may see."""

    def get(self, group: str, resource: str, namespace: str, name: str) -> Object | None:
        """Return a decoded copy of an object (storage version), None if it is not there."""
        ...

    def list(self, group: str, resource: str, namespace: str = "") -> list[Object]:
        """Return decoded copies of all objects of a namespace ("" = all namespaces)."""
        ...

    async def get_live(self, group: str, resource: str, namespace: str, name: str) -> Object | None:
        """Like `get`, but read from storage, where the cache may lag behind."""
        ...


@dataclass(slots=True)
class WriteContext:
    """What the hooks may know of the request besides the object.

    `now` is the request's time in RFC 3339 with seconds (UTC, Z). `warnings` become Warning
    headers; append texts without quoting. `audit` takes annotations of the audit event.
    """

    info: RequestInfo
    user: UserInfo
    now: str
    lookup: Lookup
    dry_run: bool = False
    warnings: list[str] = field(default_factory=list)
    audit: Audit = NO_AUDIT


class ScaleView(Protocol):
    """An object seen as autoscaling/v1 Scale."""

    def to_scale(self, obj: Object, resource: Resource) -> Object:
        """Return the Scale of an object."""
        ...

    def before_patch(self, obj: Object, resource: Resource) -> Object:
        """Return the Scale that a patch is applied to."""
        ...

    def apply(self, obj: Object, scale: Object) -> Object:
        """Return a copy of the object with the replicas and resourceVersion of a Scale."""
        ...

    def validate(self, scale: Object) -> list[Cause]:
        """Return what is wrong with a Scale, at its own fields."""
        ...


class Strategy:
    """The generic kind: metadata rules only. Kinds override what differs."""

    create_on_update = False
    """PUT on a missing name creates it (201) instead of 404."""
    unconditional_update = True
    """PUT without resourceVersion is allowed; otherwise 422 at metadata.resourceVersion."""
    has_generation = False
    """metadata.generation is the server's: 1 at creation, +1 when the spec changes."""
    returns_deleted_object = False
    """DELETE answers with the object instead of a Success Status."""
    has_status = False
    """Has a status that only the status subresource may write."""
    graceful_deletion = False
    """Deletion marks the object with a time and a grace period before it removes it (pods)."""
    default_garbage_collection: GarbageCollection = "background"
    """What a DELETE without a propagation policy does with dependents; "unsupported" ignores
    policies altogether."""
    standard_finalizers_only = True
    """Finalizers without a domain must be Kubernetes' own."""
    scale: ScaleView | None = None
    """How /scale shows and changes an object; None: as the built-in kinds do."""
    ttl_s: int | None = None
    """Seconds after which an object of this kind expires; None: it stays."""

    def default(self, obj: Object) -> None:
        """Fill in the kind's defaults (versioned defaulting); must be idempotent."""

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        """Drop what clients may not set. The base drops the status and sets the generation."""
        if self.has_status:
            obj.pop("status", None)
        if self.has_generation:
            obj["metadata"]["generation"] = 1

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        """Return the kind's own field errors; metadata has been checked by the caller."""
        return []

    def warn_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        return []

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        """Carry over what this endpoint may not change. The base keeps the old status, and
        raises the generation when `generation_moves`."""
        if self.has_status:
            keep(obj, old, "status")
        if self.has_generation:
            generation = old["metadata"].get("generation", 0)
            moved = self.generation_moves(obj, old)
            obj["metadata"]["generation"] = generation + 1 if moved else generation

    def generation_moves(self, obj: Object, old: Object) -> bool:
        """Whether this update raises metadata.generation. The base: the spec changed."""
        return bool(obj.get("spec") != old.get("spec"))

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return []

    def warn_on_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[str]:
        return []

    def validate_name(self, name: str) -> list[str]:
        """Return what is wrong with metadata.name (messages); a DNS subdomain by default."""
        return dns1123_subdomain(name)

    def allocate(
        self, ctx: WriteContext, obj: Object, old: Object | None
    ) -> AbstractAsyncContextManager[None]:
        """Reserve what must be unique across objects (addresses, ports) around the write.

        Entered after validation; may change `obj`; if the body raises, the reservation is
        given back. Not entered for deletions; see `after_delete`.
        """
        return nullcontext()

    async def after_delete(self, ctx: WriteContext, obj: Object) -> None:
        """Give back what `allocate` reserved; called once the object is gone from storage."""

    def grace_period_s(self, ctx: WriteContext, obj: Object, requested: int | None) -> int:
        """Return the seconds of graceful deletion; 0 removes the object at once."""
        return 0

    def is_held(self, obj: Object) -> bool:
        """Whether something besides metadata.finalizers keeps a deleted object alive."""
        return False

    def mark_deleting(self, obj: Object) -> None:
        """Change what else a kind changes when its deletion begins (a namespace's phase)."""

    def warn_on_delete(self, ctx: WriteContext, obj: Object, propagation: str | None) -> list[str]:
        """Return warnings for a DELETE; `propagation` is the policy asked for, None if none."""
        return []

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        """Return the subresources that read and write the object itself: status, resize, ..."""
        return {"status": StatusSubresource(self)} if self.has_status else {}


class UpdateSubresource:
    """A subresource that shows the whole object and may change a part of it."""

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        """Reset all that this subresource may not change to `old`."""

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return []

    def warn_on_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[str]:
        return []


class StatusSubresource(UpdateSubresource):
    """/status: the status and, for most kinds, metadata; everything else stays."""

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        for name in [name for name in obj if name not in ("status", "metadata")]:
            del obj[name]
        for name, value in old.items():
            if name not in ("status", "metadata"):
                obj[name] = value
        if self.strategy.has_generation:
            keep(obj["metadata"], old["metadata"], "generation")


def keep(obj: Object, old: Object, *names: str) -> None:
    """Make the fields `names` of `obj` what they are in `old`, absent where they are absent."""
    for name in names:
        if name in old:
            obj[name] = old[name]
        else:
            obj.pop(name, None)


StrategyFactory = Callable[[], Strategy]
