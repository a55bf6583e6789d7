"""Managers: who owns which fields of an object, as metadata.managedFields keeps it.

Source: kube-apiserver v1.36.2, apimachinery/pkg/util/managedfields/internal/
{managedfields,capmanagers}.go, apimachinery/pkg/util/managedfields/fieldmanager.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from services.apiserver.apply.elements import MalformedElement
from services.apiserver.apply.fieldsets import EMPTY, FieldSet, parse, union

APPLY, UPDATE = "Apply", "Update"
MAX_UPDATE_MANAGERS = 10
ANCIENT_CHANGES = "ancient-changes"
"""Whose the entries are that were one too many."""

_TEXTS = frozenset(("manager", "operation", "apiVersion", "time", "fieldsType", "subresource"))
_TIME = re.compile(r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z")

Entry = dict[str, Any]
"""A ManagedFieldsEntry as JSON."""


class Manager(NamedTuple):
    """What tells entries apart. `api_version` is "" for appliers: they have one entry each."""

    name: str
    operation: str
    api_version: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        quoted = f'"{self.name}"'
        if self.subresource:
            quoted += f' with subresource "{self.subresource}"'
        return quoted if self.operation == APPLY else f"{quoted} using {self.api_version}"


class Owned(NamedTuple):
    """The fields of one manager in one version. `time` is "" where the entry has none.

    `entry` is what this was read from, and what it is written as while nothing changes.
    """

    fields: FieldSet
    api_version: str
    applied: bool
    time: str = ""
    entry: Entry | None = None

    def having(self, fields: FieldSet) -> Owned:
        """Return the same for other fields."""
        return Owned(fields, self.api_version, self.applied, self.time)


Managers = dict[Manager, Owned]


class MalformedEntry(ValueError):
    """A list of managedFields that means nothing."""


def identity(entry: Entry) -> Manager:
    operation = entry["operation"]
    return Manager(
        entry.get("manager", ""),
        operation,
        "" if operation == APPLY else entry.get("apiVersion", ""),
        entry.get("subresource", ""),
    )


def read(entries: Sequence[Entry]) -> Managers:
    """Return the managers of a stored object, whose sets are canonical."""
    return {
        identity(entry): Owned(
            entry.get("fieldsV1") or EMPTY,
            entry["apiVersion"],
            entry["operation"] == APPLY,
            entry.get("time") or "",
            entry,
        )
        for entry in entries
    }


def read_sent(entries: Sequence[Entry], known: Managers) -> Managers:
    """Return the managers that a client names. `known` are the present ones: their sets, which
    most clients send back, need no second look.

    Raises:
        MalformedEntry: an operation, fieldsType or set is none, or a version is missing.
    """
    managers: Managers = {}
    for number, entry in enumerate(entries):
        if entry.get("operation") not in (APPLY, UPDATE):
            raise MalformedEntry("operation must be `Apply` or `Update`")
        if not entry.get("apiVersion"):
            raise MalformedEntry("apiVersion must not be empty")
        if entry.get("fieldsType") != "FieldsV1":
            raise MalformedEntry(f"no FieldsV1 in managed fields entry {number}")
        manager, sent = identity(entry), entry.get("fieldsV1") or {}
        present = known.get(manager)
        if present is not None and present.entry == entry:
            managers[manager] = present
            continue
        try:
            same = present is not None and present.fields == sent
            fields = present.fields if present and same else parse(sent)
        except MalformedElement as error:
            raise MalformedEntry(str(error)) from None
        managers[manager] = Owned(
            fields, entry["apiVersion"], entry["operation"] == APPLY, entry.get("time") or ""
        )
    return managers


def taken(value: Any) -> tuple[Any, list[Entry] | None]:
    """Return a body without its managedFields, and those, if they need no decoding.

    Most bodies carry what the server sent before, which can be half of them. An empty list,
    which decoding drops, means something here.
    """
    meta = value.get("metadata") if isinstance(value, dict) else None
    if not isinstance(meta, dict):
        return value, None
    entries = meta.get("managedFields")
    if not isinstance(entries, list) or not all(map(_is_plain, entries)):
        return value, None
    left = {name: item for name, item in meta.items() if name != "managedFields"}
    return {**value, "metadata": left}, entries


def _is_plain(entry: Any) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(value, dict)
        if name == "fieldsV1"
        else isinstance(value, str)
        and name in _TEXTS
        and (name != "time" or _TIME.fullmatch(value) is not None)
        for name, value in entry.items()
    )


def is_reset(entries: Sequence[Entry] | None) -> bool:
    """Whether a client wants nobody to own anything: [] or [{}]."""
    return entries is not None and (not entries or (len(entries) == 1 and not entries[0]))


def written(managers: Managers) -> list[Entry]:
    """Return the entries of managedFields, in order."""
    entries = [
        _entry(manager, owned) if owned.entry is None else owned.entry
        for manager, owned in managers.items()
    ]
    if len(entries) > 1:
        entries.sort(key=_order)
    return entries


def _entry(manager: Manager, owned: Owned) -> Entry:
    """Return an entry, its fields in Go's order."""
    entry: Entry = {}
    if manager.name:
        entry["manager"] = manager.name
    entry["operation"] = manager.operation
    entry["apiVersion"] = owned.api_version
    if owned.time:
        entry["time"] = owned.time
    entry["fieldsType"] = "FieldsV1"
    entry["fieldsV1"] = owned.fields
    if manager.subresource:
        entry["subresource"] = manager.subresource
    return entry


def _order(entry: Entry) -> tuple[str, str, str, str, str]:
    # Times are all in the one form that sorts by itself.
    return (
        entry["operation"],
        entry.get("time") or "",
        entry.get("manager", ""),
        entry.get("apiVersion", ""),
        entry.get("subresource", ""),
    )


def capped(managers: Managers) -> Managers:
    """Return the managers with the oldest updates beyond ten put together, version by version."""
    updaters = [manager for manager, owned in managers.items() if not owned.applied]
    excess = len(updaters) - MAX_UPDATE_MANAGERS
    if excess <= 0:
        return managers
    left = dict(managers)
    first_of: dict[str, Manager] = {}
    for manager in sorted(updaters, key=lambda one: (managers[one].time, one)):
        if excess <= 0:
            break
        owned = left[manager]
        version = owned.api_version
        if version not in first_of:
            first_of[version] = manager
            continue
        bucket = Manager(ANCIENT_CHANGES, UPDATE, version)
        if bucket not in left:
            left[bucket] = left.pop(first_of[version])
        del left[manager]
        together = union(owned.fields, left[bucket].fields)
        left[bucket] = Owned(together, version, applied=False, time=owned.time)
        excess -= 1
    return left


def without_nobody(managers: Iterable[tuple[Manager, Owned]]) -> Managers:
    """Return the managers that own anything."""
    return {manager: owned for manager, owned in managers if owned.fields}
