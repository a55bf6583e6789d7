"""PersistentVolume.

Source: kube-apiserver v1.36.2, pkg/registry/core/persistentvolume/strategy.go,
pkg/apis/core/v1/defaults.go, pkg/apis/core/validation/validation.go (ValidatePersistentVolume).
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from services.apiserver.errors import Cause
from services.apiserver.kinds.podspec.resources import round_up
from services.apiserver.kinds.volumesources import (
    VOLUME_SOURCES,
    default_volume_source,
    validate_volume_source,
)
from services.apiserver.registry.strategy import (
    Object,
    StatusSubresource,
    Strategy,
    UpdateSubresource,
    WriteContext,
    keep,
)
from services.apiserver.validation.field import (
    child,
    forbidden,
    index,
    invalid,
    key,
    not_supported,
    required,
)
from services.apiserver.validation.metadata import (
    IMMUTABLE,
    validate_label_name,
    validate_metadata_create,
)
from services.apiserver.validation.names import dns1123_subdomain
from services.apiserver.values.quantity import parse

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")
VOLUME_MODES = ("Block", "Filesystem")
NOT_POSITIVE = "must be greater than zero"
NODE_OPERATORS = ("DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn")
STABLE_LABELS = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
    "beta.kubernetes.io/os": "kubernetes.io/os",
    "beta.kubernetes.io/arch": "kubernetes.io/arch",
    "beta.kubernetes.io/instance-type": "node.kubernetes.io/instance-type",
}
MOUNT_OPTIONS_ANNOTATION = "volume.beta.kubernetes.io/mount-options"
WITHOUT_MOUNT_OPTIONS = frozenset(
    ("hostPath", "flocker", "fc", "flexVolume", "portworxVolume", "scaleIO", "local", "storageos")
)
DEPRECATED_ANNOTATIONS = {
    "volume.beta.kubernetes.io/storage-class": (
        'deprecated since v1.8; use "storageClassName" attribute instead'
    ),
    MOUNT_OPTIONS_ANNOTATION: ('deprecated since v1.31; use "mountOptions" attribute instead'),
}
GONE_SOURCES = {
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}


class PersistentVolumeStrategy(Strategy):
    returns_deleted_object = True
    has_status = True

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        if not spec.get("persistentVolumeReclaimPolicy"):
            spec["persistentVolumeReclaimPolicy"] = "Retain"
        spec.setdefault("volumeMode", "Filesystem")
        if "capacity" in spec:
            round_up(spec["capacity"])
        for name in VOLUME_SOURCES:
            if name in spec:
                default_volume_source(name, spec[name])
        status = obj.setdefault("status", {})
        if not status.get("phase"):
            status["phase"] = "Pending"

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        obj["status"] = {"phase": "Pending", "lastPhaseTransitionTime": ctx.now}

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _validate_spec(obj["spec"]) + _validate_mount_options(obj)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        whole: list[Cause] = []
        if obj["metadata"] != old["metadata"]:
            whole += validate_metadata_create(
                obj, namespaced=False, validate_name=self.validate_name
            )
        spec, before = obj["spec"], old["spec"]
        whole += _validate_spec(spec)
        # The volume is looked at as a whole, and then again as a change.
        found = whole + _validate_mount_options(obj) + whole
        if _sources(spec, before) != _sources(before, before):
            found.append(
                forbidden(
                    "spec.persistentvolumesource",
                    "spec.persistentvolumesource is immutable after creation",
                )
            )
        if spec.get("volumeMode") != before.get("volumeMode"):
            found.append(invalid("volumeMode", spec.get("volumeMode"), IMMUTABLE))
        affinity, old_affinity = spec.get("nodeAffinity"), before.get("nodeAffinity")
        if old_affinity is not None and not _same_affinity(affinity, old_affinity):
            found.append(
                invalid(
                    "nodeAffinity",
                    affinity,
                    f"{IMMUTABLE}, except for updating from beta label to GA",
                )
            )
        if "volumeAttributesClassName" in before and "volumeAttributesClassName" not in spec:
            found.append(
                forbidden(
                    "spec.volumeAttributesClassName",
                    "update from non-nil value to nil is forbidden",
                )
            )
        return found

    def warn_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        return _warnings(obj)

    def warn_on_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[str]:
        return _warnings(obj)

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {"status": PersistentVolumeStatus(self)}


class PersistentVolumeStatus(StatusSubresource):
    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        super().prepare_for_update(ctx, obj, old)
        status, before = obj.setdefault("status", {}), old.get("status", {})
        time = "lastPhaseTransitionTime"
        if status.get("phase") == before.get("phase"):
            keep(status, before, time)
        elif status.get(time) in (None, before.get(time)):
            status[time] = ctx.now


def _warnings(obj: Object) -> list[str]:
    spec = obj["spec"]
    annotations = obj["metadata"].get("annotations", ())
    found = [
        f"metadata.annotations[{name}]: {text}"
        for name, text in DEPRECATED_ANNOTATIONS.items()
        if name in annotations
    ]
    if spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        found.append(
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead,"
            " the recommended approach is to use dynamic provisioning."
        )
    found += [f"spec.{name}: {text}" for name, text in GONE_SOURCES.items() if name in spec]
    size = spec.get("capacity", {}).get("storage")
    if size is not None and parse(size).milli_value() % 1000:
        found.append(
            f'spec.capacity[storage]: fractional byte value "{size}" is invalid, must be an integer'
        )
    return found


def _sources(spec: Object, before: Object) -> Object:
    """Return the volume source of `spec`; an expansion secret may be added where none was."""
    sources = {name: spec[name] for name in VOLUME_SOURCES if name in spec}
    added = "controllerExpandSecretRef"
    if added in sources.get("csi", {}) and added not in before.get("csi", {added: None}):
        sources["csi"] = {name: part for name, part in spec["csi"].items() if name != added}
    return sources


def _same_affinity(affinity: Object | None, old: Object) -> bool:
    """Whether the affinity is unchanged but for beta labels that became stable ones."""
    if affinity == old:
        return True
    if affinity is None:
        return False

    def terms(of: Object) -> list[Object]:
        found: list[Object] = (of.get("required") or {}).get("nodeSelectorTerms") or []
        return found

    def stable(term: Object, other: Object) -> Object:
        expressions = []
        for one, two in zip(
            term.get("matchExpressions", ()), other.get("matchExpressions", ()), strict=False
        ):
            renamed = STABLE_LABELS.get(one.get("key", "")) == two.get("key")
            expressions.append({**one, "key": two["key"]} if renamed else one)
        if len(expressions) != len(term.get("matchExpressions", ())):
            return term
        return {**term, "matchExpressions": expressions} if expressions else term

    before, after = terms(old), terms(affinity)
    return len(before) == len(after) and all(
        stable(one, two) == two for one, two in zip(before, after, strict=True)
    )


def _validate_spec(spec: Object) -> list[Cause]:
    found = validate_access_modes(spec.get("accessModes", ()), "spec.accessModes")
    capacity = spec.get("capacity", {})
    path = "spec.capacity"
    if not capacity:
        found.append(required(path))
    if list(capacity) != ["storage"]:
        found.append(not_supported(path, list(capacity), ("storage",)))
    for name, text in capacity.items():
        amount = parse(text)
        if amount.sign < 0:
            found.append(invalid(key(path, name), text, "must be a valid resource quantity"))
        if amount.sign <= 0:
            found.append(invalid(key(path, name), text, NOT_POSITIVE))
    policy = spec.get("persistentVolumeReclaimPolicy", "")
    path = "spec.persistentVolumeReclaimPolicy"
    if policy and policy not in RECLAIM_POLICIES:
        found.append(not_supported(path, policy, RECLAIM_POLICIES))
    has_affinity = False
    if "nodeAffinity" in spec:
        has_affinity, wrong = _validate_affinity(spec["nodeAffinity"], "spec.nodeAffinity")
        found += wrong
    found += _validate_sources(spec, has_affinity)
    host_path = spec.get("hostPath", {}).get("path", "")
    if policy == "Recycle" and host_path and posixpath.normpath(host_path) == "/":
        found.append(forbidden(path, "may not be 'recycle' for a hostPath mount of '/'"))
    class_name = spec.get("storageClassName", "")
    if class_name:
        found += [
            invalid("spec.storageClassName", class_name, message)
            for message in dns1123_subdomain(class_name)
        ]
    mode = spec.get("volumeMode")
    if mode is not None and mode not in VOLUME_MODES:
        found.append(not_supported("spec.volumeMode", mode, VOLUME_MODES))
    attributes = spec.get("volumeAttributesClassName")
    if attributes is not None:
        path = "spec.volumeAttributesClassName"
        if not attributes:
            found.append(required(path, "an empty string is disallowed"))
        else:
            found += [
                invalid(path, attributes, message) for message in dns1123_subdomain(attributes)
            ]
        if "csi" not in spec:
            found.append(
                required("spec.csi", "has to be specified when using volumeAttributesClassName")
            )
    return found


def _validate_sources(spec: Object, has_affinity: bool) -> list[Cause]:
    found: list[Cause] = []
    chosen = ""
    for name in VOLUME_SOURCES:
        if name not in spec:
            continue
        if chosen and name != "flexVolume":
            found.append(forbidden(child("spec", name), "may not specify more than 1 volume type"))
            continue
        chosen = name
        found += validate_volume_source(name, spec[name], "spec")
        if name == "local" and not has_affinity:
            found.append(required("spec.nodeAffinity", "Local volume requires node affinity"))
    if not chosen:
        found.append(required("spec", "must specify a volume type"))
    return found


def _validate_mount_options(obj: Object) -> list[Cause]:
    """Check that the annotation for mount options is on a volume that is mounted by a server."""
    if MOUNT_OPTIONS_ANNOTATION not in obj["metadata"].get("annotations", ()):
        return []
    if any(name in obj["spec"] for name in VOLUME_SOURCES if name not in WITHOUT_MOUNT_OPTIONS):
        return []
    return [
        forbidden(
            child("metadata.annotations", MOUNT_OPTIONS_ANNOTATION),
            "may not specify mount options for this volume type",
        )
    ]


def validate_access_modes(modes: list[str] | tuple[()], path: str) -> list[Cause]:
    """Check the access modes of a volume or a claim."""
    if not modes:
        return [required(path, "at least 1 access mode is required")]
    found = [not_supported(path, mode, ACCESS_MODES) for mode in modes if mode not in ACCESS_MODES]
    if "ReadWriteOncePod" in modes and any(
        mode != "ReadWriteOncePod" and mode in ACCESS_MODES for mode in modes
    ):
        found.append(forbidden(path, "may not use ReadWriteOncePod with other access modes"))
    return found


def _validate_affinity(affinity: Object, path: str) -> tuple[bool, list[Cause]]:
    """Return whether a node selector is there, and its errors."""
    selector = affinity.get("required")
    at = child(path, "required")
    if selector is None:
        return False, [required(at, "must specify required node constraints")]
    return True, validate_node_selector(selector, at)


def validate_node_selector(selector: Object, path: str) -> list[Cause]:
    """Check a NodeSelector."""
    terms = selector.get("nodeSelectorTerms") or ()
    at = child(path, "nodeSelectorTerms")
    if not terms:
        return [required(at, "must have at least one node selector term")]
    found: list[Cause] = []
    for number, term in enumerate(terms):
        term_path = index(at, number)
        for position, expression in enumerate(term.get("matchExpressions", ())):
            found += _validate_requirement(
                expression, index(child(term_path, "matchExpressions"), position)
            )
        for position, expression in enumerate(term.get("matchFields", ())):
            found += _validate_field_requirement(
                expression, index(child(term_path, "matchFields"), position)
            )
    return found


def _validate_requirement(expression: Object, path: str) -> list[Cause]:
    operator, values = expression.get("operator", ""), expression.get("values", ())
    found: list[Cause] = []
    at = child(path, "values")
    if operator in ("In", "NotIn"):
        if not values:
            found.append(required(at, "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            found.append(
                forbidden(at, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
            )
    elif operator in ("Gt", "Lt"):
        if len(values) != 1:
            found.append(
                required(at, "must be specified single value when `operator` is 'Lt' or 'Gt'")
            )
    else:
        found.append(invalid(child(path, "operator"), operator, "not a valid selector operator"))
    return found + validate_label_name(expression.get("key", ""), child(path, "key"))


def _validate_field_requirement(expression: Object, path: str) -> list[Cause]:
    operator, values = expression.get("operator", ""), expression.get("values", ())
    found: list[Cause] = []
    if operator not in ("In", "NotIn"):
        found.append(invalid(child(path, "operator"), operator, "not a valid selector operator"))
    elif len(values) != 1:
        found.append(
            required(
                child(path, "values"),
                "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
            )
        )
    name = expression.get("key", "")
    if name != "metadata.name":
        found.append(invalid(child(path, "key"), name, "not a valid field selector key"))
        return found
    for number, value in enumerate(values):
        found += [
            invalid(index(child(path, "values"), number), value, message)
            for message in dns1123_subdomain(value)
        ]
    return found
