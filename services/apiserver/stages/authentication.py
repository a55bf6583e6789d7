"""Stage: who asks? → UserInfo, or 401.

Source: kube-apiserver v1.36.2, apiserver/pkg/endpoints/filters/authentication.go.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from services.apiserver.authentication.authenticator import RequestAuthenticator
from services.apiserver.authentication.requestheader import HeaderFilter
from services.apiserver.errors import Unauthorized
from services.apiserver.request import Request
from services.apiserver.requestinfo import UserInfo

log = logging.getLogger("kubefan.apiserver.authentication")


def authenticate_by(
    authenticator: RequestAuthenticator,
    anonymous: RequestAuthenticator | None,
    header_filter: HeaderFilter,
) -> Callable[[Request], Awaitable[UserInfo]]:
    """Return the function that finds the user of a request; it raises Unauthorized.

    `anonymous` is asked about requests without credentials; bad ones are never anonymous. The
    credentials are taken off the request before anything else can see or log them.
    """

    async def authenticate(request: Request) -> UserInfo:
        try:
            found = await authenticator.authenticate(request)
            if found is None and anonymous is not None:
                found = await anonymous.authenticate(request)
        except Unauthorized as error:
            # Only the log learns why.
            log.info("not authenticated", extra={"path": request.path, "why": error.message})
            raise Unauthorized("Unauthorized") from None
        finally:
            header_filter.strip(request)
        if found is None:
            raise Unauthorized("Unauthorized")
        return found.user

    return authenticate
