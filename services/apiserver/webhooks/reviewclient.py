"""ReviewClient: posts a review to where a kubeconfig points, and again if it may help.

Source: kube-apiserver v1.36.2, apiserver/pkg/util/webhook/webhook.go (DefaultShouldRetry,
WithExponentialBackoff).
"""

from __future__ import annotations

import asyncio
import errno
import random
import ssl
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import orjson

from shared.kubeconfig import BearerToken, ClusterAccess

if TYPE_CHECKING:
    from aiohttp import ClientSession

ATTEMPTS = 5
BACKOFF_S, BACKOFF_FACTOR, BACKOFF_JITTER = 0.5, 1.5, 0.2
LIMIT_ANSWER_BYTES = 3 * 2**20
TRANSIENT = (429, 500, 504)
GATEWAY_TIMEOUT = 504

Outcome = Literal["success", "error", "timeout", "canceled"]
"""What became of one attempt, in the metrics' words."""


class ReviewError(Exception):
    """No answer, or not a good one. `may_retry`: another attempt may do."""

    def __init__(
        self, message: str, *, may_retry: bool = False, outcome: Outcome = "error"
    ) -> None:
        super().__init__(message)
        self.may_retry = may_retry
        self.outcome = outcome


class ReviewClient:
    """Keeps connections to one remote service. `timeout_s` is each attempt's.

    `observe` is told of every attempt: what became of it, and its seconds.

    Raises:
        KubeconfigError: a certificate, a key or the token file can't be used.
    """

    def __init__(
        self,
        access: ClusterAccess,
        *,
        timeout_s: float,
        backoff_s: float = BACKOFF_S,
        observe: Callable[[Outcome, float], None] | None = None,
    ) -> None:
        self._access = access
        self._trust = access.ssl_context()
        self._token = BearerToken(access)  # what we ourselves say who we are with
        self._timeout_s = timeout_s
        self._backoff_s = backoff_s
        self._observe = observe
        self._session: ClientSession | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<ReviewClient {self._access.server}>"

    async def aclose(self) -> None:
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def review(self, review: dict[str, Any]) -> dict[str, Any]:
        """Return the answer's status.

        Raises:
            ReviewError: no attempt got a review of this kind and version back.
        """
        body = orjson.dumps(review)
        delay_s = self._backoff_s
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._attempt(body, review)
            except ReviewError as error:
                if not error.may_retry or attempt == ATTEMPTS:
                    raise
            await asyncio.sleep(delay_s * (1 + random.random() * BACKOFF_JITTER))
            delay_s *= BACKOFF_FACTOR
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _attempt(self, body: bytes, review: dict[str, Any]) -> dict[str, Any]:
        began = time.monotonic()
        outcome: Outcome = "canceled"
        try:
            status = _status(await self._post(body), review)
            outcome = "success"
        except ReviewError as error:
            outcome = error.outcome
            raise
        finally:
            if self._observe is not None:
                self._observe(outcome, time.monotonic() - began)
        return status

    async def _post(self, body: bytes) -> bytes:
        import aiohttp  # only who has a webhook needs its 10 MB

        if self._closed:
            raise ReviewError("shutting down")
        if self._session is None:
            self._session = aiohttp.ClientSession()
        url = self._access.server
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        try:
            if token := self._token.current():
                headers["Authorization"] = f"Bearer {token}"
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.post(
                    url,
                    data=body,
                    headers=headers,
                    ssl=self._trust if self._trust is not None else True,
                    server_hostname=self._access.tls_server_name,
                    allow_redirects=False,
                ) as answer,
            ):
                raw = await _bounded(answer.content)
                if not 200 <= answer.status <= 206:
                    raise ReviewError(
                        f'Post "{url}": status {answer.status}',
                        may_retry=answer.status in TRANSIENT or "Retry-After" in answer.headers,
                        outcome="timeout" if answer.status == GATEWAY_TIMEOUT else "error",
                    )
                return raw
        except TimeoutError:
            raise ReviewError(
                f'Post "{url}": context deadline exceeded', outcome="timeout"
            ) from None
        except (aiohttp.ClientError, ssl.SSLError, OSError, ValueError) as error:
            raise ReviewError(f'Post "{url}": {error}', may_retry=_was_reset(error)) from error


def _status(raw: bytes, asked: dict[str, Any]) -> dict[str, Any]:
    try:
        review = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise ReviewError("the webhook's answer is not JSON") from None
    status = review.get("status") or {} if isinstance(review, dict) else None
    if not isinstance(status, dict) or any(
        review.get(name, asked[name]) != asked[name] for name in ("kind", "apiVersion")
    ):
        raise ReviewError(f"the webhook's answer is no {asked['kind']} of {asked['apiVersion']}")
    return status


async def _bounded(content: Any) -> bytes:
    parts, size = [], 0
    async for part in content.iter_any():
        size += len(part)
        if size > LIMIT_ANSWER_BYTES:
            raise ReviewError(f"the webhook's answer is larger than {LIMIT_ANSWER_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


def _was_reset(error: BaseException) -> bool:
    """Whether a connection broke off that had been made."""
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorError):
        return False
    return isinstance(error, (aiohttp.ServerDisconnectedError, ConnectionResetError)) or (
        isinstance(error, OSError) and error.errno == errno.ECONNRESET
    )
