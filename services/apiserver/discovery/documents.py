"""The discovery documents as JSON objects, made from a ResourceTable.

Source of the shapes: kube-apiserver v1.36.2, apiserver/pkg/endpoints/discovery.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from shared.resources import Group, GroupVersionKind, Resource, ResourceTable, Subresource

Document = dict[str, Any]


def api_versions(server_address: str) -> Document:
    """/api; it has no apiVersion."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [
            {"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}
        ],
    }


def api_group_list(table: ResourceTable) -> Document:
    """/apis."""
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [_group(group) for group in table.groups()],
    }


def api_group(group: Group) -> Document:
    """/apis/GROUP."""
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(group)}


def _group(group: Group) -> Document:
    versions = [
        {"groupVersion": f"{group.name}/{version}", "version": version}
        for version in group.versions
    ]
    return {"name": group.name, "versions": versions, "preferredVersion": versions[0]}


def api_resource_list(table: ResourceTable, group: str, version: str) -> Document:
    """/api/v1 (which has no apiVersion) and /apis/GROUP/VERSION."""
    document: Document = {"kind": "APIResourceList"}
    if group:
        document["apiVersion"] = "v1"
    document["groupVersion"] = f"{group}/{version}" if group else version
    document["resources"] = [
        entry for resource in table.in_version(group, version) for entry in _entries(resource)
    ]
    return document


def _entries(resource: Resource) -> Iterable[Document]:
    entry: Document = {
        "name": resource.name,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.storage is not None:
        entry["storageVersionHash"] = storage_version_hash(resource.storage)
    yield entry
    for sub in resource.subresources.values():
        entry = {
            "name": f"{resource.name}/{sub.name}",
            "singularName": "",
            "namespaced": sub.namespaced,
        }
        if sub.group:
            entry["group"] = sub.group
        if sub.version:
            entry["version"] = sub.version
        entry["kind"] = sub.kind
        entry["verbs"] = list(sub.verbs)
        yield entry


def storage_version_hash(storage: GroupVersionKind) -> str:
    """Return what tells clients that a resource is now stored in another version."""
    digest = sha256("/".join(storage).encode()).digest()
    return b64encode(digest[:8]).decode()


def group_discovery_list(table: ResourceTable, *, core: bool) -> Document:
    """Aggregated discovery: /api (only the core group, without a name) or /apis."""
    if core:
        items = [_group_discovery(table, "", ("v1",))]
    else:
        items = [_group_discovery(table, group.name, group.versions) for group in table.groups()]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _group_discovery(table: ResourceTable, name: str, versions: Iterable[str]) -> Document:
    return {
        "metadata": {"name": name} if name else {},
        "versions": [_version_discovery(table, name, version) for version in versions],
    }


def _version_discovery(table: ResourceTable, group: str, version: str) -> Document:
    remote = table.remote(group, version)
    if remote is not None:
        document: Document = {"version": version}
        if remote.resources:
            document["resources"] = [dict(resource) for resource in remote.resources]
        return {**document, "freshness": "Stale" if remote.stale else "Current"}
    return {
        "version": version,
        "resources": [_resource_discovery(one) for one in table.in_version(group, version)],
        "freshness": "Current",
    }


def _resource_discovery(resource: Resource) -> Document:
    document: Document = {
        "resource": resource.name,
        "responseKind": _response_kind(resource, resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        document["shortNames"] = list(resource.short_names)
    if resource.categories:
        document["categories"] = list(resource.categories)
    if resource.subresources:
        document["subresources"] = [
            {
                "subresource": sub.name,
                "responseKind": _response_kind(resource, sub.kind, sub),
                "verbs": list(sub.verbs),
            }
            for sub in resource.subresources.values()
        ]
    return document


def _response_kind(resource: Resource, kind: str, sub: Subresource | None = None) -> Document:
    """Built-in resources leave out a group and version that are their own."""
    group, version = (sub.group, sub.version) if sub is not None else ("", "")
    if resource.custom and not version:
        group, version = resource.group, resource.version
    return {"group": group, "version": version, "kind": kind}


def root_paths(table: ResourceTable, other_paths: Iterable[str]) -> Mapping[str, list[str]]:
    """/ and /index.html: every path that can be asked for, sorted."""
    paths = {"/api", "/api/v1", "/apis", "/apis/", *other_paths}
    for group in table.groups():
        paths.add(f"/apis/{group.name}")
        paths.update(f"/apis/{group.name}/{version}" for version in group.versions)
    return {"paths": sorted(paths)}
