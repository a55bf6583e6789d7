"""The files by which a client trusts a server, and shows who it is itself."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. Without `ca` the system's authorities are trusted, with it only that one."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    @classmethod
    def named(cls, ca: str, cert: str = "", key: str = "") -> Self:
        """Take the files as flags name them: "" for none."""
        return cls(*(Path(file) if file else None for file in (ca, cert, key)))

    def context(self) -> ssl.SSLContext:
        """Return what a client's connections are made with.

        Raises:
            OSError: a file can't be read, or is not what it should be (ssl.SSLError).
        """
        context = ssl.create_default_context(cafile=self.ca)
        if self.cert is not None:
            context.load_cert_chain(self.cert, self.key)
        return context
