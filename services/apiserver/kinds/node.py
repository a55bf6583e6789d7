"""Node.

Source: kube-apiserver v1.36.2, pkg/registry/core/node/strategy.go,
pkg/apis/core/v1/{defaults,conversion}.go, pkg/apis/core/validation/validation.go (ValidateNode).
"""

from __future__ import annotations

from collections.abc import Mapping

from services.apiserver.errors import Cause
from services.apiserver.kinds.podspec.resources import round_up
from services.apiserver.kinds.resourcelists import validate_quantity_value
from services.apiserver.registry.strategy import (
    Object,
    StatusSubresource,
    Strategy,
    UpdateSubresource,
    WriteContext,
    keep,
)
from services.apiserver.validation.addresses import are_dual_stack, validate_cidr
from services.apiserver.validation.field import (
    child,
    duplicate,
    forbidden,
    index,
    invalid,
    not_supported,
    required,
)
from services.apiserver.validation.metadata import validate_label_name, validate_metadata_create
from services.apiserver.validation.names import label_value

TAINT_EFFECTS = ("NoExecute", "NoSchedule", "PreferNoSchedule")
CIDR_ONCE = 'node updates may not change podCIDR except from "" to valid'


class NodeStrategy(Strategy):
    def default(self, obj: Object) -> None:
        status = obj.setdefault("status", {})
        if "capacity" in status:
            status.setdefault("allocatable", dict(status["capacity"]))
        for name in ("capacity", "allocatable"):
            if name in status:
                round_up(status[name])
        spec = obj.setdefault("spec", {})
        cidr = spec.get("podCIDR")
        if cidr:
            if spec.get("podCIDRs", [None])[0] != cidr:
                spec["podCIDRs"] = [cidr]
        elif spec.get("podCIDRs"):
            spec["podCIDR"] = spec["podCIDRs"][0]

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        _drop_config(obj, None)

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        keep(obj, old, "status")
        _drop_config(obj, old)

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _validate_node(obj)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        found: list[Cause] = []
        if obj["metadata"] != old["metadata"]:
            found += validate_metadata_create(
                obj, namespaced=False, validate_name=self.validate_name
            )
        # The node is looked at as a whole, and then again as a change.
        return found + _validate_node(obj) + validate_node_update(obj, old)

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {"status": NodeStatus(self)}


class NodeStatus(StatusSubresource):
    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        super().prepare_for_update(ctx, obj, old)
        if "config" not in old.get("status", {}):
            obj.get("status", {}).pop("config", None)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return validate_node_update(obj, old)


def validate_node_update(obj: Object, old: Object) -> list[Cause]:
    spec, before = obj.get("spec", {}), old.get("spec", {})
    found = _validate_resources(obj)
    seen: list[Object] = []
    for number, address in enumerate(obj.get("status", {}).get("addresses", ())):
        if address in seen:
            found.append(duplicate(index("status.addresses", number), address))
        seen.append(address)
    old_cidrs, cidrs = before.get("podCIDRs", ()), spec.get("podCIDRs", ())
    if old_cidrs:
        if len(old_cidrs) != len(cidrs):
            found.append(forbidden("spec.podCIDRs", CIDR_ONCE))
        else:
            found += [
                forbidden("spec.podCIDRs", CIDR_ONCE)
                for one, other in zip(old_cidrs, cidrs, strict=True)
                if one != other
            ]
    if before.get("providerID") and before["providerID"] != spec.get("providerID"):
        found.append(
            forbidden(
                "spec.providerID",
                'node updates may not change providerID except from "" to valid',
            )
        )
    found += _validate_taints(spec)
    if spec.get("externalID", "") != before.get("externalID", ""):
        found.append(forbidden("spec.externalID", "may not be updated"))
    return found


def _validate_node(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    found = _validate_taints(spec)
    found += _validate_resources(obj)
    cidrs = spec.get("podCIDRs", ())
    path = "spec.podCIDRs"
    for number, cidr in enumerate(cidrs):
        found += validate_cidr(cidr, index(path, number))
    if len(cidrs) > 1:
        addresses = [cidr.partition("/")[0] for cidr in cidrs]
        if not are_dual_stack(addresses) or len(cidrs) > 2:
            found.append(
                invalid(path, cidrs, "may specify no more than one CIDR for each IP family")
            )
        found += [
            duplicate(index(path, number), cidr)
            for number, cidr in enumerate(cidrs)
            if cidr in cidrs[:number]
        ]
    return found


def _drop_config(obj: Object, old: Object | None) -> None:
    """Dynamic kubelet configuration is gone; it stays only where it is stored already."""
    if "configSource" not in (old or {}).get("spec", {}):
        obj.get("spec", {}).pop("configSource", None)
    if "config" not in (old or {}).get("status", {}):
        obj.get("status", {}).pop("config", None)


def _validate_resources(obj: Object) -> list[Cause]:
    status = obj.get("status", {})
    return [
        cause
        for kind in ("capacity", "allocatable")
        for name, text in status.get(kind, {}).items()
        for cause in validate_quantity_value(name, text, child("status", kind, name))
    ]


def _validate_taints(spec: Object) -> list[Cause]:
    found: list[Cause] = []
    seen: set[tuple[str, str]] = set()
    for number, taint in enumerate(spec.get("taints", ())):
        path = index("metadata.taints", number)
        name, value, effect = (taint.get(field, "") for field in ("key", "value", "effect"))
        found += validate_label_name(name, child(path, "key"))
        messages = label_value(value)
        if messages:
            found.append(invalid(child(path, "value"), value, ";".join(messages)))
        if not effect:
            found.append(required(child(path, "effect")))
        elif effect not in TAINT_EFFECTS:
            found.append(not_supported(child(path, "effect"), effect, TAINT_EFFECTS))
        if (name, effect) in seen:
            found.append(duplicate(path, taint))
        seen.add((name, effect))
    return found
