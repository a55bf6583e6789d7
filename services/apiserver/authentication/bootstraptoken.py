"""Bootstrap tokens: Secrets of kube-system, by which a new node introduces itself.

Source: kube-apiserver v1.36.2, plugin/pkg/auth/authenticator/token/bootstrap and
cluster-bootstrap/util/{secrets,tokens}.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hmac
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

from services.apiserver.authentication.authenticator import Authenticated
from services.apiserver.registry.strategy import Lookup
from services.apiserver.requestinfo import UserInfo

log = logging.getLogger("kubefan.apiserver.authentication")

NAMESPACE = "kube-system"
SECRET_PREFIX = "bootstrap-token-"
SECRET_TYPE = "bootstrap.kubernetes.io/token"
USER_PREFIX = "system:bootstrap:"
GROUP = "system:bootstrappers"

TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
EXTRA_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")
# RFC 3339 as Go reads it: a zone is needed, a fraction may be of any length.
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:\d\d)", re.ASCII)


def _utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class BootstrapTokens:
    """Knows the tokens `id.secret` of the watch cache's Secrets.

    A token that is of the right form and not good is not bad either: it may be another's.
    """

    def __init__(self, lookup: Lookup, now: Callable[[], datetime.datetime] = _utc_now) -> None:
        self._lookup = lookup
        self._now = now

    async def authenticate_token(
        self, token: str, audiences: tuple[str, ...]
    ) -> Authenticated | None:
        match = TOKEN.fullmatch(token)
        if match is None:
            return None
        secret = self._lookup.get("", "secrets", NAMESPACE, SECRET_PREFIX + match[1])
        if secret is None:
            return None
        groups = self._groups(secret, *match.groups())
        if groups is None:
            return None
        return Authenticated(UserInfo(USER_PREFIX + match[1], groups=groups))

    def _groups(
        self, secret: Mapping[str, Any], token_id: str, token_secret: str
    ) -> tuple[str, ...] | None:
        """Return the groups of the Secret's user, None where the token is not good."""
        try:
            data = {
                name: base64.b64decode(value or "", validate=True).decode("utf-8", "replace")
                for name, value in (secret.get("data") or {}).items()
            }
        except binascii.Error:
            return None
        why = ""
        if secret["metadata"].get("deletionTimestamp"):
            why = "is being deleted"
        elif secret.get("type") != SECRET_TYPE:
            why = "has another type"
        elif not hmac.compare_digest(data.get("token-secret", "").encode(), token_secret.encode()):
            why = "has another token-secret"
        elif data.get("token-id") != token_id:
            why = "has another token-id"
        elif self._has_expired(data.get("expiration", "")):
            why = "has expired"
        elif data.get("usage-bootstrap-authentication") != "true":
            why = "is not for authentication"
        else:
            extra = data.get("auth-extra-groups", "")
            groups = set(extra.split(",")) if extra else set()
            if all(EXTRA_GROUP.fullmatch(group) for group in groups):
                return tuple(sorted({GROUP, *groups}))
            why = "has a bad group in auth-extra-groups"
        log.info("bootstrap token", extra={"secret": secret["metadata"]["name"], "why": why})
        return None

    def _has_expired(self, expiration: str) -> bool:
        if not expiration:
            return False
        if not TIME.fullmatch(expiration):
            return True  # what can't be read has passed
        try:
            return datetime.datetime.fromisoformat(expiration) <= self._now()
        except ValueError:
            return True
