"""Containers of a pod: regular, init and ephemeral ones.

Source: kube-apiserver v1.36.2, pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from services.apiserver.errors import Cause
from services.apiserver.kinds.podspec import env, handlers, mounts, resources, security, volumes
from services.apiserver.validation import field, names
from services.apiserver.validation.enumerations import PULL_POLICIES

Object = dict[str, Any]

_MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_RESTART_POLICIES = ("Always", "Never", "OnFailure")
_RESTART_ACTIONS = ("Restart", "RestartAllContainers")
_EXIT_CODE_OPERATORS = ("In", "NotIn")
_MAX_RESTART_RULES = 20
_MAX_EXIT_CODES = 255
_RESIZE_POLICIES = ("NotRequired", "RestartContainer")
_RESIZABLE = ("cpu", "memory")
_NOT_IN_EPHEMERAL = (
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
)
_NOT_EPHEMERAL = "cannot be set for an Ephemeral Container"
_NOT_IN_INIT = "may not be set for init containers without restartPolicy=Always"


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What the rules of a container need to know of its pod.

    `volumes` holds the valid volumes by name; `claims` the names in spec.resourceClaims.
    """

    volumes: Mapping[str, Object]
    claims: frozenset[str]
    restart_policy: str
    grace_period: int | None
    host_users: bool


def validate_containers(
    containers: list[Object] | None, pod: PodFacts, path: str
) -> Iterator[Cause]:
    if not containers:
        yield field.required(path)
        return
    seen: set[str] = set()
    for number, container in enumerate(containers):
        at = f"{path}[{number}]"
        yield from _common(container, pod, at)
        name = container.get("name", "")
        if name in seen:
            yield field.duplicate(f"{at}.name", name)
        seen.add(name)
        yield from _handlers(container, pod, at)
        if "restartPolicy" in container or "restartPolicyRules" in container:
            yield from _restart_policy(container, at)
    yield from host_port_conflicts(containers, path)


def validate_init_containers(
    containers: list[Object], regular: list[Object] | None, pod: PodFacts, path: str
) -> Iterator[Cause]:
    seen = {container.get("name", "") for container in regular or ()}
    for number, container in enumerate(containers):
        at = f"{path}[{number}]"
        yield from _common(container, pod, at)
        if "restartPolicy" in container or "restartPolicyRules" in container:
            yield from _restart_policy(container, at)
        name = container.get("name", "")
        if name in seen:
            yield field.duplicate(f"{at}.name", name)
        elif name:
            seen.add(name)
        yield from host_port_conflicts([container], path)
        if resources.is_sidecar(container):
            yield from _handlers(container, pod, at)
            continue
        for option in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
            if option in container:
                yield field.forbidden(f"{at}.{option}", _NOT_IN_INIT)
        for position, policy in enumerate(container.get("resizePolicy", ())):
            if policy.get("restartPolicy") == "RestartContainer":
                yield field.invalid(
                    f"{at}.resizePolicy[{position}].restartPolicy",
                    "RestartContainer",
                    "must not be set to 'RestartContainer' for non-sidecar initContainers",
                )


def validate_ephemeral_containers(
    containers: list[Object], others: Iterable[Object], pod: PodFacts, path: str
) -> Iterator[Cause]:
    """Check ephemeral containers; `others` are the regular and init containers."""
    other_names = {container.get("name", "") for container in others}
    seen = set(other_names)
    for number, container in enumerate(containers):
        at = f"{path}[{number}]"
        yield from _common(container, pod, at)
        yield from trimmed_image(container, at)
        name = container.get("name", "")
        if name in seen:
            yield field.duplicate(f"{at}.name", name)
        seen.add(name)
        target = container.get("targetContainerName")
        if target and target not in other_names:
            yield field.not_found(f"{at}.targetContainerName", target)
        for option in _NOT_IN_EPHEMERAL:
            if container.get(option) or (option.endswith("Probe") and option in container):
                yield field.forbidden(f"{at}.{option}", _NOT_EPHEMERAL)
        for position, mount in enumerate(container.get("volumeMounts", ())):
            for option in ("subPath", "subPathExpr"):
                if mount.get(option):
                    yield field.forbidden(f"{at}.volumeMounts[{position}].{option}", _NOT_EPHEMERAL)


def trimmed_image(container: Object, path: str) -> Iterator[Cause]:
    """Check that an image has no space around it; templates do not want this."""
    image = container.get("image", "")
    if image != image.strip():
        yield field.invalid(f"{path}.image", image, "must not have leading or trailing whitespace")


