"""The keys of service account tokens: what signs them, what checks a signature.

Source: kube-apiserver v1.36.2, pkg/serviceaccount/jwt.go (keyIDFromPublicKey, signers),
client-go/util/keyutil/key.go (what a key file may hold).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from cryptography.x509 import load_pem_x509_certificate

from shared.flags import OptionsError

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey
PublicKey = RSAPublicKey | EllipticCurvePublicKey

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----[^-]*-----END \1-----")
_ALGORITHMS = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


class KeyFileError(OptionsError):
    """A key file can't be used; the message names the file and says why."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """The public half. A signature by another algorithm than its own is never checked."""

    public: PublicKey
    key_id: str
    algorithm: str

    @classmethod
    def of(cls, public: PublicKey) -> VerificationKey:
        """Return a public key with its id, which does not lead back to the key.

        Raises:
            ValueError: it is on a curve that tokens can't be signed with.
        """
        if isinstance(public, RSAPublicKey):
            algorithm = "RS256"
        elif public.curve.name in _ALGORITHMS:
            algorithm = _ALGORITHMS[public.curve.name]
        else:
            raise ValueError(f"curve {public.curve.name} is none of P-256, P-384 and P-521")
        form = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        digest = base64.urlsafe_b64encode(hashlib.sha256(form).digest())
        return cls(public, digest.rstrip(b"=").decode(), algorithm)


@dataclass(frozen=True, slots=True)
class SigningKey:
    private: PrivateKey
    verification: VerificationKey

    @classmethod
    def of(cls, private: PrivateKey) -> SigningKey:
        return cls(private, VerificationKey.of(private.public_key()))

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return the JWT that says `claims`, in their order."""
        return jwt.encode(
            dict(claims),
            self.private,
            algorithm=self.verification.algorithm,
            headers={"kid": self.verification.key_id, "typ": ""},  # as kube-apiserver: no typ
        )


def read_signing_key(path: Path) -> SigningKey:
    """Return the first private key of a PEM file.

    Raises:
        KeyFileError: there is none that can sign.
    """
    for kind, pem in _blocks(path):
        if kind.endswith("PRIVATE KEY"):
            try:
                private = load_pem_private_key(pem, None)
                if isinstance(private, RSAPrivateKey | EllipticCurvePrivateKey):
                    return SigningKey.of(private)
            except (ValueError, TypeError, UnsupportedAlgorithm) as error:
                raise KeyFileError(f"{path}: {error}") from error
    raise KeyFileError(f"{path}: no RSA or ECDSA private key in PEM form")


def read_verification_keys(path: Path) -> list[VerificationKey]:
    """Return the keys of a PEM file with public keys, certificates and private keys, of which
    the public half counts.

    Raises:
        KeyFileError: there is none, or one that can't be used.
    """
    found: list[VerificationKey] = []
    for kind, pem in _blocks(path):
        try:
            key = _public_key(kind, pem)
            if isinstance(key, RSAPublicKey | EllipticCurvePublicKey):
                found.append(VerificationKey.of(key))
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise KeyFileError(f"{path}: {error}") from error
    if not found:
        raise KeyFileError(f"{path}: no RSA or ECDSA key in PEM form")
    return found


def _blocks(path: Path) -> list[tuple[str, bytes]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from error
    return [(match[1].decode(), match[0]) for match in _PEM.finditer(content)]


def _public_key(kind: str, pem: bytes) -> object:
    if kind.endswith("PRIVATE KEY"):
        return load_pem_private_key(pem, None).public_key()
    if kind.endswith("PUBLIC KEY"):
        return load_pem_public_key(pem)
    if kind == "CERTIFICATE":
        return load_pem_x509_certificate(pem).public_key()
    return None  # EC PARAMETERS, for instance


__all__ = [
    "KeyFileError",
    "SigningKey",
    "VerificationKey",
    "read_signing_key",
    "read_verification_keys",
]
