"""Static bearer tokens: those of --token-auth-file, and the admin's.

Source: kube-apiserver v1.36.2, apiserver/pkg/authentication/token/tokenfile.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from services.apiserver.authentication.authenticator import Authenticated
from services.apiserver.authentication.union import intersection
from services.apiserver.authentication.users import grouped
from services.apiserver.requestinfo import UserInfo


class StaticTokens:
    """Users by token; each token is good for all `audiences` of this server."""

    def __init__(self, users: Mapping[str, UserInfo], audiences: tuple[str, ...] = ()) -> None:
        self._audiences = audiences
        self._found = {
            token: Authenticated(grouped(user), audiences) for token, user in users.items()
        }

    async def authenticate_token(
        self, token: str, audiences: tuple[str, ...]
    ) -> Authenticated | None:
        found = self._found.get(token)
        if found is None or audiences is self._audiences or not audiences:
            return found
        good = intersection(self._audiences, audiences)
        return Authenticated(found.user, good) if good else None


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
        users[token] = UserInfo(name, uid, groups)
    return users
