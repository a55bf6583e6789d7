"""A small certificate authority in a directory, what it signs, and files that hold secrets.

Everything is written before it is named (rename), and keys are readable by their owner only.
Several processes may ask for the same files at once: one makes them, under a lock.
"""

from __future__ import annotations

import datetime
import fcntl
import ipaddress
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_YEARS = 10
LEAF_DAYS = 365
RENEW_BEFORE_DAYS = 30
_BACKDATED = datetime.timedelta(hours=1)
"""Clocks differ: a certificate is good a little before it was made."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Paths of a certificate with its chain, and of its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whom a certificate names, and what it may be used for."""

    common_name: str
    dns_names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    """IP addresses."""
    server: bool = True
    client: bool = False


def authority(directory: Path, *, common_name: str = "kubefan-ca") -> KeyPair:
    """Return the authority of `directory` (ca.crt, ca.key), made where it is missing or broken.

    Raises:
        OSError: the directory can't be written.
    """
    pair = KeyPair(directory / "ca.crt", directory / "ca.key")
    with locked(directory):
        if not _belong_together(pair):
            _make_authority(pair, common_name)
    return pair


def issued(directory: Path, name: str, subject: Subject, signer: KeyPair) -> KeyPair:
    """Return a certificate (NAME.crt, NAME.key) that `signer` signed, made anew where it is
    missing, expires soon or does not name all of `subject`.

    Raises:
        OSError: the directory can't be written.
    """
    pair = KeyPair(directory / f"{name}.crt", directory / f"{name}.key")
    with locked(directory):
        if not _still_good(pair, subject, signer):
            _make_leaf(pair, subject, signer)
    return pair


def secret(path: Path) -> str:
    """Return the random text in the file at `path`, made where it is missing or empty."""
    with locked(path.parent):
        if path.exists() and (text := path.read_text(encoding="ascii").strip()):
            return text
        text = secrets.token_urlsafe(32)
        write_private(path, text.encode() + b"\n")
        return text


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep other processes from making files in `directory` (itself made where missing)."""
    directory.mkdir(parents=True, exist_ok=True)
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read; whole or not at all."""
    _write(path, content, 0o600)


def _belong_together(pair: KeyPair) -> bool:
    """Whether both files are there, whole, and of one key: a server starts with no others."""
    try:
        public = x509.load_pem_x509_certificate(pair.certificate.read_bytes()).public_key()
        private = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    except (FileNotFoundError, ValueError, TypeError):
        return False
    return public == private.public_key()


def _still_good(pair: KeyPair, subject: Subject, signer: KeyPair) -> bool:
    if not _belong_together(pair):
        return False
    try:
        leaf = x509.load_pem_x509_certificates(pair.certificate.read_bytes())[0]
        leaf.verify_directly_issued_by(
            x509.load_pem_x509_certificate(signer.certificate.read_bytes())
        )
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, x509.ExtensionNotFound, IndexError, InvalidSignature):
        return False
    addresses = {str(one) for one in names.get_values_for_type(x509.IPAddress)}
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=RENEW_BEFORE_DAYS)
    return leaf.not_valid_after_utc > soon and set(subject.addresses) <= addresses


def _make_authority(pair: KeyPair, common_name: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(common_name)
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + datetime.timedelta(days=365 * AUTHORITY_YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_private(pair.key, _key_bytes(key))
    _write(pair.certificate, built.public_bytes(serialization.Encoding.PEM), 0o644)


def _make_leaf(pair: KeyPair, subject: Subject, signer: KeyPair) -> None:
    authority = x509.load_pem_x509_certificate(signer.certificate.read_bytes())
    signer_key = serialization.load_pem_private_key(signer.key.read_bytes(), None)
    assert isinstance(signer_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    names: list[x509.GeneralName] = [x509.DNSName(one) for one in subject.dns_names]
    names += [x509.IPAddress(ipaddress.ip_address(one)) for one in dict.fromkeys(subject.addresses)]
    usages = []
    if subject.server:
        usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
    if subject.client:
        usages.append(ExtendedKeyUsageOID.CLIENT_AUTH)
    built = (
        x509.CertificateBuilder()
        .subject_name(_name(subject.common_name))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + datetime.timedelta(days=LEAF_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer_key.public_key()),
            critical=False,
        )
        .sign(signer_key, hashes.SHA256())
    )
    write_private(pair.key, _key_bytes(key))
    chain = built.public_bytes(serialization.Encoding.PEM) + signer.certificate.read_bytes()
    _write(pair.certificate, chain, 0o644)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    # A crash in between leaves the old file, never half of the new one.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        os.fchmod(handle, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
