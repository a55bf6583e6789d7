"""Deployment.

Source: kube-apiserver v1.36.2, pkg/registry/apps/deployment/strategy.go,
pkg/apis/apps/v1/defaults.go, pkg/apis/apps/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from services.apiserver.errors import Cause
from services.apiserver.kinds.podowners import (
    PodOwnerStatus,
    PodOwnerStrategy,
    at_most_100_percent,
    fill,
    non_negative,
    number_or_percent,
    plain_number,
    validate_selected_template,
)
from services.apiserver.registry.strategy import (
    Object,
    UpdateSubresource,
    WriteContext,
    keep,
)
from services.apiserver.validation import field

_DEFAULTS = (("replicas", 1), ("revisionHistoryLimit", 10), ("progressDeadlineSeconds", 600))
_STRATEGIES = ("Recreate", "RollingUpdate")


class DeploymentStrategy(PodOwnerStrategy):
    names_pods = True

    def default(self, obj: Object) -> None:
        super().default(obj)
        spec = obj["spec"]
        fill(spec, _DEFAULTS)
        strategy = spec.setdefault("strategy", {})
        if not strategy.get("type"):
            strategy["type"] = "RollingUpdate"
        if strategy["type"] == "RollingUpdate":
            rolling = strategy.setdefault("rollingUpdate", {})
            fill(rolling, (("maxSurge", "25%"), ("maxUnavailable", "25%")))

    def generation_moves(self, obj: Object, old: Object) -> bool:
        return super().generation_moves(obj, old) or (
            obj["metadata"].get("annotations") != old["metadata"].get("annotations")
        )

    def validate_spec(self, spec: Object, old: Object | None) -> Iterator[Cause]:
        return _validate_spec(spec, old)

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {"status": DeploymentStatus(self)}


class DeploymentStatus(PodOwnerStatus):
    numbers = (
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "terminatingReplicas",
        "collisionCount",
    )
    parts = ("updatedReplicas", "readyReplicas", "availableReplicas")

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        super().prepare_for_update(ctx, obj, old)
        keep(obj["metadata"], old["metadata"], "labels")


def _validate_spec(spec: Object, old: Object | None = None) -> Iterator[Cause]:
    yield from non_negative(spec, "spec", "replicas")
    changed = old is None or spec["template"] != old["template"]
    yield from validate_selected_template(
        spec, "ReplicaSet", also=spec["template"] if changed else None
    )
    yield from _validate_strategy(spec["strategy"])
    yield from non_negative(
        spec, "spec", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"
    )
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= spec.get("minReadySeconds", 0):
        yield field.invalid(
            "spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"
        )


def _validate_strategy(strategy: Object) -> Iterator[Cause]:
    kind = strategy["type"]
    if kind == "Recreate":
        if "rollingUpdate" in strategy:
            yield field.forbidden(
                "spec.strategy.rollingUpdate",
                "may not be specified when strategy `type` is 'Recreate'",
            )
    elif kind == "RollingUpdate":
        path = "spec.strategy.rollingUpdate"
        rolling = strategy["rollingUpdate"]
        unavailable, surge = rolling["maxUnavailable"], rolling["maxSurge"]
        yield from number_or_percent(unavailable, f"{path}.maxUnavailable")
        yield from number_or_percent(surge, f"{path}.maxSurge")
        if plain_number(unavailable) == 0 and plain_number(surge) == 0:
            yield field.invalid(
                f"{path}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0"
            )
        yield from at_most_100_percent(unavailable, f"{path}.maxUnavailable")
    else:
        yield field.not_supported("spec.strategy", strategy, _STRATEGIES)
