"""Updater: what a changed object means for the owners of its fields, and what apply makes of it.

Source: sigs.k8s.io/structured-merge-diff/v6 merge/update.go.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from services.apiserver.apply.conflicts import ApplyConflict
from services.apiserver.apply.fieldsets import EMPTY, FieldSet, difference, intersection, union
from services.apiserver.apply.managers import Manager, Managers, Owned, without_nobody
from services.apiserver.apply.resetfields import ResetFields
from services.apiserver.apply.schema import Schema, owned
from services.apiserver.registry.strategy import Object

Convert = Callable[[Object, str, str], Awaitable[Object | None]]
"""Returns an object of one apiVersion in another; None if that is no longer served."""
SchemaOf = Callable[[str], Schema]
"""Returns the schema of the kind in an apiVersion, which is served."""


@dataclass(frozen=True, slots=True)
class Updater:
    """Compares and merges objects of one kind in `api_version`."""

    api_version: str
    schema: Schema
    reset: ResetFields
    schema_of: SchemaOf
    convert: Convert
    schema_changes: bool = False
    """Whether sets may have been written under another schema."""

    def settled(self, managers: Managers) -> Managers:
        """Return the managers with sets as this schema sees them."""
        if not self.schema_changes:
            return managers
        out: Managers = {}
        for manager, mine in managers.items():
            known = mine.api_version == self.api_version
            fields = self.schema.settled(mine.fields) if known else mine.fields
            out[manager] = mine if fields is mine.fields else mine.having(fields)
        return out

    async def change(
        self, old: Object, new: Object, managers: Managers, *, applier: Manager | None, force: bool
    ) -> tuple[Managers, FieldSet]:
        """Take what changed from those who owned it.

        Returns the managers and what was added or modified. The applier, if there is one, keeps
        its fields.

        Raises:
            ApplyConflict: without `force`, others own what changed.
        """
        changed, removed = self.schema.compare(old, new, self.reset)
        versions = {self.api_version: (changed, removed)}
        conflicts: dict[Manager, FieldSet] = {}
        left: list[tuple[Manager, Owned]] = []
        for manager, mine in managers.items():
            if manager == applier:
                left.append((manager, mine))
                continue
            differences = versions.get(mine.api_version)
            if differences is None:
                differences = await self._changes_in(mine.api_version, old, new)
                if differences is None:
                    continue
                versions[mine.api_version] = differences
            conflict = intersection(mine.fields, differences[0])
            if conflict:
                conflicts[manager] = conflict
            lost = union(conflict, intersection(mine.fields, differences[1]))
            left.append((manager, mine.having(difference(mine.fields, lost)) if lost else mine))
        if conflicts and not force:
            raise ApplyConflict(conflicts)
        return without_nobody(left), changed

    async def _changes_in(
        self, version: str, old: Object, new: Object
    ) -> tuple[FieldSet, FieldSet] | None:
        """Compare the objects in another version; None if they can't be had in it."""
        before = await self.convert(old, self.api_version, version)
        after = await self.convert(new, self.api_version, version)
        if before is None or after is None:
            return None
        return self.schema_of(version).compare(before, after, self.reset)

    async def apply(
        self, live: Object, config: Object, managers: Managers, applier: Manager, *, force: bool
    ) -> tuple[Object | None, Managers]:
        """Merge a configuration into the live object and own what it names.

        Returns the new object, None if it is the same, and the managers.

        Raises:
            ApplyConflict: without `force`, others own what would change.
        """
        merged = self.schema.merge(live, config)
        last = managers.get(applier)
        applied = self.reset.kept(self.schema.fields_in(config))
        mine = Owned(applied, self.api_version, applied=True, time=last.time if last else "")
        managers = {**managers, applier: mine}
        if last is not None:
            merged = await self._pruned(merged, managers, last)
        managers, _ = await self.change(live, merged, managers, applier=applier, force=force)
        mine = mine.having(owned(applied))
        if mine.fields:
            if last is not None and last.entry is not None and same(mine, last):
                mine = last
            managers[applier] = mine
        else:
            managers.pop(applier, None)
        return (None if merged == live else merged), managers

    async def _pruned(self, merged: Object, managers: Managers, last: Owned) -> Object:
        """Remove what the applier named last time and nobody owns now."""
        version = last.api_version
        base = await self.convert(merged, self.api_version, version)
        if base is None:
            return merged
        schema = self.schema_of(version)
        had = schema.with_named_fields(last.fields)
        pruned = schema.without(base, had)
        kept: dict[str, FieldSet] = {}
        for one in managers.values():
            kept[one.api_version] = union(kept.get(one.api_version, EMPTY), one.fields)
        # First in the version at hand: another may need what was pruned in order to convert.
        at = version
        whole: Object = base
        for other in sorted(kept, key=lambda one: one != version):
            moved = await self.convert(whole, at, other)
            moved_pruned = await self.convert(pruned, at, other)
            if moved is None or moved_pruned is None:
                continue
            whole, pruned, at = moved, moved_pruned, other
            pruned = _with_owned(self.schema_of(other), whole, pruned, kept[other])
        back = await self.convert(pruned, at, version)
        if back is None:
            return merged
        dangling = intersection(
            difference(
                schema.with_named_fields(schema.fields_in(base)),
                schema.with_named_fields(schema.fields_in(back)),
            ),
            had,
        )
        result = await self.convert(schema.without(base, dangling), version, self.api_version)
        return merged if result is None else result


def _with_owned(schema: Schema, whole: Object, pruned: Object, kept: FieldSet) -> Object:
    """Return the pruned object with what is owned added back."""
    keep = union(schema.with_named_fields(schema.fields_in(pruned)), schema.with_named_fields(kept))
    everything = schema.with_named_fields(schema.fields_in(whole))
    return schema.without(whole, difference(everything, keep))


def same(one: Owned, other: Owned) -> bool:
    """Whether two entries of a manager say the same but for the time."""
    return one.fields == other.fields and one.api_version == other.api_version
