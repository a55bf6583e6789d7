"""The defaults that OpenAPI v3 publishes.

Two sources: what the Go type makes of an absent field that it always prints (a struct by
value, a string or number without omitempty), and the types' own default markers.
Source: k8s.io/kube-openapi pkg/generators/openapi.go (mustEnforceDefault); k8s.io/api v0.36.2,
the +default markers of core/v1, autoscaling/v1, resource/v1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.apiserver.codec.facts import FieldFact

_CORE = "io.k8s.api.core.v1"

_ZERO: Mapping[str, Any] = {"string": "", "bool": False, "int32": 0, "int64": 0, "float64": 0}
_OPENAPI_ZERO: Mapping[str, Any] = {"string": "", "boolean": False, "integer": 0, "number": 0}

_RBD = {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"}
_SCALE_IO = {"storageMode": "ThinProvisioned", "fsType": "xfs"}

_MARKED: Mapping[str, Mapping[str, Any]] = {
    f"{_CORE}.RBDPersistentVolumeSource": _RBD,
    f"{_CORE}.RBDVolumeSource": _RBD,
    f"{_CORE}.ISCSIPersistentVolumeSource": {"iscsiInterface": "default"},
    f"{_CORE}.ISCSIVolumeSource": {"iscsiInterface": "default"},
    f"{_CORE}.AzureDiskVolumeSource": {
        "cachingMode": "ReadWrite",
        "fsType": "ext4",
        "readOnly": False,
        "kind": "Shared",
    },
    f"{_CORE}.ScaleIOPersistentVolumeSource": _SCALE_IO,
    f"{_CORE}.ScaleIOVolumeSource": _SCALE_IO,
    f"{_CORE}.ContainerPort": {"protocol": "TCP"},
    f"{_CORE}.FileKeySelector": {"optional": False},
    f"{_CORE}.GRPCAction": {"service": ""},
    f"{_CORE}.ServicePort": {"protocol": "TCP"},
    f"{_CORE}.ReplicationControllerSpec": {"replicas": 1, "minReadySeconds": 0},
    "io.k8s.api.autoscaling.v1.ScaleSpec": {"replicas": 0},
    "io.k8s.api.resource.v1.DeviceToleration": {"operator": "Equal"},
    **{
        f"{_CORE}.{reference}": {"name": ""}
        for reference in (
            "LocalObjectReference",
            "ConfigMapEnvSource",
            "ConfigMapKeySelector",
            "ConfigMapProjection",
            "ConfigMapVolumeSource",
            "SecretEnvSource",
            "SecretKeySelector",
            "SecretProjection",
        )
    },
}


def default_of(
    definition: str,
    field: str,
    fact: FieldFact | None,
    schema: Mapping[str, Any],
    *,
    required: bool,
) -> Any:
    """Return the default of a field, None if it has none.

    `fact` is None for the few types that are no API objects' parts (version.Info); there the
    schema decides.
    """
    marked = _MARKED.get(definition, {}).get(field)
    if marked is not None:
        return marked
    if fact is None:
        return _OPENAPI_ZERO.get(schema.get("type", "")) if required else None
    if fact.required and fact.type in _ZERO:
        return _ZERO[fact.type]
    if fact.type.startswith("io.k8s."):
        return {}
    return None
