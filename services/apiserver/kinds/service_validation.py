"""The rules of a Service.

Source: kube-apiserver v1.36.2, pkg/apis/core/validation/validation.go (ValidateService and
what it calls), pkg/api/service/util.go.
"""

from __future__ import annotations

from services.apiserver.errors import Cause
from services.apiserver.registry.strategy import Object
from services.apiserver.validation.addresses import (
    are_dual_stack,
    is_ipv6,
    validate_address,
    validate_cidr,
    validate_non_special,
)
from services.apiserver.validation.field import (
    child,
    duplicate,
    forbidden,
    index,
    invalid,
    key,
    not_supported,
    required,
)
from services.apiserver.validation.metadata import validate_labels
from services.apiserver.validation.names import (
    dns1123_label,
    dns1123_subdomain,
    port_name,
    port_number,
    qualified_name,
)

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
FAMILIES = ("IPv4", "IPv6")
FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
PROTOCOLS = ("SCTP", "TCP", "UDP")
TRAFFIC_DISTRIBUTIONS = ("PreferClose", "PreferSameNode", "PreferSameZone")
SOURCE_RANGES_ANNOTATION = "service.beta.kubernetes.io/load-balancer-source-ranges"
TOPOLOGY_HINTS_ANNOTATION = "service.kubernetes.io/topology-aware-hints"
TOPOLOGY_MODE_ANNOTATION = "service.kubernetes.io/topology-mode"
MAX_AFFINITY_TIMEOUT_S = 86400
LOAD_BALANCER_ONLY = "may only be used when `type` is 'LoadBalancer'"
ONCE_SET = "may not change once set"


def is_headless(spec: Object) -> bool:
    return bool(spec.get("clusterIPs") == ["None"])


def needs_health_check(spec: Object) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def is_externally_accessible(spec: Object) -> bool:
    kind = spec.get("type")
    return kind in ("LoadBalancer", "NodePort") or (
        kind == "ClusterIP" and bool(spec.get("externalIPs"))
    )


def validate_service(service: Object, old: Object | None) -> list[Cause]:
    """Return the errors of a Service's spec; allocation has not happened yet."""
    spec = service["spec"]
    old_spec = {} if old is None else old["spec"]
    kind = spec.get("type", "")
    ports = spec.get("ports", ())
    headless = is_headless(spec)
    annotations = service["metadata"].get("annotations", {})
    found: list[Cause] = []

    hints = annotations.get(TOPOLOGY_HINTS_ANNOTATION)
    mode = annotations.get(TOPOLOGY_MODE_ANNOTATION)
    if hints is not None and mode is not None and hints != mode:
        found.append(
            invalid(
                key("metadata.annotations", TOPOLOGY_MODE_ANNOTATION),
                mode,
                f"must match annotations[{TOPOLOGY_HINTS_ANNOTATION}] when both are specified",
            )
        )
    if not ports and not headless and kind != "ExternalName":
        found.append(required("spec.ports"))
    if kind in ("LoadBalancer", "NodePort") and headless:
        found.append(
            invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")
        )
    if kind == "ExternalName":
        found += _validate_external_name(spec)

    found += _validate_ports(spec)
    if "selector" in spec:
        found += validate_labels(spec["selector"], "spec.selector")
    found += _validate_session_affinity(spec)
    found += validate_cluster_ips(spec, old_spec)
    for number, address in enumerate(spec.get("externalIPs", ())):
        path = index("spec.externalIPs", number)
        wrong = validate_address(address, path, old_spec.get("externalIPs", ()))
        found += wrong or validate_non_special(address, path)
    if kind not in TYPES:
        found.append(not_supported("spec.type", kind, TYPES))
    found += _validate_port_uniqueness(spec)
    found += _validate_source_ranges(spec, old_spec, annotations)
    if "allocateLoadBalancerNodePorts" in spec and kind != "LoadBalancer":
        found.append(forbidden("spec.allocateLoadBalancerNodePorts", LOAD_BALANCER_ONLY))
    found += validate_load_balancer_class(spec, None)
    found += _validate_traffic_policies(spec)
    return found


