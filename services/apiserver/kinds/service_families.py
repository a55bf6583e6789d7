"""What IP families a Service has, and that its address fields agree.

This runs before validation, as in kube-apiserver, and its errors keep other checks from being
made.
Source: kube-apiserver v1.36.2, pkg/registry/core/service/storage/{alloc,storage}.go.
"""

from __future__ import annotations

from services.apiserver.errors import Cause, Invalid
from services.apiserver.kinds.service_validation import validate_cluster_ips
from services.apiserver.registry.strategy import Object
from services.apiserver.validation.addresses import family_of
from services.apiserver.validation.field import index, invalid

ADDRESS_TYPES = ("ClusterIP", "NodePort", "LoadBalancer")


def normalize_cluster_ips(spec: Object, before: Object | None) -> None:
    """Keep clusterIP and clusterIPs together for clients that know only one of them."""
    address, addresses = spec.get("clusterIP", ""), spec.get("clusterIPs", [])
    if before is None:
        if address and not addresses:
            spec["clusterIPs"] = [address]
        return
    old_address, old_addresses = before.get("clusterIP", ""), before.get("clusterIPs", [])
    if old_addresses and not addresses and old_address == address:
        spec["clusterIPs"] = addresses = list(old_addresses)
    if old_address != address and addresses == old_addresses:
        if old_address and not address:
            spec.pop("clusterIPs", None)
        else:
            spec["clusterIPs"] = [address]


def complete_families(service: Object, before: Object | None, families: tuple[str, ...]) -> None:
    """Fill in ipFamilyPolicy and ipFamilies; `families` are the cluster's, default first.

    Raises:
        Invalid: they contradict each other or the cluster.
    """
    spec = service["spec"]
    if spec.get("type") == "ExternalName" or keeps_prefer_dual_stack(spec, before):
        return
    selectorless = spec.get("clusterIP") == "None" and not spec.get("selector")
    if "ipFamilyPolicy" not in spec:
        if before is not None and "ipFamilyPolicy" in before:
            spec["ipFamilyPolicy"] = before["ipFamilyPolicy"]
        else:
            spec["ipFamilyPolicy"] = "RequireDualStack" if selectorless else "SingleStack"
    _refuse(service, validate_cluster_ips(spec, before or {}))
    _refuse(service, _check_policy(spec, before))
    _refuse(service, _infer_families(spec, families))
    policy = spec["ipFamilyPolicy"]
    if selectorless:
        chosen = spec.setdefault("ipFamilies", [families[0]])
        if len(chosen) < 2 and policy != "SingleStack":
            spec["ipFamilies"] = [chosen[0], "IPv6" if chosen[0] == "IPv4" else "IPv4"]
        return
    causes: list[Cause] = []
    if policy == "RequireDualStack" and len(families) < 2:
        causes.append(
            invalid(
                "spec.ipFamilyPolicy",
                policy,
                "this cluster is not configured for dual-stack services",
            )
        )
    for number, family in enumerate(spec.get("ipFamilies", ())):
        if family not in families:
            causes.append(
                invalid(index("spec.ipFamilies", number), family, "not configured on this cluster")
            )
    _refuse(service, causes)
    chosen = spec.setdefault("ipFamilies", [families[0]])
    if policy != "SingleStack" and len(chosen) == 1 and len(families) == 2:
        spec["ipFamilies"] = [chosen[0], "IPv6" if chosen[0] == "IPv4" else "IPv4"]


def keeps_prefer_dual_stack(spec: Object, before: Object | None) -> bool:
    """A PreferDualStack Service is not changed when only the cluster's families changed."""
    return (
        before is not None
        and spec.get("type") == before.get("type")
        and spec.get("type") in ADDRESS_TYPES
        and spec.get("ipFamilyPolicy") == "PreferDualStack"
        and before.get("ipFamilyPolicy", "PreferDualStack") == "PreferDualStack"
        and spec.get("clusterIPs", []) == before.get("clusterIPs", [])
        and spec.get("ipFamilies", []) == before.get("ipFamilies", [])
    )


def _check_policy(spec: Object, before: Object | None) -> list[Cause]:
    policy = spec["ipFamilyPolicy"]
    causes: list[Cause] = []
    path = "spec.ipFamilyPolicy"
    if before is not None:
        for name, what in (("clusterIPs", "cluster IP"), ("ipFamilies", "IP family")):
            new, old = spec.get(name, []), before.get(name, [])
            if policy == "SingleStack":
                if new == old and len(new) > 1:
                    spec[name] = new[:1]
            elif new and len(new) < len(old):
                causes.append(
                    invalid(path, policy, f"must be 'SingleStack' to release the secondary {what}")
                )
    if policy == "SingleStack":
        for name, what in (("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families")):
            if len(spec.get(name, ())) == 2:
                causes.append(
                    invalid(
                        path,
                        policy,
                        "must be 'RequireDualStack' or 'PreferDualStack' when multiple"
                        f" {what} are specified",
                    )
                )
    return causes


def _infer_families(spec: Object, families: tuple[str, ...]) -> list[Cause]:
    """Take missing families from the given addresses."""
    causes: list[Cause] = []
    addresses = spec.get("clusterIPs", ())
    for number, address in enumerate(addresses):
        if address == "None":
            break
        chosen = spec.get("ipFamilies", [])
        if number < len(chosen):
            continue
        family = family_of(address)
        if family in families:
            spec["ipFamilies"] = [*chosen, family]
        else:
            causes.append(
                invalid(
                    index("spec.clusterIPs", number),
                    addresses,
                    f"{family} is not configured on this cluster",
                )
            )
    return causes


def _refuse(service: Object, causes: list[Cause]) -> None:
    if causes:
        raise invalid_service(service, causes)


def invalid_service(service: Object, causes: list[Cause]) -> Invalid:
    """Return the 422 of a Service that can not be had like this."""
    name = service["metadata"].get("name", "")
    return Invalid(
        f'Service "{name}" is invalid: {", ".join(cause.message for cause in causes)}',
        details={"name": name, "kind": "Service"},
        causes=causes,
    )
