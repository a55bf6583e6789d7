"""What a watchfanout answers: its health, its metrics, and the state as a snapshot."""

from __future__ import annotations

import hmac
import ssl
from collections.abc import Callable

import uvicorn
from prometheus_client import CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from services.watchfanout.options import WatchfanoutOptions
from services.watchfanout.state import State
from shared.fanout.transfer import MEDIA_TYPE
from shared.gracefulserver import GracefulServer

KEEP_ALIVE_S = 90
SHUTDOWN_TIMEOUT_S = 3
"""How long a snapshot may still be sent after the end has been asked for."""


class Routes:
    """`why_not_ready` returns what is missing, "" when all is well."""

    def __init__(
        self,
        state: State,
        metrics: CollectorRegistry,
        *,
        token: str,
        why_not_ready: Callable[[], str],
    ) -> None:
        self._state = state
        self._metrics = metrics
        self._token = token
        self._why_not_ready = why_not_ready

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/healthz", self._healthz),
                Route("/livez", self._healthz),
                Route("/readyz", self._readyz),
                Route("/metrics", self._show_metrics),
                Route("/snapshot", self._snapshot),
                Route("/revision", self._revision),
            ]
        )

    async def _healthz(self, request: Request) -> Response:
        return PlainTextResponse("ok")

    async def _readyz(self, request: Request) -> Response:
        missing = self._why_not_ready()
        return PlainTextResponse(missing, 503) if missing else PlainTextResponse("ok")

    async def _show_metrics(self, request: Request) -> Response:
        if not self._may_read(request):
            return _refusal()
        return Response(generate_latest(self._metrics), media_type="text/plain; version=0.0.4")

    async def _snapshot(self, request: Request) -> Response:
        if not self._may_read(request):
            return _refusal()
        if not self._state.is_loaded:
            return PlainTextResponse("nothing is loaded yet", 503, {"Retry-After": "1"})
        return StreamingResponse(self._state.snapshot(), media_type=MEDIA_TYPE)

    async def _revision(self, request: Request) -> Response:
        """What a snapshot would be of: whether it is worth while."""
        if not self._may_read(request):
            return _refusal()
        if not self._state.is_loaded:
            return PlainTextResponse("nothing is loaded yet", 503, {"Retry-After": "1"})
        return PlainTextResponse(str(self._state.revision))

    def _may_read(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(
            token.strip().encode(), self._token.encode()
        )


def _refusal() -> Response:
    return PlainTextResponse("a bearer token is needed", 401, {"WWW-Authenticate": "Bearer"})


def http_server(application: Starlette, options: WatchfanoutOptions) -> GracefulServer:
    """Return the server to run; it ends at SIGINT or SIGTERM."""
    return GracefulServer(
        uvicorn.Config(
            application,
            host=options.bind_address,
            port=options.secure_port,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ssl_certfile=options.tls_cert_file,
            ssl_keyfile=options.tls_private_key_file,
            ssl_version=ssl.PROTOCOL_TLS_SERVER,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
        )
    )
