"""A real OpenID Connect issuer for tests: an HTTPS server with its discovery document and keys."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import orjson
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from shared.certificates import KeyPair, Subject, authority, issued

AUDIENCE = "kubefan"


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """A private key, and the name that its public half has in the key set."""

    kid: str
    private: Any

    def public_jwk(self) -> dict[str, Any]:
        is_rsa = isinstance(self.private, rsa.RSAPrivateKey)
        algorithm: Any = jwt.algorithms.RSAAlgorithm if is_rsa else jwt.algorithms.ECAlgorithm
        jwk: dict[str, Any] = algorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**jwk, "kid": self.kid, "use": "sig"}


def rsa_key(kid: str) -> IssuerKey:
    return IssuerKey(kid, rsa.generate_private_key(65537, 2048))


def ec_key(kid: str, curve: ec.EllipticCurve | None = None) -> IssuerKey:
    return IssuerKey(kid, ec.generate_private_key(curve or ec.SECP256R1()))


@dataclass(slots=True)
class OidcIssuer:
    """What the issuer answers is changed by the test; `requests` are the paths asked for."""

    url: str = ""
    ca: str = ""
    """PEM of the authority that signed the server's certificate."""
    keys: list[IssuerKey] = field(default_factory=list)
    failing: bool = False
    discovery: dict[str, Any] = field(default_factory=dict)
    """Fields of the discovery document other than the right ones."""
    claims: dict[str, str] = field(default_factory=dict)
    """Distributed claims, as signed tokens by path."""
    requests: list[str] = field(default_factory=list)
    bearers: list[str] = field(default_factory=list)

    def token(
        self,
        key: IssuerKey | None = None,
        *,
        algorithm: str = "",
        headers: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """Return a good token, but for what is said otherwise; a claim of None is left out."""
        key = key or self.keys[0]
        now = int(time.time())
        payload = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "jane",
            "iat": now,
            "exp": now + 600,
            **claims,
        }
        if not algorithm:
            algorithm = "RS256" if isinstance(key.private, rsa.RSAPrivateKey) else "ES256"
        return jwt.api_jws.encode(
            orjson.dumps({name: value for name, value in payload.items() if value is not None}),
            key.private,
            algorithm,
            {"kid": key.kid, **(headers or {})},
        )

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests.append(request.path)
        if self.failing:
            return web.Response(status=503)
        if request.path.endswith("/.well-known/openid-configuration"):
            document = {"issuer": self.url, "jwks_uri": f"{self.url}/keys", **self.discovery}
            return web.json_response(document)
        if request.path.endswith("/keys"):
            return web.json_response({"keys": [one.public_jwk() for one in self.keys]})
        if request.path in self.claims:
            self.bearers.append(request.headers.get("Authorization", ""))
            return web.Response(text=self.claims[request.path])
        return web.Response(status=404)


def server_certificate(directory: Path) -> tuple[KeyPair, KeyPair]:
    """Return an authority, and a certificate of 127.0.0.1 by it."""
    signer = authority(directory)
    subject = Subject(common_name="localhost", addresses=("127.0.0.1",))
    return signer, issued(directory, "server", subject, signer)


@asynccontextmanager
async def serving(
    directory: Path, handler: Any, *, port: int = 0, client_ca: Path | None = None
) -> AsyncIterator[str]:
    """Serve over TLS until the block ends; yield the URL. `client_ca`: ask for a certificate."""
    _, pair = server_certificate(directory)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    app = web.Application(client_max_size=8 * 2**20)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=context)
    await site.start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def oidc_issuer(
    directory: Path, *keys: IssuerKey, port: int = 0, failing: bool = False
) -> AsyncIterator[OidcIssuer]:
    """Run an issuer until the block ends."""
    signer, _ = server_certificate(directory)
    issuer = OidcIssuer(keys=list(keys), ca=signer.certificate.read_text(), failing=failing)
    async with serving(directory, issuer._answer, port=port) as url:
        issuer.url = url
        yield issuer
