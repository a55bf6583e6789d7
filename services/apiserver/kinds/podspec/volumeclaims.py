"""PersistentVolumeClaims as templates inside other objects.

Source: kube-apiserver v1.36.2, pkg/apis/core/validation/validation.go
(ValidatePersistentVolumeClaimTemplate, ValidatePersistentVolumeClaimSpec).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.apiserver.errors import Cause
from services.apiserver.validation import field, metadata, names
from services.apiserver.values.quantity import parse

Object = dict[str, Any]

_ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_VOLUME_MODES = ("Block", "Filesystem")
_OTHER_METADATA = (
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
    "finalizers",
    "managedFields",
)
NOT_POSITIVE = "must be greater than zero"


def validate_claim_template(template: Object, path: str) -> Iterator[Cause]:
    """Check a template that may carry labels, annotations and a spec, nothing else."""
    meta = template.get("metadata", {})
    at = f"{path}.metadata"
    yield from metadata.validate_annotations(meta.get("annotations"), f"{at}.annotations")
    yield from metadata.validate_labels(meta.get("labels"), f"{at}.labels")
    for name in _OTHER_METADATA:
        if meta.get(name):
            yield field.forbidden(f"{at}.{name}", "cannot be set")
    yield from validate_claim_spec(template.get("spec", {}), f"{path}.spec")


def validate_claim_spec(spec: Object, path: str) -> Iterator[Cause]:
    modes = spec.get("accessModes", ())
    if not modes:
        yield field.required(f"{path}.accessModes", "at least 1 access mode is required")
    yield from metadata.validate_label_selector(spec.get("selector"), f"{path}.selector")
    for mode in modes:
        if mode not in _ACCESS_MODES:
            yield field.not_supported(f"{path}.accessModes", mode, _ACCESS_MODES)
    supported = {mode for mode in modes if mode in _ACCESS_MODES}
    if "ReadWriteOncePod" in supported and len(supported) > 1:
        yield field.forbidden(
            f"{path}.accessModes", "may not use ReadWriteOncePod with other access modes"
        )
    storage = spec.get("resources", {}).get("requests", {}).get("storage")
    at = f"{path}.resources[storage]"
    if storage is None:
        yield field.required(at)
    elif parse(storage).sign <= 0:
        yield field.invalid(at, storage, NOT_POSITIVE)
    for name in ("storageClassName", "volumeAttributesClassName"):
        value = spec.get(name)
        if value:
            for message in names.dns1123_subdomain(value):
                yield field.invalid(f"{path}.{name}", value, message)
        if name == "storageClassName":
            mode = spec.get("volumeMode")
            if mode is not None and mode not in _VOLUME_MODES:
                yield field.not_supported(f"{path}.volumeMode", mode, _VOLUME_MODES)
            yield from _sources(spec, path)


def _sources(spec: Object, path: str) -> Iterator[Cause]:
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source is not None:
        yield from _data_source(source, f"{path}.dataSource")
    if reference is not None:
        yield from _data_source(reference, f"{path}.dataSourceRef")
        namespace = reference.get("namespace")
        if namespace:
            for message in names.dns1123_label(namespace):
                yield field.invalid(f"{path}.dataSourceRef.namespace", namespace, message)
    if source is None or reference is None:
        return
    if reference.get("namespace"):
        yield field.invalid(
            path,
            f"{path}.dataSource",
            "may not be specified when dataSourceRef.namespace is specified",
        )
    elif any(source.get(name) != reference.get(name) for name in ("apiGroup", "kind", "name")):
        yield field.invalid(path, f"{path}.dataSource", "must match dataSourceRef")


def _data_source(source: Object, path: str) -> Iterator[Cause]:
    for name in ("name", "kind"):
        if not source.get(name):
            yield field.required(f"{path}.{name}")
    group, kind = source.get("apiGroup") or "", source.get("kind", "")
    if not group:
        if kind != "PersistentVolumeClaim":
            yield field.invalid(
                path,
                kind,
                "must be 'PersistentVolumeClaim' when referencing the default apiGroup",
            )
        return
    for message in names.dns1123_subdomain(group):
        yield field.invalid(f"{path}.apiGroup", group, message)
