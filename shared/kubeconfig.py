"""Kubeconfig files: where the API server is and who asks.

Written are those of an admin with a token. Read are the parts that kubectl's own files use for
a server: certificate authority, bearer token (or a file with one), client certificate. Exec
plug-ins and auth providers are refused.
"""

from __future__ import annotations

import base64
import binascii
import logging
import re
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from shared.certificates import write_private

log = logging.getLogger("kubefan.kubeconfig")

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NOT_ASCII = re.compile(rb"[^\x00-\x7f]")


class KubeconfigError(ValueError):
    """The file cannot be used; the message is one line and names the file."""


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """One context of a kubeconfig. `None` means not given; certificates are PEM."""

    server: str
    """URL without a trailing slash."""
    ca: bytes | None = None
    tls_server_name: str | None = None
    skip_tls_verify: bool = False
    token: str | None = None
    token_file: Path | None = None
    client_certificate: bytes | None = None
    client_key: bytes | None = None

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the TLS settings, or None for a plain http:// server.

        Raises:
            KubeconfigError: a certificate or key is none.
        """
        if not self.server.startswith("https://"):
            return None
        try:
            return self._tls()
        except ssl.SSLError as error:
            raise KubeconfigError(f"certificates for {self.server}: {error}") from error

    def _tls(self) -> ssl.SSLContext:
        # Certificates are ASCII; the names that stand between them in a bundle need not be.
        ca = _NOT_ASCII.sub(b"?", self.ca).decode("ascii") if self.ca else None
        context = ssl.create_default_context(cadata=ca)
        if self.skip_tls_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.client_certificate and self.client_key:
            # Python's ssl loads key pairs from files only.
            with tempfile.NamedTemporaryFile(prefix="kubefan-", suffix=".pem") as pair:
                pair.write(self.client_certificate.rstrip() + b"\n" + self.client_key)
                pair.flush()
                # Without a password OpenSSL would ask the terminal for that of a locked key.
                context.load_cert_chain(pair.name, password="")
        return context


class BearerToken:
    """The token of an access: what its file says now or, while that can't be used, said last.

    Source: client-go v0.36.2, transport/{round_trippers,token_source}.go.

    Raises:
        KubeconfigError: the file has no token, and the kubeconfig itself none either.
    """

    def __init__(self, access: ClusterAccess) -> None:
        self._file = access.token_file
        self._token = access.token
        self._problem = ""
        if self._file is not None and not self._token:
            self._token = read_token(self._file)

    def __repr__(self) -> str:
        return f"<BearerToken of {self._file or 'the kubeconfig'}>"

    def current(self) -> str | None:
        """Return the token to show, None for none. Whoever writes the file may renew it at any
        time; that it has no token is logged, once for each reason."""
        if self._file is None:
            return self._token
        try:
            self._token = read_token(self._file)
            self._problem = ""
        except KubeconfigError as error:
            problem = str(error)
            if problem != self._problem:
                self._problem = problem
                log.error("token file: the former token stays", extra={"why": problem})
        return self._token


def read_token(path: Path) -> str:
    """Return the token in a file.

    Raises:
        KubeconfigError: it can't be read, or has nothing that a header could carry.
    """
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise KubeconfigError(f"token file {path}: {_reason(error)}") from error
    if problem := _problem_of_token(token):
        raise KubeconfigError(f"token file {path}: {problem}")
    return token


def load(path: Path) -> ClusterAccess:
    """Read the current context of the kubeconfig at `path`.

    Raises:
        KubeconfigError: the file is missing, is not YAML, or lacks what it refers to.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise KubeconfigError(f"kubeconfig {path}: not YAML") from error
    except (OSError, ValueError) as error:
        raise KubeconfigError(f"kubeconfig {path}: {_reason(error)}") from error
    if not isinstance(document, Mapping):
        raise KubeconfigError(f"kubeconfig {path}: not a kubeconfig")
    try:
        return _current_context(document, base=path.parent)
    except (OSError, ValueError) as error:
        raise KubeconfigError(f"kubeconfig {path}: {_reason(error)}") from error


def write(path: Path, *, server: str, authority: Path, token: str) -> None:
    """Write the kubeconfig that makes its reader an admin of `server`, for its owner only.

    Args:
        authority: the file with the certificates to trust, named in the kubeconfig.
    """
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


def _current_context(document: Mapping[str, Any], *, base: Path) -> ClusterAccess:
    context = _named(document, "contexts", document.get("current-context"), "context")
    cluster = _named(document, "clusters", context.get("cluster"), "cluster")
    user = _named(document, "users", context["user"], "user") if context.get("user") else {}
    for key in ("exec", "auth-provider"):
        if key in user:
            raise KubeconfigError(f"user {context['user']!r}: {key} is not supported")
    server = cluster.get("server")
    if not isinstance(server, str) or not server.startswith(("https://", "http://")):
        raise KubeconfigError(f"cluster {context.get('cluster')!r}: server is not a URL")
    token, token_file = _text(user, "token"), _text(user, "tokenFile")
    if token and (problem := _problem_of_token(token)):
        raise KubeconfigError(f"user {context['user']!r}: token: {problem}")
    return ClusterAccess(
        server=server.rstrip("/"),
        ca=_data(cluster, "certificate-authority", base),
        tls_server_name=_text(cluster, "tls-server-name"),
        skip_tls_verify=bool(cluster.get("insecure-skip-tls-verify")),
        token=token,
        token_file=base / token_file if token_file else None,
        client_certificate=_data(user, "client-certificate", base),
        client_key=_data(user, "client-key", base),
    )


def _named(document: Mapping[str, Any], key: str, name: Any, field: str) -> Mapping[str, Any]:
    entries = document.get(key)
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, Mapping) and entry.get("name") == name:
            value = entry.get(field)
            return value if isinstance(value, Mapping) else {}
    raise KubeconfigError(f"no {field} named {name!r}")


def _text(section: Mapping[str, Any], key: str) -> str | None:
    value = section.get(key)
    if value is None or (isinstance(value, str) and "\0" not in value):
        return value
    raise KubeconfigError(f"{key} is not a text")


def _problem_of_token(token: str) -> str:
    """Return why a token can't stand in a header, "" if it can."""
    if not token:
        return "it is empty"
    return "it has control characters" if _CONTROL.search(token) else ""


def _data(section: Mapping[str, Any], key: str, base: Path) -> bytes | None:
    """Return KEY-data decoded, else the content of the file KEY names."""
    if encoded := section.get(f"{key}-data"):
        try:
            return base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError, TypeError) as error:
            raise KubeconfigError(f"{key}-data is not base64") from error
    if name := _text(section, key):
        return (base / name).read_bytes()
    return None


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
