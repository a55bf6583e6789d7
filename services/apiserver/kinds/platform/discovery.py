"""EndpointSlice.

Source: kube-apiserver v1.36.2, pkg/registry/discovery/endpointslice/strategy.go,
pkg/apis/discovery/validation/validation.go, pkg/apis/discovery/v1/defaults.go.
"""

from __future__ import annotations

from services.apiserver.errors import Cause
from services.apiserver.kinds.platform.rules import (
    address_warnings,
    duplicates,
    follows,
    fully_qualified_domain_name,
    immutable,
)
from services.apiserver.registry.strategy import Object, Strategy, StrategyFactory, WriteContext
from services.apiserver.validation.addresses import (
    is_ipv4,
    is_ipv6,
    validate_address,
    validate_canonical_address,
    validate_non_special,
)
from services.apiserver.validation.field import (
    child,
    duplicate,
    index,
    invalid,
    not_supported,
    required,
    too_many,
)
from services.apiserver.validation.metadata import NameRule, validate_labels
from services.apiserver.validation.names import (
    dns1123_label,
    dns1123_subdomain,
    label_value,
    qualified_name,
)

ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
PROTOCOLS = ("SCTP", "TCP", "UDP")
HOSTNAME_LABEL = "kubernetes.io/hostname"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
CONTROLLERS = ("endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io")
"""They write canonical addresses only, which need no look for warnings."""
MAX_TOPOLOGY_LABELS = 16
MAX_ADDRESSES = 100
MAX_PORTS = 20000
MAX_ENDPOINTS = 1000
MAX_HINTS = 8
HINTS: tuple[tuple[str, NameRule], ...] = (
    ("forZones", label_value),
    ("forNodes", dns1123_subdomain),
)


class EndpointSliceStrategy(Strategy):
    has_generation = True

    def default(self, obj: Object) -> None:
        for port in obj.get("ports") or ():
            port.setdefault("name", "")
            port.setdefault("protocol", "TCP")

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        super().prepare_for_create(ctx, obj)
        _drop_topology(obj, None)

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        super().prepare_for_update(ctx, obj, old)
        if obj.get("endpoints") != old.get("endpoints"):
            _drop_topology(obj, old)

    def generation_moves(self, obj: Object, old: Object) -> bool:
        names = ("addressType", "endpoints", "ports")
        return any(obj.get(name) != old.get(name) for name in names) or (
            (obj["metadata"].get("labels") or {}) != (old["metadata"].get("labels") or {})
        )

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _validate_slice(obj, None)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return _validate_slice(obj, old) + immutable(
            "addressType", obj.get("addressType", ""), old.get("addressType", "")
        )

    def warn_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        found = _warnings(obj)
        if obj.get("addressType") == "FQDN":
            found.insert(0, "spec.addressType: FQDN endpoints are deprecated")
        return found

    def warn_on_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[str]:
        return _warnings(obj)


def _drop_topology(obj: Object, old: Object | None) -> None:
    """Drop what v1 does not let clients write; a node name the old object had there stays."""
    known = {
        endpoint.get("deprecatedTopology", {}).get(HOSTNAME_LABEL)
        for endpoint in (old or {}).get("endpoints") or ()
    } - {None, ""}
    for endpoint in obj.get("endpoints") or ():
        node = endpoint.pop("deprecatedTopology", {}).get(HOSTNAME_LABEL)
        if "nodeName" not in endpoint and node in known and not dns1123_subdomain(node):
            endpoint["nodeName"] = node


def _warnings(obj: Object) -> list[str]:
    if (obj["metadata"].get("labels") or {}).get(MANAGED_BY) in CONTROLLERS:
        return []
    return [
        warning
        for number, endpoint in enumerate(obj.get("endpoints") or ())
        for position, address in enumerate(endpoint.get("addresses") or ())
        for warning in address_warnings(f"endpoints[{number}].addresses[{position}]", address)
    ]


