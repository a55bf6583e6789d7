"""Cleanup: a definition that is being deleted takes its objects along, then lets go.

Source: kube-apiserver v1.36.2,
apiextensions-apiserver/pkg/controller/finalizer/crd_finalizer.go.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from services.apiserver.customresources.definition import CLEANUP_FINALIZER, Definition, Object
from services.apiserver.customresources.lifecycle import terminating_status
from services.apiserver.errors import ApiError
from services.apiserver.registry.backend import Backend
from services.apiserver.registry.deletion import DeleteRequest
from services.apiserver.registry.store import ResourceStore
from services.apiserver.registry.strategy import Strategy, WriteContext
from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.apiserver.values.time import now
from shared.resources.keys import split_key
from shared.storage import RevisionConflict, StorageError

log = logging.getLogger("kubefan.apiserver.customresources")

SETTLE_S = 0.2
"""Before the objects are looked for: meanwhile all replicas learn that none may be created."""
POLL_S, POLL_MAX_S = 0.1, 5.0
IN_PROGRESS = ("True", "InstanceDeletionInProgress", "CustomResource deletion is in progress")
COMPLETED = ("False", "InstanceDeletionCompleted", "removed all instances")
SYSTEM = UserInfo("system:apiserver", groups=("system:masters",))


class Cleanup:
    """The deletion of one definition's objects. All replicas do it; each step may be done."""

    def __init__(
        self,
        store: ResourceStore,
        backend: Backend,
        definition: Definition,
        withdraw: Callable[[], None],
    ) -> None:
        """`withdraw` makes this replica serve the objects no longer."""
        self._withdraw = withdraw
        self._store = store
        self._backend = backend
        self._definition = definition
        self._key = store.key("", definition.name)
        resource = definition.resource(definition.storage_version)
        self._instances = ResourceStore(resource, Strategy(), backend)

    async def run(self) -> None:
        """Delete until nothing is left, then take the finalizer away."""
        await asyncio.sleep(SETTLE_S * (1 + random.random()))
        wait_s = POLL_S
        while True:
            try:
                if not await self._still_wanted():
                    return
                await self._write_status()
                await self._delete_instances()
                if not await self._anything_left():
                    if await self._let_go():
                        return
                    continue
            except StorageError as error:
                log.warning("cleanup goes on later", extra={"why": str(error)})
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, POLL_MAX_S)

    async def _still_wanted(self) -> bool:
        crd = await self._crd()
        return crd is not None and CLEANUP_FINALIZER in (crd[0]["metadata"].get("finalizers") or ())

    async def _crd(self) -> tuple[Object, int] | None:
        current = await self._store.live(self._key)
        if current is None:
            return None
        crd = self._store.decode(current.body)
        return (crd, current.revision) if crd["metadata"]["uid"] == self._definition.uid else None

    async def _write_status(self) -> None:
        found = await self._crd()
        if found is None:
            return
        crd, revision = found
        status = terminating_status(crd, IN_PROGRESS, now())
        if status != crd.get("status"):
            await self._update({**crd, "status": status}, revision)

    async def _delete_instances(self) -> None:
        store = self._instances
        for item in store.cache.scan(store.prefix):
            namespace, name = split_key(
                store.prefix, item.key, namespaced=store.resource.namespaced
            )
            try:
                await store.delete(self._context(namespace, name), name, DeleteRequest())
            except ApiError as error:
                if error.code != 404:
                    log.info("object stays for now", extra={"why": error.message})

    def _context(self, namespace: str, name: str) -> WriteContext:
        resource = self._instances.resource
        info = RequestInfo(
            True,
            "",
            "delete",
            "apis",
            resource.group,
            resource.version,
            namespace,
            resource.name,
            "",
            name,
        )
        return WriteContext(info, SYSTEM, now(), _NoLookup())

    async def _anything_left(self) -> bool:
        """Whether there are objects, in storage or on their way to the watchers."""
        page = await self._backend.storage.list(self._instances.prefix, limit=1)
        return bool(page.items) or self._instances.cache.count(self._instances.prefix) > 0

    async def _let_go(self) -> bool:
        """Take the finalizer away; False if the definition has changed meanwhile."""
        found = await self._crd()
        if found is None:
            return True
        crd, revision = found
        meta = crd["metadata"]
        meta["finalizers"] = [
            one for one in meta.get("finalizers") or () if one != CLEANUP_FINALIZER
        ]
        if not meta["finalizers"]:
            # First: who sees the definition gone must not find its resource.
            self._withdraw()
            try:
                await self._backend.storage.delete(self._key, expected=revision)  # type: ignore[arg-type]
            except RevisionConflict:
                return False
            return True
        crd["status"] = terminating_status(crd, COMPLETED, now())
        return await self._update(crd, revision)

    async def _update(self, crd: Object, revision: int) -> bool:
        try:
            await self._backend.storage.update(
                self._key,
                self._store.encode(crd),
                expected=revision,  # type: ignore[arg-type]
            )
        except RevisionConflict:
            return False
        return True


class _NoLookup:
    """Deletions below look at nothing else."""

    def get(self, group: str, resource: str, namespace: str, name: str) -> Object | None:
        return None

    def list(self, group: str, resource: str, namespace: str = "") -> list[Object]:
        return []

    async def get_live(self, group: str, resource: str, namespace: str, name: str) -> Object | None:
        return None
