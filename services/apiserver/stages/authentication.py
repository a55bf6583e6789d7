"""Stage: who asks? → UserInfo, or 401.

Authenticators are asked in order; each answers with a UserInfo, with None («not mine») or
raises Unauthorized («mine, and bad»). Source: kube-apiserver v1.36.2,
apiserver/pkg/authentication/request/union and .../bearertoken.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from services.apiserver.errors import Unauthorized
from services.apiserver.request import Request
from services.apiserver.requestinfo import UserInfo

ALL_AUTHENTICATED = "system:authenticated"
ANONYMOUS = UserInfo("system:anonymous", groups=("system:unauthenticated",))


class Authenticator(Protocol):
    def authenticate(self, request: Request) -> UserInfo | None:
        """Return who asks, None where this authenticator finds no credentials of its kind.

        Raises:
            Unauthorized: the credentials are of its kind and not valid.
        """
        ...


class StaticTokens:
    """Bearer tokens of --token-auth-file."""

    def __init__(self, users: dict[str, UserInfo]) -> None:
        self._users = {token.encode("latin-1", "replace"): user for token, user in users.items()}

    def authenticate(self, request: Request) -> UserInfo | None:
        header = request.headers.get(b"authorization")
        if header is None:
            return None
        scheme, _, token = header.partition(b" ")
        token = token.strip()
        # Another scheme or an empty token means: no credentials.
        if scheme.lower() != b"bearer" or not token:
            return None
        user = self._users.get(token)
        if user is None:
            raise Unauthorized("Unauthorized")
        return user

    def user_of(self, token: str) -> UserInfo | None:
        """Return whose a token is, None where it is nobody's."""
        return self._users.get(token.encode("latin-1", "replace"))


class TokenFileError(ValueError):
    """--token-auth-file can't be used; the message says why."""


def read_token_file(path: Path) -> dict[str, UserInfo]:
    """Return the users of a CSV file `token,user,uid[,"group,group"]` by token.

    Raises:
        TokenFileError: it can't be read, or a line has fewer than three columns.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TokenFileError(f"{path}: {error}") from error
    users: dict[str, UserInfo] = {}
    for number, row in enumerate(csv.reader(text.splitlines(), skipinitialspace=True), 1):
        if not row or row[0].startswith("#"):
            continue
        if len(row) < 3:
            raise TokenFileError(f"{path}:{number}: a line needs token,user,uid; got {len(row)}")
        token, name, uid = row[:3]
        if not token:
            raise TokenFileError(f"{path}:{number}: the token is empty")
        # An empty group column is one empty group, as in kube-apiserver's strings.Split.
        groups = tuple(row[3].split(",")) if len(row) >= 4 else ()
        users[token] = UserInfo(name, uid, (*groups, ALL_AUTHENTICATED))
    return users


def authenticate_by(
    authenticators: Sequence[Authenticator], *, anonymous: bool
) -> Callable[[Request], UserInfo]:
    """Return the function that finds the user of a request; it raises Unauthorized."""

    def authenticate(request: Request) -> UserInfo:
        for authenticator in authenticators:
            user = authenticator.authenticate(request)
            if user is not None:
                return user
        if not anonymous:
            raise Unauthorized("Unauthorized")
        return ANONYMOUS

    return authenticate