def _validate_slice(obj: Object, old: Object | None) -> list[Cause]:
    found: list[Cause] = []
    kind = obj.get("addressType", "")
    if not kind:
        found.append(required("addressType"))
    elif kind not in ADDRESS_TYPES:
        found.append(not_supported("addressType", kind, ADDRESS_TYPES))
    found += _validate_ports(obj.get("ports") or [])
    # Endpoints that did not change stay valid, whatever an older server let through.
    if old is None or obj.get("endpoints") != old.get("endpoints"):
        found += _validate_endpoints(obj.get("endpoints") or [], kind)
    return found


def _validate_ports(ports: list[Object]) -> list[Cause]:
    if len(ports) > MAX_PORTS:
        return [too_many("ports", len(ports), MAX_PORTS)]
    found: list[Cause] = []
    seen: set[str] = set()
    for number, port in enumerate(ports):
        at = index("ports", number)
        name = port.get("name", "")
        if name:
            found += follows(child(at, "name"), name, dns1123_label)
        if name in seen:
            found.append(duplicate(child(at, "name"), name))
        seen.add(name)
        if port.get("protocol") not in PROTOCOLS:
            found.append(not_supported(child(at, "protocol"), port.get("protocol"), PROTOCOLS))
        if "appProtocol" in port:
            found += follows(child(at, "appProtocol"), port["appProtocol"], qualified_name)
    return found


def _validate_endpoints(endpoints: list[Object], kind: str) -> list[Cause]:
    if len(endpoints) > MAX_ENDPOINTS:
        return [too_many("endpoints", len(endpoints), MAX_ENDPOINTS)]
    found: list[Cause] = []
    for number, endpoint in enumerate(endpoints):
        at = index("endpoints", number)
        found += _validate_addresses(endpoint.get("addresses") or [], kind, child(at, "addresses"))
        if "nodeName" in endpoint:
            found += follows(child(at, "nodeName"), endpoint["nodeName"], dns1123_subdomain)
        topology = endpoint.get("deprecatedTopology")
        if topology:
            path = child(at, "deprecatedTopology")
            if len(topology) > MAX_TOPOLOGY_LABELS:
                found.append(too_many(path, len(topology), MAX_TOPOLOGY_LABELS))
            found += validate_labels(topology, path)
        if "hostname" in endpoint:
            found += follows(child(at, "hostname"), endpoint["hostname"], dns1123_label)
        if "hints" in endpoint:
            found += _validate_hints(endpoint["hints"], child(at, "hints"))
    return found


def _validate_addresses(addresses: list[str], kind: str, path: str) -> list[Cause]:
    if not addresses:
        return [required(path, "must contain at least 1 address")]
    found: list[Cause] = []
    if len(addresses) > MAX_ADDRESSES:
        found.append(too_many(path, len(addresses), MAX_ADDRESSES))
    for number, address in enumerate(addresses):
        at = index(path, number)
        if kind == "FQDN":
            found += fully_qualified_domain_name(at, address)
        elif kind in ("IPv4", "IPv6"):
            four = kind == "IPv4"
            wrong = (
                validate_address(address, at) if four else validate_canonical_address(address, at)
            )
            if not wrong:
                if not (is_ipv4(address) if four else is_ipv6(address)):
                    wrong = [invalid(path, address, f"must be an {kind} address")]
                wrong += validate_non_special(address, at)
            found += wrong
    return found


def _validate_hints(hints: Object, path: str) -> list[Cause]:
    found: list[Cause] = []
    for field, rule in HINTS:
        at = child(path, field)
        names = [hint.get("name", "") for hint in hints.get(field) or ()]
        if len(names) > MAX_HINTS:
            return [*found, too_many(at, len(names), MAX_HINTS)]
        doubled = set(duplicates(names))
        for number, name in enumerate(names):
            where = child(index(at, number), "name")
            if number in doubled:
                found.append(duplicate(where, name))
            found += follows(where, name, rule)
    return found


DISCOVERY_STRATEGIES: dict[tuple[str, str], StrategyFactory] = {
    ("discovery.k8s.io", "endpointslices"): EndpointSliceStrategy,
}
