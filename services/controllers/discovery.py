"""Discovery: which resources the server has, asked anew each time but fetched only when changed.

One request for /api and one for /apis, in the aggregated form; a server that knows only the
older lists is asked group by group.

Source: client-go v0.36.2, discovery/discovery_client.go (GroupsAndMaybeResources),
discovery/helper.go (ServerPreferredResources).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from services.controllers.client import Client, ClientError
from services.controllers.resource import Resource

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


@dataclass(frozen=True, slots=True)
class Discovered:
    """Resources in their preferred versions, and which group versions could not be asked."""

    resources: tuple[Resource, ...]
    failures: tuple[str, ...] = ()
    """One "group/version: why" each; resources of these are missing above."""


@dataclass(slots=True)
class _Document:
    """What one discovery path last answered."""

    etag: str = ""
    found: Discovered = field(default_factory=lambda: Discovered(()))


class Discovery:
    """Asks for the preferred version of every resource."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._documents = {"/api": _Document(), "/apis": _Document()}

    async def preferred_resources(self) -> Discovered:
        """Return every resource once, in the version its group prefers.

        Raises:
            ClientError: the server could not be asked at all.
        """
        async with asyncio.TaskGroup() as tasks:
            parts = [tasks.create_task(self._fetch(path)) for path in self._documents]
        found = [part.result() for part in parts]
        return Discovered(
            tuple(resource for part in found for resource in part.resources),
            tuple(failure for part in found for failure in part.failures),
        )

    async def _fetch(self, path: str) -> Discovered:
        known = self._documents[path]
        answer = await self._client.request(
            "GET",
            path,
            accept=AGGREGATED,
            headers={"If-None-Match": known.etag} if known.etag else None,
        )
        if answer.status == 304:
            return known.found
        if answer.body.get("kind") != "APIGroupDiscoveryList":
            return await self._fetch_lists(path, answer.body)
        known.found = read_aggregated(answer.body)
        # What is incomplete must be asked again, whatever the tag says.
        known.etag = "" if known.found.failures else answer.headers.get("ETag", "")
        return known.found

    async def _fetch_lists(self, path: str, document: dict[str, Any]) -> Discovered:
        """Ask each group version for its resources: the form before aggregated discovery."""
        if path == "/api":
            groups = [[("", version) for version in document.get("versions") or ()]]
        else:
            groups = [
                [(group["name"], version) for version in _version_order(group)]
                for group in document.get("groups") or ()
            ]
        resources: list[Resource] = []
        failures: list[str] = []
        for versions in groups:
            listed: list[Resource] = []
            for group, version in versions:
                where = f"{path}/{group}/{version}" if group else f"{path}/{version}"
                try:
                    body = await self._client.get(where)
                except ClientError as error:
                    failures.append(f"{group}/{version}: {error}")
                    continue
                listed += read_list(group, version, body)
            resources += _first_of_each(listed)
        return Discovered(tuple(resources), tuple(failures))


def read_aggregated(document: dict[str, Any]) -> Discovered:
    """Read an APIGroupDiscoveryList (apidiscovery.k8s.io/v2)."""
    resources: list[Resource] = []
    failures: list[str] = []
    for group in document.get("items") or ():
        name = group["metadata"].get("name") or ""
        listed: list[Resource] = []
        for version in group.get("versions") or ():
            if version.get("freshness") == "Stale":
                failures.append(f"{name}/{version['version']}: stale discovery")
            for item in version.get("resources") or ():
                listed.append(
                    Resource(
                        name,
                        version["version"],
                        item["resource"],
                        namespaced=item.get("scope") == "Namespaced",
                        verbs=frozenset(item.get("verbs") or ()),
                    )
                )
        resources += _first_of_each(listed)
    return Discovered(tuple(resources), tuple(failures))


def read_list(group: str, version: str, document: dict[str, Any]) -> Iterator[Resource]:
    """Read an APIResourceList; subresources are left out."""
    for item in document.get("resources") or ():
        if "/" not in item["name"]:
            yield Resource(
                group,
                version,
                item["name"],
                namespaced=bool(item.get("namespaced")),
                verbs=frozenset(item.get("verbs") or ()),
            )


def _version_order(group: dict[str, Any]) -> list[str]:
    preferred = (group.get("preferredVersion") or {}).get("version")
    versions = [version["version"] for version in group.get("versions") or ()]
    return sorted(versions, key=lambda version: version != preferred)


def _first_of_each(listed: Iterable[Resource]) -> list[Resource]:
    """Keep each resource of one group in the first version that has it."""
    first: dict[str, Resource] = {}
    for resource in listed:
        first.setdefault(resource.plural, resource)
    return list(first.values())
