"""The plain routes: health, metrics, OpenAPI, discovery, and 404 for all else."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.routing import Route, Router
from starlette.types import ASGIApp

from services.apiserver.discovery import Discovery
from services.apiserver.errors import ApiError
from services.apiserver.flowcontrol import PriorityLevels, dump
from services.apiserver.handlers.dispatch import TEXT_404
from services.apiserver.health import HealthChecks
from services.apiserver.http.request import AnyResponse, Receive, Request, Response, Scope, Send
from services.apiserver.metrics import Metrics
from services.apiserver.openapi import OpenApi
from services.apiserver.read.get import is_pretty
from services.apiserver.serviceaccounts.discovery import (
    CONFIGURATION_PATH,
    KEYS_PATH,
    IssuerDocuments,
)

TEXT_TYPE = (b"content-type", b"text/plain; charset=utf-8")
METRICS_TYPE = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")


class PlainRoutes:
    """What is not a resource. Authorization has been done by the pipeline."""

    def __init__(
        self,
        *,
        health: Mapping[str, HealthChecks],
        metrics: Metrics,
        discovery: Discovery,
        openapi: OpenApi,
        issuer: IssuerDocuments | None,
        priority_levels: PriorityLevels | None,
    ) -> None:
        self._health = health
        self._metrics = metrics
        self._discovery = discovery
        self._openapi = openapi
        self._issuer = issuer
        self._priority_levels = priority_levels

    def router(self) -> ASGIApp:
        """Return the ASGI application of these routes."""
        routes = [
            *(
                Route(path, self._endpoint(self._health_answer))
                for name in self._health
                for path in (f"/{name}", f"/{name}/{{check:path}}")
            ),
            Route("/metrics", self._endpoint(self._metrics_answer)),
            Route("/openapi/{rest:path}", self._endpoint(self._openapi_answer)),
        ]
        if self._issuer is not None:
            issuer = self._endpoint(self._issuer_answer)
            routes += [Route(path, issuer) for path in (CONFIGURATION_PATH, KEYS_PATH)]
        if self._priority_levels is not None:
            routes.append(Route(f"{dump.PATH}{{name}}", self._endpoint(self._dump_answer)))
        return Router(
            routes, redirect_slashes=False, default=self._endpoint(self._discovery_answer)
        )

    def _endpoint(self, answer) -> ASGIApp:  # type: ignore[no-untyped-def]
        async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive)
            response: AnyResponse = await answer(request)
            await response.send(send, ())

        return AsgiEndpoint(endpoint)

    async def _health_answer(self, request: Request) -> AnyResponse:
        name, _, check = request.path[1:].partition("/")
        checks = self._health[name]
        if "/" not in request.path[1:]:
            return await checks.answer(request.query)
        found = await checks.answer_one(check) if check else None
        return found or TEXT_404

    async def _metrics_answer(self, request: Request) -> AnyResponse:
        return Response(200, self._metrics.exposition(), (METRICS_TYPE,))

    async def _issuer_answer(self, request: Request) -> AnyResponse:
        assert self._issuer is not None
        return self._issuer.answer(request)

    async def _dump_answer(self, request: Request) -> AnyResponse:
        assert self._priority_levels is not None
        text = dump.dump(self._priority_levels, request.path.removeprefix(dump.PATH))
        return TEXT_404 if text is None else Response(200, text.encode(), (TEXT_TYPE,))

    async def _openapi_answer(self, request: Request) -> AnyResponse:
        found = await self._openapi.answer(request.path, request.query, request.headers)
        return TEXT_404 if found is None else Response(found.status, found.body, found.headers)

    async def _discovery_answer(self, request: Request) -> AnyResponse:
        found = self._discovery.answer(
            request.path,
            request.header(b"accept"),
            request.header(b"if-none-match"),
            method=request.method,
            pretty=is_pretty(request),
        )
        return TEXT_404 if found is None else Response(found.status, found.body, found.headers)


class AsgiEndpoint:
    """An ASGI application as Starlette's Route wants it: an object, so that it is not taken
    for a request handler, and every method comes through."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


__all__ = ["ApiError", "PlainRoutes"]
