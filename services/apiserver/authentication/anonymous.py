"""Requests without credentials.

Source: kube-apiserver v1.36.2, apiserver/pkg/authentication/request/anonymous.
"""

from __future__ import annotations

from collections.abc import Collection

from services.apiserver.authentication.authenticator import Authenticated
from services.apiserver.authentication.users import ANONYMOUS
from services.apiserver.http.request import Request

NOBODY = Authenticated(ANONYMOUS)


class Anonymous:
    """Lets in anybody; with `paths`, to these alone."""

    def __init__(self, paths: Collection[str] = ()) -> None:
        self._paths = frozenset(paths)

    async def authenticate(self, request: Request) -> Authenticated | None:
        if self._paths and request.path not in self._paths:
            return None
        return NOBODY
