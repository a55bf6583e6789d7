"""ReplicaSet.

Source: kube-apiserver v1.36.2, pkg/registry/apps/replicaset/strategy.go,
pkg/apis/apps/v1/defaults.go, pkg/apis/apps/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from services.apiserver.errors import Cause
from services.apiserver.kinds.podowners import (
    PodOwnerStatus,
    PodOwnerStrategy,
    non_negative,
    validate_selected_template,
)
from services.apiserver.registry.strategy import (
    Object,
    UpdateSubresource,
)


class ReplicaSetStrategy(PodOwnerStrategy):
    names_pods = True
    counters = ("replicas",)

    def default(self, obj: Object) -> None:
        super().default(obj)
        obj["spec"].setdefault("replicas", 1)

    def validate_spec(self, spec: Object, old: Object | None) -> Iterator[Cause]:
        return _validate_spec(spec, old)

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {"status": ReplicaSetStatus(self)}


class ReplicaSetStatus(PodOwnerStatus):
    numbers = (
        "replicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "availableReplicas",
        "terminatingReplicas",
        "observedGeneration",
    )
    parts = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")


def _validate_spec(spec: Object, old: Object | None = None) -> Iterator[Cause]:
    yield from non_negative(spec, "spec", "replicas", "minReadySeconds")
    changed = old is None or spec["template"] != old["template"]
    yield from validate_selected_template(
        spec, "ReplicaSet", also=spec["template"] if changed else None
    )
