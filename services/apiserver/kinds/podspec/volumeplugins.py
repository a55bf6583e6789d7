"""Volume sources of single storage systems.

Source: kube-apiserver v1.36.2, pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from services.apiserver.errors import Cause
from services.apiserver.kinds.podspec import paths
from services.apiserver.validation import field, names

Object = dict[str, Any]

_IQN = re.compile(r"iqn\.\d{4}-\d{2}\.([0-9A-Za-z]+.*?)(:([^\x00]+))$")
_EUI = re.compile(r"eui.[0-9A-Fa-f]{16}$")
_NAA = re.compile(r"naa.[0-9A-Fa-f]{32}$")
_ISCSI_FORMATS = {"iqn": _IQN, "eui": _EUI, "naa": _NAA}
_PARTITION = "must be between 0 and 255, inclusive"
_CACHING_MODES = ("None", "ReadOnly", "ReadWrite")
_DISK_KINDS = ("Dedicated", "Managed", "Shared")
_MANAGED_DISK = (
    "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}",
)
_BLOB_DISK = ("https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd",)


def required(*fields: str) -> Callable[[Object, str], Iterator[Cause]]:
    """Return a rule that wants each of `fields` to be there."""

    def check(source: Object, path: str) -> Iterator[Cause]:
        for name in fields:
            if not source.get(name):
                yield field.required(f"{path}.{name}")

    return check


def git_repo(source: Object, path: str) -> Iterator[Cause]:
    if not source.get("repository"):
        yield field.required(f"{path}.repository")
    yield from paths.descending(source.get("directory", ""), f"{path}.directory")


def gce_persistent_disk(source: Object, path: str) -> Iterator[Cause]:
    if not source.get("pdName"):
        yield field.required(f"{path}.pdName")
    yield from _partition(source, path)


def aws_elastic_block_store(source: Object, path: str) -> Iterator[Cause]:
    if not source.get("volumeID"):
        yield field.required(f"{path}.volumeID")
    yield from _partition(source, path)


def _partition(source: Object, path: str) -> Iterator[Cause]:
    partition = source.get("partition", 0)
    if not 0 <= partition <= 255:
        yield field.invalid(f"{path}.partition", partition, _PARTITION)


def nfs(source: Object, path: str) -> Iterator[Cause]:
    if not source.get("server"):
        yield field.required(f"{path}.server")
    target = source.get("path", "")
    if not target:
        yield field.required(f"{path}.path")
    if not target.startswith("/"):
        yield field.invalid(f"{path}.path", target, "must be an absolute path")


def iscsi(source: Object, path: str) -> Iterator[Cause]:
    if not source.get("targetPortal"):
        yield field.required(f"{path}.targetPortal")
    if not source.get("iqn"):
        yield field.required(f"{path}.iqn")
    else:
        yield from _iscsi_name(source["iqn"], f"{path}.iqn")
    lun = source.get("lun", 0)
    if not 0 <= lun <= 255:
        yield field.invalid(f"{path}.lun", lun, names.inclusive_range(0, 255))
    authenticated = source.get("chapAuthDiscovery") or source.get("chapAuthSession")
    if authenticated and "secretRef" not in source:
        yield field.required(f"{path}.secretRef")
    if "initiatorName" in source:
        yield from _iscsi_name(source["initiatorName"], f"{path}.initiatorname")


def _iscsi_name(name: str, path: str) -> Iterator[Cause]:
    pattern = _ISCSI_FORMATS.get(name[:3])
    if pattern is None:
        yield field.invalid(path, name, "must be valid format starting with iqn, eui, or naa")
    elif not pattern.match(name):
        yield field.invalid(path, name, "must be valid format")


def iscsi_portal_length(source: Object, volume: str, path: str) -> Iterator[Cause]:
    if "initiatorName" in source and len(f"{volume}:{source.get('targetPortal', '')}") > 64:
        yield field.invalid(
            path,
            volume,
            "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if"
            " iscsi.initiatorName is specified.",
        )


def glusterfs(source: Object, path: str) -> Iterator[Cause]:
    for name in ("endpoints", "path"):
        if not source.get(name):
            yield field.required(f"{path}.{name}")


def flocker(source: Object, path: str) -> Iterator[Cause]:
    name, uuid = source.get("datasetName", ""), source.get("datasetUUID", "")
    if not name and not uuid:
        yield field.required(path, "one of datasetName and datasetUUID is required")
    if name and uuid:
        yield field.invalid(
            path, "resource", "datasetName and datasetUUID can not be specified simultaneously"
        )
    if "/" in name:
        yield field.invalid(f"{path}.datasetName", name, "must not contain '/'")


def cinder(source: Object, path: str) -> Iterator[Cause]:
    if not source.get("volumeID"):
        yield field.required(f"{path}.volumeID")
    yield from _secret_name(source, path)


def _secret_name(source: Object, path: str) -> Iterator[Cause]:
    if "secretRef" in source and not source["secretRef"].get("name"):
        yield field.required(f"{path}.secretRef.name")


def quobyte(source: Object, path: str) -> Iterator[Cause]:
    pairs = "must be a host:port pair or multiple pairs separated by commas"
    registry = source.get("registry", "")
    if not registry:
        yield field.required(f"{path}.registry", pairs)
    elif len(source.get("tenant", "")) >= 65:
        yield field.required(
            f"{path}.tenant", "must be a UUID and may not exceed a length of 64 characters"
        )
    else:
        for pair in registry.split(","):
            if not _is_host_port(pair):
                yield field.invalid(f"{path}.registry", registry, pairs)
    if not source.get("volume"):
        yield field.required(f"{path}.volume")


def _is_host_port(pair: str) -> bool:
    host, colon, port = pair.rpartition(":")
    if not colon or "[" in port or "]" in port:
        return False
    if host.startswith("["):
        return host.endswith("]") and host.count("[") == host.count("]") == 1
    return not any(character in host for character in ":[]")


def fibre_channel(source: Object, path: str) -> Iterator[Cause]:
    targets, wwids = source.get("targetWWNs"), source.get("wwids")
    if not targets and not wwids:
        yield field.required(
            f"{path}.targetWWNs", "must specify either targetWWNs or wwids, but not both"
        )
    if targets and wwids:
        yield field.invalid(
            f"{path}.targetWWNs",
            targets,
            "targetWWNs and wwids can not be specified simultaneously",
        )
    if targets:
        lun = source.get("lun")
        if lun is None:
            yield field.required(f"{path}.lun", "lun is required if targetWWNs is specified")
        elif not 0 <= lun <= 255:
            yield field.invalid(f"{path}.lun", lun, names.inclusive_range(0, 255))


def flex_volume(source: Object, path: str) -> Iterator[Cause]:
    if not source.get("driver"):
        yield field.required(f"{path}.driver")
    for option in sorted(source.get("options", ())):
        domain = f".{option.partition('/')[0].lower()}"
        if domain.endswith((".kubernetes.io", ".k8s.io")):
            yield field.invalid(
                f"{path}.options[{option}]",
                option,
                "kubernetes.io and k8s.io namespaces are reserved",
            )


def azure_disk(source: Object, path: str) -> Iterator[Cause]:
    uri = source.get("diskURI", "")
    for name in ("diskName", "diskURI"):
        if not source.get(name):
            yield field.required(f"{path}.{name}")
    caching, kind = source.get("cachingMode"), source.get("kind")
    if caching is not None and caching not in _CACHING_MODES:
        yield field.not_supported(f"{path}.cachingMode", caching, _CACHING_MODES)
    if kind is None:
        return
    if kind not in _DISK_KINDS:
        yield field.not_supported(f"{path}.kind", kind, _DISK_KINDS)
    if kind == "Managed":
        if not uri.startswith("/subscriptions/"):
            yield field.not_supported(f"{path}.diskURI", uri, _MANAGED_DISK)
    elif not uri.startswith("https://"):
        yield field.not_supported(f"{path}.diskURI", uri, _BLOB_DISK)


def storage_os(source: Object, path: str) -> Iterator[Cause]:
    name = source.get("volumeName", "")
    if not name:
        yield field.required(f"{path}.volumeName")
    for key in ("volumeName", "volumeNamespace"):
        value = source.get(key)
        if value:
            for message in names.dns1123_label(value):
                yield field.invalid(f"{path}.{key}", value, message)
    yield from _secret_name(source, path)


def csi(source: Object, path: str) -> Iterator[Cause]:
    driver = source.get("driver", "")
    if not driver:
        yield field.required(f"{path}.driver")
    else:
        if names.longer_than(driver, 63):
            yield field.too_long(f"{path}.driver", 63)
        for message in names.dns1123_subdomain(driver.lower()):
            yield field.invalid(f"{path}.driver", driver, message)
    reference = source.get("nodePublishSecretRef")
    if reference is None:
        return
    name = reference.get("name", "")
    if not name:
        yield field.required(f"{path}.nodePublishSecretRef.name")
    else:
        for message in names.dns1123_subdomain(name):
            yield field.invalid(f"{path}.name", name, message)