def validate_cluster_ips(spec: Object, old_spec: Object) -> list[Cause]:
    """Return the errors of clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy together."""
    if spec.get("type") == "ExternalName":
        return []
    found: list[Cause] = []
    path = "spec.clusterIPs"
    address, addresses = spec.get("clusterIP", ""), spec.get("clusterIPs", [])
    families, policy = spec.get("ipFamilies", []), spec.get("ipFamilyPolicy")
    if address:
        if not addresses:
            found.append(required(path))
        elif addresses[0] != address:
            found.append(invalid(path, addresses, "first value must match `clusterIP`"))
    elif addresses:
        found.append(invalid(path, addresses, "must be empty when `clusterIP` is not specified"))
    for number, family in enumerate(families):
        at = index("spec.ipFamilies", number)
        if family not in FAMILIES:
            found.append(not_supported(at, family, FAMILIES))
        if family in families[:number]:
            found.append(duplicate(at, family))
    if policy is not None and policy not in FAMILY_POLICIES:
        found.append(not_supported("spec.ipFamilyPolicy", policy, FAMILY_POLICIES))

    malformed = False
    for number, one in enumerate(addresses):
        if number == 0 and one == "None":
            if len(addresses) > 1:
                malformed = True
                found.append(invalid(path, addresses, "'None' must be the first and only value"))
            continue
        wrong = validate_address(one, index(path, number), old_spec.get("clusterIPs", ()))
        malformed = malformed or bool(wrong)
        found += wrong
    if len(addresses) > 2:
        found.append(invalid(path, addresses, "may only hold up to 2 values"))
    if malformed:
        return found
    if len(addresses) > 1 and not are_dual_stack(addresses):
        found.append(invalid(path, addresses, "may specify no more than one IP for each IP family"))
    if addresses and not is_headless(spec):
        for number, (one, family) in enumerate(zip(addresses, families, strict=False)):
            if family in FAMILIES and is_ipv6(one) != (family == "IPv6"):
                found.append(
                    invalid(
                        index(path, number),
                        one,
                        f"expected an {family} value as indicated by `ipFamilies[{number}]`",
                    )
                )
    return found


def _validate_external_name(spec: Object) -> list[Cause]:
    found = [
        forbidden(child("spec", name), "may not be set for ExternalName services")
        for name in ("clusterIPs", "ipFamilies", "ipFamilyPolicy")
        if spec.get(name)
    ]
    name = spec.get("externalName", "").removesuffix(".")
    if not name:
        return [*found, required("spec.externalName")]
    return found + [
        invalid("spec.externalName", name, message) for message in dns1123_subdomain(name)
    ]


def _validate_ports(spec: Object) -> list[Cause]:
    found: list[Cause] = []
    ports = spec.get("ports", ())
    seen: set[str] = set()
    for number, port in enumerate(ports):
        path = index("spec.ports", number)
        name = port.get("name", "")
        if name:
            found += [
                invalid(child(path, "name"), name, message) for message in dns1123_label(name)
            ]
            if name in seen:
                found.append(duplicate(child(path, "name"), name))
            seen.add(name)
        elif len(ports) > 1:
            found.append(required(child(path, "name")))
        value = port.get("port", 0)
        found += [invalid(child(path, "port"), value, message) for message in port_number(value)]
        protocol = port.get("protocol", "")
        if not protocol:
            found.append(required(child(path, "protocol")))
        elif protocol not in PROTOCOLS:
            found.append(not_supported(child(path, "protocol"), protocol, PROTOCOLS))
        found += validate_port_number_or_name(port.get("targetPort", 0), child(path, "targetPort"))
        if "appProtocol" in port:
            found += [
                invalid(child(path, "appProtocol"), port["appProtocol"], message)
                for message in qualified_name(port["appProtocol"])
            ]
    return found


def validate_port_number_or_name(value: int | str, path: str) -> list[Cause]:
    messages = port_name(value) if isinstance(value, str) else port_number(value)
    return [invalid(path, value, message) for message in messages]


def _validate_session_affinity(spec: Object) -> list[Cause]:
    affinity = spec.get("sessionAffinity", "")
    path = "spec.sessionAffinityConfig"
    if affinity == "ClientIP":
        timeout = spec.get("sessionAffinityConfig", {}).get("clientIP", {}).get("timeoutSeconds")
        if timeout is None:
            return [
                required(path, f"when session affinity type is {affinity}"),
            ]
        if not 0 < timeout <= MAX_AFFINITY_TIMEOUT_S:
            return [
                invalid(
                    f"{path}.clientIP.timeoutSeconds",
                    timeout,
                    f"must be greater than 0 and less than or equal to {MAX_AFFINITY_TIMEOUT_S}",
                )
            ]
        return []
    if affinity == "None":
        if "sessionAffinityConfig" in spec:
            return [forbidden(path, "must not be set when session affinity is None")]
        return []
    return [not_supported("spec.sessionAffinity", affinity, ("ClientIP", "None"))]


