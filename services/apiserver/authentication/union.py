"""Several authenticators as one: the first that knows the credentials decides.

An error does not end the search, another may know them; but credentials that one of them found
bad and none found good are bad.
Source: kube-apiserver v1.36.2, apiserver/pkg/authentication/{request,token}/union.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import replace

from services.apiserver.authentication.authenticator import (
    Authenticated,
    RequestAuthenticator,
    TokenAuthenticator,
)
from services.apiserver.authentication.users import grouped
from services.apiserver.errors import Unauthorized
from services.apiserver.http.request import Request


class TokenUnion:
    """Asks in order whose a token is; the user is a member of system:authenticated."""

    def __init__(self, authenticators: Sequence[TokenAuthenticator]) -> None:
        self._authenticators = tuple(authenticators)

    async def authenticate_token(
        self, token: str, audiences: tuple[str, ...]
    ) -> Authenticated | None:
        return await _first(
            one.authenticate_token(token, audiences) for one in self._authenticators
        )


class RequestUnion:
    """Asks in order who sent a request; the user is a member of system:authenticated."""

    def __init__(self, authenticators: Sequence[RequestAuthenticator]) -> None:
        self._authenticators = tuple(authenticators)

    async def authenticate(self, request: Request) -> Authenticated | None:
        return await _first(one.authenticate(request) for one in self._authenticators)


async def _first(answers: Iterable[Awaitable[Authenticated | None]]) -> Authenticated | None:
    """Ask one after the other, each only when those before it knew nobody."""
    errors: list[Unauthorized] = []
    for answer in answers:
        try:
            found = await answer
        except Unauthorized as error:
            errors.append(error)
            continue
        if found is not None:
            user = grouped(found.user)
            return found if user is found.user else replace(found, user=user)
    if errors:
        raise aggregate(errors)
    return None


class AudienceAgnostic:
    """Makes the tokens of an authenticator that knows no audiences good for this server's.

    Source: kube-apiserver v1.36.2, apiserver/pkg/authentication/authenticator/audagnostic.go.
    """

    def __init__(self, authenticator: TokenAuthenticator, audiences: tuple[str, ...]) -> None:
        self._authenticator = authenticator
        self._audiences = audiences

    async def authenticate_token(
        self, token: str, audiences: tuple[str, ...]
    ) -> Authenticated | None:
        good = intersection(self._audiences, audiences)
        if audiences and not good:
            return None
        found = await self._authenticator.authenticate_token(token, ())
        return None if found is None else replace(found, audiences=good)


def intersection(ours: tuple[str, ...], asked: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of our audiences that are asked for, in our order."""
    if ours is asked:
        return ours
    return tuple(one for one in ours if one in asked)


class AllBad(Unauthorized):
    """Several authenticators found the credentials bad, each for a reason of its own."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__(reasons[0] if len(reasons) == 1 else f"[{', '.join(reasons)}]")
        self.reasons = tuple(reasons)


def aggregate(errors: Sequence[Unauthorized]) -> Unauthorized:
    """Return several errors as one, told as Go's aggregates are: each reason once, in a row."""
    reasons: dict[str, None] = {}
    for error in errors:
        reasons.update(
            dict.fromkeys(error.reasons if isinstance(error, AllBad) else (error.message,))
        )
    return AllBad(tuple(reasons))
