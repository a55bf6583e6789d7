"""The sources of persistent volumes: defaults, and what each needs.

Source: kube-apiserver v1.36.2, pkg/apis/core/v1/defaults.go,
pkg/apis/core/validation/validation.go (validate...VolumeSource).
"""

from __future__ import annotations

import re

from services.apiserver.errors import Cause
from services.apiserver.registry.strategy import Object
from services.apiserver.validation.enumerations import HOST_PATH_TYPES
from services.apiserver.validation.field import (
    child,
    invalid,
    not_supported,
    required,
    too_long,
)
from services.apiserver.validation.names import dns1123_label, dns1123_subdomain

VOLUME_SOURCES = (
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
)
"""In the order that kube-apiserver looks at them."""

_DEFAULTS: dict[str, Object] = {
    "hostPath": {"type": ""},
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
    "azureDisk": {
        "cachingMode": "ReadWrite",
        "kind": "Shared",
        "fsType": "ext4",
        "readOnly": False,
    },
}
_REQUIRED: dict[str, tuple[str, ...]] = {
    "hostPath": ("path",),
    "gcePersistentDisk": ("pdName",),
    "awsElasticBlockStore": ("volumeID",),
    "glusterfs": ("endpoints", "path"),
    "nfs": ("server", "path"),
    "rbd": ("monitors", "image"),
    "quobyte": ("registry", "volume"),
    "cephfs": ("monitors",),
    "iscsi": ("targetPortal", "iqn"),
    "cinder": ("volumeID",),
    "flexVolume": ("driver",),
    "azureFile": ("secretName", "shareName"),
    "vsphereVolume": ("volumePath",),
    "photonPersistentDisk": ("pdID",),
    "portworxVolume": ("volumeID",),
    "azureDisk": ("diskName", "diskURI"),
    "scaleIO": ("gateway", "system", "volumeName"),
    "local": ("path",),
    "csi": ("driver", "volumeHandle"),
}
_SHOWN_AS = {"gcePersistentDisk": "persistentDisk"}
_CSI_SECRETS = (
    "controllerPublishSecretRef",
    "controllerExpandSecretRef",
    "nodePublishSecretRef",
    "nodeStageSecretRef",
    "nodeExpandSecretRef",
)
_IQN = re.compile(r"iqn\.\d{4}-\d{2}\.([A-Za-z0-9.-]+)(:[^,;*&$|\s]+)")
_EUI = re.compile(r"eui.[A-Za-z0-9]{16}")
_NAA = re.compile(r"naa.[A-Za-z0-9]{32}")


def default_volume_source(name: str, source: Object) -> None:
    """Fill in the defaults of the volume source called `name`."""
    for field, value in _DEFAULTS.get(name, {}).items():
        if source.get(field) in (None, "") and (field not in source or value):
            source[field] = value


def validate_volume_source(name: str, source: Object, parent: str) -> list[Cause]:
    path = child(parent, _SHOWN_AS.get(name, name))
    found = [
        required(child(path, field)) for field in _REQUIRED.get(name, ()) if not source.get(field)
    ]
    match name:
        case "hostPath":
            found += _validate_no_backsteps(source, path)
            kind = source.get("type", "")
            if kind not in HOST_PATH_TYPES:
                found.append(not_supported(child(path, "type"), kind, HOST_PATH_TYPES))
        case "local":
            found += _validate_no_backsteps(source, path)
        case "gcePersistentDisk" | "awsElasticBlockStore":
            if not 0 <= source.get("partition", 0) <= 255:
                found.append(
                    invalid(
                        child(path, "partition"),
                        source["partition"],
                        "must be between 1 and 255, inclusive",
                    )
                )
        case "nfs":
            if source.get("path") and not source["path"].startswith("/"):
                found.append(
                    invalid(child(path, "path"), source["path"], "must be an absolute path")
                )
        case "glusterfs":
            namespace = source.get("endpointsNamespace")
            if namespace is not None:
                found += [
                    invalid(child(path, "endpointsNamespace"), namespace, message)
                    for message in dns1123_label(namespace)
                ]
        case "flocker":
            found += _validate_flocker(source, path)
        case "iscsi":
            found += _validate_iscsi(source, path)
        case "fc":
            found += _validate_fc(source, path)
        case "azureDisk":
            found += _validate_azure_disk(source, path)
        case "csi":
            found += _validate_csi(source, path)
        case "flexVolume" | "rbd" | "cephfs" | "cinder" | "scaleIO":
            if "secretRef" in source and not source["secretRef"].get("name"):
                found.append(required(child(path, "secretRef", "name")))
    return found


