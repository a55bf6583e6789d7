"""Endpoints.

Source: kube-apiserver v1.36.2, pkg/registry/core/endpoint/strategy.go,
pkg/apis/core/validation/validation.go (ValidateEndpoints).
"""

from __future__ import annotations

from collections.abc import Collection

from services.apiserver.errors import Cause
from services.apiserver.kinds.service_validation import PROTOCOLS
from services.apiserver.registry.strategy import Object, Strategy, WriteContext
from services.apiserver.validation.addresses import validate_address, validate_non_special
from services.apiserver.validation.field import child, index, invalid, not_supported, required
from services.apiserver.validation.metadata import validate_metadata_create
from services.apiserver.validation.names import (
    dns1123_label,
    dns1123_subdomain,
    port_number,
    qualified_name,
)


class EndpointsStrategy(Strategy):
    create_on_update = True

    def default(self, obj: Object) -> None:
        for subset in obj.get("subsets", ()):
            for port in subset.get("ports", ()):
                if not port.get("protocol"):
                    port["protocol"] = "TCP"

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _validate_subsets(obj, ())

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        found: list[Cause] = []
        if obj["metadata"] != old["metadata"]:
            found += validate_metadata_create(
                obj, namespaced=True, validate_name=self.validate_name
            )
        known = {
            address.get("ip", "")
            for subset in old.get("subsets", ())
            for name in ("addresses", "notReadyAddresses")
            for address in subset.get(name, ())
        }
        return found + _validate_subsets(obj, known)


def _validate_subsets(obj: Object, known: Collection[str]) -> list[Cause]:
    found: list[Cause] = []
    for number, subset in enumerate(obj.get("subsets", ())):
        path = index("subsets", number)
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            found.append(required(path, "must specify `addresses` or `notReadyAddresses`"))
        for name in ("addresses", "notReadyAddresses"):
            for position, address in enumerate(subset.get(name, ())):
                found += _validate_address(address, index(child(path, name), position), known)
        ports = subset.get("ports", ())
        for position, port in enumerate(ports):
            found += _validate_port(port, index(child(path, "ports"), position), len(ports) > 1)
    return found


def _validate_address(address: Object, path: str, known: Collection[str]) -> list[Cause]:
    text = address.get("ip", "")
    at = child(path, "ip")
    found = validate_address(text, at, known)
    if address.get("hostname"):
        found += [
            invalid(child(path, "hostname"), address["hostname"], message)
            for message in dns1123_label(address["hostname"])
        ]
    if address.get("nodeName") is not None:
        found += [
            invalid(child(path, "nodeName"), address["nodeName"], message)
            for message in dns1123_subdomain(address["nodeName"])
        ]
    return found + validate_non_special(text, at)


def _validate_port(port: Object, path: str, needs_name: bool) -> list[Cause]:
    found: list[Cause] = []
    name = port.get("name", "")
    if name:
        found += [invalid(child(path, "name"), name, message) for message in dns1123_label(name)]
    elif needs_name:
        found.append(required(child(path, "name")))
    number = port.get("port", 0)
    found += [invalid(child(path, "port"), number, message) for message in port_number(number)]
    protocol = port.get("protocol", "")
    if not protocol:
        found.append(required(child(path, "protocol")))
    elif protocol not in PROTOCOLS:
        found.append(not_supported(child(path, "protocol"), protocol, PROTOCOLS))
    if port.get("appProtocol") is not None:
        found += [
            invalid(child(path, "appProtocol"), port["appProtocol"], message)
            for message in qualified_name(port["appProtocol"])
        ]
    return found
