"""What pods and volumes refer to: the secrets, config maps, claims and accounts they use.

Source: kube-apiserver v1.36.2, pkg/api/v1/pod/util.go (VisitPodSecretNames,
VisitPodConfigmapNames), pkg/api/v1/persistentvolume/util.go (VisitPVSecretNames) and
dynamic-resource-allocation/resourceclaim (Name).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from services.apiserver.registry.strategy import Object

CONTAINER_FIELDS = ("initContainers", "containers", "ephemeralContainers")
SECRET_REF_VOLUMES = ("cephfs", "cinder", "flexVolume", "rbd", "scaleIO", "iscsi", "storageos")
"""Volumes whose `secretRef` names a secret."""
CSI_NODE_SECRETS = ("nodePublishSecretRef", "nodeExpandSecretRef", "nodeStageSecretRef")
"""Those that a kubelet uses; the controller's secrets are not its business."""


def secret_names(pod: Object) -> Iterator[str]:
    """Yield the names of the secrets that a pod uses; some more than once."""
    spec = pod.get("spec", {})
    for reference in spec.get("imagePullSecrets") or ():
        yield from _name(reference)
    yield from _environment(spec, "secretRef", "secretKeyRef")
    for volume in spec.get("volumes") or ():
        yield from _secrets_of_volume(volume)


def _secrets_of_volume(volume: dict[str, Any]) -> Iterator[str]:
    for kind in ("azureFile", "secret"):
        name = (volume.get(kind) or {}).get("secretName")
        if name:
            yield name
    for kind in SECRET_REF_VOLUMES:
        yield from _name((volume.get(kind) or {}).get("secretRef"))
    yield from _name((volume.get("csi") or {}).get("nodePublishSecretRef"))
    for source in projected_sources(volume):
        yield from _name(source.get("secret"))


def config_map_names(pod: Object) -> Iterator[str]:
    """Yield the names of the config maps that a pod uses; some more than once."""
    spec = pod.get("spec", {})
    yield from _environment(spec, "configMapRef", "configMapKeyRef")
    for volume in spec.get("volumes") or ():
        yield from _name(volume.get("configMap"))
        for source in projected_sources(volume):
            yield from _name(source.get("configMap"))


def projected_sources(volume: dict[str, Any]) -> Iterable[dict[str, Any]]:
    return (volume.get("projected") or {}).get("sources") or ()


def _environment(spec: dict[str, Any], whole: str, key: str) -> Iterator[str]:
    for field in CONTAINER_FIELDS:
        for container in spec.get(field) or ():
            for source in container.get("envFrom") or ():
                yield from _name(source.get(whole))
            for variable in container.get("env") or ():
                yield from _name((variable.get("valueFrom") or {}).get(key))


def _name(reference: dict[str, Any] | None) -> Iterator[str]:
    name = (reference or {}).get("name")
    if name:
        yield name


def claim_names(pod: Object) -> Iterator[str]:
    """Yield the names of the PersistentVolumeClaims that a pod uses."""
    for volume in pod.get("spec", {}).get("volumes") or ():
        name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if name:
            yield name
        elif "ephemeral" in volume:
            yield ephemeral_claim_name(pod, volume)


def ephemeral_claim_name(pod: Object, volume: dict[str, Any]) -> str:
    """Return the name of the claim that is made for an ephemeral volume."""
    return f"{pod['metadata'].get('name', '')}-{volume.get('name', '')}"


def resource_claim_names(pod: Object) -> Iterator[str]:
    """Yield the names of the ResourceClaims that a pod uses, as far as they are made."""
    status = pod.get("status") or {}
    made = {
        one.get("name"): one.get("resourceClaimName")
        for one in status.get("resourceClaimStatuses") or ()
    }
    for claim in pod.get("spec", {}).get("resourceClaims") or ():
        name = claim.get("resourceClaimName")
        if not name and claim.get("resourceClaimTemplateName"):
            name = made.get(claim.get("name"))
        if name:
            yield name
    extended = (status.get("extendedResourceClaimStatus") or {}).get("resourceClaimName")
    if extended:
        yield extended


def volume_secrets(volume: Object) -> Iterator[tuple[str, str]]:
    """Yield namespace and name of the secrets that nodes need for a claimed PersistentVolume."""
    spec = volume.get("spec", {})
    home = (spec.get("claimRef") or {}).get("namespace", "")
    azure = spec.get("azureFile") or {}
    if azure.get("secretName"):
        yield azure.get("secretNamespace") or home, azure["secretName"]
    for kind in SECRET_REF_VOLUMES:
        reference = (spec.get(kind) or {}).get("secretRef") or {}
        for name in _name(reference):
            yield reference.get("namespace") or home, name
    for field in CSI_NODE_SECRETS:
        reference = (spec.get("csi") or {}).get(field) or {}
        for name in _name(reference):
            yield reference.get("namespace") or home, name


def api_reference(pod: Object) -> str:
    """Return a resource that a pod refers to, "" if it refers to none.

    Source: pkg/api/pod/util.go (HasAPIObjectReference).
    """
    spec = pod.get("spec", {})
    if spec.get("serviceAccountName"):
        return "serviceaccounts"
    if next(secret_names(pod), None):
        return "secrets"
    if next(config_map_names(pod), None):
        return "configmaps"
    if spec.get("resourceClaims"):
        return "resourceclaims"
    for volume in spec.get("volumes") or ():
        for kind, resource in VOLUME_RESOURCES.items():
            if kind in volume:
                return resource
        for source in projected_sources(volume):
            for kind, resource in PROJECTED_RESOURCES.items():
                if kind in source:
                    return resource
    return ""


VOLUME_RESOURCES = {
    "persistentVolumeClaim": "persistentvolumeclaims",
    "ephemeral": "persistentvolumeclaims (via ephemeral volumes)",
    "glusterfs": "endpoints (via glusterFS volumes)",
    "csi": "csidrivers (via CSI volumes)",
}
PROJECTED_RESOURCES = {
    "serviceAccountToken": "serviceaccounts (via projected volumes)",
    "clusterTrustBundle": "clustertrustbundles",
    "podCertificate": "podcertificates",
}
