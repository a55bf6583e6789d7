"""The vocabulary of the API's types: GroupVersionResource, GroupVersionKind, Resource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
CUSTOM_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
"""The same verbs in the order in which discovery shows those of a custom resource."""
UPDATE_VERBS = ("get", "patch", "update")

METADATA_LABELS: Mapping[str, str] = MappingProxyType(
    {"metadata.name": "metadata.name", "metadata.namespace": "metadata.namespace"}
)


class GroupVersionResource(NamedTuple):
    """What a URL names: `group` is "" for the core group, `resource` the plural."""

    group: str
    version: str
    resource: str


class GroupVersionKind(NamedTuple):
    """What a body names."""

    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        """The body's apiVersion: "v1", "apps/v1"."""
        return f"{self.group}/{self.version}" if self.group else self.version


@dataclass(frozen=True, slots=True)
class SelectableField:
    """A field that field selectors may name, beside metadata.name and metadata.namespace.

    `path` leads to it in the stored JSON; an empty path means that it never has a value.
    `fallback` is read where the first path gives nothing or "". `default` is what a selector
    sees where both give nothing; booleans and integers are written "true", "false", "7".
    """

    name: str
    path: tuple[str, ...]
    default: str = ""
    fallback: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subresource:
    """What follows an object's name in a URL.

    `kind` is what it takes or answers; `group` and `version` are "" where they are the
    resource's own. `verbs` are those that discovery shows.
    """

    name: str
    kind: str
    namespaced: bool
    verbs: tuple[str, ...]
    group: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource in one version.

    `name` is the plural. `verbs` are in the order discovery shows them. `storage` is the
    version that etcd holds, None for what is never stored. `storage_path` is the key's part
    between the etcd prefix and the namespace, like "services/specs"; "" for what is never
    stored. `definition` is the OpenAPI name of the type. `selectable` is what to extract of a
    stored object; `field_labels` maps what a field selector may say to the extracted name.
    """

    group: str
    version: str
    name: str
    singular: str
    kind: str
    list_kind: str
    namespaced: bool
    verbs: tuple[str, ...]
    definition: str
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: Mapping[str, Subresource] = field(default_factory=dict, hash=False)
    storage: GroupVersionKind | None = None
    storage_path: str = ""
    selectable: tuple[SelectableField, ...] = ()
    field_labels: Mapping[str, str] = field(default_factory=lambda: METADATA_LABELS, hash=False)
    custom: bool = False

    @property
    def group_version(self) -> str:
        """The apiVersion of its objects: "v1", "apps/v1"."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def gvr(self) -> GroupVersionResource:
        return GroupVersionResource(self.group, self.version, self.name)

    @property
    def gvk(self) -> GroupVersionKind:
        return GroupVersionKind(self.group, self.version, self.kind)

    @property
    def group_resource(self) -> str:
        """Its name across versions, as messages write it: "pods", "deployments.apps"."""
        return f"{self.name}.{self.group}" if self.group else self.name

    @property
    def stored(self) -> bool:
        return self.storage is not None


def custom_resource(
    *,
    group: str,
    version: str,
    plural: str,
    kind: str,
    namespaced: bool,
    storage_version: str,
    singular: str = "",
    list_kind: str = "",
    short_names: Sequence[str] = (),
    categories: Sequence[str] = (),
    status: bool = False,
    scale: bool = False,
    selectable_fields: Sequence[str] = (),
) -> Resource:
    """Return the resource of one served version of a CustomResourceDefinition.

    `selectable_fields` are the version's spec.versions[].selectableFields JSON paths, like
    ".spec.color".
    """
    subresources: dict[str, Subresource] = {}
    if status:
        subresources["status"] = Subresource("status", kind, namespaced, UPDATE_VERBS)
    if scale:
        subresources["scale"] = Subresource(
            "scale", "Scale", namespaced, UPDATE_VERBS, "autoscaling", "v1"
        )
    selectable = tuple(
        SelectableField(path.removeprefix("."), tuple(path.removeprefix(".").split(".")))
        for path in selectable_fields
    )
    labels = METADATA_LABELS
    if selectable:
        labels = {**METADATA_LABELS, **{one.name: one.name for one in selectable}}
    reversed_group = ".".join(reversed(group.split(".")))
    return Resource(
        group=group,
        version=version,
        name=plural,
        singular=singular or kind.lower(),
        kind=kind,
        list_kind=list_kind or f"{kind}List",
        namespaced=namespaced,
        verbs=CUSTOM_VERBS,
        definition=f"{reversed_group}.{version}.{kind}",
        short_names=tuple(short_names),
        categories=tuple(categories),
        subresources=subresources,
        storage=GroupVersionKind(group, storage_version, kind),
        storage_path=f"{group}/{plural}",
        selectable=selectable,
        field_labels=labels,
        custom=True,
    )
