"""Resource lists: what resource names mean, sums over containers, requests and limits, QoS.

Source: kube-apiserver v1.36.2, pkg/apis/core/validation/validation.go,
pkg/apis/core/helper/helpers.go, component-helpers/resource/helpers.go,
pkg/apis/core/helper/qos/qos.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from services.apiserver.errors import Cause
from services.apiserver.validation import field, names
from services.apiserver.values.quantity import Quantity, parse

Object = dict[str, Any]
ResourceList = Mapping[str, str]

NOT_NEGATIVE = "must be greater than or equal to 0"
NOT_INTEGER = "must be an integer"

_CONTAINER_RESOURCES = frozenset(("cpu", "memory", "ephemeral-storage"))
_QOS_RESOURCES = frozenset(("cpu", "memory"))
_STANDARD_RESOURCES = _CONTAINER_RESOURCES | frozenset(
    (
        "storage",
        "requests.cpu",
        "requests.memory",
        "requests.ephemeral-storage",
        "requests.storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "persistentvolumeclaims",
        "configmaps",
        "services.nodeports",
        "services.loadbalancers",
    )
)


def round_up(resources: dict[str, str]) -> None:
    """Round what is finer than a thousandth up, as defaulting does with every ResourceList."""
    for name, text in resources.items():
        if text[-1] in "nu" or "e-" in text or "E-" in text:
            resources[name] = str(parse(text).round_up())


def is_huge_page(name: str) -> bool:
    return name.startswith("hugepages-")


def is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def is_overcommit_allowed(name: str) -> bool:
    return is_native(name) and not is_huge_page(name)


def is_pod_level(name: str) -> bool:
    return name in _QOS_RESOURCES or is_huge_page(name)


def is_extended(name: str) -> bool:
    return len(name) <= 253 + 1 + 63 and _is_extended(name)  # no name is longer


@lru_cache(maxsize=1024)
def _is_extended(name: str) -> bool:
    if is_native(name) or name.startswith("requests."):
        return False
    return names.is_qualified_name(f"requests.{name}")


def is_standard_for_containers(name: str) -> bool:
    return name in _CONTAINER_RESOURCES or is_huge_page(name)


def is_sidecar(init_container: Object) -> bool:
    """Whether an init container keeps running beside the regular ones."""
    return init_container.get("restartPolicy") == "Always"


def total_of_containers(spec: Object, kind: str) -> dict[str, str]:
    """Return what the containers together take of each resource; `kind` is requests or limits.

    Init containers run one after the other, so each counts only where it (with the sidecars
    before it) needs more than all the containers that run later.
    """
    totals: dict[str, Quantity] = {}
    for container in spec.get("containers") or ():
        _add(totals, container["resources"].get(kind, {}))
    sidecars: dict[str, Quantity] = {}
    peaks: dict[str, Quantity] = {}
    for container in spec.get("initContainers", ()):
        listed = container["resources"].get(kind, {})
        if is_sidecar(container):
            _add(totals, listed)
            _add(sidecars, listed)
            needed = dict(sidecars)
        else:
            needed = dict(sidecars)
            _add(needed, listed)
        _take_larger(peaks, needed)
    _take_larger(totals, peaks)
    return {name: str(total) for name, total in totals.items()}


def _add(totals: dict[str, Quantity], listed: ResourceList) -> None:
    for name, text in listed.items():
        amount = parse(text)
        totals[name] = totals[name] + amount if name in totals else amount


def _take_larger(totals: dict[str, Quantity], others: Mapping[str, Quantity]) -> None:
    for name, amount in others.items():
        if name not in totals or amount > totals[name]:
            totals[name] = amount


def qos_class(pod: Object) -> str:
    """Return the pod's QoS class by its resources: BestEffort, Burstable or Guaranteed."""
    spec = pod["spec"]
    own = spec.get("resources")
    if own is not None:
        sources = [own] if own.get("requests") or own.get("limits") else []
        guaranteed = "limits" not in own or _limits_both(own["limits"])
    else:
        sources = [
            container["resources"]
            for container in (*(spec.get("containers") or ()), *spec.get("initContainers", ()))
        ]
        if not any(sources):
            return "BestEffort"
        guaranteed = all(_limits_both(source.get("limits", {})) for source in sources)
    requests: dict[str, Quantity] = {}
    limits: dict[str, Quantity] = {}
    for source in sources:
        _add(requests, _counted(source.get("requests", {})))
        _add(limits, _counted(source.get("limits", {})))
    if not requests and not limits:
        return "BestEffort"
    if guaranteed and requests == limits:
        return "Guaranteed"
    return "Burstable"


def _counted(listed: ResourceList) -> dict[str, str]:
    return {
        name: text
        for name, text in listed.items()
        if name in _QOS_RESOURCES and parse(text).sign > 0
    }


def _limits_both(limits: ResourceList) -> bool:
    return len(_counted(limits)) == len(_QOS_RESOURCES)


def validate_requirements(
    requirements: Object, claims: frozenset[str], path: str
) -> Iterator[Cause]:
    """Check the resources of a container; `claims` are the names in spec.resourceClaims."""
    return _requirements(requirements, validate_container_resource_name, claims, path)


def validate_overhead(overhead: ResourceList, path: str) -> Iterator[Cause]:
    return _requirements({"limits": overhead}, validate_container_resource_name, frozenset(), path)


