"""Volumes of a pod.

Source: kube-apiserver v1.36.2, pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from services.apiserver.errors import Cause
from services.apiserver.kinds.podspec import paths, volumeclaims, volumeplugins
from services.apiserver.kinds.podspec.env import (
    VOLUME_FIELDS,
    validate_field_ref,
    validate_resource_field_ref,
)
from services.apiserver.validation import field, names
from services.apiserver.validation.enumerations import HOST_PATH_TYPES, PULL_POLICIES
from services.apiserver.values.quantity import parse

Object = dict[str, Any]

_MIN_TOKEN_EXPIRATION_S = 600
_MAX_TOKEN_EXPIRATION_S = 1 << 32


def validate_volumes(
    volumes: list[Object], pod_name: str | None, path: str, causes: list[Cause]
) -> dict[str, Object]:
    """Append what is wrong to `causes` and return the valid volumes by name.

    `pod_name` is None in a pod template.
    """
    created_claims = {
        f"{pod_name}-{volume.get('name', '')}"
        for volume in volumes
        if pod_name and "ephemeral" in volume
    }
    valid: dict[str, Object] = {}
    for number, volume in enumerate(volumes):
        at = f"{path}[{number}]"
        name = volume.get("name", "")
        found = list(_source(volume, name, pod_name, at))
        if not name:
            found.append(field.required(f"{at}.name"))
        else:
            found += [
                field.invalid(f"{at}.name", name, message) for message in names.dns1123_label(name)
            ]
        if name in valid:
            found.append(field.duplicate(f"{at}.name", name))
        if found:
            causes += found
        else:
            valid[name] = volume
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        if claim in created_claims:
            causes.append(
                field.invalid(
                    f"{at}.persistentVolumeClaim.claimName",
                    claim,
                    "must not reference a PVC that gets created for an ephemeral volume",
                )
            )
    return valid


def _source(volume: Object, name: str, pod_name: str | None, path: str) -> Iterator[Cause]:
    kinds = [kind for kind in _SOURCES if kind in volume]
    if not kinds:
        yield field.required(path, "must specify a volume type")
    for position, kind in enumerate(kinds):
        if position > 0:
            yield field.forbidden(
                f"{path}.{_FIELD_NAMES.get(kind, kind)}", "may not specify more than 1 volume type"
            )
        elif kind == "image":
            yield from _image(volume["image"], f"{path}.image", in_pod=pod_name is not None)
        else:
            yield from _SOURCES[kind](volume[kind], f"{path}.{_ERROR_NAMES.get(kind, kind)}")
            if kind == "ephemeral" and pod_name and name:
                claim = f"{pod_name}-{name}"
                for message in names.dns1123_subdomain(claim):
                    yield field.invalid(f"{path}.name", name, f'PVC name "{claim}": {message}')
        if kind == "iscsi":
            yield from volumeplugins.iscsi_portal_length(volume["iscsi"], name, f"{path}.name")


def _empty_dir(source: Object, path: str) -> Iterator[Cause]:
    if "sizeLimit" in source and parse(source["sizeLimit"]).sign < 0:
        yield field.forbidden(
            f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity"
        )


def _host_path(source: Object, path: str) -> Iterator[Cause]:
    if not source.get("path"):
        yield field.required(f"{path}.path")
        return
    yield from paths.no_backsteps(source["path"], f"{path}.path")
    kind = source.get("type", "")
    if kind not in HOST_PATH_TYPES:
        yield field.not_supported(f"{path}.type", kind, HOST_PATH_TYPES)


def _secret(source: Object, path: str) -> Iterator[Cause]:
    return _keys(source, "secretName", path)


def _config_map(source: Object, path: str) -> Iterator[Cause]:
    return _keys(source, "name", path)


def _keys(source: Object, name: str, path: str) -> Iterator[Cause]:
    if not source.get(name):
        yield field.required(f"{path}.{name}")
    yield from paths.file_mode(source, "defaultMode", path)
    for number, item in enumerate(source.get("items", ())):
        yield from _key_to_path(item, f"{path}.items[{number}]")


def _key_to_path(item: Object, path: str) -> Iterator[Cause]:
    if not item.get("key"):
        yield field.required(f"{path}.key")
    target = item.get("path", "")
    if not target:
        yield field.required(f"{path}.path")
    yield from paths.non_reserved(target, f"{path}.path")
    yield from paths.file_mode(item, "mode", path)


def _downward_api(source: Object, path: str) -> Iterator[Cause]:
    yield from paths.file_mode(source, "defaultMode", path)
    for item in source.get("items", ()):
        yield from _downward_file(item, path)


def _downward_file(item: Object, path: str) -> Iterator[Cause]:
    target = item.get("path", "")
    if not target:
        yield field.required(f"{path}.path")
    yield from paths.non_reserved(target, f"{path}.path")
    if "fieldRef" in item:
        yield from validate_field_ref(item["fieldRef"], VOLUME_FIELDS, f"{path}.fieldRef")
        if "resourceFieldRef" in item:
            yield field.invalid(
                path,
                "resource",
                "fieldRef and resourceFieldRef can not be specified simultaneously",
            )
    elif "resourceFieldRef" in item:
        yield from validate_resource_field_ref(
            item["resourceFieldRef"], f"{path}.resourceFieldRef", in_volume=True
        )
    else:
        yield field.required(path, "one of fieldRef and resourceFieldRef is required")
    yield from paths.file_mode(item, "mode", path)


def _projected(source: Object, path: str) -> Iterator[Cause]:
    yield from paths.file_mode(source, "defaultMode", path)
    seen: set[str] = set()
    for number, projection in enumerate(source.get("sources") or ()):
        at = f"{path}.sources[{number}]"
        kinds = 0
        for kind in ("secret", "configMap"):
            if kind in projection:
                kinds += 1
                yield from _projected_keys(projection[kind], f"{at}.{kind}", path, seen)
        if "downwardAPI" in projection:
            kinds += 1
            for item in projection["downwardAPI"].get("items", ()):
                yield from _downward_file(item, f"{at}.downwardAPI")
                yield from _once(item.get("path", ""), item.get("path", ""), path, seen)
        if "serviceAccountToken" in projection:
            kinds += 1
            yield from _token(projection["serviceAccountToken"], f"{at}.serviceAccountToken", path)
        if kinds > 1:
            yield field.forbidden(at, "may not specify more than 1 volume type per source")


def _projected_keys(source: Object, at: str, path: str, seen: set[str]) -> Iterator[Cause]:
    if not source.get("name"):
        yield field.required(f"{at}.name")
    for number, item in enumerate(source.get("items", ())):
        yield from _key_to_path(item, f"{at}.items[{number}]")
        yield from _once(item.get("path", ""), source.get("name", ""), path, seen)


def _once(target: str, shown: str, path: str, seen: set[str]) -> Iterator[Cause]:
    if target in seen:
        yield field.invalid(path, shown, "conflicting duplicate paths")
    elif target:
        seen.add(target)


def _token(token: Object, at: str, path: str) -> Iterator[Cause]:
    seconds = token.get("expirationSeconds", 0)
    if seconds < _MIN_TOKEN_EXPIRATION_S:
        yield field.invalid(
            f"{at}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"
        )
    elif seconds > _MAX_TOKEN_EXPIRATION_S:
        yield field.invalid(
            f"{at}.expirationSeconds",
            seconds,
            "may not specify a duration larger than 2^32 seconds",
        )
    if not token.get("path"):
        yield field.required(f"{path}.path")
    else:
        yield from paths.non_reserved(token["path"], f"{path}.path")


def _ephemeral(source: Object, path: str) -> Iterator[Cause]:
    template = source.get("volumeClaimTemplate")
    if template is None:
        yield field.required(f"{path}.volumeClaimTemplate")
    else:
        yield from volumeclaims.validate_claim_template(template, f"{path}.volumeClaimTemplate")


def _image(source: Object, path: str, *, in_pod: bool) -> Iterator[Cause]:
    if in_pod and not source.get("reference"):
        yield field.required(f"{path}.reference")
    yield from pull_policy(source.get("pullPolicy", ""), f"{path}.pullPolicy")


def pull_policy(policy: str, path: str) -> Iterator[Cause]:
    if policy not in PULL_POLICIES:
        if policy:
            yield field.not_supported(path, policy, PULL_POLICIES)
        else:
            yield field.required(path)


def _unchecked_image(source: Object, path: str) -> Iterator[Cause]:
    return _image(source, path, in_pod=False)


_SOURCES: dict[str, Callable[[Object, str], Iterator[Cause]]] = {
    # In the order in which kube-apiserver looks for them: the first one counts.
    "emptyDir": _empty_dir,
    "hostPath": _host_path,
    "gitRepo": volumeplugins.git_repo,
    "gcePersistentDisk": volumeplugins.gce_persistent_disk,
    "awsElasticBlockStore": volumeplugins.aws_elastic_block_store,
    "secret": _secret,
    "nfs": volumeplugins.nfs,
    "iscsi": volumeplugins.iscsi,
    "glusterfs": volumeplugins.glusterfs,
    "flocker": volumeplugins.flocker,
    "persistentVolumeClaim": volumeplugins.required("claimName"),
    "rbd": volumeplugins.required("monitors", "image"),
    "cinder": volumeplugins.cinder,
    "cephfs": volumeplugins.required("monitors"),
    "quobyte": volumeplugins.quobyte,
    "downwardAPI": _downward_api,
    "fc": volumeplugins.fibre_channel,
    "flexVolume": volumeplugins.flex_volume,
    "configMap": _config_map,
    "azureFile": volumeplugins.required("secretName", "shareName"),
    "vsphereVolume": volumeplugins.required("volumePath"),
    "photonPersistentDisk": volumeplugins.required("pdID"),
    "portworxVolume": volumeplugins.required("volumeID"),
    "azureDisk": volumeplugins.azure_disk,
    "storageos": volumeplugins.storage_os,
    "projected": _projected,
    "scaleIO": volumeplugins.required("gateway", "system", "volumeName"),
    "csi": volumeplugins.csi,
    "ephemeral": _ephemeral,
    "image": _unchecked_image,
}
_ERROR_NAMES = {"gcePersistentDisk": "persistentDisk"}
_FIELD_NAMES = {"cephfs": "cephFS", "downwardAPI": "downwarAPI"}
