"""StorageObjectInUseProtection, DefaultStorageClass, PersistentVolumeClaimResize.

Source: kube-apiserver v1.36.2, plugin/pkg/admission/storage.
"""

from __future__ import annotations

from services.apiserver.admission.attributes import Attributes
from services.apiserver.admission.defaultclass import newest_default
from services.apiserver.admission.refusal import refused
from services.apiserver.registry.strategy import Object, WriteContext
from services.apiserver.values.quantity import parse

CLAIMS = "persistentvolumeclaims"
VOLUMES = "persistentvolumes"
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
DEFAULT_ANNOTATIONS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
PROTECTION = {
    ("", CLAIMS): "kubernetes.io/pvc-protection",
    ("", VOLUMES): "kubernetes.io/pv-protection",
    ("storage.k8s.io", "volumeattributesclasses"): "kubernetes.io/vac-protection",
}


class StorageObjectInUseProtection:
    """Volumes, claims and attribute classes get the finalizer that keeps used ones alive."""

    name = "StorageObjectInUseProtection"

    def handles(self, attributes: Attributes) -> bool:
        resource = attributes.resource
        return (
            attributes.operation == "CREATE"
            and not attributes.subresource
            and (resource.group, resource.name) in PROTECTION
        )

    async def admit(self, ctx: WriteContext, attributes: Attributes) -> None:
        assert attributes.obj is not None
        finalizer = PROTECTION[attributes.resource.group, attributes.resource.name]
        finalizers = attributes.obj["metadata"].setdefault("finalizers", [])
        if finalizer not in finalizers:
            finalizers.append(finalizer)


class DefaultStorageClass:
    """A claim that names no class gets the default one."""

    name = "DefaultStorageClass"

    def handles(self, attributes: Attributes) -> bool:
        return attributes.operation == "CREATE" and attributes.is_for("", CLAIMS)

    async def admit(self, ctx: WriteContext, attributes: Attributes) -> None:
        assert attributes.obj is not None
        spec = attributes.obj["spec"]
        if "storageClassName" in spec or CLASS_ANNOTATION in attributes.obj["metadata"].get(
            "annotations", ()
        ):
            return
        chosen = newest_default(
            ctx.lookup.list("storage.k8s.io", "storageclasses"), DEFAULT_ANNOTATIONS
        )
        if chosen is not None:
            spec["storageClassName"] = chosen


class PersistentVolumeClaimResize:
    """A bound claim grows only where its class allows it."""

    name = "PersistentVolumeClaimResize"

    def handles(self, attributes: Attributes) -> bool:
        return attributes.operation == "UPDATE" and attributes.is_for("", CLAIMS)

    async def validate(self, ctx: WriteContext, attributes: Attributes) -> None:
        assert attributes.obj is not None
        assert attributes.old is not None
        if parse(_storage(attributes.obj)) <= parse(_storage(attributes.old)):
            return
        if attributes.old.get("status", {}).get("phase") != "Bound":
            raise refused(attributes, "Only bound persistent volume claims can be expanded")
        name = _class_of(attributes.obj)
        storage_class = (
            ctx.lookup.get("storage.k8s.io", "storageclasses", "", name)
            if name and name == _class_of(attributes.old)
            else None
        )
        if storage_class is None or not storage_class.get("allowVolumeExpansion"):
            raise refused(
                attributes,
                "only dynamically provisioned pvc can be resized and the storageclass that"
                " provisions the pvc must support resize",
            )


def _storage(claim: Object) -> str:
    size: str = claim["spec"].get("resources", {}).get("requests", {}).get("storage", "0")
    return size


def _class_of(claim: Object) -> str:
    annotated: str | None = claim["metadata"].get("annotations", {}).get(CLASS_ANNOTATION)
    return annotated if annotated is not None else claim["spec"].get("storageClassName", "")
