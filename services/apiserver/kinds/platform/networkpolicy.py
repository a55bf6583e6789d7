"""NetworkPolicy.

Source: kube-apiserver v1.36.2, pkg/registry/networking/networkpolicy/strategy.go,
pkg/apis/networking/validation/validation.go, pkg/apis/networking/v1/defaults.go.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator

from services.apiserver.errors import Cause
from services.apiserver.kinds.platform.rules import cidr_warnings, follows
from services.apiserver.registry.strategy import Object, Strategy, StrategyFactory, WriteContext
from services.apiserver.validation.addresses import parse_cidr, validate_cidr
from services.apiserver.validation.field import (
    child,
    forbidden,
    index,
    invalid,
    not_supported,
    required,
)
from services.apiserver.validation.metadata import validate_label_selector
from services.apiserver.validation.names import port_name, port_number

PROTOCOLS = ("SCTP", "TCP", "UDP")
POLICY_TYPES = ("Egress", "Ingress")
DIRECTIONS = (("ingress", "from"), ("egress", "to"))


class NetworkPolicyStrategy(Strategy):
    has_generation = True

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        if not spec.get("policyTypes"):
            spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
        for direction, _ in DIRECTIONS:
            for rule in spec.get(direction) or ():
                for port in rule.get("ports") or ():
                    port.setdefault("protocol", "TCP")

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _validate_spec(obj["spec"])

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        before = old["spec"]
        old_cidrs = {
            cidr
            for block, _ in _ip_blocks(before)
            for cidr in (block.get("cidr", ""), *block.get("except", ()))
        }
        bad_selector = bool(validate_label_selector(before.get("podSelector"), ""))
        return _validate_spec(obj["spec"], old_cidrs, check_values=not bad_selector)

    def warn_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        return _warnings(obj["spec"])

    def warn_on_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[str]:
        return _warnings(obj["spec"])


def _ip_blocks(spec: Object) -> Iterator[tuple[Object, str]]:
    """Yield every ipBlock and its path."""
    for direction, peers in DIRECTIONS:
        for number, rule in enumerate(spec.get(direction) or ()):
            for position, peer in enumerate(rule.get(peers) or ()):
                if "ipBlock" in peer:
                    at = index(child(index(child("spec", direction), number), peers), position)
                    yield peer["ipBlock"], child(at, "ipBlock")


def _warnings(spec: Object) -> list[str]:
    found: list[str] = []
    for block, path in _ip_blocks(spec):
        found += cidr_warnings(child(path, "cidr"), block.get("cidr", ""))
        for number, cidr in enumerate(block.get("except", ())):
            found += cidr_warnings(index(child(path, "except"), number), cidr)
    return found


def _validate_spec(
    spec: Object, old_cidrs: Collection[str] = (), *, check_values: bool = True
) -> list[Cause]:
    found = validate_label_selector(
        spec.get("podSelector"), "spec.podSelector", check_values=check_values
    )
    for direction, peers in DIRECTIONS:
        for number, rule in enumerate(spec.get(direction) or ()):
            at = index(child("spec", direction), number)
            for position, port in enumerate(rule.get("ports") or ()):
                found += _validate_port(port, index(child(at, "ports"), position))
            for position, peer in enumerate(rule.get(peers) or ()):
                path = index(child(at, peers), position)
                found += _validate_peer(peer, path, old_cidrs, check_values)
    types = spec.get("policyTypes") or ()
    if len(types) > len(POLICY_TYPES):
        detail = "may not specify more than two policyTypes"
        return [*found, invalid("spec.policyTypes", types, detail)]
    return found + [
        not_supported(index("spec.policyTypes", number), kind, POLICY_TYPES)
        for number, kind in enumerate(types)
        if kind not in POLICY_TYPES
    ]


def _validate_port(entry: Object, path: str) -> list[Cause]:
    found: list[Cause] = []
    if "protocol" in entry and entry["protocol"] not in PROTOCOLS:
        found.append(not_supported(child(path, "protocol"), entry["protocol"], PROTOCOLS))
    port, last = entry.get("port"), entry.get("endPort")
    at, end = child(path, "port"), child(path, "endPort")
    if port is None:
        if last is not None:
            detail = "may not be specified when `port` is not specified"
            found.append(invalid(end, last, detail))
    elif isinstance(port, str):
        if last is not None:
            found.append(invalid(end, last, "may not be specified when `port` is non-numeric"))
        found += follows(at, port, port_name)
    else:
        found += [invalid(at, port, message) for message in port_number(port)]
        if last is not None:
            if last < port:
                found.append(invalid(end, last, "must be greater than or equal to `port`"))
            found += [invalid(end, last, message) for message in port_number(last)]
    return found


def _validate_peer(
    peer: Object, path: str, old_cidrs: Collection[str], check_values: bool
) -> list[Cause]:
    found: list[Cause] = []
    count = 0
    for name in ("podSelector", "namespaceSelector"):
        if peer.get(name) is not None:
            count += 1
            found += validate_label_selector(
                peer[name], child(path, name), check_values=check_values
            )
    block = peer.get("ipBlock")
    if block is not None:
        count += 1
        found += _validate_ip_block(block, child(path, "ipBlock"), old_cidrs)
    if count == 0:
        found.append(required(path, "must specify a peer"))
    elif count > 1 and block is not None:
        found.append(forbidden(path, "may not specify both ipBlock and another peer"))
    return found


def _validate_ip_block(block: Object, path: str, old_cidrs: Collection[str]) -> list[Cause]:
    at, text = child(path, "cidr"), block.get("cidr", "")
    if not text:
        return [required(at)]
    found = validate_cidr(text, at, old_cidrs)
    parsed = parse_cidr(text)
    if parsed is None:
        return found
    network = ipaddress.ip_network(parsed, strict=False)
    for number, cidr in enumerate(block.get("except") or ()):
        at = index(child(path, "except"), number)
        found += validate_cidr(cidr, at, old_cidrs)
        parsed = parse_cidr(cidr)
        if parsed is None:
            continue
        inner = ipaddress.ip_network(parsed, strict=False)
        if inner.network_address not in network or network.prefixlen >= inner.prefixlen:
            found.append(invalid(at, cidr, "must be a strict subset of `cidr`"))
    return found


NETWORKPOLICY_STRATEGIES: dict[tuple[str, str], StrategyFactory] = {
    ("networking.k8s.io", "networkpolicies"): NetworkPolicyStrategy,
}
