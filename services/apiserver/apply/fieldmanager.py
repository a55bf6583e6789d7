"""FieldManager: keeps metadata.managedFields true on every write through one endpoint.

Source: kube-apiserver v1.36.2, apimachinery/pkg/util/managedfields/{fieldmanager,node}.go and
internal/{skipnonapplied,managedfieldsupdater,lastappliedmanager,structuredmerge}.go.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.apiserver.apply import lastapplied
from services.apiserver.apply.conflicts import ApplyConflict
from services.apiserver.apply.fieldsets import difference, union
from services.apiserver.apply.managers import (
    APPLY,
    UPDATE,
    Entry,
    MalformedEntry,
    Manager,
    Managers,
    Owned,
    capped,
    is_reset,
    read,
    read_sent,
    written,
)
from services.apiserver.apply.schema import owned
from services.apiserver.apply.update import Updater
from services.apiserver.errors import ApiError, BadRequest
from services.apiserver.registry.strategy import Object

BEFORE_FIRST_APPLY = "before-first-apply"
"""Owns what an object had when it was first applied to and nobody owned anything."""
KUBECTL = "kubectl"


class FieldManager:
    """The managers of the objects of one kind, as one endpoint changes them.

    `empty` is an object of the kind with nothing in it. Objects are in the updater's version.
    """

    def __init__(self, updater: Updater, empty: Object, subresource: str = "") -> None:
        self.updater = updater
        self.empty = empty
        self.subresource = subresource

    async def update(self, live: Object | None, obj: Object, manager: str, now: str) -> list[Entry]:
        """Return the managedFields of `obj`, which some write made out of `live`.

        None stands for a new object. What the client sent as managedFields counts where it
        makes sense.
        """
        entries: Sequence[Entry] = () if live is None else _entries(live) or ()
        sent = _entries(obj)
        if live is None and not sent:
            return self._created(obj, manager, now)
        managers = read(entries)
        if sent is not None and sent is not entries and not self.subresource:
            managers = {} if is_reset(sent) else _readable(sent, managers) or managers
        if live is not None and not managers:
            # Nobody has ever owned anything: that stays so until something is applied.
            return []
        return written(await self._updated(live or self.empty, obj, managers, manager, now))

    def _created(self, obj: Object, name: str, now: str) -> list[Entry]:
        """Return the managedFields of a new object: one entry for all."""
        updater = self.updater
        fields = updater.schema.brought(self.empty, obj, updater.reset)
        manager = Manager(name or "unknown", UPDATE, updater.api_version, self.subresource)
        mine = Owned(fields, updater.api_version, applied=False, time=now)
        return written({manager: mine}) if fields else []

    async def _updated(
        self, live: Object, obj: Object, managers: Managers, name: str, now: str
    ) -> Managers:
        updater = self.updater
        managers = updater.settled(managers)
        left, changed = await updater.change(live, obj, managers, applier=None, force=True)
        changed = owned(changed)
        if changed:
            manager = Manager(name or "unknown", UPDATE, updater.api_version, self.subresource)
            before = left.get(manager)
            fields = changed if before is None else union(before.fields, changed)
            left[manager] = Owned(fields, updater.api_version, applied=False, time=now)
        return capped(left)

    async def apply(
        self, live: Object | None, config: Object, manager: str, now: str, *, force: bool
    ) -> tuple[Object | None, list[Entry]]:
        """Apply a configuration to the live object; None stands for none.

        Returns the new object, None if it is as it was, and its managedFields. It has not been
        decoded: values are as the configuration writes them.

        Raises:
            BadRequest: the configuration is of another version, or has managedFields.
            ApplyConflict: without `force`, others own what would change.
            ApiError: 500, it does not fit the kind.
        """
        version = config.get("apiVersion")
        if version != self.updater.api_version:
            raise BadRequest(
                f"Incorrect version specified in apply patch. Specified patch version: {version}, "
                f"expected: {self.updater.api_version}"
            )
        meta = config.get("metadata")
        if isinstance(meta, dict) and meta.get("managedFields") is not None:
            raise BadRequest("metadata.managedFields must be nil")
        mistakes = self.updater.schema.mistakes(config)
        if mistakes:
            listed = mistakes[0] if len(mistakes) == 1 else "errors:\n  " + "\n  ".join(mistakes)
            raise ApiError(f"failed to create typed patch object ({_named(config)}): {listed}")
        entries: Sequence[Entry] = () if live is None else _entries(live) or ()
        base = _without_entries(self.empty if live is None else live)
        managers = self.updater.settled(read(entries))
        if not managers:
            managers = await self._updated(self.empty, base, managers, BEFORE_FIRST_APPLY, now)
        applier = Manager(manager, APPLY, subresource=self.subresource)
        obj, managers = await self._applied(base, config, managers, applier, force=force)
        if obj is not None and applier in managers:
            mine = managers[applier]
            managers[applier] = Owned(mine.fields, mine.api_version, applied=True, time=now)
        if manager == KUBECTL:
            obj = lastapplied.renewed(base if obj is None else obj, config) or obj
        return obj, written(managers)

    async def _applied(
        self, base: Object, config: Object, managers: Managers, applier: Manager, *, force: bool
    ) -> tuple[Object | None, Managers]:
        updater = self.updater
        try:
            return await updater.apply(base, config, managers, applier, force=force)
        except ApplyConflict as conflict:
            if applier.name != KUBECTL:
                raise
            # What kubectl owned as a client before is its own now.
            allowed = lastapplied.still_there(updater.schema, base, updater.api_version)
            if allowed is None:
                raise
            left = {
                manager: difference(fields, allowed)
                for manager, fields in conflict.conflicts.items()
            }
            left = {manager: fields for manager, fields in left.items() if fields}
            if left:
                raise ApplyConflict(left) from None
            return await updater.apply(base, config, managers, applier, force=True)


def _named(obj: Object) -> str:
    """Return an object as messages name it: `namespace/name; apps/v1, Kind=Deployment`."""
    meta = obj.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    version = obj["apiVersion"]
    group_version = version if "/" in version else f"/{version}"
    return (
        f"{meta.get('namespace', '')}/{meta.get('name', '')}; {group_version}, Kind={obj['kind']}"
    )


def _entries(obj: Object) -> list[Entry] | None:
    entries: list[Entry] | None = (obj.get("metadata") or {}).get("managedFields")
    return entries


def _readable(entries: Sequence[Entry], known: Managers) -> Managers | None:
    """Return the managers that a client names, None if they make no sense or there are none."""
    try:
        return read_sent(entries, known)
    except MalformedEntry:
        return None


def _without_entries(obj: Object) -> Object:
    meta = {**(obj.get("metadata") or {})}
    meta.pop("managedFields", None)
    return {**obj, "metadata": meta}


def revert_times(obj: Object, old: Object) -> None:
    """Keep the old entries where a write would change nothing but their times."""
    meta, before = obj["metadata"], old["metadata"]
    new_entries, old_entries = meta.get("managedFields"), before.get("managedFields")
    if new_entries == old_entries or not new_entries or not old_entries:
        return
    if [_timeless(one) for one in new_entries] != [_timeless(one) for one in old_entries]:
        return
    if {**obj, "metadata": {**meta, "managedFields": None}} == {
        **old,
        "metadata": {**before, "managedFields": None},
    }:
        meta["managedFields"] = old_entries


def _timeless(entry: Entry) -> Entry:
    return {**entry, "time": None}


def admitted(entries: list[Entry] | None, before: list[Entry] | None) -> list[Entry]:
    """Return the managedFields after admission: what it made of them, if they can be read.

    Source: kube-apiserver v1.36.2, apiserver/pkg/endpoints/handlers/fieldmanager/admission.go.
    """
    before = before or []
    try:
        return written(read_sent(entries or (), read(before)))
    except MalformedEntry:
        return before


def manager_of(field_manager: str, user_agent: str | None) -> str:
    """Return who makes a change: the fieldManager named, or the start of the User-Agent."""
    return field_manager or _agent_name(user_agent or "")


def _agent_name(user_agent: str) -> str:
    name = user_agent.partition("/")[0]
    printable = "".join(letter for letter in name if letter.isprintable())
    return printable.encode()[:128].decode(errors="ignore")