def _common(container: Object, pod: PodFacts, path: str) -> Iterator[Cause]:
    name = container.get("name", "")
    if not name:
        yield field.required(f"{path}.name")
    else:
        for message in names.dns1123_label(name):
            yield field.invalid(f"{path}.name", name, message)
    if not container.get("image"):
        yield field.required(f"{path}.image")
    policy = container.get("terminationMessagePolicy", "")
    if policy not in _MESSAGE_POLICIES:
        if policy:
            yield field.not_supported(f"{path}.terminationMessagePolicy", policy, _MESSAGE_POLICIES)
        else:
            yield field.required(f"{path}.terminationMessagePolicy")
    if "ports" in container:
        yield from _ports(container["ports"], f"{path}.ports")
    if "env" in container:
        yield from env.validate_env(container["env"], f"{path}.env")
    if "envFrom" in container:
        yield from env.validate_env_from(container["envFrom"], f"{path}.envFrom")
    if "volumeMounts" in container:
        yield from mounts.validate_mounts(container, pod.volumes, f"{path}.volumeMounts")
    if "volumeDevices" in container:
        yield from mounts.validate_devices(container, pod.volumes, f"{path}.volumeDevices")
    pull_policy = container.get("imagePullPolicy", "")
    if pull_policy not in PULL_POLICIES:
        yield from volumes.pull_policy(pull_policy, f"{path}.imagePullPolicy")
    if container.get("resources"):
        yield from resources.validate_requirements(
            container["resources"], pod.claims, f"{path}.resources"
        )
    if "resizePolicy" in container:
        yield from _resize_policy(
            container["resizePolicy"], pod.restart_policy, f"{path}.resizePolicy"
        )
    if "securityContext" in container:
        yield from security.validate_container(
            container["securityContext"], f"{path}.securityContext", pod.host_users
        )


def _ports(ports: list[Object], path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for number, port in enumerate(ports):
        at = f"{path}[{number}]"
        name = port.get("name")
        if name:
            messages = names.port_name(name)
            if messages:
                for message in messages:
                    yield field.invalid(f"{at}.name", name, message)
            elif name in seen:
                yield field.duplicate(f"{at}.name", name)
            seen.add(name)
        own = port.get("containerPort", 0)
        if own == 0:
            yield field.required(f"{at}.containerPort")
        else:
            for message in names.port_number(own):
                yield field.invalid(f"{at}.containerPort", own, message)
        host = port.get("hostPort", 0)
        if host != 0:
            for message in names.port_number(host):
                yield field.invalid(f"{at}.hostPort", host, message)
        protocol = port.get("protocol", "")
        if protocol not in _PROTOCOLS:
            if protocol:
                yield field.not_supported(f"{at}.protocol", protocol, _PROTOCOLS)
            else:
                yield field.required(f"{at}.protocol")


def host_port_conflicts(containers: list[Object], path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for number, container in enumerate(containers):
        for position, port in enumerate(container.get("ports", ())):
            host_port = port.get("hostPort")
            if not host_port:
                continue
            key = f"{port.get('protocol', '')}/{port.get('hostIP', '')}/{host_port}"
            if key in seen:
                yield field.duplicate(f"{path}[{number}].ports[{position}].hostPort", key)
            seen.add(key)


def _handlers(container: Object, pod: PodFacts, path: str) -> Iterator[Cause]:
    if "lifecycle" in container:
        yield from handlers.validate_lifecycle(
            container["lifecycle"], pod.grace_period, f"{path}.lifecycle"
        )
    yield from handlers.validate_probes(container, pod.grace_period, path)


def _restart_policy(container: Object, path: str) -> Iterator[Cause]:
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules", ())
    if policy is None:
        yield field.required(
            f"{path}.restartPolicy", "must specify restartPolicy when restart rules are used"
        )
    elif policy not in _RESTART_POLICIES:
        yield field.not_supported(f"{path}.restartPolicy", policy, _RESTART_POLICIES)
    if len(rules) > _MAX_RESTART_RULES:
        yield field.too_many(f"{path}.restartPolicyRules", len(rules), _MAX_RESTART_RULES)
    for number, rule in enumerate(rules):
        at = f"{path}.restartPolicyRules[{number}]"
        action, codes = rule.get("action", ""), rule.get("exitCodes")
        if action not in _RESTART_ACTIONS:
            yield field.not_supported(f"{at}.action", action, _RESTART_ACTIONS)
        if codes is None:
            yield field.required(f"{at}.exitCodes", "must be specified")
            continue
        operator, values = codes.get("operator", ""), codes.get("values", ())
        if operator not in _EXIT_CODE_OPERATORS:
            yield field.not_supported(f"{at}.exitCodes.operator", operator, _EXIT_CODE_OPERATORS)
        if len(values) > _MAX_EXIT_CODES:
            yield field.too_many(f"{at}.exitCodes.values", len(values), _MAX_EXIT_CODES)


def _resize_policy(policies: list[Object], pod_policy: str, path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for number, policy in enumerate(policies):
        resource, restart = policy.get("resourceName", ""), policy.get("restartPolicy", "")
        if resource in seen:
            yield field.duplicate(f"{path}[{number}]", resource)
        seen.add(resource)
        for value, supported in ((resource, _RESIZABLE), (restart, _RESIZE_POLICIES)):
            if not value:
                yield field.required(path)
            elif value not in supported:
                yield field.not_supported(path, value, supported)
        if pod_policy == "Never" and restart != "NotRequired":
            yield field.invalid(
                path, restart, "must be 'NotRequired' when pod `restartPolicy` is 'Never'"
            )
