"""Lease.

Source: kube-apiserver v1.36.2, pkg/registry/coordination/lease/strategy.go,
pkg/apis/coordination/validation/validation.go.
"""

from __future__ import annotations

from services.apiserver.errors import Cause
from services.apiserver.registry.strategy import Object, Strategy, StrategyFactory, WriteContext
from services.apiserver.validation.field import invalid

GATED = ("strategy", "preferredHolder")
"""Fields of coordinated leader election, which is off."""


class LeaseStrategy(Strategy):
    create_on_update = True
    unconditional_update = False

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        for name in GATED:
            obj["spec"].pop(name, None)

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        for name in GATED:
            if name not in old["spec"]:
                obj["spec"].pop(name, None)

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _validate_spec(obj["spec"])

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return _validate_spec(obj["spec"])


def _validate_spec(spec: Object) -> list[Cause]:
    found: list[Cause] = []
    duration, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if duration is not None and duration <= 0:
        found.append(invalid("spec.leaseDurationSeconds", duration, "must be greater than 0"))
    if transitions is not None and transitions < 0:
        detail = "must be greater than or equal to 0"
        found.append(invalid("spec.leaseTransitions", transitions, detail))
    return found


COORDINATION_STRATEGIES: dict[tuple[str, str], StrategyFactory] = {
    ("coordination.k8s.io", "leases"): LeaseStrategy,
}
