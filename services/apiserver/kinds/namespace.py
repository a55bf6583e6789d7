"""Namespace, with its /finalize and /status.

Source: kube-apiserver v1.36.2, pkg/registry/core/namespace/{strategy.go,storage/storage.go},
pkg/apis/core/validation/validation.go (ValidateNamespace...).
"""

from __future__ import annotations

from collections.abc import Mapping

from services.apiserver.errors import Cause
from services.apiserver.registry.strategy import (
    Object,
    StatusSubresource,
    Strategy,
    UpdateSubresource,
    WriteContext,
    keep,
)
from services.apiserver.validation.field import index, invalid
from services.apiserver.validation.metadata import (
    STANDARD_FINALIZERS,
    validate_metadata_create,
)
from services.apiserver.validation.names import dns1123_label, qualified_name

NAME_LABEL = "kubernetes.io/metadata.name"
KUBERNETES = "kubernetes"


class NamespaceStrategy(Strategy):
    returns_deleted_object = True
    has_status = True

    def default(self, obj: Object) -> None:
        name = obj["metadata"].get("name")
        if name:
            labels = obj["metadata"].setdefault("labels", {})
            labels[NAME_LABEL] = name
        if "status" in obj:
            obj["status"].setdefault("phase", "Active")

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        obj["status"] = {"phase": "Active"}
        finalizers = obj.setdefault("spec", {}).setdefault("finalizers", [])
        if KUBERNETES not in finalizers:
            finalizers.append(KUBERNETES)
        # A generated name was not known when the defaults were filled in.
        self.default(obj)

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        keep(obj, old, "status")
        keep(obj.setdefault("spec", {}), old.get("spec", {}), "finalizers")

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return [
            cause
            for finalizer in obj["spec"]["finalizers"]
            for cause in _validate_finalizer(finalizer, "spec.finalizers")
        ]

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        if obj["metadata"] == old["metadata"]:
            return []
        return validate_metadata_create(obj, namespaced=False, validate_name=self.validate_name)

    def validate_name(self, name: str) -> list[str]:
        return dns1123_label(name)

    def is_held(self, obj: Object) -> bool:
        return bool(obj.get("spec", {}).get("finalizers"))

    def mark_deleting(self, obj: Object) -> None:
        obj.setdefault("status", {})["phase"] = "Terminating"
        obj["metadata"].pop("deletionGracePeriodSeconds", None)

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {"status": NamespaceStatus(self), "finalize": NamespaceFinalize(self)}


class NamespaceStatus(StatusSubresource):
    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        phase = obj.get("status", {}).get("phase", "")
        deleted = "deletionTimestamp" in obj["metadata"]
        wanted = "Terminating" if deleted else "Active"
        if phase == wanted:
            return []
        state = "is not empty" if deleted else "is empty"
        return [
            invalid("status.Phase", phase, f"may only be '{wanted}' if `deletionTimestamp` {state}")
        ]


class NamespaceFinalize(UpdateSubresource):
    """/finalize: the one place that changes spec.finalizers; metadata goes along."""

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        keep(obj, old, "status")

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return [
            cause
            for number, finalizer in enumerate(obj.get("spec", {}).get("finalizers", ()))
            for cause in _validate_finalizer(finalizer, index("spec.finalizers", number))
        ]


def _validate_finalizer(finalizer: str, path: str) -> list[Cause]:
    found = [invalid(path, finalizer, message) for message in qualified_name(finalizer)]
    if "/" not in finalizer and finalizer not in STANDARD_FINALIZERS:
        found.append(
            invalid(
                path,
                finalizer,
                "name is neither a standard finalizer name nor is it fully qualified",
            )
        )
    return found
