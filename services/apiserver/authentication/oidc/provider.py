"""The issuer: its discovery document, and the keys that it signs with.

Source: kube-apiserver v1.36.2, apiserver/plugin/pkg/authenticator/token/oidc/oidc.go;
OpenID Connect Discovery 1.0, section 4.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import time
from typing import TYPE_CHECKING, Any

import orjson
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from services.apiserver.authentication.configuration import ConfigurationError, Issuer
from services.apiserver.authentication.oidc.metrics import JwtMetrics
from services.apiserver.authentication.oidc.verification import (
    NoSuchKey,
    SigningKey,
    read_keys,
    verify,
)

if TYPE_CHECKING:
    from aiohttp import ClientSession

logger = logging.getLogger(__name__)

WELL_KNOWN = "/.well-known/openid-configuration"
TIMEOUT_S = 30.0
LIMIT_ANSWER_BYTES = 3 * 2**20
RETRY_S, GREATEST_RETRY_S = 0.5, 10.0
LEAST_REFRESH_INTERVAL_S = 5.0
"""Tokens with made-up keys make the issuer be asked no more often than this."""


class ProviderError(Exception):
    """The issuer does not answer, or not as it must."""


class Provider:
    """Fetches an issuer's keys, in `run`, and again when a token is signed by an unknown one."""

    def __init__(self, issuer: Issuer, metrics: JwtMetrics | None = None) -> None:
        self.issuer = issuer
        self._metrics = metrics or JwtMetrics()
        self.keys: tuple[SigningKey, ...] = ()
        self.problem = "not initialized"
        """Why there are no keys yet, "" when there have been."""
        self._found = asyncio.Event()
        self._ended = False
        self._trust = trust(issuer.certificate_authority)
        self._jwks_uri = ""
        self._wake = asyncio.Event()
        self._refresh: asyncio.Future[None] | None = None
        self._fetched_at_s = 0.0

    def __repr__(self) -> str:
        return f"<Provider {self.issuer.url}: {self.problem or f'{len(self.keys)} keys'}>"

    @property
    def ready(self) -> bool:
        return not self.problem

    async def wait_ready(self) -> None:
        await self._found.wait()

    async def run(self, session: ClientSession) -> None:
        """Find the issuer, however long it takes, then fetch its keys when `refresh` asks."""
        try:
            await self._discover(session)
            while True:
                await self._wake.wait()
                self._wake.clear()
                try:
                    await self._fetch_keys(session)
                except ProviderError as error:
                    logger.warning("oidc: keys of %s: %s", self.issuer.url, error)
                self._end_refresh()
        finally:
            self._ended = True
            self._end_refresh()

    async def refresh(self) -> bool:
        """Fetch the keys again; False if that was done a moment ago. Those who ask share it."""
        if self._refresh is None:
            elapsed_s = time.monotonic() - self._fetched_at_s
            if self._ended or elapsed_s < LEAST_REFRESH_INTERVAL_S:
                return False
            self._refresh = asyncio.get_running_loop().create_future()
            self._wake.set()
        # One who goes away must not take the answer from the others.
        await asyncio.shield(self._refresh)
        return True

    def _end_refresh(self) -> None:
        if self._refresh is not None and not self._refresh.done():
            self._refresh.set_result(None)
        self._refresh = None

    async def _discover(self, session: ClientSession) -> None:
        delay_s = RETRY_S
        while True:
            try:
                await self._read_discovery(session)
                await self._fetch_keys(session)
            except ProviderError as error:
                self.problem = str(error)
                logger.error("oidc: initializing issuer %s: %s", self.issuer.url, error)
            else:
                self.problem = ""
                self._found.set()
                return
            await asyncio.sleep(delay_s * random.uniform(0.8, 1.2))
            delay_s = min(delay_s * 2, GREATEST_RETRY_S)

    async def _read_discovery(self, session: ClientSession) -> None:
        url = self.issuer.discovery_url or self.issuer.url.removesuffix("/") + WELL_KNOWN
        document = _parsed(url, await get(session, url, self._trust))
        issuer, jwks_uri = document.get("issuer"), document.get("jwks_uri")
        if issuer != self.issuer.url:
            raise ProviderError(
                "issuer did not match the issuer returned by provider, "
                f"expected {self.issuer.url!r} got {issuer!r}"
            )
        if not isinstance(jwks_uri, str) or not jwks_uri.startswith("https://"):
            raise ProviderError(f"{url}: jwks_uri is not an https URL")
        self._jwks_uri = jwks_uri

    async def _fetch_keys(self, session: ClientSession) -> None:
        self._fetched_at_s = time.monotonic()
        issuer, url = self.issuer.url, self._jwks_uri
        try:
            body = await get(session, url, self._trust)
            self.keys = read_keys(_parsed(url, body))
        except ProviderError:
            self._metrics.not_fetched(issuer)
            raise
        except ValueError as error:
            self._metrics.not_fetched(issuer)
            raise ProviderError(f"{url}: {error}") from error
        self._metrics.fetched(issuer, body)


