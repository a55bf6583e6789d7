"""The serving certificate and the admin kubeconfig, made on first start.

A small certificate authority signs the serving certificate, so that clients trust a file
that stays when addresses change. Everything is written before it is named (rename), and keys
are readable by their owner only.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import secrets
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_YEARS = 10
SERVING_DAYS = 365
RENEW_BEFORE_DAYS = 30
SERVICE_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
)


@dataclass(frozen=True, slots=True)
class ServingFiles:
    """Paths of a certificate with its chain, its key, and the authority clients trust."""

    certificate: Path
    key: Path
    authority: Path


def serving_files(directory: Path, addresses: list[str]) -> ServingFiles:
    """Return a serving certificate for `addresses`, made anew where it is missing, expires
    soon or does not cover them.

    Raises:
        OSError: the directory can't be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    files = ServingFiles(
        directory / "apiserver.crt", directory / "apiserver.key", directory / "ca.crt"
    )
    ca_key_path = directory / "ca.key"
    if not _belong_together(files.authority, ca_key_path):
        _make_authority(files.authority, ca_key_path)
    if not _still_good(files, addresses):
        _make_serving(files, ca_key_path, addresses)
    return files


def _belong_together(certificate: Path, key: Path) -> bool:
    """Whether both files are there, whole, and of one key: a server starts with no others."""
    try:
        public = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except (FileNotFoundError, ValueError, TypeError):
        return False
    return public == private.public_key()


def _still_good(files: ServingFiles, addresses: list[str]) -> bool:
    if not _belong_together(files.certificate, files.key):
        return False
    try:
        chain = x509.load_pem_x509_certificates(files.certificate.read_bytes())
        authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
        chain[0].verify_directly_issued_by(authority)
        names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, x509.ExtensionNotFound, IndexError):
        return False
    except Exception as error:  # InvalidSignature derives from Exception alone
        if type(error).__name__ != "InvalidSignature":
            raise
        return False
    present = {str(one) for one in names.get_values_for_type(x509.IPAddress)}
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=RENEW_BEFORE_DAYS)
    return chain[0].not_valid_after_utc > soon and set(addresses) <= present


def _make_authority(certificate: Path, key_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubefan-ca")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=365 * CA_YEARS))
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
    write_private(key_path, _key_bytes(key))
    _write(certificate, built.public_bytes(serialization.Encoding.PEM), 0o644)


def _make_serving(files: ServingFiles, ca_key_path: Path, addresses: list[str]) -> None:
    authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
    ca_key = serialization.load_pem_private_key(ca_key_path.read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    names: list[x509.GeneralName] = [x509.DNSName(one) for one in SERVICE_NAMES]
    host = socket.gethostname()
    if host and host.isascii():
        names.append(x509.DNSName(host))
    names += [x509.IPAddress(ipaddress.ip_address(one)) for one in dict.fromkeys(addresses)]
    built = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=SERVING_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    write_private(files.key, _key_bytes(key))
    chain = built.public_bytes(serialization.Encoding.PEM) + files.authority.read_bytes()
    _write(files.certificate, chain, 0o644)


def admin_token(path: Path) -> str:
    """Return the token of the admin kubeconfig, made on first start."""
    if path.exists():
        token = path.read_text(encoding="ascii").strip()
        if token:
            return token
    path.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_urlsafe(32)
    write_private(path, token.encode() + b"\n")
    return token


def write_kubeconfig(path: Path, *, server: str, authority: Path, token: str) -> None:
    """Write the kubeconfig that makes its reader an admin of `server`."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "kubefan",
                "cluster": {
                    "server": server,
                    "certificate-authority": str(authority.resolve()),
                },
            }
        ],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "kubefan", "context": {"cluster": "kubefan", "user": "admin"}}],
        "current-context": "kubefan",
    }
    write_private(path, yaml.safe_dump(config, sort_keys=False).encode())


def _key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read; whole or not at all."""
    _write(path, content, 0o600)


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
