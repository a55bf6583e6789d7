"""A client that sends any bytes, and the judge of what comes back.

Whatever is asked, the answer is HTTP within seconds: a success, or an error as a Status. A 500
is never one, but for the few that kube-apiserver answers itself, without a reason.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any

import yaml

from tests.e2e import system
from tests.e2e.manifests import configmap, deployment, service

ANSWER_TIMEOUT_S = 5.0
# An answer may carry 4096 characters of warnings, a header each.
http.client._MAXHEADERS = 1000  # type: ignore[attr-defined]
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
PATCH_TYPES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH)

TEXT_ERRORS = {b"404 page not found\n"}
"""What is no resource of the API is answered in plain text."""

# kube-apiserver's own 500s: errors that are not API errors get this code and no reason.
DOCUMENTED_500 = (
    ("POST", r"resourceVersion should not be set on objects to be created"),
    ("POST", r"target\.(name|kind): "),  # a binding
    ("GET", r"Invalid value: .*: strconv\.ParseUint"),
    ("PUT", r"strconv\.ParseUint"),
    ("PATCH", r"strconv\.ParseUint"),
    (
        "PATCH",
        r"unknown patch type|expected a (list|map), but received|unable to find api field in"
        r"|list element types are not identical|does not contain declared merge key"
        r"|the order in the patch list doesn't match|no elements in any of the given slices"
        r"|cannot merge lists without merge key|merge key .* is not a scalar",
    ),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    content_type: str
    body: bytes
    warnings: tuple[str, ...] = ()

    @property
    def object(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


class Hostile:
    """One connection at a time, made anew whenever the server closes it."""

    def __init__(self, server: system.Server) -> None:
        self._server = server
        token = yaml.safe_load(server.kubeconfig.read_text())["users"][0]["user"]["token"]
        self._authorization = b"Authorization: Bearer " + token.encode()
        self._socket: ssl.SSLSocket | None = None
        self._stays = b""

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # -- asking ----------------------------------------------------------------------

    def ask(
        self,
        method: str,
        target: str | bytes,
        body: bytes | None = None,
        content_type: str | bytes = JSON,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> Answer:
        """Send a request and judge the answer, which is returned."""
        lines = [b"%b %b HTTP/1.1" % (method.encode(), encoded(target)), b"Host: h"]
        lines += [b"%b: %b" % header for header in headers]
        if not any(name.lower() == b"authorization" for name, _ in headers):
            lines.append(self._authorization)
        if body is not None:
            lines += [b"Content-Type: " + encoded(content_type), b"Content-Length: %d" % len(body)]
        answer = self.send(method, b"\r\n".join(lines) + b"\r\n\r\n" + (body or b""))
        judge(method, answer)
        return answer

    def send(self, method: str, request: bytes) -> Answer:
        """Send bytes and return the answer to them; the connection is used again if it can be."""
        for _ in range(2):
            fresh = self._socket is None
            connection = self._socket or self._connect()
            self._socket = None
            started = time.monotonic()
            try:
                connection.sendall(request)
                response = http.client.HTTPResponse(connection, method=method)
                response.begin()
                body = response.read()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                connection.close()
                # An idle connection may be closed by the server at any time.
                assert not fresh, f"no answer to {request[:200]!r}"
                continue
            took = time.monotonic() - started
            assert took < ANSWER_TIMEOUT_S, f"{took:.1f} s for {request[:200]!r}"
            if response.will_close:
                connection.close()
            else:
                self._socket = connection
            content_type = response.getheader("content-type") or ""
            warnings = tuple(response.headers.get_all("warning") or ())
            return Answer(response.status, content_type, body, warnings)
        raise AssertionError(f"no answer to {request[:200]!r}")

    def _connect(self) -> ssl.SSLSocket:
        context = ssl._create_unverified_context()
        plain = socket.create_connection(("127.0.0.1", self._server.port), ANSWER_TIMEOUT_S + 1)
        return context.wrap_socket(plain)

    # -- what must stay ----------------------------------------------------------------

    def store_what_must_stay(self) -> None:
        """Make the objects that hostile requests are sent to, and a namespace of others."""
        self._make("/api/v1/namespaces", {"metadata": {"name": "stays"}})
        for path, manifest in (
            ("configmaps", configmap("kept", data={"a": "b"})),
            ("services", service("kept")),
        ):
            self._make(f"/api/v1/namespaces/stays/{path}", manifest)
            self._make(f"/api/v1/namespaces/default/{path}", manifest)
        self._make(DEPLOYMENTS, deployment("kept"))
        self._stays = self._what_stays()

    def _make(self, path: str, manifest: dict[str, Any]) -> None:
        status = self.ask("POST", path, json.dumps(manifest).encode()).status
        assert status in (201, 409), (path, status)

    def _what_stays(self) -> bytes:
        parts = []
        for resource in ("configmaps", "services", "secrets", "pods"):
            answer = self.ask("GET", f"/api/v1/namespaces/stays/{resource}")
            assert answer.status == 200
            parts.append(json.dumps(answer.object["items"], sort_keys=True).encode())
        return b"\n".join(parts)

    def check_the_server_is_well(self) -> None:
        assert self._server.process.poll() is None, "the server has ended"
        assert self._what_stays() == self._stays
        log = self._server.log.read_text(errors="replace")
        assert "Traceback" not in log, log[log.index("Traceback") - 200 :][:4000]


def encoded(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def judge(method: str, answer: Answer) -> None:
    """Fail unless the answer is a success, a Status that fits its code, or a plain 404."""
    code = answer.status
    if code < 400 or method == "HEAD":
        assert code < 500, answer
        return
    if answer.body in TEXT_ERRORS:
        assert code == 404
        return
    if not answer.content_type.startswith(JSON):
        # The client has asked for errors in another form.
        assert code < 500, answer
        return
    status = answer.object
    assert (status["kind"], status["apiVersion"], status["status"]) == ("Status", "v1", "Failure")
    assert status["code"] == code
    assert isinstance(status["message"], str)
    assert isinstance(status["metadata"], dict)
    if code == 500:
        assert "reason" not in status, status
        assert any(
            method == where and re.search(pattern, status["message"])
            for where, pattern in DOCUMENTED_500
        ), status
    elif code == 504:
        assert status["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
    else:
        assert code < 500, status
        assert status["reason"]
