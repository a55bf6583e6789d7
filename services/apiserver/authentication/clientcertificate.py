"""X.509 client certificates: the common name is the user, the organizations are the groups.

Source: kube-apiserver v1.36.2, apiserver/pkg/authentication/request/x509.
"""

from __future__ import annotations

from services.apiserver.authentication.authenticator import Authenticated
from services.apiserver.authentication.authorities import Authorities
from services.apiserver.authentication.peer import peer_of
from services.apiserver.http.request import Request


class ClientCertificates:
    """Knows the users of certificates that `authorities` (--client-ca-file) signed."""

    def __init__(self, authorities: Authorities) -> None:
        self._authorities = authorities

    async def authenticate(self, request: Request) -> Authenticated | None:
        peer = peer_of(request)
        if peer is None:
            return None
        peer.verify(self._authorities)
        user = peer.user
        return None if user is None else Authenticated(user)
