"""ReplicationController.

Source: kube-apiserver v1.36.2, pkg/registry/core/replicationcontroller/strategy.go,
pkg/apis/core/v1/defaults.go, pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from services.apiserver.errors import Cause
from services.apiserver.kinds.podowners import (
    PodOwnerStatus,
    PodOwnerStrategy,
    non_negative,
    validate_restarts_always,
    validate_template_labels,
)
from services.apiserver.kinds.podspec import defaults
from services.apiserver.kinds.podspec.spec import validate_template
from services.apiserver.registry.strategy import (
    GarbageCollection,
    Object,
    UpdateSubresource,
)
from services.apiserver.validation import field


class ReplicationControllerStrategy(PodOwnerStrategy):
    names_pods = True
    counters = ("replicas",)
    fixed = ()
    default_garbage_collection: GarbageCollection = "orphan"

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        template = spec.get("template")
        if template is not None:
            labels = template.get("metadata", {}).get("labels")
            if labels:
                if not spec.get("selector"):
                    spec["selector"] = dict(labels)
                if not obj["metadata"].get("labels"):
                    obj["metadata"]["labels"] = dict(labels)
            defaults.default_template(template)
        spec.setdefault("replicas", 1)

    def validate_spec(self, spec: Object, old: Object | None) -> Iterator[Cause]:
        return _validate_spec(spec)

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {"status": ReplicationControllerStatus(self)}


class ReplicationControllerStatus(PodOwnerStatus):
    numbers = (
        "replicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "availableReplicas",
        "observedGeneration",
    )
    parts = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")


def _validate_spec(spec: Object) -> Iterator[Cause]:
    yield from non_negative(spec, "spec", "minReadySeconds")
    selector, template = spec.get("selector"), spec.get("template")
    if not selector:
        yield field.required("spec.selector")
    yield from non_negative(spec, "spec", "replicas")
    if template is None:
        yield field.required("spec.template")
        return
    if selector:
        yield from validate_template_labels({**spec, "selector": {"matchLabels": selector}})
    yield from validate_template(template, "spec.template")
    yield from validate_restarts_always(template["spec"], "ReplicationController")
