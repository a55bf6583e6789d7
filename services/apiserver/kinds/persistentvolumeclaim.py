"""PersistentVolumeClaim.

Source: kube-apiserver v1.36.2, pkg/registry/core/persistentvolumeclaim/strategy.go,
pkg/api/persistentvolumeclaim/util.go, pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.apiserver.errors import Cause
from services.apiserver.kinds.persistentvolume import (
    NOT_POSITIVE,
    VOLUME_MODES,
    validate_access_modes,
)
from services.apiserver.kinds.podspec.resources import is_native, round_up
from services.apiserver.registry.strategy import (
    Object,
    StatusSubresource,
    Strategy,
    UpdateSubresource,
    WriteContext,
)
from services.apiserver.validation.field import (
    child,
    forbidden,
    invalid,
    key,
    not_supported,
    required,
)
from services.apiserver.validation.metadata import (
    IMMUTABLE,
    validate_label_selector,
    validate_metadata_create,
)
from services.apiserver.validation.names import (
    dns1123_label,
    dns1123_subdomain,
    qualified_name,
)
from services.apiserver.values.quantity import Quantity, parse

CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
RESIZE_STATUSES = (
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
)
SNAPSHOTS = ("snapshot.storage.k8s.io", "VolumeSnapshot")


class PersistentVolumeClaimStrategy(Strategy):
    returns_deleted_object = True
    has_status = True

    def default(self, obj: Object) -> None:
        default_claim_spec(obj.setdefault("spec", {}))
        status = obj.setdefault("status", {})
        if not status.get("phase"):
            status["phase"] = "Pending"
        for name in ("capacity", "allocatedResources"):
            if name in status:
                round_up(status[name])

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        obj["status"] = {"phase": "Pending"}
        normalize_data_source(obj["spec"], None)

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        super().prepare_for_update(ctx, obj, old)
        normalize_data_source(obj["spec"], old["spec"])

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return validate_claim_spec(obj["spec"], "spec")

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        whole: list[Cause] = []
        if obj["metadata"] != old["metadata"]:
            whole += validate_metadata_create(
                obj, namespaced=True, validate_name=self.validate_name
            )
        spec, before = obj["spec"], old["spec"]
        whole += validate_claim_spec(spec, "spec")
        # The claim is looked at as a whole, and then again as a change.
        found = whole + whole + _validate_changes(obj, old)
        if spec.get("volumeMode") != before.get("volumeMode"):
            found.append(invalid("volumeMode", spec.get("volumeMode"), IMMUTABLE))
        name = "volumeAttributesClassName"
        if before.get(name) is not None and not spec.get(name):
            what = "nil" if spec.get(name) is None else "an empty string"
            found.append(
                forbidden(child("spec", name), f"update from non-nil value to {what} is forbidden")
            )
        return found

    def warn_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        return _warnings(obj)

    def warn_on_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[str]:
        return _warnings(obj)

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {"status": PersistentVolumeClaimStatus(self)}


class PersistentVolumeClaimStatus(StatusSubresource):
    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        status = obj.get("status", {})
        found = [
            invalid(key("status.capacity", name), text, "must be a valid resource quantity")
            for name, text in status.get("capacity", {}).items()
            if parse(text).sign < 0
        ]
        path = "status.allocatedResourceStatus"
        for name, state in status.get("allocatedResourceStatuses", {}).items():
            found += _validate_resource_key(name, path)
            if state not in RESIZE_STATUSES:
                found.append(not_supported(path, name, RESIZE_STATUSES))
        path = "status.allocatedResources"
        for name, text in status.get("allocatedResources", {}).items():
            wrong = _validate_resource_key(name, path)
            found += wrong
            if not wrong and parse(text).sign < 0:
                found.append(invalid(key(path, name), text, "must be a valid resource quantity"))
        return found


def _warnings(obj: Object) -> list[str]:
    found: list[str] = []
    if CLASS_ANNOTATION in obj["metadata"].get("annotations", ()):
        found.append(
            f"metadata.annotations[{CLASS_ANNOTATION}]: deprecated since v1.8; use"
            ' "storageClassName" attribute instead'
        )
    for kind in ("requests", "limits"):
        text = obj["spec"].get("resources", {}).get(kind, {}).get("storage")
        if text is not None and parse(text).milli_value() % 1000:
            found.append(
                f'spec.resources.{kind}[storage]: fractional byte value "{text}" is invalid, must'
                " be an integer"
            )
    return found


def default_claim_spec(spec: Object) -> None:
    spec.setdefault("volumeMode", "Filesystem")
    resources = spec.setdefault("resources", {})
    for name in ("limits", "requests"):
        if name in resources:
            round_up(resources[name])


def normalize_data_source(spec: Object, before: Object | None) -> None:
    """Keep dataSource and dataSourceRef equal; drop sources that only dataSourceRef may name."""
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    used_before = (before or {}).get("dataSourceRef", {}).get("namespace")
    if reference is not None and reference.get("namespace") and not used_before:
        # Other namespaces' sources belong to a feature that is off by default.
        reference = None
        spec.pop("dataSourceRef")
    if source is not None and reference is None:
        kind = (source.get("apiGroup") or "", source.get("kind", ""))
        if kind not in (SNAPSHOTS, ("", "PersistentVolumeClaim")) and not (
            before and before.get("dataSource")
        ):
            spec.pop("dataSource")
            return
        spec["dataSourceRef"] = _typed(source)
    elif reference is not None and source is None and not reference.get("namespace"):
        spec["dataSource"] = _typed(reference)


def _typed(source: Object) -> Object:
    return {
        "apiGroup": source.get("apiGroup"),
        "kind": source.get("kind", ""),
        "name": source.get("name", ""),
    }


def validate_claim_spec(spec: Object, path: str) -> list[Cause]:
    """Check the spec of a claim, also of one in a template."""
    modes_path = child(path, "accessModes")
    modes = spec.get("accessModes", ())
    found: list[Cause] = []
    if not modes:
        found += validate_access_modes(modes, modes_path)
    if "selector" in spec:
        found += validate_label_selector(spec["selector"], child(path, "selector"))
    if modes:
        found += validate_access_modes(modes, modes_path)
    text = spec.get("resources", {}).get("requests", {}).get("storage")
    at = key(child(path, "resources"), "storage")
    if text is None:
        found.append(required(at))
    elif parse(text).sign <= 0:
        found.append(invalid(at, text, NOT_POSITIVE))
    class_name = spec.get("storageClassName")
    if class_name:
        found += [
            invalid(child(path, "storageClassName"), class_name, message)
            for message in dns1123_subdomain(class_name)
        ]
    mode = spec.get("volumeMode")
    if mode is not None and mode not in VOLUME_MODES:
        found.append(not_supported(child(path, "volumeMode"), mode, VOLUME_MODES))
    found += _validate_data_sources(spec, path)
    attributes = spec.get("volumeAttributesClassName")
    if attributes:
        found += [
            invalid(child(path, "volumeAttributesClassName"), attributes, message)
            for message in dns1123_subdomain(attributes)
        ]
    return found


def _validate_data_sources(spec: Object, path: str) -> list[Cause]:
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    found: list[Cause] = []
    for name, one in (("dataSource", source), ("dataSourceRef", reference)):
        if one is None:
            continue
        at = child(path, name)
        found += [required(child(at, field)) for field in ("name", "kind") if not one.get(field)]
        group = one.get("apiGroup") or ""
        if group:
            found += [
                invalid(child(at, "apiGroup"), group, message)
                for message in dns1123_subdomain(group)
            ]
        elif one.get("kind") != "PersistentVolumeClaim":
            found.append(
                invalid(
                    at,
                    one.get("kind", ""),
                    "must be 'PersistentVolumeClaim' when referencing the default apiGroup",
                )
            )
        if one.get("namespace"):
            found += [
                invalid(child(at, "namespace"), one["namespace"], message)
                for message in dns1123_label(one["namespace"])
            ]
    if source is not None and reference is not None:
        at = child(path, "dataSource")
        if reference.get("namespace"):
            found.append(
                invalid(path, at, "may not be specified when dataSourceRef.namespace is specified")
            )
        elif _typed(source) != _typed(reference):
            found.append(invalid(path, at, "must match dataSourceRef"))
    return found


def _validate_changes(obj: Object, old: Object) -> list[Cause]:
    """Check that only what may change of a claim's spec has changed."""
    spec, before = dict(obj["spec"]), dict(old["spec"])
    annotations = obj["metadata"].get("annotations", {})
    old_annotations = old["metadata"].get("annotations", {})
    found: list[Cause] = []
    if not before.get("volumeName"):
        _copy(spec, before, "volumeName")
    old_class, new_class = before.get("storageClassName"), spec.get("storageClassName")
    annotated = old_annotations.get(CLASS_ANNOTATION)
    if (
        annotated is not None
        and old_class is None
        and new_class == annotated
        and annotations.get(CLASS_ANNOTATION, annotated) == annotated
    ):
        spec.pop("storageClassName", None)
    else:
        if annotations.get(CLASS_ANNOTATION, "") != (annotated or ""):
            found.append(
                invalid(
                    f"metadata.annotations.{CLASS_ANNOTATION}",
                    annotations.get(CLASS_ANNOTATION, ""),
                    IMMUTABLE,
                )
            )
        if new_class is not None and old_class is None and annotated in (None, new_class):
            spec.pop("storageClassName")
    size = _storage(spec)
    old_size = _storage(before)
    if obj.get("status", {}).get("phase") == "Bound":
        requests = spec.get("resources", {}).get("requests")
        if requests is not None:
            same = {**requests}
            _copy(before.get("resources", {}).get("requests", {}), same, "storage")
            spec["resources"] = {**spec["resources"], "requests": same}
        if spec.get("volumeAttributesClassName") is not None:
            _copy(before, spec, "volumeAttributesClassName")
    if spec != before:
        found.append(
            forbidden(
                "spec",
                "spec is immutable after creation except resources.requests and"
                " volumeAttributesClassName for bound claims",
            )
        )
    if size < old_size:
        capacity = parse(old.get("status", {}).get("capacity", {}).get("storage", "0"))
        if size <= capacity:
            found.append(
                forbidden(
                    "spec.resources.requests.storage", "field can not be less than status.capacity"
                )
            )
    return found


def _storage(spec: Object) -> Quantity:
    return parse(spec.get("resources", {}).get("requests", {}).get("storage", "0"))


def _copy(source: Object, target: Object, name: str) -> None:
    if name in source:
        target[name] = source[name]
    else:
        target.pop(name, None)


def _validate_resource_key(name: str, path: str) -> list[Cause]:
    found = [invalid(path, name, message) for message in qualified_name(name)]
    if not found and is_native(name) and name != "storage":
        found.append(not_supported(path, name, ("storage",)))
    return found
