"""Access: the parts that say who asks and what they may, put together from the flags."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from services.apiserver.authorization import MASTERS
from services.apiserver.authorizers import Authorization, authorization
from services.apiserver.options import ApiServerOptions
from services.apiserver.request import Request
from services.apiserver.requestinfo import UserInfo
from services.apiserver.stages.authentication import (
    ALL_AUTHENTICATED,
    StaticTokens,
    authenticate_by,
    read_token_file,
)

__all__ = ["Authentication", "Authorization", "authentication", "authorization"]


@dataclass(frozen=True, slots=True)
class Authentication:
    """Who asks."""

    authenticate: Callable[[Request], UserInfo]
    tokens: StaticTokens


def authentication(options: ApiServerOptions, *, admin_token: str) -> Authentication:
    """Return what finds the user of a request; `admin_token` gets in as a member of masters.

    Raises:
        TokenFileError: a file can't be used.
    """
    users = {admin_token: UserInfo("admin", groups=(MASTERS, ALL_AUTHENTICATED))}
    if options.authentication.token_auth_file:
        users.update(read_token_file(Path(options.authentication.token_auth_file)))
    tokens = StaticTokens(users)
    anonymous = options.authentication.anonymous_auth
    return Authentication(authenticate_by((tokens,), anonymous=anonymous), tokens)
