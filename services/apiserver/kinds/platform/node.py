"""RuntimeClass.

Source: kube-apiserver v1.36.2, pkg/registry/node/runtimeclass/strategy.go,
pkg/apis/node/validation/validation.go, pkg/api/node/util.go.
"""

from __future__ import annotations

from services.apiserver.errors import Cause
from services.apiserver.kinds.platform.rules import (
    immutable,
    metadata_again,
    node_label_warnings,
    required_name,
)
from services.apiserver.kinds.podspec.resources import validate_overhead
from services.apiserver.kinds.podspec.scheduling import validate_tolerations
from services.apiserver.registry.strategy import Object, Strategy, StrategyFactory, WriteContext
from services.apiserver.validation.field import duplicate, index
from services.apiserver.validation.metadata import validate_labels
from services.apiserver.validation.names import dns1123_label

TOLERATION_KEYS = ("key", "operator", "value", "effect")


class RuntimeClassStrategy(Strategy):
    create_on_update = True
    unconditional_update = False

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _validate_class(obj)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return [
            *metadata_again(self, obj, old),
            *_validate_class(obj),
            *immutable("handler", obj.get("handler", ""), old.get("handler", "")),
        ]

    def warn_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        return [
            warning
            for label in (obj.get("scheduling") or {}).get("nodeSelector") or ()
            for warning in node_label_warnings("scheduling.nodeSelector", label)
        ]

    def warn_on_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[str]:
        return self.warn_on_create(ctx, obj)


def _validate_class(obj: Object) -> list[Cause]:
    found = required_name("handler", obj.get("handler", ""), dns1123_label)
    overhead = obj.get("overhead")
    if overhead is not None:
        found += validate_overhead(overhead.get("podFixed") or {}, "overhead")
    scheduling = obj.get("scheduling")
    if scheduling is not None:
        found += validate_labels(scheduling.get("nodeSelector"), "scheduling.nodeSelector")
        path, tolerations = "scheduling.tolerations", scheduling.get("tolerations") or []
        found += validate_tolerations(tolerations, path)
        seen: list[list[str]] = []
        for number, toleration in enumerate(tolerations):
            identity = [toleration.get(name, "") for name in TOLERATION_KEYS]
            if identity in seen:
                found.append(duplicate(index(path, number), toleration))
            seen.append(identity)
    return found


NODE_STRATEGIES: dict[tuple[str, str], StrategyFactory] = {
    ("node.k8s.io", "runtimeclasses"): RuntimeClassStrategy,
}
