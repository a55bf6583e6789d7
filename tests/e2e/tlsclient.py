"""A client that shows a certificate, or none, and sends what headers it likes."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WHOAMI = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEW = json.dumps(
    {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
).encode()


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: Any

    @property
    def user(self) -> Any:
        """Who the server says asks; for answers of `whoami`."""
        assert self.status == 201, (self.status, self.body)
        return self.body["status"]["userInfo"]


class Connection:
    """One connection, kept until it is closed."""

    def __init__(
        self,
        port: int,
        certificate: tuple[Path, Path] | None = None,
        *,
        context: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        if context is None:
            context = ssl._create_unverified_context()
            if certificate is not None:
                context.load_cert_chain(*certificate)
        self._socket = context.wrap_socket(
            socket.create_connection(("127.0.0.1", port), timeout=20), session=session
        )
        self._connection = http.client.HTTPConnection(f"127.0.0.1:{port}")
        self._connection.sock = self._socket

    @property
    def session(self) -> ssl.SSLSession | None:
        """What a later connection can resume."""
        return self._socket.session

    def ask(
        self,
        method: str,
        path: str,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Answer:
        """Send one request; a header may be given more than once."""
        connection = self._connection
        connection.putrequest(method, path)
        if not any(name.lower() == "content-type" for name, _ in headers):
            connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        raw = response.read()
        is_json = response.headers.get_content_type() == "application/json"
        content = json.loads(raw) if is_json else raw.decode()
        return Answer(response.status, dict(response.headers), content)

    def whoami(self, *headers: tuple[str, str]) -> Answer:
        return self.ask("POST", WHOAMI, headers, REVIEW)

    def close(self) -> None:
        self._connection.close()


def whoami(port: int, certificate: tuple[Path, Path] | None, *headers: tuple[str, str]) -> Answer:
    """Ask on a connection of its own."""
    connection = Connection(port, certificate)
    try:
        return connection.whoami(*headers)
    finally:
        connection.close()
