"""Removing everything that lives in a namespace, one pass at a time.

Source: kubernetes v1.36.2, pkg/controller/namespace/deletion/namespaced_resources_deleter.go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from services.controllers.client import Client, ClientError, MethodNotSupported, NotFound
from services.controllers.discovery import Discovery
from services.controllers.namespace_conditions import Findings
from services.controllers.resource import PODS, Resource

CONCURRENT_REQUESTS = 8
"""Resources of one namespace asked about at the same time: some 50 of them, 1 ms each."""
PAGE_OBJECTS = 500

_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


class NamespaceContent:
    """Deletes what is in namespaces."""

    def __init__(self, client: Client, discovery: Discovery) -> None:
        self._client = client
        self._discovery = discovery

    async def delete(self, namespace: str, *, deleted_at: str) -> Findings:
        """Ask for the deletion of all content, and say what is still there afterwards.

        Pods go first, and while any is left nothing else is touched: what they use must not
        vanish under them. `deleted_at` is the namespace's deletionTimestamp.

        Raises:
            ClientError: the server could not be asked for its resources at all.
        """
        discovered = await self._discovery.preferred_resources()
        findings = Findings(discovery_failures=discovered.failures)
        deletable = [
            resource
            for resource in discovered.resources
            if resource.namespaced and "delete" in resource.verbs
        ]
        pods = [resource for resource in deletable if _same_resource(resource, PODS)]
        others = [resource for resource in deletable if not _same_resource(resource, PODS)]
        await self._delete_all(pods, namespace, deleted_at, findings)
        if not findings.remaining:
            await self._delete_all(others, namespace, deleted_at, findings)
        return findings

    async def _delete_all(
        self, resources: Sequence[Resource], namespace: str, deleted_at: str, findings: Findings
    ) -> None:
        slots = asyncio.Semaphore(CONCURRENT_REQUESTS)

        async def one(resource: Resource) -> None:
            async with slots:
                try:
                    await self._delete_resource(resource, namespace, deleted_at, findings)
                except ClientError as error:
                    findings.content_failures.append(f"{resource}: {error}")

        async with asyncio.TaskGroup() as tasks:
            for resource in resources:
                tasks.create_task(one(resource), name=f"empty {namespace} of {resource}")

    async def _delete_resource(
        self, resource: Resource, namespace: str, deleted_at: str, findings: Findings
    ) -> None:
        items = await self._list(resource, namespace)
        if not items:
            return
        grace_s = _remaining_grace_s(items, deleted_at) if _same_resource(resource, PODS) else 0
        await self._delete_collection(resource, namespace, items)
        left = await self._list(resource, namespace)
        if not left:
            return
        findings.remaining[resource] += len(left)
        finalizers = [name for item in left for name in item["metadata"].get("finalizers") or ()]
        findings.finalizers.update(finalizers)
        findings.grace_s = max(findings.grace_s, grace_s)
        if not finalizers and not grace_s:
            findings.content_failures.append(
                f"unexpected items still remain in namespace: {namespace} for gvr: "
                f"{resource.group}/{resource.version}, Resource={resource.plural}"
            )

    async def _delete_collection(
        self, resource: Resource, namespace: str, items: Iterable[dict[str, Any]]
    ) -> None:
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if "deletecollection" in resource.verbs:
            try:
                await self._client.delete(resource.path(namespace=namespace), options=options)
            except (NotFound, MethodNotSupported):
                pass  # discovery promised too much: one by one, then
            else:
                return
        for item in items:
            path = resource.path(namespace=namespace, name=item["metadata"]["name"])
            try:
                await self._client.delete(path, options=options)
            except (NotFound, MethodNotSupported):
                continue

    async def _list(self, resource: Resource, namespace: str) -> list[dict[str, Any]]:
        """Return the items; only their metadata where that is enough."""
        if "list" not in resource.verbs:
            return []
        query = {"limit": str(PAGE_OBJECTS)}
        items: list[dict[str, Any]] = []
        while True:
            try:
                answer = await self._client.request(
                    "GET",
                    resource.path(namespace=namespace),
                    query=query,
                    accept="application/json" if _same_resource(resource, PODS) else _METADATA_ONLY,
                )
            except (NotFound, MethodNotSupported):
                return []  # no longer served
            items += answer.body.get("items") or ()
            token = answer.body["metadata"].get("continue")
            if not token:
                return items
            query["continue"] = token


def _same_resource(one: Resource, other: Resource) -> bool:
    return (one.group, one.plural) == (other.group, other.plural)


def _remaining_grace_s(pods: Iterable[dict[str, Any]], deleted_at: str) -> int:
    """Return the longest grace of `pods` if it may still be running since `deleted_at`, else 0."""
    longest = 0
    for pod in pods:
        if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
            grace = (pod.get("spec") or {}).get("terminationGracePeriodSeconds")
            longest = max(longest, grace or 0)
    passed = datetime.now(UTC) - datetime.fromisoformat(deleted_at)
    return longest if passed.total_seconds() < longest else 0
