"""What may change of a Service, and what its status may say.

Source: kube-apiserver v1.36.2, pkg/apis/core/validation/validation.go
(ValidateServiceUpdate, ValidateLoadBalancerStatus).
"""

from __future__ import annotations

from typing import Any

from services.apiserver.errors import Cause
from services.apiserver.kinds.service_validation import (
    ONCE_SET,
    is_headless,
    needs_health_check,
    validate_load_balancer_class,
)
from services.apiserver.registry.strategy import Object
from services.apiserver.validation.addresses import validate_address
from services.apiserver.validation.field import (
    child,
    forbidden,
    index,
    invalid,
    not_supported,
    required,
)
from services.apiserver.validation.names import dns1123_subdomain


def validate_service_update(service: Object, old: Object) -> list[Cause]:
    """Return the errors of changing `old` into `service`, without those of `service` itself."""
    spec, before = service["spec"], old["spec"]
    found = _validate_ips_change(spec, before)
    found += _validate_families_change(spec, before)
    found += validate_load_balancer_class(spec, before)
    if (
        needs_health_check(before)
        and needs_health_check(spec)
        and spec.get("healthCheckNodePort") != before.get("healthCheckNodePort")
    ):
        found.append(forbidden("spec.healthCheckNodePort", "field is immutable"))
    return found


def _validate_ips_change(spec: Object, before: Object) -> list[Cause]:
    if "ExternalName" in (spec.get("type"), before.get("type")):
        return []
    if is_headless(spec) and is_headless(before):
        return []
    old, new = before.get("clusterIPs", []), spec.get("clusterIPs", [])
    path = "spec.clusterIPs"
    if len(old) == len(new):
        return [
            invalid(index(path, number), new, ONCE_SET)
            for number, address in enumerate(old)
            if address != new[number]
        ]
    found: list[Cause] = []
    if len(old) > len(new) and not new:
        found.append(invalid(f"{path}[0]", new, "primary clusterIP can not be unset"))
    if old and new and old[0] != new[0]:
        found.append(invalid(f"{path}[0]", new, ONCE_SET))
    if len(old) > len(new) == 1 and spec.get("ipFamilyPolicy") != "SingleStack":
        found.append(
            invalid(
                "spec.ipFamilyPolicy",
                spec.get("ipFamilyPolicy"),
                "must be set to 'SingleStack' when releasing the secondary clusterIP",
            )
        )
    return found


def _validate_families_change(spec: Object, before: Object) -> list[Cause]:
    if "ExternalName" in (spec.get("type"), before.get("type")):
        return []
    if is_headless(spec) or is_headless(before):
        return []
    old, new = before.get("ipFamilies", []), spec.get("ipFamilies", [])
    path = "spec.ipFamilies[0]"
    if len(old) == len(new):
        return [
            invalid(path, new, ONCE_SET)
            for number, family in enumerate(old)
            if family != new[number]
        ]
    found: list[Cause] = []
    if len(old) > len(new) and not spec.get("clusterIPs"):
        found.append(invalid(path, new, "primary ipFamily can not be unset"))
    if old and new and old[0] != new[0]:
        found.append(invalid(path, new, ONCE_SET))
    if len(old) > len(new) == 1 and spec.get("ipFamilyPolicy") != "SingleStack":
        found.append(
            invalid(
                "spec.ipFamilyPolicy",
                spec.get("ipFamilyPolicy"),
                "must be set to 'SingleStack' when releasing the secondary ipFamily",
            )
        )
    return found


def validate_load_balancer_status(
    status: Object, path: str, spec: Object, old: Object
) -> list[Cause]:
    """Check status.loadBalancer of a Service."""
    ingress = status.get("ingress", ())
    found: list[Cause] = []
    if ingress and spec.get("type") != "LoadBalancer":
        return [
            forbidden(child(path, "ingress"), "may only be used when `spec.type` is 'LoadBalancer'")
        ]
    known = [one.get("ip", "") for one in old.get("ingress", ())]
    for number, one in enumerate(ingress):
        at = index(child(path, "ingress"), number)
        address, mode = one.get("ip", ""), one.get("ipMode")
        if address:
            found += validate_address(address, child(at, "ip"), known)
        if address and mode is None:
            found.append(required(child(at, "ipMode"), "must be specified when `ip` is set"))
        elif not address and mode is not None:
            found.append(
                forbidden(child(at, "ipMode"), "may not be specified when `ip` is not set")
            )
        elif mode is not None and mode not in ("Proxy", "VIP"):
            found.append(not_supported(child(at, "ipMode"), mode, ("Proxy", "VIP")))
        found += validate_ingress_hostname(one, at)
    return found


def validate_ingress_hostname(one: dict[str, Any], path: str) -> list[Cause]:
    """Check the hostname of a load balancer's ingress point: a DNS name, not an address."""
    host = one.get("hostname", "")
    if not host:
        return []
    at = child(path, "hostname")
    found = [invalid(at, host, message) for message in dns1123_subdomain(host)]
    if not validate_address(host, at):
        found.append(invalid(at, host, "must be a DNS name, not an IP address"))
    return found
