"""Stage: who asks? → UserInfo, or 401.

Source: kube-apiserver v1.36.2, apiserver/pkg/endpoints/filters/authentication.go.
"""

from __future__ import annotations

import logging

from services.apiserver.authentication.authenticator import RequestAuthenticator, tell
from services.apiserver.authentication.requestheader import HeaderFilter
from services.apiserver.errors import Unauthorized
from services.apiserver.http.request import Request
from services.apiserver.requestinfo import UserInfo

log = logging.getLogger("kubefan.apiserver.authentication")

LONGEST_LOGGED = 500
"""Characters of what anybody may send: paths, and claims that nobody has verified."""


class AuthenticationStage:
    """Finds the user of a request.

    `anonymous` is asked about requests without credentials; bad ones are never anonymous. The
    credentials are taken off the request before anything else can see or log them.
    """

    def __init__(
        self,
        authenticator: RequestAuthenticator,
        anonymous: RequestAuthenticator | None,
        header_filter: HeaderFilter,
    ) -> None:
        self._authenticator = authenticator
        self._anonymous = anonymous
        self._header_filter = header_filter
        self.attempts = {"success": 0, "failure": 0, "error": 0}
        """Requests by result: failure is for those without credentials, error for bad ones."""

    async def __call__(self, request: Request) -> UserInfo:
        """Return who asks.

        Raises:
            Unauthorized: nobody who may; it does not say why.
        """
        try:
            found = await self._authenticator.authenticate(request)
            if found is None and self._anonymous is not None:
                found = await self._anonymous.authenticate(request)
        except Unauthorized as error:
            # Only the log learns why.
            path, why = request.path[:LONGEST_LOGGED], error.message[:LONGEST_LOGGED]
            log.info("not authenticated", extra={"path": path, "why": why})
            self.attempts["error"] += 1
            raise Unauthorized("Unauthorized") from None
        finally:
            self._header_filter.strip(request)
        if found is None:
            self.attempts["failure"] += 1
            raise Unauthorized("Unauthorized")
        self.attempts["success"] += 1
        tell(request.audit, found)
        return found.user
