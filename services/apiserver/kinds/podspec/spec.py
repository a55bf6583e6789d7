"""The whole pod spec: calls the rules of each subject in kube-apiserver's order.

Source: kube-apiserver v1.36.2, pkg/apis/core/validation/validation.go (ValidatePodSpec,
ValidatePodTemplateSpec, validatePodMetadataAndSpec).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.apiserver.errors import Cause
from services.apiserver.kinds.podspec import (
    containers,
    podannotations,
    resources,
    scheduling,
    security,
    volumes,
)
from services.apiserver.validation import field, metadata, names
from services.apiserver.validation.addresses import validate_address

Object = dict[str, Any]

RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_PREEMPTION_POLICIES = ("PreemptLowerPriority", "Never")
_MAX_NAMESERVERS = 3
_MAX_SEARCHES = 32
_MAX_SEARCH_CHARACTERS = 2048
_MAX_HOSTNAME_OVERRIDE = 64
_MAX_INT32 = 2**31 - 1
_NO_CLAIMS: frozenset[str] = frozenset()


def validate_pod(pod: Object) -> Iterator[Cause]:
    """Check a Pod's annotations and spec, at creation and at updates alike."""
    meta, spec = pod["metadata"], pod["spec"]
    if "annotations" in meta:
        yield from podannotations.validate_pod_annotations(
            meta["annotations"], spec, "metadata.annotations"
        )
    yield from validate_pod_spec(spec, "spec", pod_name=meta.get("name", ""), pod_meta=meta)
    if "volumes" in spec and not spec.get("serviceAccountName"):
        for number, volume in enumerate(spec["volumes"]):
            sources = volume.get("projected", {}).get("sources") or ()
            for position, source in enumerate(sources):
                if "serviceAccountToken" in source:
                    yield field.forbidden(
                        f"spec.volumes[{number}].projected.sources[{position}].serviceAccountToken",
                        "must not be specified when serviceAccountName is not set",
                    )
    for kind in ("containers", "initContainers"):
        for number, container in enumerate(spec.get(kind) or ()):
            yield from containers.trimmed_image(container, f"spec.{kind}[{number}]")


def validate_template(template: Object, path: str) -> Iterator[Cause]:
    """Check a PodTemplateSpec."""
    meta, spec = template.get("metadata", {}), template.get("spec", {})
    if "labels" in meta:
        yield from metadata.validate_labels(meta["labels"], f"{path}.labels")
    notes = meta.get("annotations", {})
    if notes:
        yield from metadata.validate_annotations(notes, f"{path}.annotations")
        yield from podannotations.validate_pod_annotations(notes, spec, f"{path}.annotations")
    yield from validate_pod_spec(spec, f"{path}.spec")
    if notes:
        yield from podannotations.validate_against_fields(notes, spec, f"{path}.spec")
    if spec.get("ephemeralContainers"):
        yield field.forbidden(
            f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template"
        )


