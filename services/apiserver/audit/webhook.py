"""The webhook backend: batches of events, posted as EventLists.

Source: kube-apiserver v1.36.2, plugin/pkg/audit/webhook/webhook.go, pkg/util/webhook.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from services.apiserver.audit.backend import DeliveryError
from services.apiserver.audit.event import RequestAudit
from services.apiserver.audit.eventtext import LINE_HEAD
from shared.kubeconfig import BearerToken, ClusterAccess

if TYPE_CHECKING:
    from aiohttp import ClientSession

LIST_HEAD: Final = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":['
TIMEOUT_S: Final = 30.0
ATTEMPTS: Final = 5
FACTOR: Final = 1.5
JITTER: Final = 0.2


class WebhookDestination:
    """Posts batches to one URL. Every failure is tried again, five times in all.

    Raises:
        KubeconfigError: a certificate, a key or the token file can't be used.
    """

    name = "webhook"
    waits_for_delivery = True
    limit_deliveries = 8

    def __init__(self, access: ClusterAccess, initial_backoff_s: float) -> None:
        self._access = access
        self._initial_backoff_s = initial_backoff_s
        # A plain http:// URL has none; aiohttp's True is the default of the system then.
        self._trust: ssl.SSLContext | bool = access.ssl_context() or True
        self._token = BearerToken(access)
        self._session: ClientSession | None = None

    def encode(self, event: RequestAudit, *, truncated: bool) -> bytes:
        line = event.truncated_line() if truncated else event.line()
        return b"{" + line[len(LINE_HEAD) : -1]

    async def deliver(self, batch: Sequence[bytes]) -> None:
        body = b"%b%b]}" % (LIST_HEAD, b",".join(batch))
        wait_s = self._initial_backoff_s
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._post(body)
                return
            except DeliveryError:
                if attempt == ATTEMPTS:
                    raise
            await asyncio.sleep(wait_s * (1 + random.random() * JITTER))
            wait_s *= FACTOR

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _post(self, body: bytes) -> None:
        # Imported when it is needed: it costs an idle server 10 MB.
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession()
        access = self._access
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                self._session.post(
                    access.server,
                    data=body,
                    headers=self._headers(),
                    ssl=self._trust,
                    server_hostname=access.tls_server_name,
                    allow_redirects=False,
                ) as answer,
            ):
                if not 200 <= answer.status < 300:
                    raise DeliveryError(f"the webhook answered with status {answer.status}")
        except TimeoutError as error:
            raise DeliveryError(f'Post "{access.server}": context deadline exceeded') from error
        except (aiohttp.ClientError, OSError, ValueError) as error:  # a URL that is none
            raise DeliveryError(f'Post "{access.server}": {error}') from error

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json, */*"}
        if token := self._token.current():
            headers["Authorization"] = f"Bearer {token}"
        return headers
