"""Signatures: a bearer token → the claims that one of our keys stands for."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
import orjson

from services.apiserver.errors import Unauthorized
from services.apiserver.requestinfo import UserInfo
from services.apiserver.serviceaccounts.boundobjects import Proof
from services.apiserver.serviceaccounts.claims import LEGACY_ISSUER, Claims, parse_claims, user_of
from shared.signingkeys import VerificationKey

MAX_TOKEN_CHARACTERS = 64 * 1024
"""A token with every claim has about one thousand."""
KEPT_TOKENS = 2048
"""How many tokens' claims are kept: checking a signature takes 70 us, finding it checked 2 us."""

# Stricter than base64 decoders, which pass over characters that do not belong there.
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+")
_LIBRARY = jwt.PyJWS(algorithms=["RS256", "ES256", "ES384", "ES512"])


@dataclass(slots=True)
class SignedToken:
    """A token that one of our keys signed."""

    claims: Claims
    user: UserInfo
    proof: Proof | None = None
    """That the objects it names were there when they were last looked at."""


class SignedTokens:
    """Reads the claims of tokens. What they mean now (are they too old?) is asked elsewhere."""

    def __init__(
        self,
        issuers: Collection[str],
        keys: Sequence[VerificationKey],
        *,
        maximum: int = KEPT_TOKENS,
    ) -> None:
        self._issuers = frozenset((*issuers, LEGACY_ISSUER))
        self._keys = tuple(keys)
        self._maximum = maximum
        self._kept: dict[bytes, SignedToken] = {}  # by digest: the tokens themselves are secrets

    def __repr__(self) -> str:
        return f"<SignedTokens of {len(self._keys)} keys, {len(self._kept)} tokens kept>"

    def read(self, token: str) -> SignedToken | None:
        """Return a token's claims, None where it is not a JWT or names another issuer.

        Who asks again is given the same object, as long as the token is kept.

        Raises:
            Unauthorized: it names our issuer, and no key of ours signed it.
        """
        if len(token) > MAX_TOKEN_CHARACTERS:
            return None
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        signed = self._kept.get(digest)
        if signed is None:
            payload = self._ours(token)
            if payload is None:
                return None
            self._check(token)
            claims = parse_claims(payload)
            signed = SignedToken(claims, user_of(claims))
            if len(self._kept) >= self._maximum:
                del self._kept[next(iter(self._kept))]
            self._kept[digest] = signed
        return signed

    def _ours(self, token: str) -> dict[str, Any] | None:
        """Return the payload of a token that claims to be ours; nothing is proved yet."""
        compact = _COMPACT.fullmatch(token)
        if compact is None:
            return None
        try:
            payload = orjson.loads(base64.urlsafe_b64decode(compact[1] + "=="))
        except (binascii.Error, orjson.JSONDecodeError):
            return None
        issuer = payload.get("iss") if isinstance(payload, dict) else None
        return payload if isinstance(issuer, str) and issuer in self._issuers else None

    def _check(self, token: str) -> None:
        try:
            key_id = jwt.get_unverified_header(token).get("kid", "")
        except jwt.PyJWTError as error:
            raise Unauthorized(f"malformed token: {error}") from error
        keys = [key for key in self._keys if not key_id or key.key_id == key_id]
        if not keys:
            raise Unauthorized("invalid signature, no keys found")
        for key in keys:
            try:
                # The key says which algorithm it is for, never the token.
                _LIBRARY.decode_complete(token, key.public, algorithms=[key.algorithm])
            except jwt.PyJWTError:
                continue
            return
        raise Unauthorized("invalid signature")
