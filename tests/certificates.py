"""Certificate authorities and client certificates of all kinds, good and bad."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)
SERVER = (ExtendedKeyUsageOID.SERVER_AUTH,)
HOUR = datetime.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate, its key, and the certificates that lead to its authority (not itself)."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    intermediates: tuple[x509.Certificate, ...] = ()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        chain = (self.certificate, *self.intermediates)
        return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def write(self, directory: Path, name: str) -> tuple[Path, Path]:
        """Write the chain and the key; return their paths."""
        certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
        certificate.write_bytes(self.pem)
        key.write_bytes(self.key_pem)
        return certificate, key


def authority(
    name: str,
    *,
    signer: Issued | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
    begins: datetime.timedelta = -HOUR,
    ends: datetime.timedelta = HOUR,
) -> Issued:
    """Return an authority, its own root unless another signs; `key` renews one."""
    return _issue(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
        signer,
        key or ec.generate_private_key(ec.SECP256R1()),
        is_authority=True,
        usages=None,
        begins=begins,
        ends=ends,
    )


def client(
    signer: Issued,
    *names: str,
    organizations: Sequence[str] = (),
    uids: Sequence[str] = (),
    usages: Sequence[ObjectIdentifier] | None = CLIENT,
    begins: datetime.timedelta = -HOUR,
    ends: datetime.timedelta = HOUR,
) -> Issued:
    """Return a certificate with these common names; `usages` None leaves them out."""
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in organizations]
    attributes += [x509.NameAttribute(NameOID.COMMON_NAME, one) for one in names]
    uid_type = ObjectIdentifier("1.3.6.1.4.1.57683.2")
    attributes += [x509.NameAttribute(uid_type, one, _validate=False) for one in uids]
    return _issue(
        x509.Name(attributes),
        signer,
        ec.generate_private_key(ec.SECP256R1()),
        is_authority=False,
        usages=usages,
        begins=begins,
        ends=ends,
    )


def _issue(
    subject: x509.Name,
    signer: Issued | None,
    key: ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool,
    usages: Sequence[ObjectIdentifier] | None,
    begins: datetime.timedelta,
    ends: datetime.timedelta,
) -> Issued:
    now = datetime.datetime.now(datetime.UTC)
    signing_key = key if signer is None else signer.key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if signer is None else signer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()),
            critical=False,
        )
    )
    if usages is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    certificate = builder.sign(signing_key, hashes.SHA256())
    intermediates = () if signer is None else (signer.certificate, *signer.intermediates)
    # A root is known to who trusts it.
    return Issued(certificate, key, tuple(one for one in intermediates if not _is_root(one)))


def _is_root(certificate: x509.Certificate) -> bool:
    return certificate.subject == certificate.issuer
