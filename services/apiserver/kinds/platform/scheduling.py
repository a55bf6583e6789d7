"""PriorityClass.

Source: kube-apiserver v1.36.2, pkg/registry/scheduling/priorityclass/strategy.go,
pkg/apis/scheduling/validation/validation.go, pkg/apis/scheduling/v1/{defaults,helpers}.go.
"""

from __future__ import annotations

from services.apiserver.errors import Cause
from services.apiserver.kinds.platform.rules import immutable
from services.apiserver.registry.strategy import Object, Strategy, StrategyFactory, WriteContext
from services.apiserver.validation.field import forbidden, not_supported

SYSTEM_PREFIX = "system-"
SYSTEM_CLASSES = {
    "system-node-critical": 2_000_001_000,
    "system-cluster-critical": 2_000_000_000,
}
HIGHEST_USER_VALUE = 1_000_000_000
PREEMPTION_POLICIES = ("Never", "PreemptLowerPriority")


class PriorityClassStrategy(Strategy):
    def default(self, obj: Object) -> None:
        obj.setdefault("preemptionPolicy", "PreemptLowerPriority")

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        obj["metadata"]["generation"] = 1

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        name, value = obj["metadata"].get("name", ""), obj.get("value", 0)
        found: list[Cause] = []
        if name.startswith(SYSTEM_PREFIX):
            if SYSTEM_CLASSES.get(name) != value or obj.get("globalDefault"):
                detail = f"names with the prefix '{SYSTEM_PREFIX}' are reserved for system use only"
                found.append(forbidden("metadata.name", detail))
        elif value > HIGHEST_USER_VALUE:
            detail = f"maximum allowed value of a user defined priority is {HIGHEST_USER_VALUE}"
            found.append(forbidden("value", detail))
        policy = obj.get("preemptionPolicy")
        if policy is not None and policy not in PREEMPTION_POLICIES:
            found.append(not_supported("preemptionPolicy", policy, PREEMPTION_POLICIES))
        return found

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        found: list[Cause] = []
        if obj.get("value", 0) != old.get("value", 0):
            found.append(forbidden("value", "may not be changed in an update."))
        name = "preemptionPolicy"
        return found + immutable(name, obj.get(name), old.get(name))


SCHEDULING_STRATEGIES: dict[tuple[str, str], StrategyFactory] = {
    ("scheduling.k8s.io", "priorityclasses"): PriorityClassStrategy,
}
