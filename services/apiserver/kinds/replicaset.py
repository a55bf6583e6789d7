"""ReplicaSet.

Source: kube-apiserver v1.36.2, pkg/registry/apps/replicaset/strategy.go,
pkg/apis/apps/v1/defaults.go, pkg/apis/apps/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from services.apiserver.errors import Cause
from services.apiserver.kinds.podowners import (
    PodOwnerStrategy,
    immutable,
    non_negative,
    not_above_replicas,
    validate_selected_template,
)
from services.apiserver.registry.strategy import (
    Object,
    StatusSubresource,
    UpdateSubresource,
    WriteContext,
)


class ReplicaSetStrategy(PodOwnerStrategy):
    names_pods = True
    counters = ("replicas",)

    def default(self, obj: Object) -> None:
        super().default(obj)
        obj["spec"].setdefault("replicas", 1)

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return list(_validate_spec(obj["spec"]))

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        if obj["spec"] == old["spec"]:
            return []
        return [
            *_validate_spec(obj["spec"], old["spec"]),
            *immutable(obj["spec"], old["spec"], "selector"),
        ]

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {"status": ReplicaSetStatus(self)}


class ReplicaSetStatus(StatusSubresource):
    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        status = obj.get("status", {})
        return [
            *non_negative(
                status,
                "status",
                "replicas",
                "fullyLabeledReplicas",
                "readyReplicas",
                "availableReplicas",
                "terminatingReplicas",
                "observedGeneration",
            ),
            *not_above_replicas(
                status, "fullyLabeledReplicas", "readyReplicas", "availableReplicas"
            ),
        ]


def _validate_spec(spec: Object, old: Object | None = None) -> Iterator[Cause]:
    yield from non_negative(spec, "spec", "replicas", "minReadySeconds")
    changed = old is None or spec["template"] != old["template"]
    yield from validate_selected_template(
        spec, "ReplicaSet", also=spec["template"] if changed else None
    )
