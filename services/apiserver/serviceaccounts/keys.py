"""Which keys this server signs and checks tokens with."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from shared.signingkeys import (
    SigningKey,
    VerificationKey,
    read_signing_key,
    read_verification_keys,
)

OWN_KEY = "sa.key"
KEY_BITS = 2048


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """`verification` holds the signing key's public half first."""

    signing: SigningKey
    verification: tuple[VerificationKey, ...]

    @classmethod
    def of(cls, signing: SigningKey, others: Iterable[VerificationKey] = ()) -> TokenKeys:
        keys = {key.key_id: key for key in (signing.verification, *others)}
        return cls(signing, tuple(keys.values()))


def token_keys(signing_file: str, key_files: Iterable[str], certificates_dir: Path) -> TokenKeys:
    """Return the keys of the files; without a signing key the one in `certificates_dir`, which
    is made where it is missing.

    Raises:
        KeyFileError: a file can't be used.
        OSError: the key can't be written.
    """
    if signing_file:
        signing = read_signing_key(Path(signing_file))
    else:
        signing = own_signing_key(certificates_dir / OWN_KEY)
    others = [key for file in key_files for key in read_verification_keys(Path(file))]
    return TokenKeys.of(signing, others)


def own_signing_key(path: Path) -> SigningKey:
    """Return the key in `path`; of several servers that find none at once, one makes it."""
    if not path.exists():
        _make(path)
    return read_signing_key(path)


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pem = rsa.generate_private_key(65537, KEY_BITS).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # of mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        # A link, not a rename: it does not replace the key of a server that was quicker.
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()
