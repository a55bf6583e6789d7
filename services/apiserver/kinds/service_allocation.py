"""What a Service gets from the cluster: addresses and node ports, reserved around the write.

Source: kube-apiserver v1.36.2, pkg/registry/core/service/storage/{alloc,storage}.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from services.apiserver.errors import InternalError
from services.apiserver.kinds.service_families import (
    ADDRESS_TYPES,
    invalid_service,
    keeps_prefer_dual_stack,
)
from services.apiserver.kinds.service_validation import (
    is_externally_accessible,
    is_headless,
    needs_health_check,
)
from services.apiserver.registry.allocators import (
    NodePorts,
    NotAvailable,
    PortBitmap,
    RangeFull,
    ServiceAddresses,
)
from services.apiserver.registry.strategy import Object
from services.apiserver.validation.field import child, index, invalid

NODE_PORT_TYPES = ("NodePort", "LoadBalancer")


@dataclass(frozen=True, slots=True)
class ServiceAllocators:
    """The two allocators that Services share."""

    addresses: ServiceAddresses
    ports: NodePorts


@dataclass(slots=True)
class Reservation:
    """What one write has taken, and what its success gives up."""

    addresses: list[str] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    addresses_to_release: list[str] = field(default_factory=list)
    ports_to_release: list[int] = field(default_factory=list)


def keep_allocated(spec: Object, before: Object) -> None:
    """Fill in what was allocated before and the client left out."""
    if before.get("type") in ADDRESS_TYPES and spec.get("type") in ADDRESS_TYPES:
        if not spec.get("clusterIP") and before.get("clusterIP"):
            spec["clusterIP"] = before["clusterIP"]
        if (
            not spec.get("clusterIPs")
            and before.get("clusterIPs")
            and spec.get("clusterIP", "") == before.get("clusterIP", "")
        ):
            spec["clusterIPs"] = list(before["clusterIPs"])
    if before.get("type") in NODE_PORT_TYPES and spec.get("type") in NODE_PORT_TYPES:
        used = set(node_ports(before)) & set(node_ports(spec))
        by_name = {
            port.get("name", ""): port.get("nodePort", 0) for port in before.get("ports", ())
        }
        for port in spec.get("ports", ()):
            old_port = by_name.get(port.get("name", ""), 0)
            if not port.get("nodePort") and old_port and old_port not in used:
                port["nodePort"] = old_port
                used.add(old_port)
    if (
        needs_health_check(before)
        and needs_health_check(spec)
        and not spec.get("healthCheckNodePort")
        and before.get("healthCheckNodePort")
    ):
        spec["healthCheckNodePort"] = before["healthCheckNodePort"]


def drop_type_dependent(spec: Object, before: Object) -> None:
    """Take away what the old type had and the new one can't, where the client left it alone."""
    kind, old_kind = spec.get("type"), before.get("type")

    def drop_unchanged(*names: str) -> None:
        for name in names:
            if spec.get(name) == before.get(name):
                spec.pop(name, None)

    if old_kind != "ExternalName" and kind == "ExternalName":
        if spec.get("clusterIPs", []) == before.get("clusterIPs", []):
            spec.pop("clusterIP", None)
            spec.pop("clusterIPs", None)
        drop_unchanged("ipFamilies", "ipFamilyPolicy")
    if (
        old_kind in NODE_PORT_TYPES
        and kind not in NODE_PORT_TYPES
        and set(node_ports(spec)) == set(node_ports(before))
    ):
        for port in spec.get("ports", ()):
            port.pop("nodePort", None)
    if needs_health_check(before) and not needs_health_check(spec):
        drop_unchanged("healthCheckNodePort")
    if old_kind == "LoadBalancer" and kind != "LoadBalancer":
        drop_unchanged("allocateLoadBalancerNodePorts", "loadBalancerClass")
    if is_externally_accessible(before) and not is_externally_accessible(spec):
        drop_unchanged("externalTrafficPolicy")


async def reserve(
    allocators: ServiceAllocators, service: Object, old: Object | None, *, dry_run: bool
) -> Reservation:
    """Take the addresses and ports that the Service needs and fill them in.

    Raises:
        Invalid: one that was asked for can't be had.
        InternalError: a range is full.
    """
    taken = Reservation()
    try:
        before = None if old is None else old["spec"]
        await _reserve_addresses(allocators.addresses, service, before, taken, dry_run)
        await _reserve_ports(allocators.ports, service, before, taken, dry_run)
    except BaseException:
        if not dry_run:
            await give_back(allocators, taken)
        raise
    return taken


async def give_back(allocators: ServiceAllocators, taken: Reservation) -> None:
    """Undo a reservation whose write did not happen."""
    for address in taken.addresses:
        await allocators.addresses.release(address)
    await allocators.ports.release(taken.ports)


async def settle(allocators: ServiceAllocators, taken: Reservation) -> None:
    """Release what the written Service no longer uses."""
    for address in taken.addresses_to_release:
        await allocators.addresses.release(address)
    await allocators.ports.release(taken.ports_to_release)


async def release_all(allocators: ServiceAllocators, spec: Object) -> None:
    """Release everything that a deleted Service had."""
    if spec.get("type") != "ExternalName" and not is_headless(spec):
        for address in spec.get("clusterIPs", ()):
            await allocators.addresses.release(address)
    ports = node_ports(spec)
    if needs_health_check(spec) and spec.get("healthCheckNodePort"):
        ports.append(spec["healthCheckNodePort"])
    await allocators.ports.release(ports)