def validate_pod_spec(
    spec: Object, path: str, *, pod_name: str | None = None, pod_meta: Object | None = None
) -> Iterator[Cause]:
    """Check a pod spec; `pod_name` and `pod_meta` are None in a template."""
    if "terminationGracePeriodSeconds" not in spec:
        yield field.required(f"{path}.terminationGracePeriodSeconds")
    valid_volumes: dict[str, Object] = {}
    if "volumes" in spec:
        found: list[Cause] = []
        valid_volumes = volumes.validate_volumes(
            spec["volumes"], pod_name, f"{path}.volumes", found
        )
        yield from found
    claims = _NO_CLAIMS
    if "resourceClaims" in spec:
        claims = frozenset(claim["name"] for claim in spec["resourceClaims"] if claim.get("name"))
        yield from _resource_claims(spec["resourceClaims"], pod_meta, f"{path}.resourceClaims")
    pod = containers.PodFacts(
        volumes=valid_volumes,
        claims=claims,
        restart_policy=spec.get("restartPolicy", ""),
        grace_period=spec.get("terminationGracePeriodSeconds"),
        host_users=spec.get("hostUsers", True),
    )
    yield from containers.validate_containers(spec.get("containers"), pod, f"{path}.containers")
    if "initContainers" in spec:
        yield from containers.validate_init_containers(
            spec["initContainers"], spec.get("containers"), pod, f"{path}.initContainers"
        )
    if "ephemeralContainers" in spec:
        yield from containers.validate_ephemeral_containers(
            spec["ephemeralContainers"],
            (*(spec.get("containers") or ()), *spec.get("initContainers", ())),
            pod,
            f"{path}.ephemeralContainers",
        )
    if "resources" in spec:
        yield from resources.validate_pod_level(spec, path)
    if spec.get("hostNetwork"):
        yield from _host_network_ports(spec, path, in_pod=pod_name is not None)
    yield from _policies(spec, path)
    if "nodeSelector" in spec:
        yield from metadata.validate_labels(spec["nodeSelector"], f"{path}.nodeSelector")
    yield from security.validate_pod(spec, f"{path}.securityContext")
    if "affinity" in spec:
        yield from scheduling.validate_affinity(spec["affinity"], f"{path}.affinity")
    if "dnsConfig" in spec or spec.get("dnsPolicy") == "None":
        yield from _dns_config(spec, f"{path}.dnsConfig")
    for number, gate in enumerate(spec.get("readinessGates", ())):
        kind = gate.get("conditionType", "")
        for message in names.qualified_name(kind):
            yield field.invalid(f"{path}.readinessGates[{number}].conditionType", kind, message)
    if "schedulingGates" in spec:
        yield from scheduling.validate_gates(spec["schedulingGates"], f"{path}.schedulingGates")
    if "topologySpreadConstraints" in spec:
        yield from scheduling.validate_topology_spread(
            spec["topologySpreadConstraints"], f"{path}.topologySpreadConstraints"
        )
    yield from security.validate_host_process(spec, path)
    yield from security.validate_host_users(spec, path)
    if "hostnameOverride" in spec:
        yield from _hostname_override(spec, f"{path}.hostnameOverride")
    yield from _names(spec, path)


def _policies(spec: Object, path: str) -> Iterator[Cause]:
    for name, supported in (("restartPolicy", RESTART_POLICIES), ("dnsPolicy", _DNS_POLICIES)):
        value = spec.get(name, "")
        if value not in supported:
            if value:
                yield field.not_supported(f"{path}.{name}", value, supported)
            else:
                yield field.required(f"{path}.{name}")


def _names(spec: Object, path: str) -> Iterator[Cause]:
    """Check the fields that follow the large structures, mostly names."""
    for name in ("serviceAccountName", "nodeName"):
        if spec.get(name):
            yield from _subdomain(spec[name], f"{path}.{name}")
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= _MAX_INT32:
        yield field.invalid(
            f"{path}.activeDeadlineSeconds", deadline, names.inclusive_range(1, _MAX_INT32)
        )
    for name in ("hostname", "subdomain"):
        if spec.get(name):
            for message in names.dns1123_label(spec[name]):
                yield field.invalid(f"{path}.{name}", spec[name], message)
    if "tolerations" in spec:
        yield from scheduling.validate_tolerations(spec["tolerations"], f"{path}.tolerations")
    for number, alias in enumerate(spec.get("hostAliases", ())):
        at = f"{path}.hostAliases[{number}]"
        yield from validate_address(alias.get("ip", ""), f"{at}.ip")
        for position, hostname in enumerate(alias.get("hostnames", ())):
            yield from _subdomain(hostname, f"{at}.hostnames[{position}]")
    if spec.get("priorityClassName"):
        yield from _subdomain(spec["priorityClassName"], f"{path}.priorityClassName")
    if "runtimeClassName" in spec:
        yield from _subdomain(spec["runtimeClassName"], f"{path}.runtimeClassName")
    preemption = spec.get("preemptionPolicy")
    if preemption is not None and preemption not in _PREEMPTION_POLICIES:
        at = f"{path}.preemptionPolicy"
        if preemption:
            yield field.not_supported(at, preemption, _PREEMPTION_POLICIES)
        else:
            yield field.required(at)
    if "overhead" in spec:
        yield from resources.validate_overhead(spec["overhead"], f"{path}.overhead")
    if "os" in spec:
        yield from security.validate_os(spec, path)
    for container, at in security.containers_of(spec, path):
        if "env" in container:
            yield from _file_volumes(container["env"], spec, f"{at}.env")


def _subdomain(value: str, path: str) -> Iterator[Cause]:
    for message in names.dns1123_subdomain(value):
        yield field.invalid(path, value, message)


