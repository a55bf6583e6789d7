"""What a pod's status may say.

Source: kube-apiserver v1.36.2, pkg/apis/core/validation/validation.go
(ValidatePodStatusUpdate).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from services.apiserver.errors import Cause
from services.apiserver.kinds.podspec import resources, security
from services.apiserver.kinds.podspec.addresses import validate_pair
from services.apiserver.validation import field, names
from services.apiserver.validation.addresses import validate_address

Object = dict[str, Any]

_SYSTEM_CONDITIONS = frozenset(("PodScheduled", "Ready", "Initialized"))
_HEALTHS = ("Healthy", "Unhealthy", "Unknown")
_HEALTH_MESSAGE_MAX = 1024
_NOT_NEGATIVE = "must be a non-negative integer"
_STATUS_LISTS = {
    "containerStatuses": "containers",
    "initContainerStatuses": "initContainers",
    "ephemeralContainerStatuses": "ephemeralContainers",
}


def validate_status_update(pod: Object, old: Object) -> Iterator[Cause]:
    spec, status = pod["spec"], pod.get("status", {})
    old_spec, old_status = old["spec"], old.get("status", {})
    yield from _conditions(status.get("conditions", ()))
    yield from _nominated_node(status, old_status, old_spec)
    if status.get("observedGeneration", 0) < 0:
        yield field.invalid(
            "status.observedGeneration", status["observedGeneration"], _NOT_NEGATIVE
        )
    if status.get("qosClass") != old_status.get("qosClass"):
        yield field.invalid("status.qosClass", status.get("qosClass"), "field is immutable")
    yield from _transitions(status, old_status, old_spec)
    yield from _claims(status.get("resourceClaimStatuses", ()), spec)
    if "extendedResourceClaimStatus" in status:
        yield from _extended_claim(status["extendedResourceClaimStatus"], spec)
    for kind in ("podIPs", "hostIPs"):
        yield from _addresses(kind, status, old_status)
    for kind in _STATUS_LISTS:
        for number, container in enumerate(status.get(kind, ())):
            if "user" in container:
                yield from _user(container["user"], spec, f"status.{kind}[{number}].user.linux")
    for kind, source in _STATUS_LISTS.items():
        for number, container in enumerate(status.get(kind, ())):
            listed = container.get("allocatedResourcesStatus")
            at = f"status.{kind}[{number}].allocatedResourcesStatus"
            if listed and kind == "ephemeralContainerStatuses":
                yield field.forbidden(at, "must not be specified in container status")
            elif listed:
                yield from _allocated(container, listed, spec.get(source) or [], at)


def _conditions(conditions: list[Object]) -> Iterator[Cause]:
    for number, condition in enumerate(conditions):
        at = f"status.conditions[{number}]"
        if condition.get("observedGeneration", 0) < 0:
            yield field.invalid(
                f"{at}.observedGeneration", condition["observedGeneration"], _NOT_NEGATIVE
            )
        kind = condition.get("type", "")
        if kind not in _SYSTEM_CONDITIONS:
            for message in names.qualified_name(kind):
                yield field.invalid(f"{at}.Type", kind, message)


def _nominated_node(status: Object, old_status: Object, old_spec: Object) -> Iterator[Cause]:
    node = status.get("nominatedNodeName", "")
    if not node or node == old_status.get("nominatedNodeName"):
        return
    for message in names.dns1123_subdomain(node):
        yield field.invalid("status.nominatedNodeName", node, message)
    if old_spec.get("nodeName"):
        yield field.forbidden(
            "status.nominatedNodeName", "may not be set on pods that are already bound to a node"
        )


def _transitions(status: Object, old_status: Object, spec: Object) -> Iterator[Cause]:
    """Check that no container leaves its end without being allowed to run again."""
    policies = {
        kind: {
            container.get("name"): container
            for container in spec.get(source) or ()
            if "restartPolicy" in container
        }
        for kind, source in _STATUS_LISTS.items()
    }
    of_pod = spec.get("restartPolicy", "")

    def may_restart(kind: str, before: Object) -> bool:
        if kind == "ephemeralContainerStatuses":
            return False
        container = policies[kind].get(before.get("name"), {})
        if kind == "initContainerStatuses" and resources.is_sidecar(container):
            return True
        policy = container.get("restartPolicy", of_pod)
        code = before["state"]["terminated"].get("exitCode", 0)
        if policy == "Always" or (policy == "OnFailure" and code != 0):
            return True
        return _rule_restarts(container.get("restartPolicyRules", ()), code)

    for kind in _STATUS_LISTS:
        yield from _kept_ends(status, old_status, kind, may_restart)


def _kept_ends(
    status: Object, old_status: Object, kind: str, may_restart: Callable[[str, Object], bool]
) -> Iterator[Cause]:
    for number, before in enumerate(old_status.get(kind, ())):
        if "terminated" not in before.get("state", {}) or may_restart(kind, before):
            continue
        for after in status.get(kind, ()):
            if after.get("name") == before.get("name") and "terminated" not in after.get(
                "state", {}
            ):
                yield field.forbidden(
                    f"status.{kind}[{number}].state",
                    "may not be transitioned to non-terminated state",
                )


def _rule_restarts(rules: list[Object], code: int) -> bool:
    for rule in rules:
        codes = rule.get("exitCodes", {})
        listed = code in codes.get("values", ())
        if listed == (codes.get("operator") == "In"):
            return True
    return False


def _claims(statuses: list[Object], spec: Object) -> Iterator[Cause]:
    declared = {claim.get("name") for claim in spec.get("resourceClaims", ())}
    seen: set[str] = set()
    for number, status in enumerate(statuses):
        at = f"status.resourceClaimStatuses[{number}]"
        name = status.get("name", "")
        if name not in declared:
            yield field.invalid(
                f"{at}.name", name, "must match the name of an entry in `spec.resourceClaims`"
            )
        if name in seen:
            yield field.duplicate(f"{at}.name", name)
        seen.add(name)
        claim = status.get("resourceClaimName")
        if claim is not None:
            for message in names.dns1123_subdomain(claim):
                yield field.invalid(f"{at}.resourceClaimName", claim, message)


def _extended_claim(status: Object, spec: Object) -> Iterator[Cause]:
    path = "status.extendedResourceClaimStatus"
    containers = {
        container.get("name"): container
        for container in (*spec.get("initContainers", ()), *(spec.get("containers") or ()))
    }
    mappings = status.get("requestMappings") or []
    if not mappings:
        yield field.required(f"{path}.requestMappings", "at least one request mapping is required")
    seen: set[tuple[str, str, str]] = set()
    for number, mapping in enumerate(mappings):
        at = f"{path}.requestMappings[{number}]"
        key = tuple(
            str(mapping.get(name, "")) for name in ("containerName", "resourceName", "requestName")
        )
        container, resource, request = key
        if container not in containers:
            yield field.invalid(
                f"{at}.containerName",
                container,
                "must match the name of an entry in spec.initContainers.name or"
                " spec.containers.name",
            )
        elif resource not in containers[container]["resources"].get("requests", {}):
            yield field.invalid(
                f"{at}.resourceName",
                resource,
                "must match the extended resource name of an entry in"
                " spec.initContainers.resources.requests or spec.containers.resources.requests",
            )
        for message in names.dns1123_label(request):
            yield field.invalid(f"{path}.requestName", request, message)
        if (container, resource, request) in seen:
            for name in ("containerName", "resourceName", "requestName"):
                yield field.duplicate(f"{at}.{name}", mapping.get(name, ""))
        seen.add((container, resource, request))
    claim = status.get("resourceClaimName", "")
    if not claim:
        yield field.required(f"{path}.resourceClaimName")
    else:
        for message in names.dns1123_subdomain(claim):
            yield field.invalid(f"{path}.resourceClaimName", claim, message)


def _addresses(kind: str, status: Object, old_status: Object) -> Iterator[Cause]:
    listed = status.get(kind, [])
    if not listed:
        return
    path = f"status.{kind}"
    if kind == "hostIPs" and status.get("hostIP", "") != listed[0].get("ip", ""):
        yield field.invalid(f"{path}[0].ip", listed[0].get("ip", ""), "must be equal to `hostIP`")
    kept = {one.get("ip", "") for one in old_status.get(kind, ())}
    for number, one in enumerate(listed):
        yield from validate_address(one.get("ip", ""), f"{path}[{number}]", kept)
    yield from validate_pair(listed, path)


def _user(user: Object, spec: Object, path: str) -> Iterator[Cause]:
    linux = user.get("linux")
    if linux is None:
        return
    if spec.get("os", {}).get("name", "linux") == "windows":
        yield field.forbidden(path, "cannot be set for a windows pod")
        return
    for name in ("uid", "gid"):
        yield from security.validate_id(linux.get(name, 0), f"{path}.{name}")
    for number, group in enumerate(linux.get("supplementalGroups", ())):
        yield from security.validate_id(group, f"{path}.supplementalGroups[{number}]")


def _allocated(
    status: Object, listed: list[Object], containers: list[Object], path: str
) -> Iterator[Cause]:
    container = next((one for one in containers if one.get("name") == status.get("name")), None)
    for number, allocated in enumerate(listed):
        at = f"{path}[{number}]"
        name = allocated.get("name", "")
        if container is not None and name not in _allocatable_names(container, name):
            yield field.invalid(
                f"{at}.name",
                name,
                "must match one of the container's resource requests or claims",
            )
        seen: set[str] = set()
        for position, one in enumerate(allocated.get("resources", ())):
            here = f"{at}.resources[{position}]"
            health, identifier = one.get("health", ""), one.get("resourceID", "")
            if health not in _HEALTHS:
                yield field.not_supported(f"{here}.health", health, _HEALTHS)
            message = one.get("message")
            if message == "":
                yield field.required(f"{here}.message", "must be non-empty if specified")
            elif message is not None and names.longer_than(message, _HEALTH_MESSAGE_MAX):
                yield field.too_long(f"{here}.message", _HEALTH_MESSAGE_MAX)
            if identifier in seen:
                yield field.duplicate(f"{here}.resourceID", identifier)
            seen.add(identifier)


def _allocatable_names(container: Object, name: str) -> set[str]:
    requirements = container["resources"]
    if not name.startswith("claim:"):
        return set(requirements.get("requests", ()))
    return {
        "claim:" + "/".join(filter(None, (claim.get("name"), claim.get("request"))))
        for claim in requirements.get("claims", ())
    }
