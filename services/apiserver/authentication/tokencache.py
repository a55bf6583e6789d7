"""Remembers for a short time whose a bearer token is, so that it is not verified per request.

Source: kube-apiserver v1.36.2, apiserver/pkg/authentication/token/cache; the time is
TokenSuccessCacheTTL of pkg/kubeapiserver/options/authentication.go.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

from services.apiserver.authentication.authenticator import Authenticated, TokenAuthenticator

SUCCESS_TTL_S = 10.0
"""A token that is withdrawn gets in for so long; kube-apiserver's."""
MAXIMUM_TOKENS = 4096
"""Tokens (count) remembered; the one remembered longest goes. kube-apiserver's 32 times 128."""

MAXIMUM_AUDIENCES = 1024
"""Characters of the asked audiences; an answer for more is not remembered, who reviews tokens
could fill the memory with them."""

Key = tuple[bytes, tuple[str, ...]]


class TokenCache:
    """Answers for another authenticator what that has said lately; failures are asked again.

    Tokens are remembered by their hash alone.
    """

    def __init__(
        self,
        authenticator: TokenAuthenticator,
        *,
        ttl_s: float = SUCCESS_TTL_S,
        maximum: int = MAXIMUM_TOKENS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._authenticator = authenticator
        self._ttl_s = ttl_s
        self._maximum = maximum
        self._clock = clock
        self._known: dict[Key, tuple[float, Authenticated]] = {}

    def __repr__(self) -> str:
        return f"TokenCache(tokens={len(self._known)})"

    async def authenticate_token(
        self, token: str, audiences: tuple[str, ...]
    ) -> Authenticated | None:
        key = (hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest(), audiences)
        known = self._known.get(key)
        if known is not None:
            until, answer = known
            if self._clock() < until:
                return answer
            # Away with it, so that it comes to the end of the order when it is known again.
            del self._known[key]
        found = await self._authenticator.authenticate_token(token, audiences)
        if found is not None and sum(map(len, audiences)) <= MAXIMUM_AUDIENCES:
            while len(self._known) >= self._maximum:
                del self._known[next(iter(self._known))]
            self._known[key] = (self._clock() + self._ttl_s, found)
        return found
