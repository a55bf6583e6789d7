"""Certificate authorities of a file, read again when the file changes.

Source: kube-apiserver v1.36.2, apiserver/pkg/server/dynamiccertificates (ConfigMaps and
files; here files alone).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shared.flags import OptionsError

log = logging.getLogger("kubefan.apiserver.authentication")

POLL_S = 5.0

Identity = tuple[bytes, bytes]
"""Subject and public key in DER: a renewed certificate of an authority has the same."""


class AuthoritiesError(OptionsError):
    """A file of certificate authorities can't be used; the message says why."""


def identity(certificate: x509.Certificate) -> Identity:
    """Return what makes two certificates those of one authority.

    Raises:
        ValueError: the key is of no kind that is known.
    """
    try:
        key = certificate.public_key()
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from error
    return (
        certificate.subject.public_bytes(),
        key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    )


class Authorities:
    """Those whose signature is trusted. `generation` grows with each change."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            AuthoritiesError: it can't be read or holds no certificates.
        """
        self._path = path
        self._state = _state_of(path)
        self.generation = 0
        self.pem, self._windows = _read(path)

    def __repr__(self) -> str:
        return f"Authorities({str(self._path)!r}, generation={self.generation})"

    def valid_until(self, of: Identity, now: float) -> float | None:
        """Return when the authority ends, None where it is none of these or not valid now."""
        windows = self._windows.get(of)
        if windows is None:
            return None
        return max((until for since, until in windows if since <= now < until), default=None)

    def refresh(self) -> bool:
        """Read the file again if it has changed; whether there are others now.

        Raises:
            AuthoritiesError: it can't be used; what was there stays.
        """
        state = _state_of(self._path)
        if state == self._state:
            return False
        self._state = state
        pem, windows = _read(self._path)
        if pem == self.pem:
            return False
        self.pem, self._windows = pem, windows
        self.generation += 1
        return True


Windows = dict[Identity, list[tuple[float, float]]]


def _read(path: Path) -> tuple[str, Windows]:
    try:
        certificates = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise AuthoritiesError(f"{path}: {error}") from error
    windows: Windows = {}
    for one in certificates:
        try:
            of = identity(one)
        except ValueError as error:
            raise AuthoritiesError(f"{path}: {error}") from error
        window = (one.not_valid_before_utc.timestamp(), one.not_valid_after_utc.timestamp())
        windows.setdefault(of, []).append(window)
    # Files have comments in all languages, TLS wants none.
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates).decode(), windows


def _state_of(path: Path) -> tuple[int, ...]:
    """Return what tells whether a file has changed; () where it is not there."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_size, found.st_ino)


async def follow(files: Sequence[Authorities], changed: Callable[[Authorities], None]) -> None:
    """Look at the files until cancelled; call `changed` with each that has other authorities."""
    while True:
        await asyncio.sleep(POLL_S)
        for one in files:
            try:
                if one.refresh():
                    log.info("certificate authorities changed", extra={"authorities": repr(one)})
                    changed(one)
            except AuthoritiesError as error:
                # Half a file, maybe; the next change is looked at again.
                log.error("certificate authorities not usable", extra={"why": str(error)})