def _requirements(
    requirements: Object,
    validate_name: Callable[[str, str], Iterable[Cause]],
    claims: frozenset[str],
    path: str,
) -> Iterator[Cause]:
    limits: ResourceList = requirements.get("limits", {})
    requests: ResourceList = requirements.get("requests", {})
    for name in sorted(limits):
        at = f"{path}.limits[{name}]"
        if name not in _QOS_RESOURCES:
            yield from validate_name(name, at)
        yield from validate_amount(name, limits[name], at)
        if is_huge_page(name):
            yield from _huge_page_amount(name, limits[name], at)
    for name in sorted(requests):
        text = requests[name]
        at = f"{path}.requests[{name}]"
        if name not in _QOS_RESOURCES:
            yield from validate_name(name, at)
        yield from validate_amount(name, text, at)
        limit = limits.get(name)
        if limit is not None:
            if limit != text:
                yield from _against_limit(name, text, limit, f"{path}.requests")
        elif not is_overcommit_allowed(name):
            yield field.required(
                f"{path}.limits", "Limit must be set for non overcommitable resources"
            )
        if is_huge_page(name):
            yield from _huge_page_amount(name, text, at)
    used = limits.keys() | requests.keys()
    if any(map(is_huge_page, used)) and not used & _QOS_RESOURCES:
        yield field.forbidden(path, "HugePages require cpu or memory")
    if "claims" in requirements:
        yield from _claim_names(requirements["claims"], claims, f"{path}.claims")


def _against_limit(name: str, text: str, limit: str, path: str) -> Iterator[Cause]:
    amount, maximum = parse(text), parse(limit)
    if amount != maximum and not is_overcommit_allowed(name):
        yield field.invalid(path, text, f"must be equal to {name} limit of {limit}")
    elif amount > maximum:
        yield field.invalid(path, text, f"must be less than or equal to {name} limit of {limit}")


def validate_amount(name: str, text: str, path: str) -> Iterator[Cause]:
    """Check that an amount is not negative and, where the resource is counted, whole."""
    amount = parse(text)
    if amount.sign < 0:
        yield field.invalid(path, text, NOT_NEGATIVE)
    if is_extended(name) and amount.milli_value() % 1000:
        yield field.invalid(path, text, NOT_INTEGER)


def _huge_page_amount(name: str, text: str, path: str) -> Iterator[Cause]:
    try:
        size = parse(name.removeprefix("hugepages-")).value()
    except ValueError:
        size = 0
    if size <= 0 or parse(text).value() % size:
        yield field.invalid(path, text, f"{text} is not positive integer multiple of {name}")


def validate_resource_name(name: str, path: str) -> Iterator[Cause]:
    messages = names.qualified_name(name)
    for message in messages:
        yield field.invalid(path, name, message)
    if messages or "/" in name:
        return
    if name not in _STANDARD_RESOURCES and not name.startswith(
        ("hugepages-", "requests.hugepages-")
    ):
        yield field.invalid(path, name, "must be a standard resource type or fully qualified")


def validate_container_resource_name(name: str, path: str) -> Iterator[Cause]:
    yield from validate_resource_name(name, path)
    if "/" not in name:
        if not is_standard_for_containers(name):
            yield field.invalid(path, name, "must be a standard resource for containers")
    elif not is_native(name) and not is_extended(name):
        yield field.invalid(path, name, "doesn't follow extended resource name standard")


def _pod_resource_name(name: str, path: str) -> Iterator[Cause]:
    causes = list(validate_resource_name(name, path))
    yield from causes
    if not causes and not is_pod_level(name):
        yield field.not_supported(path, name, ("cpu", "hugepages-", "memory"))


def _claim_names(used: list[Object], declared: frozenset[str], path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for number, claim in enumerate(used):
        at = f"{path}[{number}]"
        name, request = claim.get("name", ""), claim.get("request", "")
        if not name:
            yield field.required(at)
            continue
        if name in seen:
            yield field.duplicate(at, name)
        else:
            key = name
            if request:
                for message in names.dns1123_label(request):
                    yield field.invalid(f"{at}.request", request, message)
                key = f"{name}/{request}"
            if key in seen:
                yield field.duplicate(at, key)
            elif not request:
                for other in sorted(seen):
                    if other.partition("/")[0] == name:
                        yield field.duplicate(at, name)
            seen.add(key)
        if name not in declared:
            yield field.not_found(at, name)


def validate_pod_level(spec: Object, path: str) -> Iterator[Cause]:
    """Check spec.resources by itself and against the containers."""
    own = spec["resources"]
    at = f"{path}.resources"
    if spec.get("os", {}).get("name") == "windows":
        yield field.forbidden(at, "may not be set for a windows pod")
        return
    if own.get("claims"):
        yield field.forbidden(f"{at}.claims", "claims may not be set for Resources at pod-level")
    yield from _requirements(own, _pod_resource_name, frozenset(), at)
    yield from _consistency(spec, own, at)


def _consistency(spec: Object, own: Object, path: str) -> Iterator[Cause]:
    requests: ResourceList = own.get("requests", {})
    limits: ResourceList = own.get("limits", {})
    for name, total in sorted(total_of_containers(spec, "requests").items()):
        if name in requests and parse(total) > parse(requests[name]):
            yield field.invalid(
                f"{path}.requests[{name}]",
                requests[name],
                f"must be greater than or equal to aggregate container requests of {total}",
            )
    for name, total in sorted(total_of_containers(spec, "limits").items()):
        if is_huge_page(name) and name in limits and parse(total) > parse(limits[name]):
            yield field.invalid(
                f"{path}.limits[{name}]",
                limits[name],
                f"must be greater than or equal to aggregate container limits of {total}",
            )
    for number, container in enumerate(spec.get("containers") or ()):
        for name, text in sorted(container["resources"].get("limits", {}).items()):
            if name in limits and parse(text) > parse(limits[name]):
                yield field.invalid(
                    f"{path}.containers[{number}][{name}].limits",
                    text,
                    f"must be less than or equal to pod limits of {limits[name]}",
                )
