"""Versioned defaulting of pod specs.

Source: kube-apiserver v1.36.2, pkg/apis/core/v1/defaults.go and conversion.go.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from services.apiserver.kinds.podspec import resources

Object = dict[str, Any]

DEFAULT_FILE_MODE = 0o644
TOKEN_EXPIRATION_S = 3600
TERMINATION_GRACE_PERIOD_S = 30

_DOMAIN_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_reference = re.compile(
    rf"(?:{_DOMAIN}/)?{_COMPONENT}(?:/{_COMPONENT})*"
    rf"(?::(?P<tag>[\w][\w.-]{{0,127}}))?(?:@(?P<digest>{_DIGEST}))?",
    re.ASCII,
).fullmatch
_identifier = re.compile("[a-f0-9]{64}").fullmatch

_ALPHA_INIT_ANNOTATIONS = (
    "pod.beta.kubernetes.io/init-containers",
    "pod.alpha.kubernetes.io/init-containers",
    "pod.beta.kubernetes.io/init-container-statuses",
    "pod.alpha.kubernetes.io/init-container-statuses",
)


LONGEST_KEPT_IMAGE = 1024


def pull_policy(image: str) -> str:
    """Return Always for the tag latest, written or implied, else IfNotPresent."""
    policy = _pull_policy if len(image) <= LONGEST_KEPT_IMAGE else _pull_policy.__wrapped__
    return policy(image)


@lru_cache(maxsize=4096)
def _pull_policy(image: str) -> str:
    match = _reference(image)
    if match is None or _identifier(image):
        return "IfNotPresent"
    tag = match["tag"]
    if tag == "latest" or (tag is None and match["digest"] is None):
        return "Always"
    return "IfNotPresent"


def default_pod(pod: Object) -> None:
    """Default a Pod; a pod template takes `default_template`, which does less."""
    drop_init_annotations(pod["metadata"])
    spec = pod.get("spec")
    if spec is None:
        spec = pod["spec"] = {}
    containers = spec.get("containers") or ()
    init_containers = spec.get("initContainers") or ()
    default_pod_spec(spec)
    for container in (*containers, *init_containers):
        limits = container["resources"].get("limits")
        if limits:
            _fill(container["resources"], "requests", limits)
    if "resources" in spec:
        _default_pod_level_resources(spec)
    if "enableServiceLinks" not in spec:
        spec["enableServiceLinks"] = True
    if spec.get("hostNetwork"):
        for container in (*containers, *init_containers):
            for port in container.get("ports", ()):
                if "hostPort" not in port and port.get("containerPort"):
                    port["hostPort"] = port["containerPort"]
    status = pod.get("status")
    if status:
        default_pod_status(status)


def default_template(template: Object) -> None:
    """Default a PodTemplateSpec."""
    drop_init_annotations(template.setdefault("metadata", {}))
    default_pod_spec(template.setdefault("spec", {}))


def default_pod_status(status: Object) -> None:
    """Bring podIP and podIPs together; where they differ podIP counts."""
    address, addresses = status.get("podIP"), status.get("podIPs")
    if address:
        if not addresses or addresses[0].get("ip") != address:
            status["podIPs"] = [{"ip": address}]
    elif addresses and addresses[0].get("ip"):
        status["podIP"] = addresses[0]["ip"]


def drop_init_annotations(metadata: Object) -> None:
    """Drop the annotations that carried init containers before they were a field."""
    annotations = metadata.get("annotations")
    if not annotations:
        return
    for name in _ALPHA_INIT_ANNOTATIONS:
        annotations.pop(name, None)
    if not annotations:
        del metadata["annotations"]


def default_pod_spec(spec: Object) -> None:
    if "dnsPolicy" not in spec:
        spec["dnsPolicy"] = "ClusterFirst"
    if "restartPolicy" not in spec:
        spec["restartPolicy"] = "Always"
    if "securityContext" not in spec:
        spec["securityContext"] = {}
    if "terminationGracePeriodSeconds" not in spec:
        spec["terminationGracePeriodSeconds"] = TERMINATION_GRACE_PERIOD_S
    if "schedulerName" not in spec:
        spec["schedulerName"] = "default-scheduler"
    if "containers" not in spec:
        spec["containers"] = None
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for container in spec["containers"] or ():
        default_container(container)
    for container in spec.get("initContainers", ()):
        default_container(container)
    for container in spec.get("ephemeralContainers", ()):
        _default_common(container)
    for volume in spec.get("volumes", ()):
        default_volume(volume)
    if "overhead" in spec:
        resources.round_up(spec["overhead"])
    if "resources" in spec:
        _round_up_requirements(spec["resources"])


def default_container(container: Object) -> None:
    _default_common(container)
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if name in container:
            _default_probe(container[name])
    lifecycle = container.get("lifecycle")
    if lifecycle:
        for name in ("postStart", "preStop"):
            if name in lifecycle and "httpGet" in lifecycle[name]:
                _default_http_get(lifecycle[name]["httpGet"])


def _default_common(container: Object) -> None:
    if "imagePullPolicy" not in container:
        container["imagePullPolicy"] = pull_policy(container.get("image", ""))
    if "terminationMessagePath" not in container:
        container["terminationMessagePath"] = "/dev/termination-log"
    if "terminationMessagePolicy" not in container:
        container["terminationMessagePolicy"] = "File"
    if "resources" not in container:
        container["resources"] = {}
    elif container["resources"]:
        _round_up_requirements(container["resources"])
    for port in container.get("ports", ()):
        if "protocol" not in port:
            port["protocol"] = "TCP"
    for variable in container.get("env", ()):
        source = variable.get("valueFrom")
        if source:
            _default_field_source(source)


def _round_up_requirements(requirements: Object) -> None:
    for name in ("limits", "requests"):
        if name in requirements:
            resources.round_up(requirements[name])


def _default_field_source(source: Object) -> None:
    reference = source.get("fieldRef")
    if reference is not None and "apiVersion" not in reference:
        reference["apiVersion"] = "v1"
    reference = source.get("resourceFieldRef")
    if reference is not None and "divisor" not in reference:
        reference["divisor"] = "0"


def _default_probe(probe: Object) -> None:
    for name, value in _PROBE_DEFAULTS:
        if name not in probe:
            probe[name] = value
    if "httpGet" in probe:
        _default_http_get(probe["httpGet"])
    if "grpc" in probe and probe["grpc"].get("service") is None:
        probe["grpc"]["service"] = ""


_PROBE_DEFAULTS = (
    ("timeoutSeconds", 1),
    ("periodSeconds", 10),
    ("successThreshold", 1),
    ("failureThreshold", 3),
)


def _default_http_get(action: Object) -> None:
    action.setdefault("path", "/")
    action.setdefault("scheme", "HTTP")


def default_volume(volume: Object) -> None:
    if not any(name != "name" for name in volume):
        volume["emptyDir"] = {}
        return
    for name, source in volume.items():
        default = _VOLUME_DEFAULTS.get(name)
        if default is not None:
            for field, value in default.items():
                source.setdefault(field, value)
    if "downwardAPI" in volume:
        for item in volume["downwardAPI"].get("items", ()):
            _default_field_source(item)
    if "projected" in volume:
        _default_projections(volume["projected"])
    if "image" in volume and "pullPolicy" not in volume["image"]:
        volume["image"]["pullPolicy"] = pull_policy(volume["image"].get("reference", ""))
    if "ephemeral" in volume and "volumeClaimTemplate" in volume["ephemeral"]:
        default_claim_spec(volume["ephemeral"]["volumeClaimTemplate"].setdefault("spec", {}))


_VOLUME_DEFAULTS: dict[str, dict[str, Any]] = {
    "secret": {"defaultMode": DEFAULT_FILE_MODE},
    "configMap": {"defaultMode": DEFAULT_FILE_MODE},
    "downwardAPI": {"defaultMode": DEFAULT_FILE_MODE},
    "projected": {"defaultMode": DEFAULT_FILE_MODE},
    "hostPath": {"type": ""},
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {
        "cachingMode": "ReadWrite",
        "kind": "Shared",
        "fsType": "ext4",
        "readOnly": False,
    },
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}


def _default_projections(projected: Object) -> None:
    for source in projected.get("sources") or ():
        token = source.get("serviceAccountToken")
        if token is not None and "expirationSeconds" not in token:
            token["expirationSeconds"] = TOKEN_EXPIRATION_S
        for item in source.get("downwardAPI", {}).get("items", ()):
            _default_field_source(item)


def default_claim_spec(spec: Object) -> None:
    """Default a PersistentVolumeClaimSpec."""
    spec.setdefault("volumeMode", "Filesystem")
    _round_up_requirements(spec.setdefault("resources", {}))


def _default_pod_level_resources(spec: Object) -> None:
    """Complete pod-level resources that were given in part from those of the containers."""
    own = spec["resources"]
    if not own.get("limits") and not own.get("requests"):
        return
    huge = {
        name: total
        for name, total in resources.total_of_containers(spec, "limits").items()
        if resources.is_huge_page(name) and name not in own.get("requests", ())
    }
    _fill(own, "limits", huge)
    if not own.get("limits"):
        return
    requested = {
        name: total
        for name, total in resources.total_of_containers(spec, "requests").items()
        if resources.is_pod_level(name) and resources.is_overcommit_allowed(name)
    }
    _fill(own, "requests", requested)
    limits = {name: value for name, value in own["limits"].items() if resources.is_pod_level(name)}
    _fill(own, "requests", limits)


def _fill(requirements: Object, name: str, values: dict[str, str]) -> None:
    """Add to the resource list `name` the `values` it does not have."""
    if not values:
        return
    listed = requirements.setdefault(name, {})
    for resource, value in values.items():
        if resource not in listed:
            listed[resource] = value
