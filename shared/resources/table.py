"""The resource table: what a server serves now, built-in and custom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.resources.builtin import BUILTIN_RESOURCES
from shared.resources.groups import BUILTIN_PRIORITIES, CUSTOM_PRIORITY, Priority, version_rank
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
        self._remote: dict[tuple[str, str], RemoteVersion] = {}
        self._priorities = dict(priorities or {})
        self._groups: tuple[Group, ...] | None = None
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
        found = (self.get(group, version, name) for version in self._versions(group))
        return [resource for resource in found if resource is not None]

    def resources(self) -> list[Resource]:
        """Return all resources, ordered by group, version and name."""
        return [
            resource
            for group in ("", *(group.name for group in self.groups()))
            for version in self._versions(group)
            for resource in self.in_version(group, version)
        ]

    def in_version(self, group: str, version: str) -> list[Resource]:
        """Return the resources of a group version, ordered by plural."""
        found = [
            resource
            for resource in self._by_gvr.values()
            if resource.group == group and resource.version == version
        ]
        return sorted(found, key=lambda resource: resource.name)

    def groups(self) -> tuple[Group, ...]:
        """Return the groups of /apis in their order; the core group is not among them."""
        if self._groups is None:
            names = {gv[0] for gv in self._group_versions()} - {""}
            ordered = sorted(names, key=lambda name: (-self._group_priority(name), name))
            self._groups = tuple(Group(name, self._versions(name)) for name in ordered)
        return self._groups

    def group(self, name: str) -> Group | None:
        """Return one group of /apis; None if it is not served."""
        return next((group for group in self.groups() if group.name == name), None)

    def remote(self, group: str, version: str) -> RemoteVersion | None:
        """Return what an aggregated API server serves there; None if this server does."""
        return self._remote.get((group, version))

    def add(self, resource: Resource) -> None:
        """Serve `resource`, in place of one with the same URL if there is one."""
        self.discard(resource.gvr)
        self._by_gvr[resource.gvr] = resource
        self._by_gvk[resource.gvk] = resource
        self._changed()

    def discard(self, gvr: GroupVersionResource) -> None:
        """Serve that resource no longer; nothing happens if it was not served."""
        old = self._by_gvr.pop(gvr, None)
        if old is not None:
            if self._by_gvk.get(old.gvk) is old:
                del self._by_gvk[old.gvk]
            self._changed()

    def set_priority(self, group: str, version: str, priority: Priority | None) -> None:
        """Order a group version as its APIService says; None goes back to the default."""
        default = BUILTIN_PRIORITIES.get((group, version))
        chosen = priority or default
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

    def _group_versions(self) -> set[tuple[str, str]]:
        local = {(gvr.group, gvr.version) for gvr in self._by_gvr}
        return local | set(self._remote)

    def _versions(self, group: str) -> tuple[str, ...]:
        found = [version for name, version in self._group_versions() if name == group]

        def rank(version: str) -> tuple[int, tuple[int, int, int, int, str]]:
            return (-self._priority(group, version).version, version_rank(version))

        return tuple(sorted(found, key=rank))

    def _group_priority(self, group: str) -> int:
        return max(self._priority(group, version).group for version in self._versions(group))

    def _priority(self, group: str, version: str) -> Priority:
        return self._priorities.get((group, version), CUSTOM_PRIORITY)


def builtin_table() -> ResourceTable:
    """Return a table of what kube-apiserver serves by default."""
    return ResourceTable(BUILTIN_RESOURCES, BUILTIN_PRIORITIES)