def _validate_port_uniqueness(spec: Object) -> list[Cause]:
    found: list[Cause] = []
    ports = spec.get("ports", ())
    if spec.get("type") == "ClusterIP":
        found += [
            forbidden(
                child(index("spec.ports", number), "nodePort"),
                "may not be used when `type` is 'ClusterIP'",
            )
            for number, port in enumerate(ports)
            if port.get("nodePort")
        ]
    seen_node_ports: set[tuple[str, int]] = set()
    for number, port in enumerate(ports):
        taken = (port.get("protocol", ""), port.get("nodePort", 0))
        if not taken[1]:
            continue
        # Where node ports are allocated, the allocator tells of a repeated one.
        if taken in seen_node_ports and spec.get("type") not in ("NodePort", "LoadBalancer"):
            path = child(index("spec.ports", number), "nodePort")
            found.append(duplicate(path, taken[1]))
        seen_node_ports.add(taken)
    seen: set[tuple[str, int]] = set()
    for number, port in enumerate(ports):
        pair = (port.get("protocol", ""), port.get("port", 0))
        if pair in seen:
            found.append(
                duplicate(index("spec.ports", number), {"protocol": pair[0], "port": pair[1]})
            )
        seen.add(pair)
    return found


def _validate_source_ranges(
    spec: Object, old_spec: Object, annotations: dict[str, str]
) -> list[Cause]:
    is_load_balancer = spec.get("type") == "LoadBalancer"
    found: list[Cause] = []
    ranges = spec.get("loadBalancerSourceRanges", ())
    if ranges:
        path = "spec.LoadBalancerSourceRanges"
        if not is_load_balancer:
            found.append(forbidden(path, LOAD_BALANCER_ONLY))
        for number, text in enumerate(ranges):
            found += validate_cidr(
                text.strip(), index(path, number), old_spec.get("loadBalancerSourceRanges", ())
            )
    elif SOURCE_RANGES_ANNOTATION in annotations:
        path = key("metadata.annotations", SOURCE_RANGES_ANNOTATION)
        if not is_load_balancer:
            found.append(forbidden(path, LOAD_BALANCER_ONLY))
        text = annotations[SOURCE_RANGES_ANNOTATION].strip()
        for one in text.split(",") if text else ():
            found += validate_cidr(one.strip(), path)
    return found


def validate_load_balancer_class(spec: Object, before: Object | None) -> list[Cause]:
    path = "spec.loadBalancerClass"
    name = spec.get("loadBalancerClass")
    found: list[Cause] = []
    if spec.get("type") == "LoadBalancer":
        if (
            before is not None
            and before.get("type") == "LoadBalancer"
            and before.get("loadBalancerClass") != name
        ):
            found.append(invalid(path, name, ONCE_SET))
        if name is not None:
            found += [invalid(path, name, message) for message in qualified_name(name)]
    elif name is not None:
        found.append(forbidden(path, LOAD_BALANCER_ONLY))
    return found


def _validate_traffic_policies(spec: Object) -> list[Cause]:
    found: list[Cause] = []
    external = spec.get("externalTrafficPolicy", "")
    path = "spec.externalTrafficPolicy"
    if not is_externally_accessible(spec):
        if external:
            found.append(
                invalid(path, external, "may only be set for externally-accessible services")
            )
    elif external not in ("Cluster", "Local"):
        found.append(not_supported(path, external, ("Cluster", "Local")))
    path = "spec.healthCheckNodePort"
    port = spec.get("healthCheckNodePort", 0)
    if port:
        if needs_health_check(spec):
            found += [invalid(path, port, message) for message in port_number(port)]
        else:
            found.append(
                invalid(
                    path,
                    port,
                    "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy`"
                    " is 'Local'",
                )
            )
    internal = spec.get("internalTrafficPolicy")
    path = "spec.internalTrafficPolicy"
    if internal is None:
        if spec.get("type") in ("NodePort", "LoadBalancer", "ClusterIP"):
            found.append(required(path))
    elif internal not in ("Cluster", "Local"):
        found.append(not_supported(path, internal, ("Cluster", "Local")))
    distribution = spec.get("trafficDistribution")
    if distribution is not None and distribution not in TRAFFIC_DISTRIBUTIONS:
        found.append(not_supported("spec.trafficDistribution", distribution, TRAFFIC_DISTRIBUTIONS))
    return found