def _validate_no_backsteps(source: Object, path: str) -> list[Cause]:
    text = source.get("path", "")
    if ".." not in text.split("/"):
        return []
    return [invalid(child(path, "path"), text, "must not contain '..'")]


def _validate_flocker(source: Object, path: str) -> list[Cause]:
    name, uuid = source.get("datasetName", ""), source.get("datasetUUID", "")
    if not name and not uuid:
        return [required(path, "one of datasetName and datasetUUID is required")]
    if name and uuid:
        return [
            invalid(
                path, "resource", "datasetName and datasetUUID can not be specified simultaneously"
            )
        ]
    if "/" in name:
        return [invalid(child(path, "datasetName"), name, "must not contain '/'")]
    return []


def _validate_iscsi(source: Object, path: str) -> list[Cause]:
    found: list[Cause] = []
    iqn = source.get("iqn", "")
    if iqn:
        known = {"iqn": _IQN, "eui": _EUI, "naa": _NAA}.get(iqn[:3])
        if known is None or not known.fullmatch(iqn):
            found.append(invalid(child(path, "iqn"), iqn, "must be valid format"))
    lun = source.get("lun", 0)
    if not 0 <= lun <= 255:
        found.append(invalid(child(path, "lun"), lun, "must be between 0 and 255, inclusive"))
    if (source.get("chapAuthDiscovery") or source.get("chapAuthSession")) and (
        "secretRef" not in source
    ):
        found.append(required(child(path, "secretRef")))
    if "secretRef" in source and not source["secretRef"].get("name"):
        found.append(required(child(path, "secretRef", "name")))
    return found


def _validate_fc(source: Object, path: str) -> list[Cause]:
    names, identifiers = source.get("targetWWNs"), source.get("wwids")
    if not names and not identifiers:
        return [
            required(
                child(path, "targetWWNs"), "must specify either targetWWNs or wwids, but not both"
            )
        ]
    if names and identifiers:
        return [
            invalid(
                child(path, "targetWWNs"),
                names,
                "targetWWNs and wwids can not be specified simultaneously",
            )
        ]
    if not names:
        return []
    lun = source.get("lun")
    if lun is None:
        return [required(child(path, "lun"), "lun is required if targetWWNs is specified")]
    if not 0 <= lun <= 255:
        return [invalid(child(path, "lun"), lun, "must be between 0 and 255, inclusive")]
    return []


def _validate_azure_disk(source: Object, path: str) -> list[Cause]:
    found: list[Cause] = []
    for name, allowed in (
        ("cachingMode", ("None", "ReadOnly", "ReadWrite")),
        ("kind", ("Dedicated", "Managed", "Shared")),
    ):
        value = source.get(name)
        if value is not None and value not in allowed:
            found.append(not_supported(child(path, name), value, allowed))
    return found


def validate_csi_driver_name(name: str, path: str) -> list[Cause]:
    """Check the name of a CSI driver where it is present."""
    found: list[Cause] = []
    if len(name.encode()) > 63:
        found.append(too_long(path, 63))
    return found + [invalid(path, name, message) for message in dns1123_subdomain(name.lower())]


def _validate_csi(source: Object, path: str) -> list[Cause]:
    found: list[Cause] = []
    if source.get("driver"):
        found += validate_csi_driver_name(source["driver"], child(path, "driver"))
    for name in _CSI_SECRETS:
        if name in source:
            found += [
                required(child(path, name, field))
                for field in ("name", "namespace")
                if not source[name].get(field)
            ]
    return found
