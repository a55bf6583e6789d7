"""StatefulSet.

Source: kube-apiserver v1.36.2, pkg/registry/apps/statefulset/strategy.go,
pkg/apis/apps/v1/defaults.go, pkg/apis/apps/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from services.apiserver.errors import Cause
from services.apiserver.kinds.podowners import (
    PodOwnerStatus,
    PodOwnerStrategy,
    fill,
    non_negative,
    validate_selected_template,
)
from services.apiserver.kinds.podspec.defaults import default_claim_spec
from services.apiserver.kinds.podspec.volumeclaims import validate_claim_spec
from services.apiserver.kinds.podspec.warnings import claim_warnings
from services.apiserver.registry.strategy import (
    Object,
    UpdateSubresource,
    WriteContext,
    keep,
)
from services.apiserver.validation import field
from services.apiserver.validation.names import dns1123_label

_RETENTION_POLICIES = ("Retain", "Delete")
_CHANGEABLE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)


class StatefulSetStrategy(PodOwnerStrategy):
    fixed = ()
    counters = ("replicas", "availableReplicas")

    def default(self, obj: Object) -> None:
        super().default(obj)
        spec = obj["spec"]
        fill(
            spec,
            (
                ("replicas", 1),
                ("revisionHistoryLimit", 10),
                ("podManagementPolicy", "OrderedReady"),
                ("serviceName", ""),
            ),
        )
        strategy = spec.setdefault("updateStrategy", {})
        if not strategy.get("type"):
            strategy["type"] = "RollingUpdate"
            strategy.setdefault("rollingUpdate", {})
        if strategy["type"] == "RollingUpdate" and "rollingUpdate" in strategy:
            strategy["rollingUpdate"].setdefault("partition", 0)
        fill(
            spec.setdefault("persistentVolumeClaimRetentionPolicy", {}),
            (("whenDeleted", "Retain"), ("whenScaled", "Retain")),
        )
        for claim in spec.get("volumeClaimTemplates", ()):
            claim["apiVersion"], claim["kind"] = "v1", "PersistentVolumeClaim"
            claim.setdefault("metadata", {})
            default_claim_spec(claim.setdefault("spec", {}))
            claim.setdefault("status", {}).setdefault("phase", "Pending")

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        _drop_max_unavailable(obj)
        super().prepare_for_create(ctx, obj)

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        _drop_max_unavailable(obj)
        super().prepare_for_update(ctx, obj, old)

    def validate_name(self, name: str) -> list[str]:
        return dns1123_label(name)

    def validate_spec(self, spec: Object, old: Object | None) -> Iterator[Cause]:
        return _validate_spec(spec, old)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        causes = super().validate_update(ctx, obj, old)
        spec, old_spec = obj["spec"], old["spec"]
        fixed = dict(spec)
        keep(fixed, old_spec, *_CHANGEABLE)
        if fixed != old_spec:
            allowed = ", ".join(f"'{name}'" for name in _CHANGEABLE[:-1])
            causes.append(
                field.forbidden(
                    "spec",
                    f"updates to statefulset spec for fields other than {allowed} and"
                    f" '{_CHANGEABLE[-1]}' are forbidden",
                )
            )
        return causes

    def warn_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        return [*super().warn_on_create(ctx, obj), *_own_warnings(obj["spec"], "")]

    def warn_on_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[str]:
        return [*super().warn_on_update(ctx, obj, old), *_own_warnings(obj["spec"], ".Spec")]

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {"status": StatefulSetStatus(self)}


class StatefulSetStatus(PodOwnerStatus):
    numbers = (
        "replicas",
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "availableReplicas",
        "observedGeneration",
        "collisionCount",
    )
    parts = ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")


def _drop_max_unavailable(obj: Object) -> None:
    rolling = obj["spec"]["updateStrategy"].get("rollingUpdate")
    if rolling:
        rolling.pop("maxUnavailable", None)


def _validate_spec(spec: Object, old: Object | None = None) -> Iterator[Cause]:
    policy = spec["podManagementPolicy"]
    if policy not in ("OrderedReady", "Parallel"):
        yield field.invalid(
            "spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'"
        )
    yield from _validate_strategy(spec["updateStrategy"])
    retention = spec["persistentVolumeClaimRetentionPolicy"]
    for name in ("whenDeleted", "whenScaled"):
        if retention[name] not in _RETENTION_POLICIES:
            yield field.not_supported(
                f"spec.persistentVolumeClaimRetentionPolicy.{name}",
                retention[name],
                _RETENTION_POLICIES,
            )
    claims = spec.get("volumeClaimTemplates", ())
    if old is None:
        for number, claim in enumerate(claims):
            yield from validate_claim_spec(
                claim["spec"], f"spec.volumeClaimTemplates[{number}].spec"
            )
    yield from non_negative(spec, "spec", "replicas", "minReadySeconds")
    yield from non_negative(spec.get("ordinals", {}), "spec.ordinals", "start")
    service = spec.get("serviceName", "")
    if service and old is None:
        for message in dns1123_label(service):
            yield field.invalid("spec.serviceName", service, message)
    changed = old is None or spec["template"] != old["template"]
    yield from validate_selected_template(
        spec, "StatefulSet", also=_with_claims(spec["template"], claims) if changed else None
    )


def _with_claims(template: Object, claims: list[Object]) -> Object:
    """Return the template with a volume for each claim, for containers to mount."""
    if not claims:
        return template
    volumes = template["spec"].get("volumes", ())
    present = {volume.get("name") for volume in volumes}
    wanted = [claim["metadata"].get("name", "") for claim in claims]
    added = [
        {"name": name, "persistentVolumeClaim": {"claimName": name}}
        for name in wanted
        if name not in present
    ]
    return {**template, "spec": {**template["spec"], "volumes": [*volumes, *added]}}


def _validate_strategy(strategy: Object) -> Iterator[Cause]:
    kind, rolling = strategy["type"], strategy.get("rollingUpdate")
    if kind == "OnDelete":
        if rolling is not None:
            yield field.invalid(
                "spec.updateStrategy.rollingUpdate",
                rolling,
                "only allowed for updateStrategy 'RollingUpdate'",
            )
    elif kind == "RollingUpdate":
        yield from non_negative(rolling or {}, "spec.updateStrategy.rollingUpdate", "partition")
    else:
        yield field.invalid(
            "spec.updateStrategy", strategy, "must be 'RollingUpdate' or 'OnDelete'"
        )


def _own_warnings(spec: Object, below: str) -> Iterator[str]:
    """Yield what the pod template is not to blame for; `below` ends the paths of claims."""
    for number, claim in enumerate(spec.get("volumeClaimTemplates", ())):
        yield from claim_warnings(claim["spec"], f"spec.volumeClaimTemplates[{number}]{below}")
    if spec.get("revisionHistoryLimit", 0) < 0:
        yield (
            "spec.revisionHistoryLimit: a negative value retains all historical revisions;"
            " a value >= 0 is recommended"
        )
