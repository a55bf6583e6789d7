"""Rows of the networking.k8s.io and discovery.k8s.io groups.

Source: kube-apiserver v1.36.2, pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.apiserver.printers import formatting
from services.apiserver.printers.formatting import age, items, label_selector, name, part
from services.apiserver.printers.printer import AGE, NAME, Column, KindPrinter, Object


def _ingress(obj: Object, now: float) -> list[Any]:
    spec = part(obj, "spec")
    ingress_class = spec.get("ingressClassName")
    return [
        name(obj),
        "<none>" if ingress_class is None else ingress_class,
        _hosts(items(spec, "rules")),
        formatting.load_balancer_addresses(part(obj, "status")),
        "80, 443" if items(spec, "tls") else "80",
        age(obj, now),
    ]


def _hosts(rules: Sequence[dict[str, Any]]) -> str:
    """Return the first three hosts. What is "more" counts rules, also those without a host."""
    hosts: list[str] = []
    more = False
    for rule in rules:
        more = more or len(hosts) == 3
        if not more and rule.get("host"):
            hosts.append(rule["host"])
    shown = ",".join(hosts) or "*"
    return f"{shown} + {len(rules) - 3} more..." if more else shown


def _ingress_class(obj: Object, now: float) -> list[Any]:
    spec = part(obj, "spec")
    parameters = "<none>"
    if reference := spec.get("parameters"):
        group = reference.get("apiGroup")
        kind = (
            reference.get("kind", "") if group is None else f"{reference.get('kind', '')}.{group}"
        )
        parameters = f"{kind}/{reference.get('name', '')}"
    return [name(obj), spec.get("controller", ""), parameters, age(obj, now)]


def _network_policy(obj: Object, now: float) -> list[Any]:
    return [name(obj), label_selector(part(obj, "spec", "podSelector")), age(obj, now)]


def _service_cidr(obj: Object, now: float) -> list[Any]:
    return [name(obj), ",".join(items(part(obj, "spec"), "cidrs")), age(obj, now)]


def _ip_address(obj: Object, now: float) -> list[Any]:
    """Render three cells; the columns of an IPAddress are but two."""
    parent = "<none>"
    if reference := part(obj, "spec").get("parentRef"):
        group, resource = reference.get("group"), reference.get("resource", "")
        parent = (f"{resource}.{group}" if group else resource).lower()
        for step in (reference.get("namespace"), reference.get("name", "")):
            parent = parent if step is None else f"{parent}/{step}"
    return [name(obj), parent, age(obj, now)]


def _endpoint_slice(obj: Object, now: float) -> list[Any]:
    ports = [_endpoint_port(port) for port in items(obj, "ports")]
    addresses = [
        one for endpoint in items(obj, "endpoints") for one in items(endpoint, "addresses")
    ]
    return [
        name(obj),
        obj.get("addressType", ""),
        formatting.first_three(ports, "<unset>"),
        formatting.first_three(addresses, "<unset>"),
        age(obj, now),
    ]


def _endpoint_port(port: dict[str, Any]) -> str:
    for field in ("port", "name"):
        if port.get(field) is not None:
            return str(port[field])
    return "*"


INGRESS = KindPrinter(
    (
        NAME,
        Column(
            "Class",
            description="The name of the IngressClass resource that should be used for additional"
            " configuration",
        ),
        Column(
            "Hosts",
            description="Hosts that incoming requests are matched against before the ingress rule",
        ),
        Column(
            "Address",
            description="Address is a list containing ingress points for the load-balancer",
        ),
        Column("Ports", description="Ports of TLS configurations that open"),
        AGE,
    ),
    _ingress,
)
INGRESS_CLASS = KindPrinter(
    (
        NAME,
        Column("Controller", description="Controller that is responsible for handling this class"),
        Column("Parameters", description="A reference to a resource with additional parameters"),
        AGE,
    ),
    _ingress_class,
)
NETWORK_POLICY = KindPrinter(
    (
        NAME,
        Column("Pod-Selector", doc="api.networking.v1.NetworkPolicySpec.podSelector"),
        AGE,
    ),
    _network_policy,
)
SERVICE_CIDR = KindPrinter(
    (NAME, Column("CIDRs", doc="api.networking.v1.ServiceCIDRSpec.cidrs"), AGE), _service_cidr
)
IP_ADDRESS = KindPrinter(
    (NAME, Column("ParentRef", doc="api.networking.v1.IPAddressSpec.parentRef")), _ip_address
)
ENDPOINT_SLICE = KindPrinter(
    (
        NAME,
        Column("AddressType", doc="api.discovery.v1.EndpointSlice.addressType"),
        Column("Ports", doc="api.discovery.v1.EndpointSlice.ports"),
        Column("Endpoints", doc="api.discovery.v1.EndpointSlice.endpoints"),
        AGE,
    ),
    _endpoint_slice,
)
