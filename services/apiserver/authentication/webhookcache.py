"""WebhookCache: answers of a TokenAuthenticator that costs a call, kept for a while.

Answers are shared by those who ask at once. Errors are not kept: the next one asks again.
Source: kube-apiserver v1.36.2, apiserver/pkg/authentication/token/cache;
pkg/kubeapiserver/authenticator/config.go (newWebhookTokenAuthenticator).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from services.apiserver.authentication.authenticator import Authenticated, TokenAuthenticator
from services.apiserver.errors import Unauthorized

LIMIT_ENTRIES = 4096


@dataclass(frozen=True, slots=True)
class _Answer:
    authenticated: Authenticated | None
    refusal: str | None = None

    def give(self) -> Authenticated | None:
        if self.refusal is not None:
            raise Unauthorized(self.refusal)
        return self.authenticated


class WebhookCache:
    """Keeps whose a token is, or that it is nobody's, for `ttl_s`; 0 keeps nothing."""

    def __init__(
        self,
        authenticator: TokenAuthenticator,
        *,
        ttl_s: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._authenticator = authenticator
        self._ttl_s = ttl_s
        self._now = now
        self._entries: OrderedDict[bytes, tuple[float, _Answer]] = OrderedDict()
        self._asking: dict[bytes, asyncio.Future[_Answer | None]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    async def authenticate_token(
        self, token: str, audiences: tuple[str, ...]
    ) -> Authenticated | None:
        """See TokenAuthenticator."""
        key = _key(token, audiences)
        while True:
            kept = self._entries.get(key)
            if kept is not None and self._now() < kept[0]:
                self._entries.move_to_end(key)
                return kept[1].give()
            asking = self._asking.get(key)
            if asking is None:
                return (await self._ask(key, token, audiences)).give()
            # One who goes away must not take the answer from the others.
            answer = await asyncio.shield(asking)
            if answer is not None:
                return answer.give()
            # The one who asked went away: ask instead.

    async def _ask(self, key: bytes, token: str, audiences: tuple[str, ...]) -> _Answer:
        asking: asyncio.Future[_Answer | None] = asyncio.get_running_loop().create_future()
        self._asking[key] = asking
        answer: _Answer | None = None
        try:
            try:
                answer = _Answer(await self._authenticator.authenticate_token(token, audiences))
            except Unauthorized as error:
                answer = _Answer(None, error.message)
            else:
                self._keep(key, answer)
            return answer
        finally:
            del self._asking[key]
            asking.set_result(answer)

    def _keep(self, key: bytes, answer: _Answer) -> None:
        if self._ttl_s <= 0:
            return
        self._entries[key] = (self._now() + self._ttl_s, answer)
        self._entries.move_to_end(key)
        if len(self._entries) > LIMIT_ENTRIES:
            self._entries.popitem(last=False)


def _key(token: str, audiences: tuple[str, ...]) -> bytes:
    """Return what stands for a question and no other: a memory dump shows no tokens."""
    return hashlib.sha256(repr((token, audiences)).encode()).digest()
