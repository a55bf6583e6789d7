"""Registrar: follows the CustomResourceDefinitions and serves what is established.

Every replica derives the same from its watch cache: the resources in the table and the
registry, what to extract for selectors, the published schemas, and the status of the
definitions, which all try to write and one manages to.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from hashlib import blake2b

import orjson

from services.apiserver.customresources.cleanup import Cleanup
from services.apiserver.customresources.codec import StructuralCodec
from services.apiserver.customresources.conversion import WebhookConverter
from services.apiserver.customresources.definition import (
    CLEANUP_FINALIZER,
    GROUP,
    RESOURCE,
    Definition,
    Object,
    Version,
    read_definition,
)
from services.apiserver.customresources.lifecycle import settled_status
from services.apiserver.customresources.printer import CustomPrinter
from services.apiserver.customresources.store import CustomResourceStore
from services.apiserver.customresources.strategy import CustomResourceStrategy
from services.apiserver.customresources.webhookstore import WebhookStore
from services.apiserver.openapi import OpenApi
from services.apiserver.registry.backend import Backend
from services.apiserver.registry.served import Conversion, Registry, Served
from services.apiserver.registry.store import ResourceStore
from services.apiserver.values.time import now
from services.apiserver.webhooks import WebhookClient
from shared.fanout import definition_rule
from shared.objects import CachedObject
from shared.resources import ResourceTable
from shared.resources.keys import key_prefix
from shared.storage import Revision, RevisionConflict, StorageError, UnreadableValue
from shared.timeslice import TimeSlice
from shared.watchcache import EndReason

log = logging.getLogger("kubefan.apiserver.customresources")

RECOGNIZE_AFTER_S = 2.0
RETRY_S = 1.0
GATHER_S = 0.025
"""Before a status is written: changes that come together are answered together."""


@dataclass(slots=True)
class _Known:
    """What is remembered of a definition. `names` is what others of its group need to see."""

    revision: Revision
    group: str
    names: Object
    served: Definition | None = None
    fingerprint: bytes = b""


class Registrar:
    """Keeps the table and the registry in step with the definitions."""

    def __init__(
        self,
        table: ResourceTable,
        registry: Registry,
        backend: Backend,
        openapi: OpenApi,
        webhooks: WebhookClient,
    ) -> None:
        self._table = table
        self._registry = registry
        self._backend = backend
        self._openapi = openapi
        self._webhooks = webhooks
        store = registry.stored(GROUP, RESOURCE)
        assert store is not None
        self._store = store
        self._known: dict[bytes, _Known] = {}
        self._unsettled: set[str] = set()
        self._settling: asyncio.Task[None] | None = None
        self._cleanups: dict[bytes, asyncio.Task[None]] = {}
        self.ready = asyncio.Event()
        """Set once everything that was established at the start is served."""

    def __repr__(self) -> str:
        serving = sum(one.served is not None for one in self._known.values())
        return f"<Registrar {len(self._known)} definitions, {serving} served>"

    async def run(self) -> None:
        """Follow the definitions for ever."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                changed = asyncio.Event()
                with self._store.cache.watch(after=None, on_ready=changed.set) as watcher:
                    self._sync(tasks)
                    self.ready.set()
                    while watcher.ended is None:
                        while watcher.pending:
                            watcher.drain()
                        await changed.wait()
                        changed.clear()
                        while watcher.pending:
                            watcher.drain()
                        self._sync(tasks)

    def _sync(self, tasks: asyncio.TaskGroup) -> None:
        """Look at every definition that has changed since the last look, and at those whose
        names may have become free."""
        store, present = self._store, self._store.cache.scan(self._store.prefix)
        groups: set[str] = set()
        gone = self._known.keys() - {one.key for one in present}
        for key in gone:
            known = self._known.pop(key)
            groups.add(known.group)
            self._withdraw(known)
        for item in present:
            before = self._known.get(item.key)
            if before is not None and before.revision == item.revision:
                continue
            try:
                crd = store.decode(item.body)
            except UnreadableValue:
                continue  # served as before until it can be read again
            groups.add(crd["spec"]["group"])
            self._look_at(item, crd, tasks)
        self._unsettled |= groups
        if groups and (self._settling is None or self._settling.done()):
            self._settling = tasks.create_task(self._settle_soon(), name="status of definitions")

    def _look_at(self, item: CachedObject, crd: Object, tasks: asyncio.TaskGroup) -> None:
        known = self._known.get(item.key)
        if known is None:
            known = self._known[item.key] = _Known(Revision(0), crd["spec"]["group"], {})
        known.revision = item.revision
        known.names = {"status": {"acceptedNames": crd.get("status", {}).get("acceptedNames")}}
        definition = read_definition(crd)
        if definition.established:
            if self._serve(known, crd, definition):
                tasks.create_task(
                    self._recognize(known, known.fingerprint), name=f"look at {definition.name}"
                )
        elif known.served is not None:
            self._withdraw(known)
        finalizers = crd["metadata"].get("finalizers") or ()
        if definition.terminating and CLEANUP_FINALIZER in finalizers:
            self._start_cleanup(item.key, definition, tasks)

    def _start_cleanup(self, key: bytes, definition: Definition, tasks: asyncio.TaskGroup) -> None:
        if key in self._cleanups:
            return
        known = self._known[key]
        cleanup = Cleanup(self._store, self._backend, definition, lambda: self._withdraw(known))
        task = tasks.create_task(cleanup.run(), name=f"cleanup of {definition.name}")
        self._cleanups[key] = task
        task.add_done_callback(lambda _: self._cleanups.pop(key, None))

    # -- status -----------------------------------------------------------------------

    async def _settle_soon(self) -> None:
        pause_s = GATHER_S
        while self._unsettled:
            await asyncio.sleep(pause_s)
            groups, self._unsettled = self._unsettled, set()
            try:
                for group in groups:
                    await self._settle(group)
            except StorageError as error:
                log.warning("status not written", extra={"why": str(error)})
                self._unsettled |= groups
                pause_s = RETRY_S

    async def _settle(self, group: str) -> None:
        """Give the definitions of a group the status they should have."""
        store = self._store
        members = [key for key, known in self._known.items() if known.group == group]
        for key in members:
            item = store.cache.get(key)
            if item is None:
                continue
            crd = store.decode(item.body)
            if "deletionTimestamp" in crd["metadata"]:
                continue
            others = [
                self._known[other].names
                for other in members
                if other != key and other in self._known
            ]
            status = settled_status(crd, others, now())
            if status == crd.get("status"):
                continue
            crd["status"] = status
            try:
                await self._backend.storage.update(key, store.encode(crd), expected=item.revision)
            except RevisionConflict:
                continue  # somebody was quicker; what they wrote comes as an event
            known = self._known.get(key)
            if known is not None:
                known.names = {"status": status}

    # -- serving ----------------------------------------------------------------------

    def _serve(self, known: _Known, crd: Object, definition: Definition) -> bool:
        """Serve a definition as it is now; whether anything about it is new."""
        fingerprint = _fingerprint(crd, definition)
        before = known.served
        same = known.fingerprint == fingerprint
        if before is not None and same and before.terminating == definition.terminating:
            return False
        known.served, known.fingerprint = definition, fingerprint
        self._extract(definition, known.revision)
        kept = set()
        storage = definition.storage_version
        storage_codec = _codec(definition, storage)
        # The storage version comes last: its store is the one that is found without a version.
        for version in sorted(definition.versions, key=lambda one: one.storage):
            if version.served or version.storage:
                served = self._served(definition, version, storage_codec, fingerprint)
                if not version.served:
                    continue
                kept.add(served.resource.gvr)
                self._registry.add(served)
                self._table.add(served.resource)
                self._openapi.set_custom_schema(served.resource.gvr, version.schema.json)
        if before is not None:
            for version in before.versions:
                gvr = before.resource(version).gvr
                if gvr not in kept:
                    self._discard(gvr)
            # Their renderings may have changed; clients resume where they were.
            if not same:
                self._end_watchers(definition)
        return True

    async def _recognize(self, known: _Known, fingerprint: bytes) -> None:
        """Answer with the stored bytes again once all fit the schema as it is now.

        Waits until no replica writes by an older schema any more.
        """
        await asyncio.sleep(RECOGNIZE_AFTER_S)
        definition = known.served
        if definition is None or known.fingerprint != fingerprint:
            return
        resource = definition.resource(definition.storage_version)
        served = self._registry.find(*resource.gvr)
        if served is None or not isinstance(served.store, CustomResourceStore):
            return
        if served.store.cache.unreadable_count:
            return  # nobody knows whether those fit
        time_slice = TimeSlice()
        for item in served.store.cache.scan(served.store.prefix):
            if item.prefix != served.store.wire_prefix or not served.store.is_as_stored(item.body):
                return
            if time_slice.is_over():
                await time_slice.give_way()
        if known.fingerprint == fingerprint and self._registry.find(*resource.gvr) is served:
            store = ResourceStore(resource, served.store.strategy, self._backend)
            self._registry.add(replace(served, store=store, conversion=None))

    def _served(
        self,
        definition: Definition,
        version: Version,
        storage_codec: StructuralCodec,
        fingerprint: bytes,
    ) -> Served:
        codec = storage_codec if version.storage else _codec(definition, version)
        resource = definition.resource(version)
        strategy = CustomResourceStrategy(version)
        # What was written under the one and only schema needs no second look.
        as_stored = version.storage and definition.generation == 1
        store: ResourceStore
        if as_stored:
            store = ResourceStore(resource, strategy, self._backend)
        elif definition.conversion.get("strategy") == "Webhook":
            converter = WebhookConverter(definition.kind, definition.conversion, self._webhooks)
            store = WebhookStore(resource, strategy, self._backend, codec, storage_codec, converter)
        else:
            store = CustomResourceStore(resource, strategy, self._backend, codec, storage_codec)
        return Served(
            resource,
            store,
            codec,
            None if as_stored else _AS_DECODED,
            printer=CustomPrinter(version.columns),
            deprecation=version.deprecation,
            form=fingerprint,
            terminating=definition.terminating,
        )

    def _extract(self, definition: Definition, revision: Revision) -> None:
        """Have what any version can be selected by extracted."""
        paths = [path for version in definition.versions for path in version.selectable]
        rule = definition_rule(
            definition.group, definition.plural, paths, self._backend.etcd_prefix
        )
        extractor = self._backend.extractor
        extractor.add(rule)
        cache = self._backend.cache.resource(rule.prefix)
        if not len(cache) and not len(cache.history):
            # There was nothing to watch before the definition; kube-apiserver says 410, too.
            cache.history.oldest = max(cache.history.oldest, revision)
        if rule.fields and len(cache):
            cache.reselect(lambda item: extractor.extract(item.key, item.prefix + item.body))

    def _withdraw(self, known: _Known) -> None:
        definition = known.served
        known.served, known.fingerprint = None, b""
        if definition is None:
            return
        for version in definition.versions:
            self._discard(definition.resource(version).gvr)
        self._end_watchers(definition)

    def _discard(self, gvr: tuple[str, str, str]) -> None:
        self._table.discard(gvr)  # type: ignore[arg-type]
        self._registry.discard(gvr)
        self._openapi.set_custom_schema(gvr, None)  # type: ignore[arg-type]

    def _end_watchers(self, definition: Definition) -> None:
        resource = definition.resource(definition.storage_version)
        prefix = key_prefix(resource, self._backend.etcd_prefix)
        self._backend.cache.resource(prefix).end_watchers(EndReason.CLOSED)


def _same(obj: Object) -> Object:
    return obj


_AS_DECODED = Conversion(_same, _same)
"""The store decodes into the served version already; but the stored bytes are not the answer."""


def _codec(definition: Definition, version: Version) -> StructuralCodec:
    return StructuralCodec(definition.group, version.name, definition.kind, version.schema)


def _fingerprint(crd: Object, definition: Definition) -> bytes:
    """Return a hash of all that decides how a definition is served."""
    names = crd.get("status", {}).get("acceptedNames")
    parts = [definition.uid, crd["spec"], names]
    return blake2b(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()
