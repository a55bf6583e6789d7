"""The namespace controller: empties terminating namespaces, then lets them go.

Source: kubernetes v1.36.2, pkg/controller/namespace/namespace_controller.go and
deletion/namespaced_resources_deleter.go.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from services.controllers.client import Conflict, NotFound
from services.controllers.controller import ControllerContext, NotYet, run_workers
from services.controllers.namespace_conditions import Findings, updated_conditions
from services.controllers.namespace_content import NamespaceContent
from services.controllers.resource import NAMESPACES, Object, object_key
from services.controllers.workqueue import WorkQueue

log = logging.getLogger(__name__)

WORKERS = 10
FINALIZER = "kubernetes"
SETTLE_S = 0.2
"""Wait between a namespace's deletion and its emptying: until then other replicas of the API
server, whose caches lag by milliseconds, may still take new objects. (kube-controller-manager
waits 5 s for kube-apiserver's.)"""
RETRY_INITIAL_S = 0.1
RETRY_MAXIMUM_S = 15.0
"""How long content that waits for finalizers goes unlooked at, as kube-controller-manager's."""


class NamespaceController:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._content = NamespaceContent(context.client, context.discovery)
        self._queue = WorkQueue(
            "namespace", retry_initial_s=RETRY_INITIAL_S, retry_maximum_s=RETRY_MAXIMUM_S
        )
        self._informer = context.informer(NAMESPACES)
        self._informer.add_handler(self._changed)

    async def run(self) -> None:
        await self._informer.wait_synced()
        await run_workers(self._queue, self._reconcile, workers=WORKERS)

    def _changed(self, *, old: Object | None, new: Object | None) -> None:
        if new is None or not _terminating(new):
            return
        if old is None or not _terminating(old) or _finalizers(old) != _finalizers(new):
            # Other changes are our own conditions; work under way is retried anyway.
            self._queue.add_after(object_key(new), SETTLE_S)

    async def _reconcile(self, name: str) -> None:
        try:
            # Not from the cache: others may finalize the namespace at the same time.
            namespace = await self._client.get(NAMESPACES.path(name=name))
            await self._empty_and_finalize(namespace)
        except NotFound:
            return  # gone
        except Conflict as error:
            raise NotYet(f"changed meanwhile: {error}") from error

    async def _empty_and_finalize(self, namespace: dict[str, Any]) -> None:
        """Do one pass.

        Raises:
            NotYet: content remains.
            NotFound, Conflict: the namespace is gone, or another has written it.
        """
        if not _terminating(namespace) or FINALIZER not in _finalizers(namespace):
            return
        metadata = namespace["metadata"]
        findings = await self._content.delete(
            metadata["name"], deleted_at=metadata["deletionTimestamp"]
        )
        namespace = await self._update_status(namespace, findings)
        if not findings.clean:
            raise NotYet("content remains")
        await self._finalize(namespace)

    async def _update_status(self, namespace: dict[str, Any], findings: Findings) -> dict[str, Any]:
        status = namespace.get("status") or {}
        conditions = updated_conditions(
            status.get("conditions") or (),
            findings,
            now=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        if conditions is None and status.get("phase") == "Terminating":
            return namespace
        status = {**status, "phase": "Terminating"}
        if conditions is not None:
            status["conditions"] = conditions
        path = NAMESPACES.path(name=namespace["metadata"]["name"], subresource="status")
        return await self._client.update(path, {**namespace, "status": status})

    async def _finalize(self, namespace: dict[str, Any]) -> None:
        name = namespace["metadata"]["name"]
        left = [finalizer for finalizer in _finalizers(namespace) if finalizer != FINALIZER]
        spec = {**(namespace.get("spec") or {}), "finalizers": left}
        await self._client.update(
            NAMESPACES.path(name=name, subresource="finalize"), {**namespace, "spec": spec}
        )
        log.info("namespace %s is empty and finalized", name)


def _terminating(namespace: Object) -> bool:
    return namespace["metadata"].get("deletionTimestamp") is not None


def _finalizers(namespace: Object) -> list[str]:
    return (namespace.get("spec") or {}).get("finalizers") or []
