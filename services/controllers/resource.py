"""Resource: where a kind of object lives in the API, and the paths to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

Object = Mapping[str, Any]
"""One API object, decoded. Objects of an informer's cache are shared: never change them."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of one served version. `group` is "" for the core group."""

    group: str
    version: str
    plural: str
    namespaced: bool
    verbs: frozenset[str] = frozenset()

    def path(self, *, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the URL path of the collection, of one object, or of its subresource."""
        prefix = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [prefix]
        if namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=":"))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


NAMESPACES = Resource("", "v1", "namespaces", namespaced=False)
CONFIG_MAPS = Resource("", "v1", "configmaps", namespaced=True)
SECRETS = Resource("", "v1", "secrets", namespaced=True)
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", namespaced=True)
PODS = Resource("", "v1", "pods", namespaced=True)
CLUSTER_ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", namespaced=False)
LEASES = Resource("coordination.k8s.io", "v1", "leases", namespaced=True)


def object_key(obj: Object) -> str:
    """Return "namespace/name", or "name" of a cluster-scoped object, as client-go's caches do."""
    metadata = obj["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])
