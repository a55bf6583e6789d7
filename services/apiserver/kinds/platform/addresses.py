"""IPAddress and ServiceCIDR.

Source: kube-apiserver v1.36.2, pkg/registry/networking/{ipaddress,servicecidr}/strategy.go,
pkg/apis/networking/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.apiserver.errors import Cause
from services.apiserver.kinds.platform.rules import (
    MetadataKeepingStatus,
    follows,
    immutable,
    metadata_again,
    required_name,
)
from services.apiserver.registry.strategy import (
    Object,
    Strategy,
    StrategyFactory,
    UpdateSubresource,
    WriteContext,
)
from services.apiserver.validation.addresses import (
    family_of,
    parse_cidr,
    validate_canonical_address,
    validate_canonical_cidr,
)
from services.apiserver.validation.field import index, invalid, required
from services.apiserver.validation.metadata import IMMUTABLE
from services.apiserver.validation.names import dns1123_subdomain, path_segment


class IPAddressStrategy(Strategy):
    def validate_name(self, name: str) -> list[str]:
        return [cause.message for cause in validate_canonical_address(name, "")]

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _validate_parent(obj["spec"].get("parentRef"))

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        parent = obj["spec"].get("parentRef")
        return [
            *metadata_again(self, obj, old),
            *_validate_parent(parent),
            *immutable("spec.parentRef", parent, old["spec"].get("parentRef")),
        ]


def _validate_parent(parent: Object | None) -> list[Cause]:
    path = "spec.parentRef"
    if parent is None:
        return [required(path)]
    found: list[Cause] = []
    if parent.get("group"):
        found += follows(f"{path}.group", parent["group"], dns1123_subdomain)
    found += required_name(f"{path}.resource", parent.get("resource", ""), path_segment)
    found += required_name(f"{path}.name", parent.get("name", ""), path_segment)
    if parent.get("namespace"):
        found += follows(f"{path}.namespace", parent["namespace"], path_segment)
    return found


class ServiceCIDRStrategy(Strategy):
    has_status = True

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        obj["status"] = {}

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _validate_cidrs(obj["spec"].get("cidrs") or [])

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        path = "spec.cidrs"
        cidrs, before = obj["spec"].get("cidrs") or [], old["spec"].get("cidrs") or []
        # A second CIDR may be added, to become dual-stack; nothing else may change.
        if len(cidrs) != len(before) and (len(before), len(cidrs)) != (1, 2):
            return [invalid(path, cidrs, IMMUTABLE)]
        found = [
            invalid(index(path, number), cidrs[number], IMMUTABLE)
            for number, cidr in enumerate(before)
            if cidrs[number] != cidr
        ]
        return found if len(cidrs) == len(before) else found + _validate_cidrs(cidrs)

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {"status": MetadataKeepingStatus(self)}


def _validate_cidrs(cidrs: list[str]) -> list[Cause]:
    path = "spec.cidrs"
    if not cidrs:
        return [required(path, "at least one CIDR required")]
    if len(cidrs) > 2:
        return [invalid(path, cidrs, "may only hold up to 2 values")]
    found: list[Cause] = []
    for number, cidr in enumerate(cidrs):
        found += validate_canonical_cidr(cidr, index(path, number))
    families = [family_of(str(parsed[0])) for parsed in map(parse_cidr, cidrs) if parsed]
    if len(families) == 2 and families[0] == families[1]:
        detail = "may specify no more than one IP for each IP family"
        found.append(invalid(path, cidrs, detail))
    return found


ADDRESS_STRATEGIES: dict[tuple[str, str], StrategyFactory] = {
    ("networking.k8s.io", "ipaddresses"): IPAddressStrategy,
    ("networking.k8s.io", "servicecidrs"): ServiceCIDRStrategy,
}
