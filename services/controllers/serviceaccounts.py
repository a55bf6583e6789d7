"""The serviceaccount-controller: every namespace has the account that its pods run as unless
they name another.

Source: kubernetes v1.36.2, pkg/controller/serviceaccount/serviceaccounts_controller.go.
"""

from __future__ import annotations

from services.controllers.client import AlreadyExists, NotFound, StatusError
from services.controllers.controller import ControllerContext, run_workers
from services.controllers.resource import NAMESPACES, SERVICE_ACCOUNTS, Object, object_key
from services.controllers.workqueue import WorkQueue

NAME = "default"
WORKERS = 5


class ServiceAccountController:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._queue = WorkQueue("serviceaccount")
        self._accounts = context.informer(SERVICE_ACCOUNTS)
        self._namespaces = context.informer(NAMESPACES)
        self._accounts.add_handler(self._account_changed)
        self._namespaces.add_handler(self._namespace_changed)

    async def run(self) -> None:
        await self._accounts.wait_synced()
        await self._namespaces.wait_synced()
        await run_workers(self._queue, self._reconcile, workers=WORKERS)

    def _account_changed(self, *, old: Object | None, new: Object | None) -> None:
        if old is not None and new is None and old["metadata"]["name"] == NAME:
            self._queue.add(old["metadata"]["namespace"])

    def _namespace_changed(self, *, old: Object | None, new: Object | None) -> None:
        if new is not None and is_active(new):
            self._queue.add(object_key(new))

    async def _reconcile(self, namespace: str) -> None:
        found = self._namespaces.cache.get(namespace)
        if found is None or not is_active(found):
            return
        if self._accounts.cache.get(f"{namespace}/{NAME}") is not None:
            return
        path = SERVICE_ACCOUNTS.path(namespace=namespace)
        body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME}}
        try:
            await self._client.create(path, body)
        except (AlreadyExists, NotFound):
            return
        except StatusError as error:
            if not is_terminating(error):
                raise


def is_active(namespace: Object) -> bool:
    return (namespace.get("status") or {}).get("phase") == "Active"


def is_terminating(error: StatusError) -> bool:
    """Whether a create was refused because its namespace goes."""
    causes = error.details.get("causes") or ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)
