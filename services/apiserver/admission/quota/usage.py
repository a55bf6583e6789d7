"""What an object counts for in quotas, and which quotas look at it.

Source: kube-apiserver v1.36.2, pkg/quota/v1/evaluator/core, apiserver/pkg/quota/v1/generic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from services.apiserver.admission.attributes import Attributes
from services.apiserver.kinds.podspec.resources import (
    is_huge_page,
    is_native,
    qos_class,
    total_of_containers,
)
from services.apiserver.registry.strategy import Object
from services.apiserver.values.quantity import Quantity, parse

Usage = dict[str, Quantity]

ONE = parse("1")
LEGACY_COUNTS = frozenset(("configmaps", "secrets", "resourcequotas", "replicationcontrollers"))
"""Core resources that quotas also count by their bare name."""
NOT_COUNTED = frozenset({("", "events"), ("events.k8s.io", "events")})
COMPUTE = ("cpu", "memory", "ephemeral-storage")
MUST_BE_SET = frozenset(
    ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")
)
"""Where a quota limits one of these, every container must say what it takes of it."""
CLASS_INFIX = ".storageclass.storage.k8s.io/"


@dataclass(frozen=True, slots=True)
class Evaluator:
    """How one resource is counted.

    `limits` picks the names that a quota may limit for it; `usage` says what an object takes;
    `fault` names what an object must say where those names are limited ("" when all is said);
    `in_scope` tells whether it belongs to a scope (name, operator, values).
    """

    limits: Callable[[str], bool]
    usage: Callable[[Object], Usage]
    fault: Callable[[frozenset[str], Object], str] = lambda names, obj: ""
    in_scope: Callable[[Object, str, str, Iterable[str]], bool] = (
        lambda obj, scope, operator, values: False
    )


def evaluator_for(attributes: Attributes) -> Evaluator | None:
    """Return how this write is counted, None if it is not."""
    resource, operation = attributes.resource, attributes.operation
    if not resource.namespaced or operation not in ("CREATE", "UPDATE"):
        return None
    if (resource.group, resource.name) in NOT_COUNTED:
        return None
    created = operation == "CREATE" and not attributes.subresource
    updated = operation == "UPDATE" and not attributes.subresource
    if not resource.group:
        match resource.name:
            case "pods":
                resized = operation == "UPDATE" and attributes.subresource == "resize"
                return _PODS if created or resized else None
            case "services":
                return _SERVICES if created or updated else None
            case "persistentvolumeclaims":
                return _CLAIMS if created or updated else None
    if not created:
        return None
    count = f"count/{resource.group_resource}"
    names = {count}
    if not resource.group and resource.name in LEGACY_COUNTS:
        names.add(resource.name)
    return Evaluator(names.__contains__, lambda obj: dict.fromkeys(names, ONE))


def matches(quota: Object, evaluator: Evaluator, obj: Object) -> bool:
    """Whether a quota limits something of the object, and the object is in its scopes."""
    if not any(map(evaluator.limits, quota.get("status", {}).get("hard", ()))):
        return False
    spec = quota["spec"]
    for scope in spec.get("scopes", ()):
        if not evaluator.in_scope(obj, scope, "Exists", ()):
            return False
    selector = spec.get("scopeSelector", {})
    return all(
        evaluator.in_scope(
            obj, one.get("scopeName", ""), one.get("operator", ""), one.get("values", ())
        )
        for one in selector.get("matchExpressions", ())
    )


# -- pods ----------------------------------------------------------------------------


def _limits_pods(name: str) -> bool:
    if name in ("pods", "count/pods") or is_huge_page(name):
        return True
    kind, _, bare = name.partition(".")
    if kind == "requests":
        return bare in COMPUTE or is_huge_page(bare) or not is_native(bare)
    if kind == "limits":
        return bare in COMPUTE
    return name in COMPUTE


def _pod_usage(pod: Object) -> Usage:
    used: Usage = {"count/pods": ONE}
    if pod.get("status", {}).get("phase") in ("Failed", "Succeeded"):
        return used
    used["pods"] = ONE
    spec = pod["spec"]
    own = spec.get("resources", {})
    overhead = spec.get("overhead", {})
    requests = _with_overhead(
        {**total_of_containers(spec, "requests"), **own.get("requests", {})}, overhead, False
    )
    limits = _with_overhead(
        {**total_of_containers(spec, "limits"), **own.get("limits", {})}, overhead, True
    )
    used.update(_compute_usage(requests, limits))
    return used


def _with_overhead(
    amounts: Mapping[str, str], overhead: Mapping[str, str], only_present: bool
) -> Usage:
    """Add the overhead; a limit that is not there stays absent."""
    totals = {name: parse(text) for name, text in amounts.items()}
    for name, text in overhead.items():
        if name in totals:
            totals[name] += parse(text)
        elif not only_present:
            totals[name] = parse(text)
    return totals


def _compute_usage(requests: Usage, limits: Usage) -> Usage:
    used: Usage = {}
    for name, amount in requests.items():
        if name in COMPUTE or is_huge_page(name):
            used[name] = amount
        if name in COMPUTE or is_huge_page(name) or not is_native(name):
            used[f"requests.{name}"] = amount
    for name, amount in limits.items():
        if name in COMPUTE:
            used[f"limits.{name}"] = amount
    return used


def _pod_fault(names: frozenset[str], pod: Object) -> str:
    needed = names & MUST_BE_SET
    if not needed:
        return ""
    spec = pod["spec"]
    own = spec.get("resources", {})
    missing: dict[str, list[str]] = {}
    for field in ("containers", "initContainers"):
        for container in spec.get(field, ()):
            resources = container.get("resources", {})
            said = {
                f"{kind}.{name}"
                for kind in ("requests", "limits")
                for source in (resources, own)
                for name in source.get(kind, ())
            }
            said |= {one.removeprefix("requests.") for one in said if one.startswith("requests.")}
            for name in needed - said:
                missing.setdefault(name, []).append(container["name"])
    if not missing:
        return ""
    parts = [f"{name} for: {','.join(sorted(missing[name]))}" for name in sorted(missing)]
    return f"must specify {'; '.join(parts)}"


def _pod_in_scope(pod: Object, scope: str, operator: str, values: Iterable[str]) -> bool:
    spec = pod["spec"]
    match scope:
        case "Terminating":
            return "activeDeadlineSeconds" in spec
        case "NotTerminating":
            return "activeDeadlineSeconds" not in spec
        case "BestEffort":
            return qos_class(pod) == "BestEffort"
        case "NotBestEffort":
            return qos_class(pod) != "BestEffort"
        case "PriorityClass":
            return _selects(spec.get("priorityClassName", ""), operator, values)
        case "CrossNamespacePodAffinity":
            return _crosses_namespaces(spec)
    return False


def _selects(value: str, operator: str, values: Iterable[str]) -> bool:
    match operator:
        case "Exists":
            return bool(value)
        case "DoesNotExist":
            return not value
        case "In":
            return value in values
        case "NotIn":
            return value not in values
    return False


def _crosses_namespaces(spec: Object) -> bool:
    affinity = spec.get("affinity", {})
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind, {})
        terms = [
            *rules.get("requiredDuringSchedulingIgnoredDuringExecution", ()),
            *(
                one.get("podAffinityTerm", {})
                for one in rules.get("preferredDuringSchedulingIgnoredDuringExecution", ())
            ),
        ]
        if any(term.get("namespaces") or "namespaceSelector" in term for term in terms):
            return True
    return False


_PODS = Evaluator(_limits_pods, _pod_usage, _pod_fault, _pod_in_scope)

# -- services ------------------------------------------------------------------------


def _service_usage(service: Object) -> Usage:
    used: Usage = {"count/services": ONE, "services": ONE}
    spec = service["spec"]
    ports = spec.get("ports", ())
    kind = spec.get("type")
    if kind == "LoadBalancer":
        used["services.loadbalancers"] = ONE
        if spec.get("allocateLoadBalancerNodePorts") is False:
            ports = [port for port in ports if port.get("nodePort")]
    if kind in ("LoadBalancer", "NodePort") and ports:
        used["services.nodeports"] = parse(str(len(ports)))
    return used


_SERVICES = Evaluator(
    frozenset(
        ("count/services", "services", "services.nodeports", "services.loadbalancers")
    ).__contains__,
    _service_usage,
)

# -- claims --------------------------------------------------------------------------


def _limits_claims(name: str) -> bool:
    return (
        name in ("count/persistentvolumeclaims", "persistentvolumeclaims", "requests.storage")
        or CLASS_INFIX in name
    )


def _claim_usage(claim: Object) -> Usage:
    used: Usage = {"count/persistentvolumeclaims": ONE, "persistentvolumeclaims": ONE}
    annotations = claim["metadata"].get("annotations", {})
    class_name = annotations.get("volume.beta.kubernetes.io/storage-class") or claim["spec"].get(
        "storageClassName"
    )
    if class_name:
        used[f"{class_name}{CLASS_INFIX}persistentvolumeclaims"] = ONE
    text = claim["spec"].get("resources", {}).get("requests", {}).get("storage")
    if text is not None:
        amount = parse(text)
        allocated = claim.get("status", {}).get("allocatedResources", {}).get("storage")
        if allocated is not None:
            amount = max(amount, parse(allocated))
        used["requests.storage"] = amount
        if class_name:
            used[f"{class_name}{CLASS_INFIX}requests.storage"] = amount
    return used


def _claim_in_scope(claim: Object, scope: str, operator: str, values: Iterable[str]) -> bool:
    if scope != "VolumeAttributesClass":
        return False
    name = claim["spec"].get("volumeAttributesClassName") or ""
    return _selects(name, operator, values)


_CLAIMS = Evaluator(_limits_claims, _claim_usage, in_scope=_claim_in_scope)
