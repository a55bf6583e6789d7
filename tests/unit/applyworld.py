"""One object and its field manager, without a server: writes happen to it one after the other."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

from services.apiserver.apply import FieldManager, Schema, Updater, revert_times
from services.apiserver.apply.builtintypes import struct_type
from services.apiserver.apply.resetfields import NOTHING_RESET, ResetFields
from services.apiserver.codec import codec_for
from services.apiserver.registry.strategy import Object

CONFIGMAP = ("", "v1", "ConfigMap")
DEPLOYMENT = ("apps", "v1", "Deployment")
POD = ("", "v1", "Pod")
FIRST, SECOND, THIRD = (f"2026-01-01T00:00:0{second}Z" for second in (1, 2, 3))


async def unconverted(obj: Object, from_version: str, to_version: str) -> Object | None:
    return obj if from_version == to_version else None


def field_manager(
    gvk: tuple[str, str, str],
    reset: ResetFields = NOTHING_RESET,
    schema: Schema | None = None,
) -> FieldManager:
    group, version, kind = gvk
    api_version = f"{group}/{version}" if group else version
    codec = codec_for(group, version, kind)
    found = schema or Schema(struct_type(codec.definition))
    updater = Updater(api_version, found, reset, lambda version: found, unconverted)
    return FieldManager(updater, {**codec.empty(), "kind": kind, "apiVersion": api_version})


class AppliedObject:
    """An object as writes leave it; None before the first."""

    def __init__(
        self, gvk: tuple[str, str, str] = CONFIGMAP, reset: ResetFields = NOTHING_RESET
    ) -> None:
        self.manager = field_manager(gvk, reset)
        self.head = {
            "apiVersion": self.manager.updater.api_version,
            "kind": self.manager.empty["kind"],
        }
        self.codec = codec_for(*gvk)
        self.now: Object | None = None

    def sent(self, **fields: Any) -> Object:
        meta = {"name": "a", **fields.pop("metadata", {})}
        return {**self.head, "metadata": meta, **fields}

    def update(self, manager: str, time: str = FIRST, **fields: Any) -> None:
        """Replace the object."""
        obj = self.codec.decode(self.sent(**fields))
        self._keep(obj, asyncio.run(self.manager.update(self.now, obj, manager, time)))

    def apply(self, manager: str, time: str = FIRST, *, force: bool = False, **fields: Any) -> None:
        config = self.sent(**fields)
        before = copy.deepcopy(config), copy.deepcopy(self.now)
        obj, entries = asyncio.run(self.manager.apply(self.now, config, manager, time, force=force))
        assert (config, self.now) == before, "apply changed what it was given"
        self._keep(self.codec.decode((self.now if obj is None else obj) or self.head), entries)

    def _keep(self, obj: Object, entries: list[dict[str, Any]]) -> None:
        obj["metadata"].pop("managedFields", None)
        if entries:
            obj["metadata"]["managedFields"] = entries
        obj["metadata"]["uid"] = "u"
        if self.now is not None:
            revert_times(obj, self.now)
        self.now = obj

    @property
    def entries(self) -> list[dict[str, Any]]:
        assert self.now is not None
        entries: list[dict[str, Any]] = self.now["metadata"].get("managedFields", [])
        return entries

    def owners(self) -> dict[str, Any]:
        """Return the sets by `manager operation`."""
        return {f"{one['manager']} {one['operation']}": one["fieldsV1"] for one in self.entries}

    def __getitem__(self, name: str) -> Any:
        assert self.now is not None
        return self.now.get(name)
