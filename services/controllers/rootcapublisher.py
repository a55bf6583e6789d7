"""The root-ca-certificate-publisher-controller: every namespace has a ConfigMap with the
certificates that clients in it need to trust the API server.

Source: kubernetes v1.36.2, pkg/controller/certificates/rootcacertpublisher/publisher.go.
"""

from __future__ import annotations

import logging

from services.controllers.client import AlreadyExists, Conflict, NotFound, StatusError
from services.controllers.controller import ControllerContext, NotYet, run_workers
from services.controllers.resource import CONFIG_MAPS, NAMESPACES, Object, object_key
from services.controllers.serviceaccounts import is_active, is_terminating
from services.controllers.workqueue import WorkQueue

log = logging.getLogger(__name__)

NAME = "kube-root-ca.crt"
ANNOTATION = "kubernetes.io/description"
DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal "
    "endpoints such as the internal service IP or kubernetes.default.svc. No other usage is "
    "guaranteed across distributions of Kubernetes clusters."
)
WORKERS = 5


class RootCaPublisher:
    """Keeps the ConfigMap as it should be, also where somebody changes it."""

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._data = {"ca.crt": context.root_ca}
        self._queue = WorkQueue("root-ca-certificate-publisher")
        self._config_maps = context.informer(CONFIG_MAPS, field_selector=f"metadata.name={NAME}")
        self._namespaces = context.informer(NAMESPACES)
        self._config_maps.add_handler(self._config_map_changed)
        self._namespaces.add_handler(self._namespace_changed)

    async def run(self) -> None:
        if not self._data["ca.crt"]:
            log.warning("no root certificates: namespaces get no %s", NAME)
            return
        await self._config_maps.wait_synced()
        await self._namespaces.wait_synced()
        await run_workers(self._queue, self._reconcile, workers=WORKERS)

    def _config_map_changed(self, *, old: Object | None, new: Object | None) -> None:
        either = new or old
        assert either is not None
        self._queue.add(either["metadata"]["namespace"])

    def _namespace_changed(self, *, old: Object | None, new: Object | None) -> None:
        if new is not None and is_active(new):
            self._queue.add(object_key(new))

    async def _reconcile(self, namespace: str) -> None:
        found = self._namespaces.cache.get(namespace)
        if found is None or not is_active(found):
            return
        present = self._config_maps.cache.get(f"{namespace}/{NAME}")
        try:
            if present is None:
                await self._create(namespace)
            elif not self._is_good(present):
                await self._repair(namespace, present)
        except (AlreadyExists, NotFound):
            return  # the informer will tell
        except Conflict as error:
            raise NotYet(f"changed meanwhile: {error}") from error
        except StatusError as error:
            if not is_terminating(error):
                raise

    def _is_good(self, present: Object) -> bool:
        annotations = present["metadata"].get("annotations") or {}
        return present.get("data") == self._data and bool(annotations.get(ANNOTATION))

    async def _create(self, namespace: str) -> None:
        metadata = {"name": NAME, "annotations": {ANNOTATION: DESCRIPTION}}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": self._data}
        await self._client.create(CONFIG_MAPS.path(namespace=namespace), body)

    async def _repair(self, namespace: str, present: Object) -> None:
        metadata = dict(present["metadata"])
        metadata["annotations"] = {
            **(metadata.get("annotations") or {}),
            ANNOTATION: DESCRIPTION,
        }
        body = {**present, "metadata": metadata, "data": self._data}
        await self._client.update(CONFIG_MAPS.path(namespace=namespace, name=NAME), body)
