"""OpenID Connect discovery: how others learn with which keys our tokens are signed.

Source: kube-apiserver v1.36.2, pkg/serviceaccount/openidmetadata.go, pkg/routes/openidmetadata.go.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from services.apiserver.errors import MethodNotSupported, NotAcceptable
from services.apiserver.http.request import Request, Response
from shared.signingkeys import VerificationKey

CONFIGURATION_PATH = "/.well-known/openid-configuration"
KEYS_PATH = "/openid/v1/jwks"
JSON, KEY_SET = "application/json", "application/jwk-set+json"
CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
CACHE_CONTROL = (b"cache-control", b"public, max-age=3600")


class IssuerDocuments:
    """The two documents about `issuer`; `address` is where clients find this server."""

    def __init__(
        self, issuer: str, keys: Sequence[VerificationKey], *, jwks_uri: str, address: str
    ) -> None:
        configuration = {
            "issuer": issuer,
            "jwks_uri": jwks_uri or f"https://{address}{KEYS_PATH}",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": sorted({key.algorithm for key in keys}),
        }
        self._documents = {
            CONFIGURATION_PATH: (JSON, orjson.dumps(configuration)),
            KEYS_PATH: (KEY_SET, orjson.dumps({"keys": [web_key(key) for key in keys]})),
        }

    def answer(self, request: Request) -> Response:
        """Answer a request for one of the two paths.

        Raises:
            MethodNotSupported, NotAcceptable: it is not a GET, or accepts another type alone.
        """
        if request.method != "GET":
            raise MethodNotSupported(
                "the server does not allow this method on the requested resource", details={}
            )
        media_type, body = self._documents[request.path]
        if not _accepts(request.header(b"accept") or "*/*", media_type):
            raise NotAcceptable(
                f"406: Not Acceptable\n\nAvailable representations: {media_type}", details={}
            )
        return Response(200, body, ((b"content-type", media_type.encode()), CACHE_CONTROL))


def can_be_discovered(issuer: str) -> bool:
    """Whether an issuer is a URL as OpenID Connect wants it; there are no documents of others."""
    parts = urlsplit(issuer)
    return parts.scheme == "https" and not parts.query and not parts.fragment


def web_key(key: VerificationKey) -> dict[str, Any]:
    """Return a public key as a JSON Web Key (RFC 7517)."""
    about = {"use": "sig", "kty": "EC", "kid": key.key_id}
    if isinstance(key.public, RSAPublicKey):
        numbers = key.public.public_numbers()
        return {
            **about,
            "kty": "RSA",
            "alg": key.algorithm,
            "n": _encoded(numbers.n, (numbers.n.bit_length() + 7) // 8),
            "e": _encoded(numbers.e, (numbers.e.bit_length() + 7) // 8),
        }
    size = (key.public.curve.key_size + 7) // 8
    point = key.public.public_numbers()
    return {
        **about,
        "crv": CURVES[key.public.curve.name],
        "alg": key.algorithm,
        "x": _encoded(point.x, size),
        "y": _encoded(point.y, size),
    }


def _encoded(number: int, size: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(size, "big")).rstrip(b"=").decode()


def _accepts(header: str, media_type: str) -> bool:
    # Unlike elsewhere in the API, application/* is no match: these are go-restful's own rules.
    wanted = {part.partition(";")[0].strip() for part in header.split(",")}
    return bool(wanted & {media_type, "*/*"})
