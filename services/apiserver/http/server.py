"""The HTTPS server under the pipeline: uvicorn, and what a Kubernetes server does at its end."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence

import uvicorn

from services.apiserver.authentication.authorities import Authorities
from services.apiserver.authentication.handshake import ClientContext
from services.apiserver.http.protocol import ApiProtocol, ConnectionsState
from services.apiserver.options import ApiServerOptions, OptionsError
from services.apiserver.pipeline import Pipeline
from services.apiserver.startup.certificates import ServingFiles
from shared.gracefulserver import GracefulServer

KEEP_ALIVE_S = 90
"""Go's idle timeout in kube-apiserver."""


class HttpServer(GracefulServer):
    """uvicorn over HTTPS, with what a Kubernetes server does before it stops."""

    def __init__(
        self,
        app: Pipeline,
        files: ServingFiles,
        options: ApiServerOptions,
        before_shutdown: Callable[[], Awaitable[None]],
        authorities: Sequence[Authorities],
    ) -> None:
        config = uvicorn.Config(
            app,
            http=ApiProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ssl_certfile=str(files.certificate),
            ssl_keyfile=str(files.key),
            ssl_version=ssl.PROTOCOL_TLS_SERVER,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=int(options.request_timeout_s),
        )
        super().__init__(config)
        self.server_state: ConnectionsState = ConnectionsState()
        self._before_shutdown = before_shutdown
        config.load()
        if authorities:
            config.ssl = ClientContext.serving(files.certificate, files.key, authorities)

    def trust(self, authorities: Authorities) -> None:
        """Let in whoever these authorities know, from the next connection on."""
        assert isinstance(self.config.ssl, ClientContext)
        self.config.ssl.trust(authorities)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.server_state.draining = True
        await self._before_shutdown()
        await super().shutdown(sockets)


def bind(address: str, port: int) -> socket.socket:
    """Return a listening socket, bound before anything else starts: a taken port is told at once.

    Raises:
        OptionsError: the address can't be had.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.set_inheritable(True)
    except OSError as error:
        listener.close()
        raise OptionsError(f"--secure-port: {address}:{port}: {error.strerror}") from error
    return listener
