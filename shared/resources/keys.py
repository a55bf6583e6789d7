"""Keys in etcd, as kube-apiserver writes them: PREFIX/PATH/NAMESPACE/NAME or PREFIX/PATH/NAME."""

from __future__ import annotations

from typing import NamedTuple

from shared.resources.resource import Resource


class SplitKey(NamedTuple):
    """What a key says of its object; `namespace` is "" for a cluster-scoped one."""

    namespace: str
    name: str


def resource_prefix(storage_path: str, etcd_prefix: str = "/registry") -> bytes:
    """Return the prefix of all keys under `storage_path`, with its closing slash."""
    return f"/{etcd_prefix.strip('/')}/{storage_path}/".encode()


def key_prefix(resource: Resource, etcd_prefix: str = "/registry") -> bytes:
    """Return the prefix of all keys of `resource`, with its closing slash."""
    if not resource.storage_path:
        raise ValueError(f"{resource.group_resource} is never stored")
    return resource_prefix(resource.storage_path, etcd_prefix)


def namespace_prefix(resource: Resource, namespace: str, etcd_prefix: str = "/registry") -> bytes:
    """Return the prefix of the keys of one namespace; namespace "" means all of the resource."""
    prefix = key_prefix(resource, etcd_prefix)
    return prefix + namespace.encode() + b"/" if namespace else prefix


def object_key(
    resource: Resource, namespace: str, name: str, etcd_prefix: str = "/registry"
) -> bytes:
    """Return the key of one object; `namespace` counts only for a namespaced resource.

    Raises:
        ValueError: the name, or a namespaced resource's namespace, is missing.
    """
    if not name or (resource.namespaced and not namespace):
        raise ValueError(f"{resource.group_resource}: a key needs a name and its namespace")
    return namespace_prefix(resource, namespace if resource.namespaced else "", etcd_prefix) + (
        name.encode()
    )


def split_key(prefix: bytes, key: bytes, *, namespaced: bool) -> SplitKey:
    """Return namespace and name of `key`, which lies under `prefix` (a `key_prefix`)."""
    rest = key[len(prefix) :].decode()
    if not namespaced:
        return SplitKey("", rest)
    namespace, _, name = rest.partition("/")
    return SplitKey(namespace, name)
