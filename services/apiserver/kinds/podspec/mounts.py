"""Volume mounts and block devices of containers.

Several paths lack the mount's index; kube-apiserver reports them so.
Source: kube-apiserver v1.36.2, pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from services.apiserver.errors import Cause
from services.apiserver.kinds.podspec import paths
from services.apiserver.validation import field

Object = dict[str, Any]

_PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")
_RECURSIVE_READ_ONLY = ("Disabled", "Enabled", "IfPossible")


def validate_mounts(container: Object, volumes: Mapping[str, Object], path: str) -> Iterator[Cause]:
    """Check volumeMounts against the pod's valid `volumes` (by name)."""
    devices = {
        one.get("name", ""): one.get("devicePath", "") for one in container.get("volumeDevices", ())
    }
    seen: set[str] = set()
    for number, mount in enumerate(container["volumeMounts"]):
        at = f"{path}[{number}]"
        name, target = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            yield field.required(f"{at}.name")
        if name not in volumes:
            yield field.not_found(f"{at}.name", name)
        if not target:
            yield field.required(f"{at}.mountPath")
        if target in seen:
            yield field.invalid(f"{at}.mountPath", target, "must be unique")
        seen.add(target)
        if devices:
            if name in devices:
                yield field.invalid(f"{at}.name", name, "must not already exist in volumeDevices")
            if target in devices.values():
                yield field.invalid(
                    f"{at}.mountPath", target, "must not already exist as a path in volumeDevices"
                )
        yield from _options(mount, container, path, at)


def _options(mount: Object, container: Object, path: str, at: str) -> Iterator[Cause]:
    sub_path, expression = mount.get("subPath"), mount.get("subPathExpr")
    if sub_path:
        yield from paths.descending(sub_path, f"{path}.subPath")
    if expression:
        if sub_path:
            yield field.invalid(
                f"{at}.subPathExpr", expression, "subPathExpr and subPath are mutually exclusive"
            )
        yield from paths.descending(expression, f"{path}.subPathExpr")
    propagation = mount.get("mountPropagation")
    if propagation is not None:
        if propagation not in _PROPAGATIONS:
            yield field.not_supported(f"{path}.mountPropagation", propagation, _PROPAGATIONS)
        privileged = container.get("securityContext", {}).get("privileged", False)
        if propagation == "Bidirectional" and not privileged:
            yield field.forbidden(
                f"{path}.mountPropagation",
                "Bidirectional mount propagation is available only to privileged containers",
            )
    recursive = mount.get("recursiveReadOnly")
    if recursive is not None:
        yield from _recursive(mount, recursive, f"{path}.recursiveReadOnly")


def _recursive(mount: Object, recursive: str, path: str) -> Iterator[Cause]:
    if recursive not in _RECURSIVE_READ_ONLY:
        yield field.not_supported(path, recursive, _RECURSIVE_READ_ONLY)
    elif recursive != "Disabled":
        if not mount.get("readOnly"):
            yield field.forbidden(path, "may only be specified when readOnly is true")
        if mount.get("mountPropagation", "None") != "None":
            yield field.forbidden(
                path, "may only be specified when mountPropagation is None or not specified"
            )


def validate_devices(
    container: Object, volumes: Mapping[str, Object], path: str
) -> Iterator[Cause]:
    mounts = {
        one.get("name", ""): one.get("mountPath", "") for one in container.get("volumeMounts", ())
    }
    device_names: set[str] = set()
    device_paths: set[str] = set()
    for number, device in enumerate(container["volumeDevices"]):
        at = f"{path}[{number}]"
        name, target = device.get("name", ""), device.get("devicePath", "")
        volume = volumes.get(name)
        if not name:
            yield field.required(f"{at}.name")
        if name in device_names:
            yield field.invalid(f"{at}.name", name, "must be unique")
        if volume is None:
            yield field.not_found(f"{at}.name", name)
        elif "persistentVolumeClaim" not in volume and "ephemeral" not in volume:
            yield field.invalid(
                f"{at}.name",
                name,
                "can only use volume source type of PersistentVolumeClaim or Ephemeral for block"
                " mode",
            )
        if not target:
            yield field.required(f"{at}.devicePath")
        if target in device_paths:
            yield field.invalid(f"{at}.devicePath", target, "must be unique")
        if ".." in target.split("/"):
            yield field.invalid(f"{at}.devicePath", target, "can not contain backsteps ('..')")
        else:
            device_paths.add(target)
        if name in mounts:
            yield field.invalid(f"{at}.name", name, "must not already exist in volumeMounts")
        if mounts and target in mounts.values():
            yield field.invalid(
                f"{at}.devicePath", target, "must not already exist as a path in volumeMounts"
            )
        if name:
            device_names.add(name)
