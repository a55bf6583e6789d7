"""Webhook token authentication: a remote service says whose a token is.

Source: kube-apiserver v1.36.2, apiserver/plugin/pkg/authenticator/token/webhook/webhook.go;
apiserver/pkg/util/webhook/webhook.go (retries, time-out).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from services.apiserver.authentication.authenticator import Authenticated
from services.apiserver.errors import Unauthorized
from services.apiserver.requestinfo import UserInfo
from services.apiserver.webhooks.reviewclient import BACKOFF_S, ReviewClient, ReviewError
from shared.kubeconfig import ClusterAccess

logger = logging.getLogger(__name__)

GROUP = "authentication.k8s.io"
KIND = "TokenReview"
VERSIONS = ("v1", "v1beta1")
TIMEOUT_S = 30.0


class WebhookTokenAuthenticator:
    """Asks with a TokenReview. Every token costs a call: `WebhookCache` is put in front.

    `api_audiences` are those that a token is good for where the answer names none.
    """

    def __init__(
        self,
        access: ClusterAccess,
        *,
        version: str,
        api_audiences: Sequence[str] = (),
        backoff_s: float = BACKOFF_S,
    ) -> None:
        self._client = ReviewClient(access, timeout_s=TIMEOUT_S, backoff_s=backoff_s)
        self._api_version = f"{GROUP}/{version}"
        self._api_audiences = tuple(api_audiences)

    def __repr__(self) -> str:
        return f"<WebhookTokenAuthenticator {self._client!r}>"

    async def run(self) -> None:
        """Close the connections when cancelled."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        await self._client.aclose()

    async def authenticate_token(
        self, token: str, audiences: tuple[str, ...]
    ) -> Authenticated | None:
        """See TokenAuthenticator; Unauthorized also when the webhook does not answer."""
        try:
            status = await self._review(token, audiences)
        except ReviewError as error:
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
        return await self._client.review(
            {
                "kind": KIND,
                "apiVersion": self._api_version,
                "metadata": {},
                "spec": spec,
                "status": {"user": {}},
            }
        )


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