def _parsed(url: str, body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ProviderError(f"{url}: not JSON") from None
    if not isinstance(document, dict):
        raise ProviderError(f"{url}: not a JSON object")
    return document


def trust(certificate_authority: str) -> ssl.SSLContext:
    """Return the TLS settings that trust a PEM bundle, "" the system's authorities.

    Raises:
        ConfigurationError: TLS can't use it.
    """
    if not certificate_authority:
        return ssl.create_default_context()
    try:
        every = x509.load_pem_x509_certificates(certificate_authority.encode())
        # Without the comments between them, which TLS wants in ASCII.
        pem = b"".join(one.public_bytes(Encoding.PEM) for one in every).decode()
        return ssl.create_default_context(cadata=pem)
    except (ValueError, ssl.SSLError) as error:
        raise ConfigurationError(f"certificateAuthority: {error}") from error


async def get(
    session: ClientSession, url: str, trusted: ssl.SSLContext, *, bearer: str = ""
) -> bytes:
    """Return what is at an https URL.

    Raises:
        ProviderError: nothing is, or it is too large, or a redirect led out of TLS.
    """
    import aiohttp  # an idle server does without its 10 MB

    if not url.startswith("https://"):
        raise ProviderError(f"{url}: not an https URL")
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            session.get(url, ssl=trusted, headers=headers) as answer,
        ):
            if any(one.url.scheme != "https" for one in (*answer.history, answer)):
                raise ProviderError(f"{url}: redirected to a URL that is not https")
            if answer.status != 200:
                raise ProviderError(f"{url}: status {answer.status}")
            parts, size = [], 0
            async for part in answer.content.iter_any():
                size += len(part)
                if size > LIMIT_ANSWER_BYTES:
                    raise ProviderError(f"{url}: larger than {LIMIT_ANSWER_BYTES} bytes")
                parts.append(part)
            return b"".join(parts)
    except TimeoutError:
        raise ProviderError(f"{url}: no answer in {TIMEOUT_S:.0f} s") from None
    except (aiohttp.ClientError, ssl.SSLError, OSError, ValueError) as error:
        raise ProviderError(f"{url}: {error or type(error).__name__}") from error


async def verified(
    token: str, provider: Provider, *, audiences: frozenset[str], algorithms: frozenset[str]
) -> dict[str, Any]:
    """Return the claims of a token, after fetching the issuer's keys again if none fits.

    Raises:
        BadToken: it is not to be trusted.
    """

    def once() -> dict[str, Any]:
        return verify(
            token,
            provider.keys,
            issuer=provider.issuer.url,
            audiences=audiences,
            algorithms=algorithms,
            now_s=time.time(),
        )

    try:
        return once()
    except NoSuchKey:
        if not await provider.refresh():
            raise
        return once()
