"""Webhook token authentication: a remote service says whose a token is.

Source: kube-apiserver v1.36.2, apiserver/plugin/pkg/authenticator/token/webhook/webhook.go;
apiserver/pkg/util/webhook/webhook.go (retries, time-out).
"""

from __future__ import annotations

import asyncio
import errno
import logging
import random
import ssl
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from services.apiserver.authentication.authenticator import Authenticated
from services.apiserver.errors import Unauthorized
from services.apiserver.requestinfo import UserInfo
from shared.kubeconfig import ClusterAccess

if TYPE_CHECKING:
    from aiohttp import ClientSession

logger = logging.getLogger(__name__)

GROUP = "authentication.k8s.io"
KIND = "TokenReview"
VERSIONS = ("v1", "v1beta1")
TIMEOUT_S = 30.0
ATTEMPTS = 5
BACKOFF_S, BACKOFF_FACTOR, BACKOFF_JITTER = 0.5, 1.5, 0.2
LIMIT_ANSWER_BYTES = 3 * 2**20


class WebhookTokenAuthenticator:
    """Asks with a TokenReview. Every token costs a call: `WebhookCache` is put in front.

    `api_audiences` are those that a token is good for where the answer names none.
    """

    def __init__(
        self, access: ClusterAccess, *, version: str, api_audiences: Sequence[str] = ()
    ) -> None:
        self._access = access
        self._trust = access.ssl_context()
        self._api_version = f"{GROUP}/{version}"
        self._api_audiences = tuple(api_audiences)
        self._session: ClientSession | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<WebhookTokenAuthenticator {self._access.server}>"

    async def run(self) -> None:
        """Close the connections when cancelled."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def authenticate_token(
        self, token: str, audiences: tuple[str, ...]
    ) -> Authenticated | None:
        """See TokenAuthenticator; Unauthorized also when the webhook does not answer."""
        try:
            status = await self._review(token, audiences)
        except _CallError as error:
            logger.error("Failed to make webhook authenticator request: %s", error)
            raise Unauthorized(str(error)) from error
        try:
            good_for = _texts(status.get("audiences")) or self._api_audiences
        except TypeError:
            raise Unauthorized("the webhook's answer has no good audiences") from None
        granted = tuple(one for one in audiences if one in good_for)
        if audiences and not granted:
            return None
        if status.get("authenticated") is not True:
            if status.get("error"):
                raise Unauthorized(str(status["error"]))
            return None
        try:
            return Authenticated(_user(status.get("user") or {}), granted)
        except (TypeError, AttributeError) as error:
            raise Unauthorized("the webhook's answer has no good user") from error

    async def _review(self, token: str, audiences: tuple[str, ...]) -> Mapping[str, Any]:
        spec: dict[str, Any] = {"token": token}
        if audiences:
            spec["audiences"] = audiences
        body = orjson.dumps(
            {
                "kind": KIND,
                "apiVersion": self._api_version,
                "metadata": {},
                "spec": spec,
                "status": {"user": {}},
            }
        )
        delay_s = BACKOFF_S
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._status(await self._post(body))
            except _CallError as error:
                if not error.retry or attempt == ATTEMPTS:
                    raise
            await asyncio.sleep(delay_s * (1 + random.random() * BACKOFF_JITTER))
            delay_s *= BACKOFF_FACTOR
        raise AssertionError("the last attempt returns or raises")

    def _status(self, raw: bytes) -> Mapping[str, Any]:
        try:
            review = orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise _CallError("the webhook's answer is not JSON") from None
        status = review.get("status") or {} if isinstance(review, dict) else None
        if (
            not isinstance(status, dict)
            or review.get("kind", KIND) != KIND
            or review.get("apiVersion", self._api_version) != self._api_version
        ):
            raise _CallError(f"the webhook's answer is no {KIND} of {self._api_version}")
        return status

    async def _post(self, body: bytes) -> bytes:
        import aiohttp  # only who has a webhook needs its 10 MB

        if self._closed:
            raise _CallError("shutting down")
        if self._session is None:
            self._session = aiohttp.ClientSession()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        url = self._access.server
        try:
            if token := self._own_token():
                headers["Authorization"] = f"Bearer {token}"
            async with (
                asyncio.timeout(TIMEOUT_S),
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
                    raise _CallError(
                        f'Post "{url}": status {answer.status}',
                        retry=answer.status in (429, 500, 504) or "Retry-After" in answer.headers,
                    )
                return raw
        except TimeoutError:
            raise _CallError(f'Post "{url}": context deadline exceeded') from None
        except (aiohttp.ClientError, ssl.SSLError, OSError, ValueError) as error:
            raise _CallError(f'Post "{url}": {error}', retry=_was_reset(error)) from error

    def _own_token(self) -> str | None:
        """Return what we ourselves say who we are with; the file may be renewed any time."""
        if self._access.token_file is not None:
            return self._access.token_file.read_text().strip()
        return self._access.token


class _CallError(Exception):
    """No answer, or not a good one. `retry`: another attempt may do."""

    def __init__(self, message: str, *, retry: bool = False) -> None:
        super().__init__(message)
        self.retry = retry


def _was_reset(error: BaseException) -> bool:
    """Whether a connection broke off that had been made."""
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorError):
        return False
    return isinstance(error, (aiohttp.ServerDisconnectedError, ConnectionResetError)) or (
        isinstance(error, OSError) and error.errno == errno.ECONNRESET
    )


async def _bounded(content: Any) -> bytes:
    parts, size = [], 0
    async for part in content.iter_any():
        size += len(part)
        if size > LIMIT_ANSWER_BYTES:
            raise _CallError(f"the webhook's answer is larger than {LIMIT_ANSWER_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


def _user(user: Mapping[str, Any]) -> UserInfo:
    """Return the user of a status; raises TypeError or AttributeError where it is none."""
    return UserInfo(
        _text(user.get("username", "")),
        _text(user.get("uid", "")),
        _texts(user.get("groups")),
        tuple((key, _texts(values)) for key, values in sorted((user.get("extra") or {}).items())),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(type(value).__name__)
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise TypeError(type(value).__name__)
    return tuple(map(_text, value))
