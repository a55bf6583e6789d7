"""ResourceStore: writes the objects of one resource, whatever its kind.

The write flow below the handlers: fill in system fields, prepare and validate by the
strategy, one guarded transaction, and the stored bytes become the answer's bytes.
Source: kube-apiserver v1.36.2, apiserver/pkg/registry/generic/registry/store.go and
apiserver/pkg/registry/rest/{create,update,delete}.go.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import orjson

from services.apiserver.errors import ApiError, Cause
from services.apiserver.http.request import new_uuid
from services.apiserver.registry.deletion import (
    DeleteRequest,
    Verdict,
    check_preconditions,
    mark,
)
from services.apiserver.registry.interpret import (
    already_exists,
    invalid,
    modified,
    not_found,
    uid_conflict,
)
from services.apiserver.registry.objects import Current, StoredObjects
from services.apiserver.registry.strategy import Object, UpdateSubresource, WriteContext, keep
from services.apiserver.validation.field import invalid as invalid_field
from services.apiserver.validation.metadata import (
    validate_metadata_create,
    validate_metadata_update,
)
from shared.objects.wire import to_body
from shared.storage import (
    KeyExists,
    RevisionConflict,
)

GENERATED_SUFFIX_LENGTH = 5
GENERATED_PREFIX_LENGTH = 58
GENERATED_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
GENERATE_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Written:
    """What a write left: the wire body to answer with."""

    body: bytes
    created: bool = False
    removed: bool = False


Check = Callable[[Object, Object | None], Awaitable[None]]
"""Validating admission: gets the new and the old object, raises ApiError to refuse."""

Change = Callable[[Object | None], Awaitable[Object]]
"""Makes the wanted object out of the present one (None: there is none)."""


async def no_check(obj: Object, old: Object | None) -> None:
    """Admission that lets everything pass."""


class _MaybeStale(Exception):
    """What was read from the cache needs a look at the storage before it is judged."""


class ResourceStore(StoredObjects):
    """The objects of one resource in one version, to be read and written."""

    # -- creating ------------------------------------------------------------------

    def fill_system_fields(self, ctx: WriteContext, obj: Object) -> None:
        """Give a new object its uid, creation time and, for generateName, its name.

        Done before admission, which sees them.
        """
        meta = obj["metadata"]
        meta["uid"] = new_uuid()
        meta["creationTimestamp"] = ctx.now
        meta.pop("deletionTimestamp", None)
        meta.pop("deletionGracePeriodSeconds", None)
        meta.pop("selfLink", None)
        if not self.resource.namespaced:
            meta.pop("namespace", None)
        if meta.get("generateName") and not meta.get("name"):
            meta["name"] = generated_name(meta["generateName"])

    async def create(self, ctx: WriteContext, obj: Object, *, check: Check = no_check) -> Written:
        """Store a new object, which has its system fields and passed mutating admission.

        Raises:
            Invalid: the object breaks a rule.
            AlreadyExists: the name is taken.
        """
        strategy = self.strategy
        strategy.prepare_for_create(ctx, obj)
        causes = validate_metadata_create(
            obj,
            namespaced=self.resource.namespaced,
            validate_name=strategy.validate_name,
            standard_finalizers_only=strategy.standard_finalizers_only,
        )
        causes += strategy.validate_create(ctx, obj)
        if causes:
            raise invalid(self.resource, obj["metadata"].get("name", ""), causes)
        ctx.warnings += strategy.warn_on_create(ctx, obj)
        async with strategy.allocate(ctx, obj, None):
            await check(obj, None)
            version = obj["metadata"].pop("resourceVersion", "")
            if version not in ("", "0"):
                raise ApiError("resourceVersion should not be set on objects to be created")
            generated = bool(obj["metadata"].get("generateName"))
            for attempt in range(GENERATE_ATTEMPTS):
                try:
                    return await self._insert(ctx, obj)
                except KeyExists as error:
                    if not generated or attempt == GENERATE_ATTEMPTS - 1:
                        raise already_exists(self.resource, obj, error.current) from error
                    obj["metadata"]["name"] = generated_name(obj["metadata"]["generateName"])
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _insert(self, ctx: WriteContext, obj: Object) -> Written:
        meta = obj["metadata"]
        key = self.key(meta.get("namespace", ""), meta["name"])
        stored = await self.form(obj)
        if ctx.dry_run:
            found = await self.backend.storage.get(key)
            if found is not None:
                raise KeyExists(found)
            return Written(stored[len(self.wire_prefix) :], created=True)
        revision = await self.backend.storage.create(key, stored, ttl_s=self.strategy.ttl_s)
        return Written(to_body(stored, revision)[1], created=True)

    # -- updating ------------------------------------------------------------------

    async def update(
        self,
        ctx: WriteContext,
        name: str,
        change: Change,
        *,
        check: Check = no_check,
        subresource: UpdateSubresource | None = None,
        may_create: bool = False,
        may_be_unconditional: bool | None = None,
        always_write: bool = False,
        create_change: Callable[[Object], Awaitable[None]] | None = None,
    ) -> Written:
        """Replace an object by what `change` makes of it, guarded by its revision.

        `change` may run more than once: first on the cached state, then, if that was stale or
        led to an error, on the live one. `create_change` runs mutating admission for a create
        by update. `always_write` writes even what changes nothing.

        Raises:
            NotFound, Conflict, Invalid: as the API says.
        """
        key = self.key(ctx.info.namespace, name)
        current = self.cached(key) or await self.live(key)
        unconditional = (
            self.strategy.unconditional_update
            if may_be_unconditional is None
            else may_be_unconditional
        )
        while True:
            try:
                if current is None:
                    if not may_create:
                        raise not_found(self.resource, name)
                    obj = await change(None)
                    return await self._create_by_update(ctx, obj, check, create_change)
                old = await self.load(current.body)
                obj = await change(old)
                self._check_version(obj, current, unconditional, name)
                return await self._replace(
                    ctx, key, current, old, obj, check, subresource, always_write
                )
            except ApiError:
                # What the cache showed may have been outdated: judge by the live state.
                if current is None or current.live:
                    raise
                fresh = await self.live(key)
                if fresh is not None and fresh.revision == current.revision:
                    raise
                current = fresh
            except _MaybeStale:
                current = await self.live(key)
            except RevisionConflict as conflict:
                current = None if conflict.current is None else self._current(conflict.current)

    async def _create_by_update(
        self,
        ctx: WriteContext,
        obj: Object,
        check: Check,
        mutate: Callable[[Object], Awaitable[None]] | None,
    ) -> Written:
        meta = obj["metadata"]
        uid = meta.get("uid")
        if uid:
            raise uid_conflict(self.resource, meta["name"], uid, "")
        meta.pop("resourceVersion", None)
        self.fill_system_fields(ctx, obj)
        if mutate is not None:
            await mutate(obj)
        return await self.create(ctx, obj, check=check)

    def _check_version(self, obj: Object, current: Current, unconditional: bool, name: str) -> None:
        """Compare the resourceVersion (and uid) that the client names with what is there."""
        version = obj["metadata"].pop("resourceVersion", "")
        if version in ("", "0"):
            if not unconditional:
                raise invalid(
                    self.resource,
                    name,
                    [
                        invalid_field(
                            "metadata.resourceVersion", 0, "must be specified for an update"
                        )
                    ],
                    kind=self.resource.name,
                )
        elif not version.isdigit():
            raise ApiError(f'strconv.ParseUint: parsing "{version}": invalid syntax')
        elif int(version) != current.revision:
            raise modified(self.resource, name)

    async def _replace(
        self,
        ctx: WriteContext,
        key: bytes,
        current: Current,
        old: Object,
        obj: Object,
        check: Check,
        subresource: UpdateSubresource | None,
        always_write: bool,
    ) -> Written:
        old["metadata"].pop("resourceVersion", None)
        self._prepare_update(ctx, obj, old, subresource)
        hooks = subresource or self.strategy
        if obj == old and not (always_write or current.stale):
            # A write that changes nothing is none; but only if what it looked at is the truth.
            if not current.live:
                raise _MaybeStale
            ctx.warnings += hooks.warn_on_update(ctx, obj, old)
            await check(obj, old)
            return Written(current.body)
        meta = obj["metadata"]
        causes: list[Cause] = []
        if meta != old["metadata"]:
            causes += validate_metadata_update(
                obj,
                old,
                namespaced=self.resource.namespaced,
                standard_finalizers_only=self.strategy.standard_finalizers_only,
            )
        causes += hooks.validate_update(ctx, obj, old)
        if causes:
            raise invalid(self.resource, meta.get("name", ""), causes)
        ctx.warnings += hooks.warn_on_update(ctx, obj, old)
        async with self.strategy.allocate(ctx, obj, old):
            await check(obj, old)
            if self._is_emptied(obj, old):
                return await self._remove(ctx, key, current, obj)
            stored = await self.form(obj)
            if ctx.dry_run:
                return Written(to_body(stored, current.revision)[1])
            revision = await self.backend.storage.update(
                key, stored, expected=current.revision, ttl_s=self.strategy.ttl_s
            )
            return Written(to_body(stored, revision)[1])

    def _prepare_update(
        self,
        ctx: WriteContext,
        obj: Object,
        old: Object,
        subresource: UpdateSubresource | None,
    ) -> None:
        meta, before = obj["metadata"], old["metadata"]
        keep(meta, before, "generation", "creationTimestamp")
        meta.pop("selfLink", None)
        if not self.resource.namespaced:
            meta.pop("namespace", None)
        (subresource or self.strategy).prepare_for_update(ctx, obj, old)
        meta = obj["metadata"]
        if not meta.get("uid"):
            keep(meta, before, "uid")
        if "deletionTimestamp" in before and "deletionTimestamp" not in meta:
            keep(meta, before, "deletionTimestamp")
        if "deletionGracePeriodSeconds" not in meta:
            keep(meta, before, "deletionGracePeriodSeconds")

    def _is_emptied(self, obj: Object, old: Object) -> bool:
        """Whether this update takes away the last thing that kept a deleted object alive."""
        before = old["metadata"]
        return (
            not obj["metadata"].get("finalizers")
            and "deletionTimestamp" in before
            and not before.get("deletionGracePeriodSeconds")
            and not self.strategy.is_held(obj)
        )

    async def modify(
        self, ctx: WriteContext, name: str, change: Callable[[Object], Object]
    ) -> Written:
        """Write what `change` makes of the present object, guarded by its revision.

        For steps that are the server's own (a binding, an eviction): the rules of an update
        and admission do not apply. `change` may run more than once.

        Raises:
            NotFound: there is none.
            ApiError: what `change` raises.
        """
        key = self.key(ctx.info.namespace, name)
        current = await self.live(key)
        while current is not None:
            obj = change(await self.load(current.body))
            stored = await self.form({**obj, "metadata": {**obj["metadata"]}})
            if ctx.dry_run:
                return Written(to_body(stored, current.revision)[1])
            try:
                revision = await self.backend.storage.update(key, stored, expected=current.revision)
            except RevisionConflict as conflict:
                current = None if conflict.current is None else self._current(conflict.current)
            else:
                return Written(to_body(stored, revision)[1])
        raise not_found(self.resource, name)

    # -- deleting ------------------------------------------------------------------

    async def delete(
        self,
        ctx: WriteContext,
        name: str,
        request: DeleteRequest,
        *,
        check: Check = no_check,
    ) -> Written:
        """Delete an object, or begin to.

        Returns its state: removed, or marked with a deletionTimestamp where a finalizer or a
        grace period keeps it.

        Raises:
            NotFound: there is none.
            Conflict: a precondition fails.
        """
        key = self.key(ctx.info.namespace, name)
        current = await self.live(key)
        while True:
            if current is None:
                raise not_found(self.resource, name)
            try:
                return await self._delete_current(ctx, key, current, request, check)
            except RevisionConflict as conflict:
                current = None if conflict.current is None else self._current(conflict.current)

    async def _delete_current(
        self,
        ctx: WriteContext,
        key: bytes,
        current: Current,
        request: DeleteRequest,
        check: Check,
    ) -> Written:
        old = await self.load(current.body)
        check_preconditions(self.resource, old, request.preconditions)
        await check(old, old)
        ctx.warnings += self.strategy.warn_on_delete(ctx, old, request.propagation)
        old["metadata"].pop("resourceVersion", None)
        obj = orjson.loads(orjson.dumps(old))
        verdict = mark(self.strategy, ctx, obj, request)
        if verdict is Verdict.PENDING:
            return Written(current.body)
        removed = verdict is Verdict.REMOVE
        if removed and obj == old:
            return await self._remove(ctx, key, current, old)
        stored = await self.form(obj)
        if ctx.dry_run:
            return Written(to_body(stored, current.revision)[1], removed=removed)
        if obj != old:
            revision = await self.backend.storage.update(key, stored, expected=current.revision)
            current = Current(revision, to_body(stored, revision)[1], live=True)
        if removed:
            return await self._remove(ctx, key, current, obj)
        return Written(current.body)

    async def _remove(
        self, ctx: WriteContext, key: bytes, current: Current, obj: Object
    ) -> Written:
        """Take the object out of storage; the answer shows it as it was last stored."""
        shown = to_body(await self.form(obj), current.revision)[1]
        if not ctx.dry_run:
            await self.backend.storage.delete(key, expected=current.revision)
            await self.strategy.after_delete(ctx, obj)
        return Written(shown, removed=True)


def generated_name(prefix: str) -> str:
    """Return a name for generateName: the prefix, cut to 58 characters, and five more."""
    suffix = "".join(random.choices(GENERATED_ALPHABET, k=GENERATED_SUFFIX_LENGTH))
    return prefix[:GENERATED_PREFIX_LENGTH] + suffix
