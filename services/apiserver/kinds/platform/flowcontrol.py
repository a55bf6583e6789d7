"""What FlowSchema and PriorityLevelConfiguration have in common: status and generation.

Source: kube-apiserver v1.36.2, pkg/registry/flowcontrol/*/strategy.go,
pkg/apis/flowcontrol/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.apiserver.errors import Cause
from services.apiserver.kinds.platform.rules import MetadataKeepingStatus, metadata_again
from services.apiserver.registry.strategy import (
    Object,
    Strategy,
    UpdateSubresource,
    WriteContext,
)
from services.apiserver.validation.field import child, duplicate, index, required


class FlowControlStrategy(Strategy):
    has_status = True
    has_generation = True

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        super().prepare_for_create(ctx, obj)
        obj["status"] = {}

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return metadata_again(self, obj, old) + self.validate_create(ctx, obj)

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {"status": FlowControlStatus(self)}


class FlowControlStatus(MetadataKeepingStatus):
    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return validate_status(obj)


def validate_status(obj: Object) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    for number, condition in enumerate((obj.get("status") or {}).get("conditions") or ()):
        kind, at = condition.get("type", ""), child(index("status.conditions", number), "type")
        if kind in seen:
            found.append(duplicate(at, kind))
        seen.add(kind)
        if not kind:
            found.append(required(at))
    return found