async def _reserve_addresses(
    addresses: ServiceAddresses,
    service: Object,
    before: Object | None,
    taken: Reservation,
    dry_run: bool,
) -> None:
    spec = service["spec"]
    if before is None or before.get("type") == "ExternalName":
        if spec.get("type") == "ExternalName" or is_headless(spec):
            return
        wanted = spec.get("ipFamilies", [])
    elif is_headless(before) or keeps_prefer_dual_stack(spec, before):
        return
    else:
        old_addresses = before.get("clusterIPs", [])
        if spec.get("type") == "ExternalName":
            taken.addresses_to_release += old_addresses
            return
        was, now = len(before.get("ipFamilies", ())), len(spec.get("ipFamilies", ()))
        if was == 2 and now == 1:
            taken.addresses_to_release += old_addresses[1:]
            return
        if not (was == 1 and now == 2):
            return
        wanted = spec["ipFamilies"]
    given: list[str] = list(spec.get("clusterIPs", []))
    present = [] if before is None else before.get("clusterIPs", [])
    meta = service["metadata"]
    for number, family in enumerate(wanted):
        if number < len(given) and given[number] and number < len(present):
            continue
        address = given[number] if number < len(given) else ""
        try:
            if address:
                await addresses.allocate(
                    address,
                    namespace=meta.get("namespace", ""),
                    service=meta["name"],
                    dry_run=dry_run,
                )
            else:
                address = await addresses.allocate_next(
                    family,
                    namespace=meta.get("namespace", ""),
                    service=meta["name"],
                    dry_run=dry_run,
                )
        except RangeFull as error:
            raise InternalError(
                f"Internal error occurred: failed to allocate a serviceIP: {error}",
                details={"causes": [{"message": f"failed to allocate a serviceIP: {error}"}]},
            ) from error
        except NotAvailable as error:
            raise invalid_service(
                service,
                [
                    invalid(
                        "spec.clusterIPs",
                        given,
                        f"failed to allocate IP {address}: {error}",
                    )
                ],
            ) from error
        taken.addresses.append(address)
        given[number : number + 1] = [address]
    if given:
        spec["clusterIPs"] = given
        spec["clusterIP"] = given[0]


async def _reserve_ports(
    ports: NodePorts, service: Object, before: Object | None, taken: Reservation, dry_run: bool
) -> None:
    spec = service["spec"]
    old = before or {}
    needs_ports = spec.get("type") in NODE_PORT_TYPES and spec.get("ports")
    needs_health = needs_health_check(spec) and not needs_health_check(old)
    if needs_ports or needs_health:
        sent = [port.get("nodePort") for port in spec.get("ports", ())]
        health = spec.get("healthCheckNodePort")

        def plan(bitmap: PortBitmap) -> list[int]:
            # A plan may run again on newer state: start from what was sent each time.
            for port, number in zip(spec.get("ports", ()), sent, strict=True):
                if number:
                    port["nodePort"] = number
                else:
                    port.pop("nodePort", None)
            if needs_ports:
                _plan_ports(service, old, bitmap)
            if needs_health:
                _plan_health_check(spec, health, bitmap)
            return list(bitmap.claimed)

        taken.ports += await ports.change(plan, dry_run=dry_run)
    in_use = set(node_ports(spec)) if spec.get("type") in NODE_PORT_TYPES else set()
    taken.ports_to_release += [port for port in node_ports(old) if port not in in_use]
    if needs_health_check(old) and not needs_health_check(spec) and old.get("healthCheckNodePort"):
        taken.ports_to_release.append(old["healthCheckNodePort"])


def _plan_ports(service: Object, old: Object, bitmap: PortBitmap) -> None:
    """Give every port its node port; ports of one number share one across protocols."""
    spec = service["spec"]
    present = set(node_ports(old)) if old.get("type") in NODE_PORT_TYPES else set()
    automatic = spec.get("type") == "NodePort" or spec.get("allocateLoadBalancerNodePorts", True)
    shared: dict[int, int] = {}
    requested: dict[int, int] = {}
    for port in spec["ports"]:
        if port.get("nodePort"):
            requested.setdefault(port["port"], port["nodePort"])
    for number, port in enumerate(spec["ports"]):
        wanted = port.get("nodePort", 0)
        if not wanted:
            if not automatic:
                continue
            # Only a new Service shares a node port between the protocols of one port.
            wanted = shared.get(port["port"], 0) or requested.get(port["port"], 0)
            if old or not wanted:
                wanted = _next_port(bitmap)
                shared[port["port"]] = port["nodePort"] = wanted
                continue
            port["nodePort"] = wanted
        if (
            wanted in present
            or shared.get(port["port"]) == wanted
            or (old and wanted in bitmap.claimed)
        ):
            shared.setdefault(port["port"], wanted)
            continue
        try:
            bitmap.allocate(wanted)
        except NotAvailable as error:
            path = child(index("spec.ports", number), "nodePort")
            raise invalid_service(service, [invalid(path, wanted, str(error))]) from error
        shared.setdefault(port["port"], wanted)


def _plan_health_check(spec: Object, wanted: int | None, bitmap: PortBitmap) -> None:
    if not wanted:
        spec["healthCheckNodePort"] = _next_port(bitmap)
        return
    try:
        bitmap.allocate(wanted)
    except NotAvailable as error:
        message = f"failed to allocate requested HealthCheck NodePort {wanted}: {error}"
        raise InternalError(
            f"Internal error occurred: {message}", details={"causes": [{"message": message}]}
        ) from error


def _next_port(bitmap: PortBitmap) -> int:
    try:
        return bitmap.allocate_next()
    except RangeFull as error:
        message = f"failed to allocate a nodePort: {error}"
        raise InternalError(
            f"Internal error occurred: {message}", details={"causes": [{"message": message}]}
        ) from error


def node_ports(spec: Object) -> list[int]:
    """Return the node ports in a Service's spec, in order."""
    return [port["nodePort"] for port in spec.get("ports", ()) if port.get("nodePort")]
