"""Rows of volumes, claims and the storage.k8s.io group.

Source: kube-apiserver v1.36.2, pkg/printers/internalversion/printers.go;
pkg/apis/core/helper/helpers.go (access modes, storage class annotation).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.apiserver.printers import formatting
from services.apiserver.printers.formatting import age, items, name, part
from services.apiserver.printers.printer import AGE, NAME, Column, KindPrinter, Object

_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
_DEFAULT_CLASS_ANNOTATIONS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
_ACCESS_MODES = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}


def _persistent_volume(obj: Object, now: float) -> list[Any]:
    spec, status = part(obj, "spec"), part(obj, "status")
    claim = spec.get("claimRef")
    return [
        name(obj),
        part(spec, "capacity").get("storage", "0"),
        _access_modes(spec),
        spec.get("persistentVolumeReclaimPolicy", ""),
        _phase(obj),
        "" if claim is None else f"{claim.get('namespace', '')}/{claim.get('name', '')}",
        _storage_class(obj),
        _or_unset(spec.get("volumeAttributesClassName")),
        status.get("reason", ""),
        age(obj, now),
        _or_unset(spec.get("volumeMode")),
    ]


def _persistent_volume_claim(obj: Object, now: float) -> list[Any]:
    spec, status = part(obj, "spec"), part(obj, "status")
    volume = spec.get("volumeName", "")
    return [
        name(obj),
        _phase(obj),
        volume,
        part(status, "capacity").get("storage", "0") if volume else "",
        _access_modes(status) if volume else "",
        _storage_class(obj),
        _or_unset(spec.get("volumeAttributesClassName")),
        age(obj, now),
        _or_unset(spec.get("volumeMode")),
    ]


def _phase(obj: Object) -> str:
    if formatting.terminating(obj):
        return "Terminating"
    return str(part(obj, "status").get("phase", ""))


def _access_modes(holder: Mapping[str, Any]) -> str:
    modes = items(holder, "accessModes")
    return ",".join(short for mode, short in _ACCESS_MODES.items() if mode in modes)


def _storage_class(obj: Object) -> str:
    annotations = part(obj, "metadata", "annotations")
    if _CLASS_ANNOTATION in annotations:
        return str(annotations[_CLASS_ANNOTATION])
    return str(part(obj, "spec").get("storageClassName") or "")


def _or_unset(value: str | None) -> str:
    return "<unset>" if value is None else value


def _storage_class_row(obj: Object, now: float) -> list[Any]:
    annotations = part(obj, "metadata", "annotations")
    default = any(annotations.get(key) == "true" for key in _DEFAULT_CLASS_ANNOTATIONS)
    return [
        f"{name(obj)} (default)" if default else name(obj),
        obj.get("provisioner", ""),
        _or(obj.get("reclaimPolicy"), "Delete"),
        _or(obj.get("volumeBindingMode"), "Immediate"),
        bool(obj.get("allowVolumeExpansion")),
        age(obj, now),
    ]


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _volume_attributes_class(obj: Object, now: float) -> list[Any]:
    return [name(obj), obj.get("driverName", ""), age(obj, now)]


def _csi_driver(obj: Object, now: float) -> list[Any]:
    spec = part(obj, "spec")
    tokens = spec.get("tokenRequests")
    return [
        name(obj),
        bool(_or(spec.get("attachRequired"), True)),
        bool(spec.get("podInfoOnMount")),
        bool(spec.get("storageCapacity")),
        "<unset>" if tokens is None else ",".join(one.get("audience", "") for one in tokens),
        bool(spec.get("requiresRepublish")),
        ",".join(items(spec, "volumeLifecycleModes")) or "<none>",
        age(obj, now),
    ]


def _csi_node(obj: Object, now: float) -> list[Any]:
    return [name(obj), len(items(part(obj, "spec"), "drivers")), age(obj, now)]


def _volume_attachment(obj: Object, now: float) -> list[Any]:
    spec = part(obj, "spec")
    return [
        name(obj),
        spec.get("attacher", ""),
        part(spec, "source").get("persistentVolumeName") or "",
        spec.get("nodeName", ""),
        bool(part(obj, "status").get("attached")),
        age(obj, now),
    ]


_PV = "api.core.v1.PersistentVolume"
_PVC = "api.core.v1.PersistentVolumeClaim"
_CLASS = "api.storage.v1.StorageClass"
_DRIVER_SPEC = "api.storage.v1.CSIDriverSpec"
_ATTACHMENT = "api.storage.v1.VolumeAttachment"

PERSISTENT_VOLUME = KindPrinter(
    (
        NAME,
        Column("Capacity", doc=f"{_PV}Spec.capacity"),
        Column("Access Modes", doc=f"{_PV}Spec.accessModes"),
        Column("Reclaim Policy", doc=f"{_PV}Spec.persistentVolumeReclaimPolicy"),
        Column("Status", doc=f"{_PV}Status.phase"),
        Column("Claim", doc=f"{_PV}Spec.claimRef"),
        Column("StorageClass", description="StorageClass of the pv"),
        Column("VolumeAttributesClass", description="VolumeAttributesClass of the pv"),
        Column("Reason", doc=f"{_PV}Status.reason"),
        AGE,
        Column("VolumeMode", priority=1, doc=f"{_PV}Spec.volumeMode"),
    ),
    _persistent_volume,
)
PERSISTENT_VOLUME_CLAIM = KindPrinter(
    (
        NAME,
        Column("Status", doc=f"{_PVC}Status.phase"),
        Column("Volume", doc=f"{_PVC}Spec.volumeName"),
        Column("Capacity", doc=f"{_PVC}Status.capacity"),
        Column("Access Modes", doc=f"{_PVC}Status.accessModes"),
        Column("StorageClass", description="StorageClass of the pvc"),
        Column("VolumeAttributesClass", description="VolumeAttributesClass of the pvc"),
        AGE,
        Column("VolumeMode", priority=1, doc=f"{_PVC}Spec.volumeMode"),
    ),
    _persistent_volume_claim,
)
STORAGE_CLASS = KindPrinter(
    (
        NAME,
        Column("Provisioner", doc=f"{_CLASS}.provisioner"),
        Column("ReclaimPolicy", doc=f"{_CLASS}.reclaimPolicy"),
        Column("VolumeBindingMode", doc=f"{_CLASS}.volumeBindingMode"),
        Column("AllowVolumeExpansion", doc=f"{_CLASS}.allowVolumeExpansion"),
        AGE,
    ),
    _storage_class_row,
)
VOLUME_ATTRIBUTES_CLASS = KindPrinter(
    (NAME, Column("DriverName", doc="api.storage.v1.VolumeAttributesClass.driverName"), AGE),
    _volume_attributes_class,
)
CSI_DRIVER = KindPrinter(
    (
        NAME,
        Column("AttachRequired", "boolean", doc=f"{_DRIVER_SPEC}.attachRequired"),
        Column("PodInfoOnMount", "boolean", doc=f"{_DRIVER_SPEC}.podInfoOnMount"),
        Column("StorageCapacity", "boolean", doc=f"{_DRIVER_SPEC}.storageCapacity"),
        Column("TokenRequests", doc=f"{_DRIVER_SPEC}.tokenRequests"),
        Column("RequiresRepublish", "boolean", doc=f"{_DRIVER_SPEC}.requiresRepublish"),
        Column("Modes", doc=f"{_DRIVER_SPEC}.volumeLifecycleModes"),
        AGE,
    ),
    _csi_driver,
)
CSI_NODE = KindPrinter(
    (
        NAME,
        Column(
            "Drivers",
            "integer",
            description="Drivers indicates the number of CSI drivers registered on the node",
        ),
        AGE,
    ),
    _csi_node,
)
VOLUME_ATTACHMENT = KindPrinter(
    (
        NAME,
        Column("Attacher", format="name", doc=f"{_ATTACHMENT}Spec.attacher"),
        Column("PV", doc=f"{_ATTACHMENT}Source.persistentVolumeName"),
        Column("Node", doc=f"{_ATTACHMENT}Spec.nodeName"),
        Column("Attached", "boolean", doc=f"{_ATTACHMENT}Status.attached"),
        AGE,
    ),
    _volume_attachment,
)
