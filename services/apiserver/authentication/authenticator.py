"""The interfaces of authentication.

Source: kube-apiserver v1.36.2, apiserver/pkg/authentication/authenticator/interfaces.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from services.apiserver.audit import Audit
from services.apiserver.http.request import Request
from services.apiserver.requestinfo import UserInfo


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Who was found behind credentials."""

    user: UserInfo
    audiences: tuple[str, ...] = ()
    """Those of the asked audiences that the token is good for; a TokenReview shows them.
    Empty: the authenticator knows of no audiences, so the token is good for this server alone."""


@dataclass(frozen=True, slots=True)
class NotedAuthenticated(Authenticated):
    """With notes about the credentials that belong into the audit event."""

    notes: tuple[tuple[str, str], ...] = ()
    """Annotations: key and value."""


def tell(audit: Audit, found: Authenticated) -> None:
    """Tell the audit what is noted about the credentials."""
    if type(found) is NotedAuthenticated:
        for key, value in found.notes:
            audit.annotate(key, value)


class TokenAuthenticator(Protocol):
    async def authenticate_token(
        self, token: str, audiences: tuple[str, ...]
    ) -> Authenticated | None:
        """Return whose a bearer token is, None where it is not of this authenticator's kind.

        `audiences` are those that the token may be meant for, one of them is enough: those of
        --api-audiences for requests, those of its spec for a TokenReview.

        Raises:
            Unauthorized: it is of this kind, and bad. A TokenReview tells the message; the
                client of a request learns nothing but 401.
        """
        ...


class RequestAuthenticator(Protocol):
    async def authenticate(self, request: Request) -> Authenticated | None:
        """Return who asks, None where the request has no credentials of this kind.

        Raises:
            Unauthorized: there are such credentials, and they are bad.
        """
        ...
