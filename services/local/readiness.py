"""Waiting until the API server that wrote a kubeconfig says it is ready."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from shared import kubeconfig

POLL_S = 0.05
REQUEST_TIMEOUT_S = 5.0


async def wait_ready(path: Path) -> kubeconfig.ClusterAccess:
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
                return access
        await asyncio.sleep(POLL_S)


async def _is_ready(access: kubeconfig.ClusterAccess) -> bool:
    headers = {"Authorization": f"Bearer {access.token}"} if access.token else {}
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    context = access.ssl_context()
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            session.get(
                f"{access.server}/readyz",
                ssl=context if context is not None else True,
                server_hostname=access.tls_server_name,
            ) as response,
        ):
            return response.status == 200
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False
