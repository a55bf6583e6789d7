"""The claims of service account tokens: of those that TokenRequest makes, and of the older
ones that lie in Secrets.

Source: kube-apiserver v1.36.2, pkg/serviceaccount/claims.go and legacy.go,
apiserver/pkg/authentication/serviceaccount/util.go (UserInfo).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.apiserver.errors import Unauthorized
from services.apiserver.requestinfo import UserInfo

ALL_ACCOUNTS = "system:serviceaccounts"
ALL_AUTHENTICATED = "system:authenticated"
EXTRA = "authentication.kubernetes.io/"
USER_PREFIX = "system:serviceaccount:"
LEGACY_ISSUER = "kubernetes/serviceaccount"
LEEWAY_S = 60
"""How far the clocks of those who sign and those who check may be apart."""

_LEGACY = "kubernetes.io/serviceaccount/"


@dataclass(frozen=True, slots=True)
class Reference:
    """An object, and which of those that ever had its name. `uid` may be "" for a pod's node."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a token says. Times are seconds since the epoch; None: it does not say."""

    namespace: str
    account: Reference
    pod: Reference | None = None
    secret: Reference | None = None
    node: Reference | None = None
    audiences: tuple[str, ...] = ()
    token_id: str = ""
    issued_at: float | None = None
    not_before: float | None = None
    expires_at: float | None = None
    warn_after: float | None = None
    legacy: bool = False
    """It lies in a Secret, which `secret` names without a uid."""

    @property
    def username(self) -> str:
        return f"{USER_PREFIX}{self.namespace}:{self.account.name}"

    def payload(self, issuer: str) -> dict[str, Any]:
        """Return the JWT's payload; its names are in order, as in kube-apiserver's tokens."""
        kubernetes: dict[str, Any] = {"namespace": self.namespace}
        for kind in ("node", "pod", "secret"):
            reference: Reference | None = getattr(self, kind)
            if reference is not None:
                kubernetes[kind] = _shown(reference)
        kubernetes["serviceaccount"] = _shown(self.account)
        if self.warn_after is not None:
            kubernetes["warnafter"] = self.warn_after
        return {
            "aud": list(self.audiences),
            "exp": self.expires_at,
            "iat": self.issued_at,
            "iss": issuer,
            "jti": self.token_id,
            "kubernetes.io": kubernetes,
            "nbf": self.not_before,
            "sub": self.username,
        }

    def check_time(self, now: float) -> None:
        """Compare the token's times with the present one.

        Raises:
            Unauthorized: it has expired, or is from the future.
        """
        if self.not_before is not None and now + LEEWAY_S < self.not_before:
            raise Unauthorized("service account token is not valid yet")
        if self.expires_at is not None and now - LEEWAY_S > self.expires_at:
            raise Unauthorized("service account token has expired")
        if self.issued_at is not None and now + LEEWAY_S < self.issued_at:
            raise Unauthorized("service account token is issued in the future")


def parse_claims(payload: dict[str, Any]) -> Claims:
    """Return the claims of a payload whose signature is good.

    Raises:
        Unauthorized: one is missing or of a wrong type.
    """
    if payload.get("iss") == LEGACY_ISSUER and "kubernetes.io" not in payload:
        return _parse_legacy(payload)
    kubernetes = payload.get("kubernetes.io", {})
    if not isinstance(kubernetes, dict):
        raise _malformed("kubernetes.io")
    return Claims(
        namespace=_text(kubernetes, "namespace"),
        account=_reference(kubernetes, "serviceaccount") or Reference("", ""),
        pod=_reference(kubernetes, "pod"),
        secret=_reference(kubernetes, "secret"),
        node=_reference(kubernetes, "node"),
        audiences=_audiences(payload),
        token_id=_text(payload, "jti"),
        warn_after=_time(kubernetes, "warnafter"),
        issued_at=_time(payload, "iat"),
        not_before=_time(payload, "nbf"),
        expires_at=_time(payload, "exp"),
    )


def _parse_legacy(payload: dict[str, Any]) -> Claims:
    found = {
        "sub": _text(payload, "sub"),
        "namespace": _text(payload, f"{_LEGACY}namespace"),
        "secretName": _text(payload, f"{_LEGACY}secret.name"),
        "serviceAccountName": _text(payload, f"{_LEGACY}service-account.name"),
        "serviceAccountUID": _text(payload, f"{_LEGACY}service-account.uid"),
    }
    for name, value in found.items():
        if not value:
            raise Unauthorized(f"{name} claim is missing")
    claims = Claims(
        namespace=found["namespace"],
        account=Reference(found["serviceAccountName"], found["serviceAccountUID"]),
        secret=Reference(found["secretName"], ""),
        audiences=_audiences(payload),
        legacy=True,
        issued_at=_time(payload, "iat"),
        not_before=_time(payload, "nbf"),
        expires_at=_time(payload, "exp"),
    )
    if claims.username != found["sub"]:
        raise Unauthorized("sub claim is invalid")
    return claims


def user_of(claims: Claims) -> UserInfo:
    """Return the user that a token stands for."""
    extra: dict[str, str] = {}
    if claims.token_id:
        extra["credential-id"] = f"JTI={claims.token_id}"
    if claims.node is not None and claims.node.name:
        extra["node-name"] = claims.node.name
        if claims.node.uid:
            extra["node-uid"] = claims.node.uid
    if claims.pod is not None and claims.pod.name and claims.pod.uid:
        extra["pod-name"] = claims.pod.name
        extra["pod-uid"] = claims.pod.uid
    return UserInfo(
        claims.username,
        claims.account.uid,
        (ALL_ACCOUNTS, f"{ALL_ACCOUNTS}:{claims.namespace}", ALL_AUTHENTICATED),
        tuple((EXTRA + name, (value,)) for name, value in extra.items()),
    )


def _shown(reference: Reference) -> dict[str, str]:
    shown = {"name": reference.name}
    return {**shown, "uid": reference.uid} if reference.uid else shown


def _reference(value: dict[str, Any], name: str) -> Reference | None:
    found = value.get(name)
    if found is None:
        return None
    if not isinstance(found, dict):
        raise _malformed(name)
    return Reference(_text(found, "name"), _text(found, "uid"))


def _text(value: dict[str, Any], name: str) -> str:
    found = value.get(name, "")
    if not isinstance(found, str):
        raise _malformed(name)
    return found


def _time(value: dict[str, Any], name: str) -> float | None:
    found = value.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise _malformed(name)
    return found


def _audiences(payload: dict[str, Any]) -> tuple[str, ...]:
    found = payload.get("aud", [])
    found = [found] if isinstance(found, str) else found
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise _malformed("aud")
    return tuple(found)


def _malformed(claim: str) -> Unauthorized:
    return Unauthorized(f"service account token has a malformed {claim} claim")
