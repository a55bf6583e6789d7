"""StorageClass, VolumeAttributesClass, CSIStorageCapacity and VolumeAttachment.

Source: kube-apiserver v1.36.2, pkg/registry/storage/*/strategy.go,
pkg/apis/storage/validation/validation.go, pkg/apis/storage/v1/defaults.go,
pkg/api/storage/util.go.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.apiserver.errors import Cause
from services.apiserver.kinds.persistentvolume import validate_access_modes
from services.apiserver.kinds.platform.rules import (
    MetadataKeepingStatus,
    duplicates,
    follows,
    immutable,
    metadata_again,
    node_label_warnings,
)
from services.apiserver.kinds.volumesources import validate_csi_driver_name, validate_volume_source
from services.apiserver.registry.strategy import (
    Object,
    Strategy,
    StrategyFactory,
    UpdateSubresource,
    WriteContext,
)
from services.apiserver.validation.field import (
    child,
    duplicate,
    forbidden,
    index,
    invalid,
    not_supported,
    required,
    too_long,
)
from services.apiserver.validation.metadata import (
    IMMUTABLE,
    NOT_NEGATIVE,
    validate_label_name,
    validate_label_selector,
)
from services.apiserver.validation.names import (
    dns1123_subdomain,
    inclusive_range,
    longer_than,
    qualified_name,
)
from services.apiserver.values.quantity import parse

RECLAIM_POLICIES = ("Delete", "Retain")
BINDING_MODES = ("Immediate", "WaitForFirstConsumer")
MAX_PARAMETERS = 512
MAX_PARAMETER_BYTES = 256 * 1024
MAX_ATTACHMENT_BYTES = 256 * 1024
MAX_ERROR_MESSAGE_BYTES = 1024
STORAGE_CLASS_CONSTANTS = ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode")


class StorageClassStrategy(Strategy):
    returns_deleted_object = True

    def default(self, obj: Object) -> None:
        obj.setdefault("reclaimPolicy", "Delete")
        obj.setdefault("volumeBindingMode", "Immediate")

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _validate_storage_class(obj)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        found = metadata_again(self, obj, old) + _validate_storage_class(obj)
        for name in STORAGE_CLASS_CONSTANTS:
            found += immutable(name, obj.get(name), old.get(name))
        return found

    def warn_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        return [
            warning
            for number, term in enumerate(obj.get("allowedTopologies") or ())
            for position, expression in enumerate(term.get("matchLabelExpressions") or ())
            for warning in node_label_warnings(
                f"allowedTopologies[{number}].matchLabelExpressions[{position}].key",
                expression.get("key", ""),
            )
        ]

    def warn_on_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[str]:
        return self.warn_on_create(ctx, obj)


def _validate_storage_class(obj: Object) -> list[Cause]:
    found = _validate_provisioner(obj.get("provisioner", ""), "provisioner")
    found += _validate_parameters(obj.get("parameters") or {})
    policy, mode = obj.get("reclaimPolicy"), obj.get("volumeBindingMode")
    if policy and policy not in RECLAIM_POLICIES:
        found.append(not_supported("reclaimPolicy", policy, RECLAIM_POLICIES))
    if mode is None:
        found.append(required("volumeBindingMode"))
    elif mode not in BINDING_MODES:
        found.append(not_supported("volumeBindingMode", mode, BINDING_MODES))
    return found + _validate_topologies(obj.get("allowedTopologies") or [])


def _validate_provisioner(name: str, path: str) -> list[Cause]:
    return follows(path, name.lower(), qualified_name) if name else [required(path)]


def _validate_parameters(parameters: Mapping[str, str]) -> list[Cause]:
    path = "parameters"
    if len(parameters) > MAX_PARAMETERS:
        return [too_long(path, MAX_PARAMETERS)]
    found = [] if "" not in parameters else [invalid(path, "", "field can not be empty.")]
    if _size_bytes(parameters) > MAX_PARAMETER_BYTES:
        found.append(too_long(path, MAX_PARAMETER_BYTES))
    return found


def _size_bytes(texts: Mapping[str, str]) -> int:
    return sum(len(name.encode()) + len(text.encode()) for name, text in texts.items())


def _validate_topologies(terms: list[Object]) -> list[Cause]:
    found: list[Cause] = []
    # kube-apiserver compares each term with as many empty ones as there are terms, too: an
    # empty term is a duplicate of each.
    earlier: list[dict[str, set[str]]] = [{} for _ in terms]
    for number, term in enumerate(terms):
        at = child(index("allowedTopologies", number), "matchLabelExpressions")
        seen: dict[str, set[str]] = {}
        for position, expression in enumerate(term.get("matchLabelExpressions") or ()):
            where = index(at, position)
            label, values = expression.get("key", ""), expression.get("values") or []
            if not values:
                found.append(required(child(where, "values")))
            found += [
                duplicate(index(child(where, "values"), doubled), values[doubled])
                for doubled in duplicates(values)
            ]
            found += validate_label_name(label, child(where, "key"))
            if label in seen:
                found.append(duplicate(child(where, "key"), label))
            seen[label] = set(values)
        found += [duplicate(at, "") for other in earlier if other == seen]
        earlier.append(seen)
    return found


class VolumeAttributesClassStrategy(Strategy):
    returns_deleted_object = True

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _validate_attributes_class(obj)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        found = [
            forbidden(name, f"updates to {name} are forbidden.")
            for name in ("driverName", "parameters")
            if obj.get(name) != old.get(name)
        ]
        return found + metadata_again(self, obj, old) + _validate_attributes_class(obj)


def _validate_attributes_class(obj: Object) -> list[Cause]:
    parameters = obj.get("parameters") or {}
    found = _validate_provisioner(obj.get("driverName", ""), "driverName")
    found += _validate_parameters(parameters)
    if not parameters:
        found.append(required("parameters", "must contain at least one key/value pair"))
    return found


class CSIStorageCapacityStrategy(Strategy):
    unconditional_update = False

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _validate_capacity(obj, check_values=True)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        was_bad = bool(validate_label_selector(old.get("nodeTopology"), ""))
        found = metadata_again(self, obj, old) + _validate_capacity(obj, check_values=not was_bad)
        return found + [
            invalid(name, obj.get(name), IMMUTABLE)
            for name in ("nodeTopology", "storageClassName")
            if obj.get(name) != old.get(name)
        ]

    def warn_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        topology = obj.get("nodeTopology") or {}
        found: list[str] = []
        for number, expression in enumerate(topology.get("matchExpressions") or ()):
            path = f"nodeTopology.matchExpressions[{number}].key"
            found += node_label_warnings(path, expression.get("key", ""))
        for label in topology.get("matchLabels") or ():
            found += node_label_warnings(f"nodeTopology.matchLabels.{label}", label)
        return found

    def warn_on_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[str]:
        return self.warn_on_create(ctx, obj)


def _validate_capacity(obj: Object, *, check_values: bool) -> list[Cause]:
    found = validate_label_selector(
        obj.get("nodeTopology"), "nodeTopology", check_values=check_values
    )
    found += follows("storageClassName", obj.get("storageClassName", ""), dns1123_subdomain)
    capacity = obj.get("capacity")
    if capacity is not None and parse(capacity).sign < 0:
        found.append(invalid("capacity", capacity, NOT_NEGATIVE))
    return found


class VolumeAttachmentStrategy(Strategy):
    unconditional_update = False
    returns_deleted_object = True
    has_status = True

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        obj["status"] = {"attached": False}

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _validate_attachment(obj)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return [
            *metadata_again(self, obj, old),
            *_validate_attachment(obj),
            *immutable("spec", obj["spec"], old["spec"]),
        ]

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {"status": VolumeAttachmentStatus(self)}


class VolumeAttachmentStatus(MetadataKeepingStatus):
    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return self.strategy.validate_update(ctx, obj, old)


def _validate_attachment(obj: Object) -> list[Cause]:
    spec, status = obj["spec"], obj.get("status") or {}
    attacher = spec.get("attacher", "")
    found = (
        validate_csi_driver_name(attacher, "spec.attacher")
        if attacher
        else [required("spec.attacher")]
    )
    source = spec.get("source") or {}
    found += _validate_source(source)
    found += follows("spec.nodeName", spec.get("nodeName", ""), dns1123_subdomain)
    path = "status.attachmentMetadata"
    if _size_bytes(status.get("attachmentMetadata") or {}) > MAX_ATTACHMENT_BYTES:
        found.append(too_long(path, MAX_ATTACHMENT_BYTES))
    for name in ("attachError", "detachError"):
        found += _validate_volume_error(status.get(name) or {}, child("status", name))
    volume = source.get("persistentVolumeName")
    if volume is not None:
        found += follows("spec.source.persistentVolumeName", volume, dns1123_subdomain)
    return found


def _validate_source(source: Object) -> list[Cause]:
    path = "spec.source"
    inline, volume = source.get("inlineVolumeSpec"), source.get("persistentVolumeName")
    one_of = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
    if inline is None and volume is None:
        return [required(path, one_of)]
    if inline is not None and volume is not None:
        return [forbidden(path, one_of)]
    if inline is None:
        at = child(path, "persistentVolumeName")
        return [] if volume else [required(at, "must specify non empty persistentVolumeName")]
    return _validate_inline_volume(inline, child(path, "inlineVolumeSpec"))


def _validate_inline_volume(spec: Object, path: str) -> list[Cause]:
    """Check a volume's spec that has no PersistentVolume: only CSI, and no claim."""
    found = [
        forbidden(child(path, name), "may not be specified in the context of inline volumes")
        for name in ("claimRef", "capacity")
        if spec.get(name)
    ]
    if "csi" not in spec:
        detail = "has to be specified in the context of inline volumes"
        found.append(required(child(path, "csi"), detail))
    found += validate_access_modes(spec.get("accessModes") or (), child(path, "accessModes"))
    found += [
        forbidden(child(path, name), "may not be specified in the context of inline volumes")
        for name in ("persistentVolumeReclaimPolicy", "nodeAffinity")
        if spec.get(name)
    ]
    if "csi" in spec:
        found += validate_volume_source("csi", spec["csi"], path)
    found += [
        forbidden(child(path, name), "may not be specified in the context of inline volumes")
        for name in ("storageClassName", "volumeMode")
        if spec.get(name)
    ]
    return found


def _validate_volume_error(error: Object, path: str) -> list[Cause]:
    found: list[Cause] = []
    if longer_than(error.get("message", ""), MAX_ERROR_MESSAGE_BYTES):
        found.append(too_long(child(path, "message"), MAX_ATTACHMENT_BYTES))
    code = error.get("errorCode")
    if code is not None and code < 0:
        found.append(invalid(child(path, "errorCode"), code, inclusive_range(0, 2**31 - 1)))
    return found


STORAGE_STRATEGIES: dict[tuple[str, str], StrategyFactory] = {
    ("storage.k8s.io", "csistoragecapacities"): CSIStorageCapacityStrategy,
    ("storage.k8s.io", "storageclasses"): StorageClassStrategy,
    ("storage.k8s.io", "volumeattachments"): VolumeAttachmentStrategy,
    ("storage.k8s.io", "volumeattributesclasses"): VolumeAttributesClassStrategy,
}