def _file_volumes(variables: list[Object], spec: Object, path: str) -> Iterator[Cause]:
    """Check that fileKeyRef reads from an emptyDir of the pod."""
    for number, variable in enumerate(variables):
        source = variable.get("valueFrom")
        if source is None or "fileKeyRef" not in source:
            continue
        name = source["fileKeyRef"].get("volumeName", "")
        at = f"{path}[{number}].valueFrom.fileKeyRef.volumeName"
        named = [volume for volume in spec.get("volumes", ()) if volume.get("name") == name]
        if not named:
            yield field.not_found(at, name)
        elif "emptyDir" not in named[-1]:
            yield field.invalid(at, name, "referenced volume must be of type emptyDir")


def _resource_claims(claims: list[Object], pod_meta: Object | None, path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for number, claim in enumerate(claims):
        if pod_meta and podannotations.MIRROR in pod_meta.get("annotations", ()):
            yield field.forbidden("[]", "static pods do not support resource claims")
            continue
        at = f"{path}[{number}]"
        name = claim.get("name", "")
        if not name:
            yield field.required(f"{at}.name")
        elif name in seen:
            yield field.duplicate(f"{at}.name", name)
        else:
            for message in names.dns1123_label(name):
                yield field.invalid(f"{at}.name", name, message)
            seen.add(name)
        given = [
            kind for kind in ("resourceClaimName", "resourceClaimTemplateName") if kind in claim
        ]
        if len(given) == 2:
            yield field.invalid(
                at,
                claim,
                "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be"
                " specified",
            )
        elif not given:
            yield field.invalid(
                at, claim, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            )
        for kind in given:
            yield from _subdomain(claim[kind], f"{at}.{kind}")


def _host_network_ports(spec: Object, path: str, *, in_pod: bool) -> Iterator[Cause]:
    for number, container in enumerate(spec.get("containers") or ()):
        for position, port in enumerate(container.get("ports", ())):
            host, own = port.get("hostPort", 0), port.get("containerPort", 0)
            if (in_pod or host != 0) and host != own:
                yield field.invalid(
                    f"{path}.containers[{number}].ports[{position}].hostPort",
                    host,
                    "must match `containerPort` when `hostNetwork` is true",
                )


def _dns_config(spec: Object, path: str) -> Iterator[Cause]:
    config = spec.get("dnsConfig")
    servers = config.get("nameservers", []) if config else []
    if spec.get("dnsPolicy") == "None":
        if config is None:
            yield field.required(path, "must provide `dnsConfig` when `dnsPolicy` is None")
            return
        if not servers:
            yield field.required(
                f"{path}.nameservers",
                "must provide at least one DNS nameserver when `dnsPolicy` is None",
            )
            return
    if config is None:
        return
    if len(servers) > _MAX_NAMESERVERS:
        yield field.invalid(
            f"{path}.nameservers",
            servers,
            f"must not have more than {_MAX_NAMESERVERS} nameservers",
        )
    for number, server in enumerate(servers):
        yield from validate_address(server, f"{path}.nameservers[{number}]")
    searches = config.get("searches", [])
    if len(searches) > _MAX_SEARCHES:
        yield field.invalid(
            f"{path}.searches", searches, f"must not have more than {_MAX_SEARCHES} search paths"
        )
    if len(" ".join(searches).encode()) > _MAX_SEARCH_CHARACTERS:
        yield field.invalid(
            f"{path}.searches",
            searches,
            f"must not have more than {_MAX_SEARCH_CHARACTERS} characters (including spaces) in"
            " the search list",
        )
    for number, search in enumerate(searches):
        if search == ".":
            continue
        name = search.removesuffix(".")
        for message in names.dns1123_subdomain_with_underscore(name):
            yield field.invalid(f"{path}.searches[{number}]", name, message)
    for number, option in enumerate(config.get("options", ())):
        if not option.get("name"):
            yield field.required(f"{path}.options[{number}]", "must not be empty")


def _hostname_override(spec: Object, path: str) -> Iterator[Cause]:
    hostname = spec["hostnameOverride"]
    if spec.get("setHostnameAsFQDN"):
        yield field.forbidden(path, "may not be specified when setHostnameAsFQDN is true")
    if spec.get("hostNetwork"):
        yield field.forbidden(path, "may not be specified when hostNetwork is true")
    if names.longer_than(hostname, _MAX_HOSTNAME_OVERRIDE):
        yield field.too_long(path, _MAX_HOSTNAME_OVERRIDE)
    yield from _subdomain(hostname, path)
