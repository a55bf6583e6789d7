"""OidcAuthenticator: the tokens of one issuer.

Source: kube-apiserver v1.36.2, apiserver/plugin/pkg/authenticator/token/oidc/oidc.go.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from services.apiserver.authentication.authenticator import Authenticated
from services.apiserver.authentication.configuration import JwtAuthenticator
from services.apiserver.authentication.oidc.claims import ClaimMapper
from services.apiserver.authentication.oidc.distributed import ClaimResolver
from services.apiserver.authentication.oidc.metrics import JwtMetrics, Result
from services.apiserver.authentication.oidc.provider import Provider, trust, verified
from services.apiserver.authentication.oidc.settings import ALGORITHMS
from services.apiserver.authentication.oidc.verification import BadToken
from services.apiserver.errors import Unauthorized

if TYPE_CHECKING:
    from aiohttp import ClientSession


class OidcAuthenticator:
    """Finds the users of one issuer's tokens, while `run` runs."""

    def __init__(
        self,
        settings: JwtAuthenticator,
        metrics: JwtMetrics,
        *,
        algorithms: frozenset[str] = ALGORITHMS,
    ) -> None:
        self.issuer = settings.issuer.url
        self._metrics = metrics
        self._provider = Provider(settings.issuer, metrics)
        self._audiences = frozenset(settings.issuer.audiences)
        self._algorithms = algorithms & ALGORITHMS
        self._groups_claim = settings.claim_mappings.groups.claim
        self._certificate_authority = settings.issuer.certificate_authority
        self._mapper = ClaimMapper(settings)
        self._resolver: ClaimResolver | None = None

    def __repr__(self) -> str:
        return f"<OidcAuthenticator {self._provider!r}>"

    @property
    def problem(self) -> str:
        """Why no token can be verified yet, "" when they can."""
        return self._provider.problem

    async def wait_ready(self) -> None:
        await self._provider.wait_ready()

    async def run(self, session: ClientSession) -> None:
        """Fetch the issuer's keys, and what else verifying needs."""
        async with asyncio.TaskGroup() as tasks:
            if self._groups_claim:
                self._resolver = ClaimResolver(
                    self._groups_claim,
                    self._provider,
                    audiences=self._audiences,
                    algorithms=self._algorithms,
                    trusted=trust(self._certificate_authority),
                    tasks=tasks,
                    session=session,
                )
            await self._provider.run(session)

    async def authenticate_token(self, token: str) -> Authenticated:
        """Return whose a token is that names this issuer.

        Raises:
            Unauthorized: it is bad, or the issuer's keys are not known yet.
        """
        began = time.perf_counter()
        result: Result = "failure"
        try:
            found = await self._authenticate(token)
            result = "success"
        finally:
            self._metrics.verified(self.issuer, result, time.perf_counter() - began)
        return found

    async def _authenticate(self, token: str) -> Authenticated:
        if not self._provider.ready:
            raise Unauthorized("oidc: authenticator not initialized")
        try:
            claims = await verified(
                token, self._provider, audiences=self._audiences, algorithms=self._algorithms
            )
        except BadToken as error:
            raise Unauthorized(f"oidc: verify token: {error}") from error
        try:
            if self._resolver is not None:
                await self._resolver.expand(claims)
            return Authenticated(self._mapper.user(claims))
        except BadToken as error:
            raise Unauthorized(str(error)) from error
