"""Keeps the priority levels as their objects say, and the default objects as they should be.

Source: kube-apiserver v1.36.2, apiserver/pkg/util/flowcontrol/apf_controller.go (Run, syncOne).
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import ExitStack, suppress

from services.apiserver.flowcontrol.config import level_config, schema_config
from services.apiserver.flowcontrol.defaults import ensure_defaults
from services.apiserver.flowcontrol.levels import ADJUSTMENT_PERIOD_S, PriorityLevels
from services.apiserver.flowcontrol.status import FlowSchemaStatus
from services.apiserver.kinds.platform.flowcontrolbootstrap import GROUP
from services.apiserver.registry.served import Registry
from services.apiserver.registry.store import ResourceStore
from services.apiserver.registry.strategy import Lookup, Object
from shared.storage import StorageError

log = logging.getLogger("kubefan.apiserver.flowcontrol")

DEFAULTS_PERIOD_S = 60.0
"""Between looks whether the default objects are as they should be."""


class FlowConfiguration:
    """Follows the two resources in the watch cache."""

    def __init__(self, registry: Registry, lookup: Lookup, levels: PriorityLevels) -> None:
        self._registry = registry
        self._lookup = lookup
        self._levels = levels
        self._level_store = _store(registry, "prioritylevelconfigurations")
        self._schema_store = _store(registry, "flowschemas")
        self._status = FlowSchemaStatus(self._schema_store, self._level_store, lookup)

    def load(self) -> None:
        """Configure the levels as the watch cache is now."""
        found = [level_config(obj) for obj in _objects(self._level_store)]
        self._levels.configure(
            [one for one in found if one is not None],
            [schema_config(obj) for obj in _objects(self._schema_store)],
        )

    async def run(self) -> None:
        """Work until cancelled."""
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()
        adjust_at = loop.time() + ADJUSTMENT_PERIOD_S
        ensure_at = loop.time() + DEFAULTS_PERIOD_S
        while True:
            with ExitStack() as stack:
                watchers = [
                    stack.enter_context(store.cache.watch(after=None, on_ready=changed.set))
                    for store in (self._schema_store, self._level_store)
                ]
                changed.set()
                while all(watcher.ended is None for watcher in watchers):
                    for watcher in watchers:
                        while watcher.pending:
                            watcher.drain()
                    try:
                        if changed.is_set():
                            changed.clear()
                            self.load()
                            await self._status.sync()
                        if loop.time() >= adjust_at:
                            adjust_at = loop.time() + ADJUSTMENT_PERIOD_S
                            self._levels.adjust()
                        if loop.time() >= ensure_at:
                            ensure_at = loop.time() + DEFAULTS_PERIOD_S
                            await ensure_defaults(self._registry, self._lookup)
                    except* StorageError as errors:
                        # With the next adjustment it is tried again.
                        log.warning("flow control objects", extra={"why": str(errors)})
                        loop.call_at(adjust_at, changed.set)
                    with suppress(TimeoutError):
                        async with asyncio.timeout_at(min(adjust_at, ensure_at)):
                            await changed.wait()


def _objects(store: ResourceStore) -> list[Object]:
    return [store.decode(item.body) for item in store.cache.scan(store.prefix)]


def _store(registry: Registry, resource: str) -> ResourceStore:
    store = registry.stored(GROUP, resource)
    assert store is not None, resource
    return store
