"""Is this token signed by one of these keys, for us, and of now?

Source: kube-apiserver v1.36.2, github.com/coreos/go-oidc verify.go and jwks.go;
apiserver/plugin/pkg/authenticator/token/oidc/oidc.go.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
import orjson
from jwt.exceptions import PyJWTError

LEEWAY_NOT_BEFORE_S = 60
"""How far the issuer's clock may be ahead. An expired token gets no leeway."""

LEAST_RSA_BITS = 1024
"""What Go's crypto/rsa still verifies with."""

GOOGLE, GOOGLE_SHORT = "https://accounts.google.com", "accounts.google.com"
"""Google signs tokens with either."""

_JWS = jwt.PyJWS()
_FAMILIES: Mapping[str, str] = {"RS": "RSA", "PS": "RSA", "ES": "EC"}

PublicKey = Any
"""What PyJWT verifies with: a public key of the cryptography package."""


class BadToken(Exception):
    """The token is not to be trusted; the text says why."""


class NoSuchKey(BadToken):
    """None of the keys at hand has signed it."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    kid: str
    kty: str
    key: PublicKey


def read_keys(document: Any) -> tuple[SigningKey, ...]:
    """Return the usable keys of a JSON Web Key Set; of other kinds than RSA and EC are not.

    Raises:
        ValueError: it is no key set.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("not a JSON Web Key Set")
    keys = []
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("kty") not in _FAMILIES.values():
            continue
        if entry.get("use", "sig") != "sig":
            continue
        public = {name: value for name, value in entry.items() if name in _PUBLIC}
        try:
            key = jwt.PyJWK(public).key
        except (PyJWTError, ValueError, TypeError):
            continue
        if entry["kty"] == "RSA" and key.key_size < LEAST_RSA_BITS:
            continue
        kid = entry.get("kid")
        keys.append(SigningKey(kid if isinstance(kid, str) else "", entry["kty"], key))
    return tuple(keys)


_PUBLIC = frozenset(["kty", "n", "e", "crv", "x", "y"])
"""The private half, should an issuer publish it, is not kept; `alg` does not bind: one RSA key
may sign by several algorithms."""


def untrusted_issuer(token: str) -> str | None:
    """Return the issuer that a token names, None if it is no token; nothing is verified."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = orjson.loads(_decoded(parts[1]))
    except ValueError:
        return None
    issuer = claims.get("iss") if isinstance(claims, dict) else None
    if not isinstance(issuer, str):
        return None
    return GOOGLE if issuer == GOOGLE_SHORT else issuer


def verify(
    token: str,
    keys: Iterable[SigningKey],
    *,
    issuer: str,
    audiences: frozenset[str],
    algorithms: frozenset[str],
    now_s: float,
) -> dict[str, Any]:
    """Return the claims of a token.

    Raises:
        NoSuchKey: the signature is of none of the keys.
        BadToken: something else is wrong with it.
    """
    header, claims = _parse(token)
    if _issuer(claims) != issuer:
        raise BadToken(f"oidc: id token issued by a different provider, expected {issuer!r}")
    granted = claims.get("aud")
    granted = [granted] if isinstance(granted, str) else granted
    if not isinstance(granted, list) or audiences.isdisjoint(
        one for one in granted if isinstance(one, str)
    ):
        raise BadToken(f"oidc: expected audience in {sorted(audiences)} got {granted}")
    expiry = _time(claims, "exp")
    if expiry is None or expiry < now_s:
        raise BadToken("oidc: token is expired")
    not_before = _time(claims, "nbf")
    if not_before is not None and now_s + LEEWAY_NOT_BEFORE_S < not_before:
        raise BadToken("oidc: current time is before the nbf (not before) time")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise BadToken(
            "oidc: id token signed with unsupported algorithm, "
            f"expected {sorted(algorithms)} got {algorithm!r}"
        )
    if "crit" in header or "b64" in header:
        raise BadToken("oidc: malformed jwt: unsupported critical header")
    _verify_signature(token, header, keys)
    return claims


def _verify_signature(token: str, header: Mapping[str, Any], keys: Iterable[SigningKey]) -> None:
    algorithm, kid = header["alg"], header.get("kid") or ""
    for one in keys:
        if one.kty != _FAMILIES[algorithm[:2]] or (kid and one.kid != kid):
            continue
        try:
            _JWS.decode_complete(token, one.key, algorithms=[algorithm])
        except PyJWTError:
            continue
        return
    raise NoSuchKey("failed to verify id token signature")


def _parse(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    parts = token.split(".")
    if len(parts) != 3:
        raise BadToken("oidc: malformed jwt")
    try:
        header, claims = orjson.loads(_decoded(parts[0])), orjson.loads(_decoded(parts[1]))
    except ValueError:
        raise BadToken("oidc: malformed jwt") from None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise BadToken("oidc: malformed jwt")
    return header, claims


def _decoded(part: str) -> bytes:
    """Return unpadded base64url decoded; raises ValueError."""
    try:
        encoded = part.encode("ascii")
        if b"=" in encoded:
            raise ValueError("padded")
        return base64.b64decode(encoded + b"=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError(str(error)) from None


def _issuer(claims: Mapping[str, Any]) -> Any:
    issuer = claims.get("iss")
    return GOOGLE if issuer == GOOGLE_SHORT else issuer


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    """Return a time in seconds, None if there is none."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadToken(f"oidc: failed to unmarshal claims: {name} is not a number")
    return float(value)
