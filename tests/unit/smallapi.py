"""A real HTTP server with one collection of objects: list in pages, watch, and faults on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import web

PATH = "/api/v1/configmaps"


class SmallApi:
    """Objects with a history. Changes are made by the test, through `put` and `drop`."""

    def __init__(self) -> None:
        self.version = 10
        self.oldest = 0
        """Watches from before this version get 410."""
        self.objects: dict[str, dict[str, Any]] = {}
        self.history: list[tuple[int, dict[str, Any]]] = []
        self.requests: list[dict[str, str]] = []
        """The query of every request, in order."""
        self.refuse_with: list[web.Response] = []
        """Answers for the next requests, whatever they ask."""
        self.server = ""
        self._changed = asyncio.Condition()
        self._watches: set[asyncio.Task[Any]] = set()

    async def put(self, name: str, *, namespace: str = "default", uid: str = "u1") -> None:
        self.version += 1
        key = f"{namespace}/{name}"
        kind = "MODIFIED" if key in self.objects else "ADDED"
        metadata = {"namespace": namespace, "name": name, "uid": uid}
        self.objects[key] = {"metadata": {**metadata, "resourceVersion": str(self.version)}}
        await self._tell(kind, self.objects[key])

    async def drop(self, name: str, *, namespace: str = "default") -> None:
        self.version += 1
        last = self.objects.pop(f"{namespace}/{name}")
        metadata = {**last["metadata"], "resourceVersion": str(self.version)}
        await self._tell("DELETED", {"metadata": metadata})

    async def bookmark(self, version: int) -> None:
        self.version = version
        await self._tell("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})

    async def end_watches(self, *, error: dict[str, Any] | None = None) -> None:
        """Cut all watches off, or end them with an ERROR event."""
        if error is not None:
            await self._tell("ERROR", error)
            return
        for watch in tuple(self._watches):
            watch.cancel()

    def forget_history(self) -> None:
        self.oldest = self.version

    def watches_from(self) -> list[str]:
        return [query["resourceVersion"] for query in self.requests if "watch" in query]

    def lists_at(self) -> list[str]:
        return [query.get("resourceVersion", "") for query in self.requests if "watch" not in query]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[SmallApi]:
        application = web.Application()
        application.router.add_get(PATH, self._handle)
        runner = web.AppRunner(application, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.server = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await self.end_watches()
            await runner.cleanup()

    async def _tell(self, kind: str, obj: dict[str, Any]) -> None:
        async with self._changed:
            self.history.append((self.version, {"type": kind, "object": obj}))
            self._changed.notify_all()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(dict(request.query))
        if self.refuse_with:
            return self.refuse_with.pop(0)
        if "watch" in request.query:
            return await self._watch(request)
        items = sorted(self.objects.items())
        metadata = {"resourceVersion": str(self.version)}
        if limit := int(request.query.get("limit", 0)):
            start = int(request.query.get("continue", 0))
            if start + limit < len(items):
                metadata["continue"] = str(start + limit)
            items = items[start : start + limit]
        return json(200, {"metadata": metadata, "items": [item for _, item in items]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        seen = int(request.query["resourceVersion"])
        if seen < self.oldest:
            return json(200, {"type": "ERROR", "object": GONE})
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        task = asyncio.current_task()
        assert task is not None
        self._watches.add(task)
        try:
            position = next(
                (at for at, (version, _) in enumerate(self.history) if version > seen),
                len(self.history),
            )
            while True:
                while position < len(self.history):
                    event = self.history[position][1]
                    await response.write(orjson.dumps(event) + b"\n")
                    position += 1
                    if event["type"] == "ERROR":
                        self.history.pop()
                        return response
                async with self._changed:
                    if position >= len(self.history):
                        await self._changed.wait()
        finally:
            self._watches.discard(task)


GONE = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
TOO_MANY = {"kind": "Status", "code": 429, "reason": "TooManyRequests", "message": "later"}
TOO_LARGE = {
    "kind": "Status",
    "code": 504,
    "reason": "Timeout",
    "message": "Too large resource version",
    "details": {"causes": [{"reason": "ResourceVersionTooLarge"}]},
}


def json(status: int, body: Any) -> web.Response:
    return web.Response(
        status=status, body=orjson.dumps(body) + b"\n", content_type="application/json"
    )
