"""PodDisruptionBudget.

Source: kube-apiserver v1.36.2, pkg/registry/policy/poddisruptionbudget/strategy.go,
pkg/apis/policy/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from services.apiserver.errors import Cause
from services.apiserver.kinds.podowners import (
    at_most_100_percent,
    non_negative,
    number_or_percent,
)
from services.apiserver.registry.strategy import (
    Object,
    StatusSubresource,
    Strategy,
    UpdateSubresource,
    WriteContext,
)
from services.apiserver.validation import field
from services.apiserver.validation.metadata import validate_conditions, validate_label_selector

_COUNTERS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
_EVICTION_POLICIES = ("AlwaysAllow", "IfHealthyBudget")


class PodDisruptionBudgetStrategy(Strategy):
    has_generation = True
    has_status = True
    unconditional_update = False

    def default(self, obj: Object) -> None:
        obj.setdefault("spec", {})

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        super().prepare_for_create(ctx, obj)
        obj["status"] = dict.fromkeys(_COUNTERS, 0)

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return list(_validate_spec(obj["spec"]))

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return [] if obj["spec"] == old["spec"] else list(_validate_spec(obj["spec"]))

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {"status": PodDisruptionBudgetStatus(self)}


class PodDisruptionBudgetStatus(StatusSubresource):
    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        status = obj.get("status", {})
        return [
            *validate_conditions(status.get("conditions"), "status.conditions"),
            *non_negative(status, "status", *_COUNTERS),
        ]


def _validate_spec(spec: Object) -> Iterator[Cause]:
    bounds = [name for name in ("minAvailable", "maxUnavailable") if name in spec]
    if len(bounds) == 2:
        yield field.invalid(
            "spec",
            {name: spec[name] for name in bounds},
            "minAvailable and maxUnavailable cannot be both set",
        )
    for name in bounds:
        yield from number_or_percent(spec[name], f"spec.{name}")
        yield from at_most_100_percent(spec[name], f"spec.{name}")
    yield from validate_label_selector(spec.get("selector"), "spec.selector")
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None and policy not in _EVICTION_POLICIES:
        yield field.not_supported("spec.unhealthyPodEvictionPolicy", policy, _EVICTION_POLICIES)
