"""WebhookClient: JSON over HTTPS to where a client config points.

Source: kube-apiserver v1.36.2, apiserver/pkg/util/webhook/client.go.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from services.apiserver.webhooks.address import Address, Unreachable, resolve_service

if TYPE_CHECKING:
    from aiohttp import ClientSession

FindService = Callable[[str, str], Mapping[str, Any] | None]
"""(namespace, name) → the Service, None if there is none."""

LIMIT_ANSWER_BYTES = 3 * 2**20
DEFAULT_PORT = 443


class WebhookError(Exception):
    """The call failed: no connection, no trust, no answer in time, or not a good one.

    `timed_out` tells the one that kube-apiserver words differently.
    """

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """A clientConfig: a URL, or a Service with a path; and whom to trust.

    `ca_bundle` is base64 of PEM as in the API; "" trusts the system's authorities.
    """

    url: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    port: int = DEFAULT_PORT
    ca_bundle: str = ""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ClientConfig:
        service = value.get("service") or {}
        return cls(
            url=value.get("url") or "",
            namespace=service.get("namespace", ""),
            name=service.get("name", ""),
            path=service.get("path") or "",
            port=service.get("port") or DEFAULT_PORT,
            ca_bundle=value.get("caBundle") or "",
        )


class WebhookClient:
    """Calls webhooks; keeps connections. `own` is this server, for the kubernetes Service."""

    def __init__(self, find_service: FindService, own: Address | None = None) -> None:
        self._find_service = find_service
        self._own = own
        self._session: ClientSession | None = None

    async def post(
        self, config: ClientConfig, body: bytes, *, timeout_s: float, query: str = ""
    ) -> bytes:
        """Send a JSON body and return the answer's.

        Raises:
            WebhookError: it failed, or answered something else than 200.
        """
        # Imported when the first webhook is called: it costs an idle server 10 MB.
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(auto_decompress=True)
        url, server_name = self._target(config)
        if query:
            url = f"{url}{'&' if '?' in url else '?'}{query}"
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if server_name:
            headers["Host"] = f"{server_name}:{config.port}"
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._session.post(
                    url,
                    data=body,
                    headers=headers,
                    ssl=_trust(config.ca_bundle),
                    server_hostname=server_name or None,
                    allow_redirects=False,
                ) as answer,
            ):
                raw = await _bounded(answer.content)
                if answer.status != 200:
                    text = raw.decode("utf-8", "replace").strip()
                    raise WebhookError(text or f"the server responded with status {answer.status}")
                return raw
        except TimeoutError:
            raise WebhookError(f'Post "{url}": context deadline exceeded', timed_out=True) from None
        except (aiohttp.ClientError, ssl.SSLError, OSError, ValueError) as error:
            raise WebhookError(f'Post "{url}": {error}') from error

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _target(self, config: ClientConfig) -> tuple[str, str]:
        """Return the URL to call, and the name that the certificate must have if another."""
        if config.url:
            return config.url, ""
        server_name = f"{config.name}.{config.namespace}.svc"
        path = quote(config.path, safe="/?&=%:@!$'()*+,;~-._")
        if path and not path.startswith("/"):
            path = f"/{path}"
        address = self._address(config)
        return f"https://{address.authority}{path or '/'}", server_name

    def _address(self, config: ClientConfig) -> Address:
        if (config.namespace, config.name) == ("default", "kubernetes") and self._own is not None:
            return self._own
        service = self._find_service(config.namespace, config.name)
        if service is None:
            raise WebhookError(f'service "{config.name}" not found')
        try:
            return resolve_service(service, config.port)
        except Unreachable as error:
            raise WebhookError(str(error)) from error


async def _bounded(content: Any) -> bytes:
    """Return the body of an answer.

    Raises:
        WebhookError: it is too large.
    """
    parts, size = [], 0
    async for part in content.iter_any():
        size += len(part)
        if size > LIMIT_ANSWER_BYTES:
            raise WebhookError(f"the answer is larger than {LIMIT_ANSWER_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


@lru_cache(maxsize=64)
def _trust(ca_bundle: str) -> ssl.SSLContext:
    """Return the TLS settings that trust a bundle, "" the system's authorities.

    Raises:
        ValueError, ssl.SSLError: it is no bundle.
    """
    if not ca_bundle:
        return ssl.create_default_context()
    try:
        pem = base64.b64decode(ca_bundle, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError(f"unable to load root certificates: {error}") from error
    return ssl.create_default_context(cadata=pem)
