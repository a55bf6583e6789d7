"""A watch cache of a few kinds, whose objects a test puts and drops."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson

from services.apiserver.authorization.followed import Source
from shared.eventlog import Entry, Event
from shared.fanout import Snapshot
from shared.objects import Selection, to_body
from shared.storage import Revision
from shared.watchcache import HistoryLimits, WatchCache


class CacheWorld:
    """The cache, and what follows each of its resources.

    `resources` are the plural names by kind, all of one `api_version`.
    """

    def __init__(
        self,
        resources: Mapping[str, str],
        *,
        api_version: str = "v1",
        limits: HistoryLimits | None = None,
    ) -> None:
        self._resources = resources
        self._api_version = api_version
        self._cache = WatchCache(history_limits=limits or HistoryLimits())
        self._revision = 10
        self.sources = {plural: self._source(kind) for kind, plural in resources.items()}
        asyncio.run(self._cache.load(Snapshot(Revision(self._revision), ())))

    def put(self, *objects: dict[str, Any]) -> None:
        for obj in objects:
            known = self._cache.resource(self._prefix(obj["kind"])).get(self._key(obj)) is not None
            self._tell("MODIFIED" if known else "ADDED", obj)

    def drop(self, *objects: dict[str, Any]) -> None:
        for obj in objects:
            self._tell("DELETED", obj)

    def _source(self, kind: str) -> Source:
        head = orjson.dumps({"kind": kind, "apiVersion": self._api_version})[:-1] + b","
        return Source(
            self._cache.resource(self._prefix(kind)), lambda body: orjson.loads(head + body)
        )

    def _tell(self, kind: Any, obj: dict[str, Any]) -> None:
        before, self._revision = self._revision, self._revision + 1
        revision = Revision(self._revision)
        stored = {"kind": obj["kind"], "apiVersion": self._api_version, **obj}
        prefix, body = to_body(orjson.dumps(stored), revision)
        event = Event(kind, self._key(obj), revision, prefix, body, Selection({}))
        self._cache.apply(Entry(Revision(before), revision, (event,)))

    def _prefix(self, kind: str) -> bytes:
        return f"/registry/{self._resources[kind]}/".encode()

    def _key(self, obj: dict[str, Any]) -> bytes:
        meta = obj["metadata"]
        namespace = f"{meta['namespace']}/" if "namespace" in meta else ""
        return self._prefix(obj["kind"]) + f"{namespace}{meta['name']}".encode()
