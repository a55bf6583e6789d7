"""Whose is a service account token? → its UserInfo, as an authentication.TokenAuthenticator.

Source: kube-apiserver v1.36.2, pkg/serviceaccount/jwt.go (AuthenticateToken).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Sequence

from services.apiserver.authentication import Authenticated, NotedAuthenticated
from services.apiserver.errors import Unauthorized
from services.apiserver.serviceaccounts.boundobjects import BoundObjects
from services.apiserver.serviceaccounts.claims import Claims
from services.apiserver.serviceaccounts.metrics import TokenUses
from services.apiserver.serviceaccounts.signature import SignedToken, SignedTokens
from shared.signingkeys import VerificationKey

STALE = "authentication.k8s.io/stale-token"
LEGACY = "authentication.k8s.io/legacy-token"


class ServiceAccountTokens:
    """Tokens of one of `issuers` that one of `keys` signed.

    `api_audiences` are those of this server. Without `lookup`, a token of the older kind is
    good even when its Secret is gone.
    """

    def __init__(
        self,
        *,
        issuers: Collection[str],
        keys: Sequence[VerificationKey],
        api_audiences: tuple[str, ...],
        objects: BoundObjects,
        lookup: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._signed = SignedTokens(issuers, keys)
        self._api_audiences = api_audiences
        self._objects = objects
        self._lookup = lookup
        self._clock = clock
        self.uses = TokenUses()

    async def authenticate_token(
        self, token: str, audiences: tuple[str, ...]
    ) -> Authenticated | None:
        signed = self._signed.read(token)
        if signed is None:
            return None
        claims = signed.claims
        now = self._clock()
        claims.check_time(now)
        meant_for = claims.audiences or self._api_audiences
        common = tuple(one for one in meant_for if one in audiences)
        if not common:
            raise Unauthorized(
                f"token audiences {_list(meant_for)} is invalid for the target audiences "
                f"{_list(audiences)}"
            )
        await self._check_objects(signed, token, now)
        notes = self._count(claims, now)
        if notes:
            return NotedAuthenticated(signed.user, common, notes)
        return Authenticated(signed.user, common)

    def _count(self, claims: Claims, now: float) -> tuple[tuple[str, str], ...]:
        """Count the use of a token, and return what is to be noted of it."""
        warn_after = claims.warn_after
        if warn_after is None:
            if claims.audiences:
                return ()
            self.uses.legacy += 1
            return ((LEGACY, claims.username),)
        if now <= warn_after:
            self.uses.valid += 1
            return ()
        self.uses.stale += 1
        late_s = int(now) - int(warn_after)
        told = f"subject: {claims.username}, seconds after warning threshold: {late_s}"
        return ((STALE, told),)

    async def _check_objects(self, signed: SignedToken, token: str, now: float) -> None:
        if signed.proof is not None and signed.proof.holds(now):
            return
        signed.proof = None
        if not signed.claims.legacy:
            proof = await self._objects.check(signed.claims, now)
        elif self._lookup:
            proof = await self._objects.check_legacy(signed.claims, token, now)
        else:
            return
        if proof.lasting:
            signed.proof = proof


def _list(audiences: Sequence[str]) -> str:
    """Print texts as Go's %q prints a slice."""
    return f"[{' '.join(json.dumps(one, ensure_ascii=False) for one in audiences)}]"
