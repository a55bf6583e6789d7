"""Environment variables and the references to fields, keys and files they are filled from.

Source: kube-apiserver v1.36.2, pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

from services.apiserver.errors import Cause
from services.apiserver.kinds.podspec import paths
from services.apiserver.validation import field, names

Object = dict[str, Any]

_ENV_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
VOLUME_FIELDS = (
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
)
_FIELD_LABELS = frozenset(
    (
        *_ENV_FIELDS,
        *VOLUME_FIELDS,
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.host",
        "status.phase",
    )
)
_CONTAINER_RESOURCES = (
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
)
_CPU_DIVISORS = frozenset(("1m", "1"))
_BYTE_DIVISORS = frozenset(
    ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
)
ONE_SOURCE = "may not have more than one field specified at a time"


def validate_env(variables: list[Object], path: str) -> Iterator[Cause]:
    for number, variable in enumerate(variables):
        name = variable.get("name", "")
        if not name:
            yield field.required(f"{path}[{number}].name")
        elif not name.isidentifier() or not name.isascii():
            # Nearly all names are identifiers; the rest takes the full rule.
            for message in names.relaxed_env_var_name(name):
                yield field.invalid(f"{path}[{number}].name", name, message)
        source = variable.get("valueFrom")
        if source is not None:
            yield from _value_from(variable, source, f"{path}[{number}].valueFrom")


def _value_from(variable: Object, source: Object, path: str) -> Iterator[Cause]:
    for name, validate in _SOURCES.items():
        if name in source:
            yield from validate(source[name], f"{path}.{name}")
    if not source:
        yield field.invalid(
            path,
            "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`,"
            " `secretKeyRef` or `fileKeyRef`",
        )
    elif variable.get("value"):
        yield field.invalid(path, "", "may not be specified when `value` is not empty")
    elif len(source) > 1:
        yield field.invalid(path, "", ONE_SOURCE)


def validate_env_from(sources: list[Object], path: str) -> Iterator[Cause]:
    for number, source in enumerate(sources):
        prefix = source.get("prefix")
        if prefix:
            for message in names.relaxed_env_var_name(prefix):
                yield field.invalid(f"{path}[{number}].prefix", prefix, message)
        count = 0
        for kind in ("configMapRef", "secretRef"):
            if kind in source:
                count += 1
                at = f"{path}[{number}].{kind}.name"
                name = source[kind].get("name", "")
                if not name:
                    yield field.required(at)
                    continue
                for message in names.dns1123_subdomain(names.with_trailing_dash_masked(name)):
                    yield field.invalid(at, name, message)
        if count == 0:
            yield field.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")
        elif count > 1:
            yield field.invalid(path, "", ONE_SOURCE)


def validate_field_ref(reference: Object, supported: Collection[str], path: str) -> Iterator[Cause]:
    """Check a reference to a field of the pod, for example metadata.labels['app']."""
    version = reference.get("apiVersion", "")
    if not version:
        yield field.required(f"{path}.apiVersion")
        return
    label = reference.get("fieldPath", "")
    if not label:
        yield field.required(f"{path}.fieldPath")
        return
    name, subscript = split_subscript(label)
    if version != "v1":
        known = False
    elif subscript is not None:
        known = name in ("metadata.annotations", "metadata.labels")
    else:
        known = name in _FIELD_LABELS
    if not known:
        yield field.invalid(
            f"{path}.fieldPath",
            label,
            f"error converting fieldPath: field label not supported: {label}",
        )
    elif subscript is not None:
        key = subscript.lower() if name == "metadata.annotations" else subscript
        for message in names.qualified_name(key):
            yield field.invalid(path, key, message)
    else:
        if name == "spec.host":
            name = "spec.nodeName"
        if name not in supported:
            yield field.not_supported(f"{path}.fieldPath", name, sorted(supported))


def split_subscript(label: str) -> tuple[str, str | None]:
    """Split metadata.labels['key'] into its path and key; the key is None without one."""
    if label.endswith("']"):
        name, bracket, key = label[:-2].partition("['")
        if name and bracket:
            return name, key
    return label, None


def validate_resource_field_ref(
    reference: Object, path: str, *, in_volume: bool = False
) -> Iterator[Cause]:
    resource = reference.get("resource", "")
    huge = resource.startswith(("requests.hugepages-", "limits.hugepages-"))
    if in_volume and not reference.get("containerName"):
        yield field.required(f"{path}.containerName")
    elif not resource:
        yield field.required(f"{path}.resource")
    elif not huge and resource not in _CONTAINER_RESOURCES:
        yield field.not_supported(f"{path}.resource", resource, _CONTAINER_RESOURCES)
    divisor = reference.get("divisor", "0")
    if divisor == "0":
        return
    if resource in ("limits.cpu", "requests.cpu"):
        allowed = _CPU_DIVISORS
    elif huge or resource in _CONTAINER_RESOURCES:
        allowed = _BYTE_DIVISORS
    else:
        return
    if divisor not in allowed:
        yield field.invalid(
            f"{path}.divisor", resource, f"only divisor's values {sorted(allowed)} are supported"
        )


def _env_field_ref(reference: Object, path: str) -> Iterator[Cause]:
    return validate_field_ref(reference, _ENV_FIELDS, path)


def _key_ref(reference: Object, path: str) -> Iterator[Cause]:
    name = reference.get("name", "")
    for message in names.dns1123_subdomain(name):
        yield field.invalid(f"{path}.name", name, message)
    key = reference.get("key", "")
    if not key:
        yield field.required(f"{path}.key")
        return
    for message in names.config_map_key(key):
        yield field.invalid(f"{path}.key", key, message)


def _file_key_ref(reference: Object, path: str) -> Iterator[Cause]:
    key = reference.get("key", "")
    if not key:
        yield field.required(f"{path}.key")
    else:
        for message in names.relaxed_env_var_name(key):
            yield field.invalid(f"{path}.key", key, message)
    volume = reference.get("volumeName", "")
    if not volume:
        yield field.required(f"{path}.volumeName")
    else:
        for message in names.dns1123_label(volume):
            yield field.invalid(f"{path}.volumeName", volume, message)
    if not reference.get("path"):
        yield field.required(f"{path}.path")
    else:
        yield from paths.no_backsteps(reference["path"], f"{path}.path")


_SOURCES: dict[str, Callable[[Object, str], Iterator[Cause]]] = {
    "fieldRef": _env_field_ref,
    "resourceFieldRef": validate_resource_field_ref,
    "configMapKeyRef": _key_ref,
    "secretKeyRef": _key_ref,
    "fileKeyRef": _file_key_ref,
}
