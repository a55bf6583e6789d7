"""ReloadedEncryption: the rules of a file that may change while the server runs.

Source: kube-apiserver v1.36.2, apiserver/pkg/server/options/encryptionconfig/controller.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from pathlib import Path

from services.apiserver.encryption.configuration import ConfigurationError, load, parse
from shared.storage.encryption import Encryption, StoredResources

log = logging.getLogger("kubefan.apiserver")

POLL_INTERVAL_S = 60.0
"""kube-apiserver's: every replica knows a new key a minute after the file has it."""


class ReloadedEncryption:
    """Keeps an Encryption at what the file says; at what it last said while it is not valid.

    Raises:
        ConfigurationError: there is no valid file to begin with.
    """

    def __init__(
        self, path: Path, resources: StoredResources, *, poll_interval_s: float = POLL_INTERVAL_S
    ) -> None:
        self._path = path
        self._poll_interval_s = poll_interval_s
        self._seen = self._digest()
        self.encryption = Encryption(load(path), resources)

    def __repr__(self) -> str:
        return f"<ReloadedEncryption {self._path}, {self.encryption!r}>"

    async def run(self) -> None:
        """Follow the file until cancelled."""
        while True:
            await asyncio.sleep(self._poll_interval_s)
            self.look()

    def look(self) -> None:
        """Take over what the file says, if that is something new."""
        try:
            raw = self._path.read_bytes()
            if hashlib.sha256(raw).digest() == self._seen:
                return
            transformers = parse(raw)
        except (OSError, ConfigurationError) as error:
            log.error("--encryption-provider-config stays as it was", extra={"why": str(error)})
            return
        self._seen = hashlib.sha256(raw).digest()
        self.encryption.use(transformers)
        log.info("--encryption-provider-config loaded", extra={"file": str(self._path)})

    def _digest(self) -> bytes:
        try:
            return hashlib.sha256(self._path.read_bytes()).digest()
        except OSError as error:
            raise ConfigurationError(f"{self._path}: {error.strerror}") from error
