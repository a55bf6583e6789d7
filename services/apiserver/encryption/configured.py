"""ConfiguredEncryption: the rules of a file, which may change while the server runs.

Source: kube-apiserver v1.36.2, apiserver/pkg/server/options/encryptionconfig/controller.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from pathlib import Path

from services.apiserver.configreloads import ConfigReloads
from services.apiserver.encryption.configuration import ConfigurationError, load
from services.apiserver.encryption.metrics import TransformationMetrics
from services.apiserver.options.encryption import EncryptionOptions
from shared.storage.encryption import Encryption, StoredResources

log = logging.getLogger("kubefan.apiserver")

POLL_INTERVAL_S = 60.0
"""kube-apiserver's: every replica knows a new key a minute after the file has it."""


class ConfiguredEncryption:
    """Keeps an Encryption at what the file says; at what it last said while it is not valid.

    Without a file nothing is encrypted, and nothing encrypted can be read.

    Raises:
        ConfigurationError: there is no valid file to begin with.
    """

    def __init__(
        self,
        options: EncryptionOptions,
        resources: StoredResources,
        *,
        poll_interval_s: float = POLL_INTERVAL_S,
    ) -> None:
        self._path = Path(options.config_file) if options.config_file else None
        self._reloads = options.automatic_reload
        self._poll_interval_s = poll_interval_s
        self.reloads: ConfigReloads | None = None
        """What is counted of the file; None without one."""
        self._seen = b""
        if self._path is not None:
            self.reloads = ConfigReloads("encryption")
            content = _content(self._path)
            self.reloads.started(content)
            self._seen = _digest(content)
        self.metrics = TransformationMetrics()
        transformers = {} if self._path is None else load(self._path)
        self.encryption = Encryption(transformers, resources, self.metrics.observe)

    def __repr__(self) -> str:
        return f"<ConfiguredEncryption {self._path}, {self.encryption!r}>"

    async def run(self) -> None:
        """Follow the file until cancelled, if that is wanted."""
        if self._path is None or not self._reloads:
            return
        while True:
            await asyncio.sleep(self._poll_interval_s)
            self._look(self._path)

    def _look(self, path: Path) -> None:
        """Take over what the file says, if that is something new."""
        assert self.reloads is not None
        try:
            content = _content(path)
            seen = _digest(content)
            if seen == self._seen:
                return
            transformers = load(path)
        except ConfigurationError as error:
            self.reloads.failed()
            log.error("--encryption-provider-config stays as it was", extra={"why": str(error)})
            return
        self._seen = seen
        self.encryption.use(transformers)
        self.reloads.succeeded(content)
        log.info("--encryption-provider-config loaded", extra={"file": str(path)})


def _digest(content: bytes) -> bytes:
    """Return what tells contents apart: the secrets in them are not kept for that."""
    return hashlib.sha256(content).digest()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
