"""Waiting until the API server that a kubeconfig names says it is ready."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

from shared import kubeconfig

POLL_S = 0.02
REQUEST_TIMEOUT_S = 5.0


async def wait_ready(path: Path) -> None:
    """Return once /readyz of the kubeconfig's server answers 200.

    The file may not exist yet, and be rewritten until then. Waits for ever: the caller bounds
    it, or is cancelled when the server dies.
    """
    while True:
        try:
            access = kubeconfig.load(path)
        except kubeconfig.KubeconfigError:
            pass  # not written yet
        else:
            if await _is_ready(access):
                return
        await asyncio.sleep(POLL_S)


async def _is_ready(access: kubeconfig.ClusterAccess) -> bool:
    # One GET by hand: importing aiohttp takes 0.25 s, and the server is to be ready in 1 s.
    url = urlsplit(access.server)
    context = access.ssl_context()
    request = f"GET /readyz HTTP/1.0\r\nHost: {url.netloc}\r\n"
    if access.token:
        request += f"Authorization: Bearer {access.token}\r\n"
    try:
        async with asyncio.timeout(REQUEST_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(
                url.hostname,
                url.port,
                ssl=context,
                server_hostname=access.tls_server_name if context is not None else None,
            )
            try:
                writer.write(f"{request}\r\n".encode())
                status_line = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    return b" 200 " in status_line
