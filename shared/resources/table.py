"""The resource table: what a server serves now, built-in and custom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.resources.builtin import BUILTIN_RESOURCES
from shared.resources.groups import (
    BUILTIN_PRIORITIES,
    CUSTOM_PRIORITY,
    Priority,
    VersionRank,
    version_rank,
)
from shared.resources.resource import GroupVersionKind, GroupVersionResource, Resource


@dataclass(frozen=True, slots=True)
class Group:
    """A group and its versions, the preferred one first."""

    name: str
    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RemoteVersion:
    """A group version that an aggregated API server serves.

    `resources` are the entries of its aggregated discovery (APIResourceDiscovery);
    `stale` says that the backend could not be asked lately.
    """

    group: str
    version: str
    resources: Sequence[Mapping[str, Any]] = field(default=())
    stale: bool = False


class ResourceTable:
    """Looks resources up by URL and by kind, and knows the order of groups.

    `generation` grows with every change; who derives something from the table keeps it
    until then.
    """

    def __init__(
        self,
        resources: Iterable[Resource] = (),
        priorities: Mapping[tuple[str, str], Priority] | None = None,
    ) -> None:
        self.generation = 0
        self._by_gvr: dict[GroupVersionResource, Resource] = {}
        self._by_gvk: dict[GroupVersionKind, Resource] = {}
        self._by_version: dict[tuple[str, str], dict[str, Resource]] = {}
        self._remote: dict[tuple[str, str], RemoteVersion] = {}
        self._priorities = dict(priorities or {})
        self._groups: dict[str, Group] | None = None
        for resource in resources:
            self.add(resource)

    def __repr__(self) -> str:
        return f"ResourceTable({len(self._by_gvr)} resources, generation {self.generation})"

    def __len__(self) -> int:
        return len(self._by_gvr)

    def get(self, group: str, version: str, name: str) -> Resource | None:
        """Return the resource with the plural `name`; None if it is not served."""
        return self._by_gvr.get(GroupVersionResource(group, version, name))

    def by_kind(self, group: str, version: str, kind: str) -> Resource | None:
        """Return the resource whose objects are of that kind; None if it is not served."""
        return self._by_gvk.get(GroupVersionKind(group, version, kind))

    def versions_of(self, group: str, name: str) -> list[Resource]:
        """Return the served versions of one resource, the preferred one first."""
        found = self._ordered_groups().get(group)
        versions = () if found is None else found.versions
        resources = (self.get(group, version, name) for version in versions)
        return [resource for resource in resources if resource is not None]

    def resources(self) -> list[Resource]:
        """Return all resources, ordered by group (the core group first), version and name."""
        groups = self._ordered_groups()
        core = [groups[""]] if "" in groups else []
        return [
            resource
            for group in (*core, *self.groups())
            for version in group.versions
            for resource in self.in_version(group.name, version)
        ]

    def in_version(self, group: str, version: str) -> list[Resource]:
        """Return the resources of a group version, ordered by plural."""
        found = self._by_version.get((group, version), {})
        return [found[name] for name in sorted(found)]

    def groups(self) -> tuple[Group, ...]:
        """Return the groups of /apis in their order; the core group is not among them."""
        return tuple(group for group in self._ordered_groups().values() if group.name)

    def group(self, name: str) -> Group | None:
        """Return one group of /apis; None if it is not served."""
        return self._ordered_groups().get(name) if name else None

    def remote(self, group: str, version: str) -> RemoteVersion | None:
        """Return what an aggregated API server serves there; None if this server does."""
        return self._remote.get((group, version))

    def add(self, resource: Resource) -> None:
        """Serve `resource`, in place of one with the same URL if there is one."""
        self.discard(resource.gvr)
        self._by_gvr[resource.gvr] = resource
        self._by_gvk[resource.gvk] = resource
        in_version = self._by_version.setdefault((resource.group, resource.version), {})
        in_version[resource.name] = resource
        self._changed()

    def discard(self, gvr: GroupVersionResource) -> None:
        """Serve that resource no longer; nothing happens if it was not served."""
        old = self._by_gvr.pop(gvr, None)
        if old is None:
            return
        if self._by_gvk.get(old.gvk) is old:
            del self._by_gvk[old.gvk]
        in_version = self._by_version[gvr.group, gvr.version]
        del in_version[gvr.resource]
        if not in_version:
            del self._by_version[gvr.group, gvr.version]
        self._changed()

    def set_priority(self, group: str, version: str, priority: Priority | None) -> None:
        """Order a group version as its APIService says; None goes back to the default."""
        chosen = priority or BUILTIN_PRIORITIES.get((group, version))
        if chosen is None:
            self._priorities.pop((group, version), None)
        else:
            self._priorities[group, version] = chosen
        self._changed()

    def set_remote(self, remote: RemoteVersion) -> None:
        """Show a group version that an aggregated API server serves."""
        self._remote[remote.group, remote.version] = remote
        self._changed()

    def discard_remote(self, group: str, version: str) -> None:
        """Show that aggregated group version no longer."""
        if self._remote.pop((group, version), None) is not None:
            self._changed()

    def _changed(self) -> None:
        self._groups = None
        self.generation += 1

    def _ordered_groups(self) -> dict[str, Group]:
        """Return all groups by name, in the order of their priorities."""
        if self._groups is None:
            versions: dict[str, list[str]] = {}
            for group, version in {*self._by_version, *self._remote}:
                versions.setdefault(group, []).append(version)
            self._groups = {
                name: Group(name, tuple(sorted(versions[name], key=self._version_order(name))))
                for name in sorted(
                    versions, key=lambda name: (-self._group_priority(name, versions[name]), name)
                )
            }
        return self._groups

    def _version_order(self, group: str) -> Callable[[str], tuple[int, VersionRank]]:
        def order(version: str) -> tuple[int, VersionRank]:
            return (-self._priority(group, version).version, version_rank(version))

        return order

    def _group_priority(self, group: str, versions: Iterable[str]) -> int:
        return max(self._priority(group, version).group for version in versions)

    def _priority(self, group: str, version: str) -> Priority:
        return self._priorities.get((group, version), CUSTOM_PRIORITY)


def builtin_table() -> ResourceTable:
    """Return a table of what kube-apiserver serves by default."""
    return ResourceTable(BUILTIN_RESOURCES, BUILTIN_PRIORITIES)
