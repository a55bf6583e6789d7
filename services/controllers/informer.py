"""Informer: the current objects of one resource, kept by list and watch.

Source: client-go v0.36.2, tools/cache/reflector.go (ListAndWatch, relistResourceVersion),
thread_safe_store.go (indexes).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from typing import Any, Protocol

from services.controllers.backoff import Backoff
from services.controllers.client import Client, ClientError, Expired, StatusError, Unreachable
from services.controllers.resource import Object, Resource, object_key

log = logging.getLogger(__name__)

PAGE_OBJECTS = 500
WATCH_TIMEOUT_MIN_S = 300
"""A watch is asked to last this long up to twice as long, so that many do not end together."""
SHORT_WATCH_S = 1.0
"""A watch that ends sooner without an event is a sign of trouble: wait before the next."""

IndexFunction = Callable[[Object], Iterable[str]]


class Handler(Protocol):
    """Told of every change: `old` is None for a new object, `new` for one that is gone.

    It must not wait; what takes time belongs behind a WorkQueue.
    """

    def __call__(self, *, old: Object | None, new: Object | None) -> None: ...


class Cache:
    """Objects by key, and by what index functions find in them."""

    def __init__(self, indexes: Mapping[str, IndexFunction]) -> None:
        self._objects: dict[str, Object] = {}
        self._index_functions = dict(indexes)
        self._indexed: dict[str, dict[str, set[str]]] = {name: {} for name in indexes}

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[str]:
        return iter(self._objects)

    def values(self) -> Iterator[Object]:
        return iter(self._objects.values())

    def get(self, key: str) -> Object | None:
        return self._objects.get(key)

    def by_index(self, index: str, value: str) -> list[Object]:
        """Return the objects whose index function `index` yields `value`."""
        keys = self._indexed[index].get(value, ())
        return [self._objects[key] for key in keys]

    def put(self, key: str, obj: Object | None) -> Object | None:
        """Store `obj` (None: drop it) and return what was there."""
        old = self._objects.pop(key, None)
        if old is not None:
            for name, value in self._index_values(old):
                keys = self._indexed[name][value]
                keys.discard(key)
                if not keys:
                    del self._indexed[name][value]
        if obj is not None:
            self._objects[key] = obj
            for name, value in self._index_values(obj):
                self._indexed[name].setdefault(value, set()).add(key)
        return old

    def _index_values(self, obj: Object) -> Iterator[tuple[str, str]]:
        for name, function in self._index_functions.items():
            for value in set(function(obj)):
                yield name, value


class Informer:
    """Keeps `cache` like the server's state and tells handlers of each difference."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        indexes: Mapping[str, IndexFunction] | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.resource = resource
        self.cache = Cache(indexes or {})
        self._client = client
        self._path = resource.path(namespace=namespace)
        self._selection: dict[str, str] = {}
        if label_selector:
            self._selection["labelSelector"] = label_selector
        if field_selector:
            self._selection["fieldSelector"] = field_selector
        self._handlers: list[Handler] = []
        self._backoff = backoff or Backoff(initial_s=0.8, maximum_s=30)
        self._resource_version = ""
        self._synced = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Informer {self.resource}: {len(self.cache)} at {self._resource_version or '-'}>"

    @property
    def synced(self) -> bool:
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        """Wait until the first list is in the cache and told to the handlers."""
        await self._synced.wait()

    def add_handler(self, handler: Handler) -> None:
        """Add a handler; it is told at once of what the cache holds already."""
        self._handlers.append(handler)
        for obj in self.cache.values():
            handler(old=None, new=obj)

    async def run(self) -> None:
        """List, then watch; list again only where the server has lost our place. Never returns."""
        resource_version = "0"  # the first list may come from any server's cache
        while True:
            try:
                await self._list(resource_version)
                self._backoff.reset()
                await self._follow()
            except Expired as error:
                log.info("%s: listing again: %s", self.resource, error)
                resource_version = ""
            except ClientError as error:
                log.warning("%s: list or watch failed: %s", self.resource, error)
                if _is_too_large_resource_version(error):
                    resource_version = ""
                elif self._resource_version:
                    resource_version = self._resource_version  # never older than what we showed
            await asyncio.sleep(self._backoff.next_s())

    async def _list(self, resource_version: str) -> None:
        """Fetch the whole list and replace the cache by it."""
        query = dict(self._selection)
        if resource_version:
            query["resourceVersion"] = resource_version
        else:
            query["limit"] = str(PAGE_OBJECTS)
        items: list[dict[str, Any]] = []
        while True:
            page = await self._client.get(self._path, query=query)
            items += page.get("items") or ()
            token = page["metadata"].get("continue")
            if not token:
                break
            query["continue"] = token
        self._replace(items)
        self._resource_version = page["metadata"]["resourceVersion"]
        self._synced.set()

    async def _follow(self) -> None:
        """Watch on and on from where we are.

        Raises:
            ClientError: only a new list can help, Expired among them.
        """
        while True:
            loop = asyncio.get_running_loop()
            started, before = loop.time(), self._resource_version
            try:
                await self._watch_once()
            except Expired:
                raise
            except Unreachable as error:
                log.debug("%s: %s", self.resource, error)
            except StatusError as error:
                if error.code != 429 and error.code < 500:
                    raise
                log.info("%s: watch refused: %s", self.resource, error)
            if self._resource_version != before or loop.time() - started > SHORT_WATCH_S:
                self._backoff.reset()
            else:
                await asyncio.sleep(self._backoff.next_s())

    async def _watch_once(self) -> None:
        timeout_s = int(WATCH_TIMEOUT_MIN_S * (1 + random.random()))
        query = {
            **self._selection,
            "resourceVersion": self._resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(timeout_s),
        }
        async with aclosing(
            self._client.watch(self._path, query=query, timeout_s=timeout_s + 30)
        ) as events:
            async for event in events:
                if event.type == "DELETED":
                    self._change(object_key(event.object), None, last=event.object)
                elif event.type != "BOOKMARK":
                    self._change(object_key(event.object), event.object)
                self._resource_version = event.object["metadata"]["resourceVersion"]

    def _replace(self, items: Iterable[dict[str, Any]]) -> None:
        # Items of a list carry no kind and apiVersion; controllers know what they asked for.
        current = {object_key(item): item for item in items}
        for key in set(self.cache) - current.keys():
            self._change(key, None)
        for key, item in current.items():
            self._change(key, item)

    def _change(self, key: str, obj: Object | None, *, last: Object | None = None) -> None:
        """Bring one object's new state into the cache and tell the handlers.

        `last` is the final state that a DELETED event brought; it stands in for the older one.
        """
        old = self.cache.put(key, obj)
        if obj is None:
            if old is None:
                return
            old = last or old
        elif old is not None and _version(old) == _version(obj):
            return
        elif old is not None and _uid(old) != _uid(obj):
            # Deleted and made anew while nobody looked.
            for handler in self._handlers:
                handler(old=old, new=None)
            old = None
        for handler in self._handlers:
            handler(old=old, new=obj)


def _version(obj: Object) -> Any:
    return obj["metadata"].get("resourceVersion")


def _uid(obj: Object) -> Any:
    return obj["metadata"].get("uid")


def _is_too_large_resource_version(error: ClientError) -> bool:
    """Whether the server has not yet seen the resourceVersion we asked for."""
    return isinstance(error, StatusError) and any(
        cause.get("reason") == "ResourceVersionTooLarge"
        for cause in error.details.get("causes") or ()
    )
