"""Distributed claims: groups that are too many for the token lie elsewhere, signed too.

Source: kube-apiserver v1.36.2, apiserver/plugin/pkg/authenticator/token/oidc/oidc.go
(claimResolver); OpenID Connect Core 1.0, section 5.6.2.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from services.apiserver.authentication.configuration import Issuer
from services.apiserver.authentication.oidc.provider import (
    Provider,
    ProviderError,
    get,
    verified,
)
from services.apiserver.authentication.oidc.verification import BadToken, untrusted_issuer

if TYPE_CHECKING:
    from aiohttp import ClientSession

NAMES, SOURCES = "_claim_names", "_claim_sources"
LIMIT_ISSUERS = 16
"""Other issuers that sign such claims. They come from tokens that a trusted issuer signed."""


class ClaimResolver:
    """Fetches one claim from where a token says it is."""

    def __init__(
        self,
        claim: str,
        provider: Provider,
        *,
        audiences: frozenset[str],
        algorithms: frozenset[str],
        trusted: ssl.SSLContext,
        tasks: asyncio.TaskGroup,
        session: ClientSession,
    ) -> None:
        self._claim = claim
        self._providers = {provider.issuer.url: provider}
        self._certificate_authority = provider.issuer.certificate_authority
        self._audiences, self._algorithms = audiences, algorithms
        self._trusted = trusted
        self._tasks = tasks
        self._session = session

    async def expand(self, claims: dict[str, Any]) -> None:
        """Add the claim to `claims` if these only say where it is.

        Raises:
            BadToken: it can't be had, or is not signed as it must.
        """
        if self._claim in claims or NAMES not in claims:
            return
        names, sources = claims[NAMES], claims.get(SOURCES)
        if not isinstance(names, dict):
            raise BadToken("oidc: error parsing distributed claim names")
        if not isinstance(sources, dict):
            raise BadToken("oidc: no claim sources")
        if self._claim not in names:
            return
        source = sources.get(str(names[self._claim]))
        if not isinstance(source, dict):
            raise BadToken("oidc: _claim_names has a source that is missing in _claim_sources")
        endpoint, access_token = source.get("endpoint"), source.get("access_token") or ""
        if not endpoint:
            return  # an aggregated claim, which kube-apiserver does not read either
        if not isinstance(endpoint, str) or not isinstance(access_token, str):
            raise BadToken("oidc: could not parse claim sources")
        found = await self._resolve(endpoint, access_token)
        if self._claim not in found:
            raise BadToken(
                f"oidc: jwt returned by distributed claim endpoint {endpoint!r} "
                f"did not contain claim: {self._claim}"
            )
        claims[self._claim] = found[self._claim]

    async def _resolve(self, endpoint: str, access_token: str) -> Mapping[str, Any]:
        try:
            body = await get(self._session, endpoint, self._trusted, bearer=access_token)
        except ProviderError as error:
            raise BadToken(
                f"oidc: while getting distributed claim {self._claim!r}: {error}"
            ) from error
        token = body.decode("ascii", "replace").strip()
        issuer = untrusted_issuer(token)
        if issuer is None:
            raise BadToken(f"oidc: {endpoint} returned no token")
        provider = self._provider(issuer)
        if not provider.ready:
            raise BadToken(f"oidc: verifier not initialized for issuer: {issuer!r}")
        return await verified(
            token, provider, audiences=self._audiences, algorithms=self._algorithms
        )

    def _provider(self, issuer: str) -> Provider:
        provider = self._providers.get(issuer)
        if provider is None:
            if len(self._providers) >= LIMIT_ISSUERS:
                raise BadToken(f"oidc: too many issuers of distributed claims: {issuer!r}")
            provider = Provider(
                Issuer(url=issuer, certificate_authority=self._certificate_authority)
            )
            self._providers[issuer] = provider
            self._tasks.create_task(provider.run(self._session), name=f"oidc issuer {issuer}")
        return provider
