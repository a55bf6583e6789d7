"""Bearer tokens of requests.

Source: kube-apiserver v1.36.2, apiserver/pkg/authentication/request/bearertoken.
"""

from __future__ import annotations

from services.apiserver.authentication.authenticator import Authenticated, TokenAuthenticator
from services.apiserver.errors import Unauthorized
from services.apiserver.http.request import Request

AUTHORIZATION = b"authorization"
INVALID_TOKEN = "invalid bearer token"


class BearerToken:
    """Asks whose the token in a request's Authorization header is."""

    def __init__(self, tokens: TokenAuthenticator, audiences: tuple[str, ...]) -> None:
        self._tokens = tokens
        self._audiences = audiences

    async def authenticate(self, request: Request) -> Authenticated | None:
        header = request.headers.get(AUTHORIZATION)
        if header is None:
            return None
        headers = request.scope["headers"]
        if len(headers) != len(request.headers):
            # Some header is repeated. Of this one, the first counts, as in Go.
            header = next(value for name, value in headers if name == AUTHORIZATION)
        # Between the two is one blank: behind a second one begins no token, as in
        # kube-apiserver.
        scheme, _, rest = header.strip().partition(b" ")
        token = rest.partition(b" ")[0]
        if not token or scheme.lower() != b"bearer":
            return None
        found = await self._tokens.authenticate_token(
            token.decode("utf-8", "replace"), self._audiences
        )
        if found is None:
            raise Unauthorized(INVALID_TOKEN)
        return found
