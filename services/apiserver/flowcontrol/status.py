"""Tells FlowSchemas whether the priority level they name is there: the condition Dangling.

Source: kube-apiserver v1.36.2, apiserver/pkg/util/flowcontrol/apf_controller.go
(presyncFlowSchemaStatus).
"""

from __future__ import annotations

from services.apiserver.errors import NotFound
from services.apiserver.registry.store import ResourceStore
from services.apiserver.registry.strategy import Lookup, Object, WriteContext
from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.apiserver.values.time import now
from shared.storage import Revision

USER = UserInfo("system:apiserver", groups=("system:masters",))


class FlowSchemaStatus:
    """Writes the condition where it is not as it should be. Every replica does; who comes
    first writes."""

    def __init__(self, schemas: ResourceStore, levels: ResourceStore, lookup: Lookup) -> None:
        self._schemas = schemas
        self._levels = levels
        self._lookup = lookup
        self._seen: dict[bytes, Revision] = {}
        self._levels_at = Revision(-1)

    async def sync(self) -> None:
        """Look at the schemas that have changed; at all when a level came or went."""
        if self._levels.cache.revision != self._levels_at:
            self._levels_at = self._levels.cache.revision
            self._seen.clear()
        present = self._schemas.cache.scan(self._schemas.prefix)
        for gone in self._seen.keys() - {item.key for item in present}:
            del self._seen[gone]
        for item in present:
            if self._seen.get(item.key) == item.revision:
                continue
            schema = self._schemas.decode(item.body)
            if self._with_status(schema) != schema:
                await self._write(schema["metadata"]["name"])
            self._seen[item.key] = item.revision

    async def _write(self, name: str) -> None:
        resource = self._schemas.resource
        info = RequestInfo(
            True,
            "",
            "update",
            group=resource.group,
            version=resource.version,
            resource=resource.name,
            subresource="status",
            name=name,
        )
        ctx = WriteContext(info, USER, now(), self._lookup)
        try:
            await self._schemas.modify(ctx, name, self._with_status)
        except NotFound:
            return  # gone

    def _with_status(self, schema: Object) -> Object:
        """Return the schema with the condition as it should be."""
        level = schema["spec"]["priorityLevelConfiguration"]["name"]
        is_there = self._levels.cache.get(self._levels.key("", level)) is not None
        status = schema.get("status") or {}
        present = status.get("conditions") or []
        found = "and it exists" if is_there else "but there is no such object"
        condition = {
            "type": "Dangling",
            "status": "False" if is_there else "True",
            "lastTransitionTime": now(),
            "reason": "Found" if is_there else "NotFound",
            "message": "This FlowSchema references the PriorityLevelConfiguration object named "
            f'"{level}" {found}',
        }
        for one in present:
            if one.get("type") == "Dangling":
                if all(
                    one.get(name) == condition[name] for name in ("status", "reason", "message")
                ):
                    return schema
                break
        others = [one for one in present if one.get("type") != "Dangling"]
        return {**schema, "status": {**status, "conditions": [*others, condition]}}
