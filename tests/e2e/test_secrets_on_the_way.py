"""What objects hold reaches clients, and neither logs, nor metrics, nor a stranger at a port."""

from __future__ import annotations

import base64
import http.client
import json
import signal
import socket
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from shared import kubeconfig
from tests.e2e import system

MARKER = "xyzzy-nobody-may-see-this-42"
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "hidden", "annotations": {"note": MARKER}},
    "stringData": {"password": MARKER},
}


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[system.Server]:
    with system.replicated(tmp_path_factory.mktemp("secrets"), 2) as server:
        yield server


def ask(
    port: int | None,
    path: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    # Whom one speaks to is another test's question.
    context = ssl._create_unverified_context()
    connection = http.client.HTTPSConnection("127.0.0.1", port or 0, timeout=10, context=context)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def admin(replicas: system.Server) -> dict[str, str]:
    token = kubeconfig.load(replicas.kubeconfig).token
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}


def use(replicas: system.Server) -> None:
    """Write and read the secret, well and in every wrong way."""
    secrets = "/api/v1/namespaces/default/secrets"
    good = json.dumps(SECRET).encode()
    wrong_type = json.dumps({**SECRET, "stringData": {"password": [MARKER]}}).encode()
    bodies = (good, good, wrong_type, good[:-5], MARKER.encode(), b'{"kind":"' + MARKER.encode())
    for body in bodies:
        ask(replicas.port, secrets, method="POST", body=body, headers=admin(replicas))
    for path in (f"{secrets}/hidden", secrets, f"{secrets}?labelSelector={MARKER}!!"):
        ask(replicas.port, path, headers=admin(replicas))
    headers = {**admin(replicas), "Content-Type": "application/json-patch+json"}
    patch = json.dumps([{"op": "test", "path": "/data/password", "value": MARKER}]).encode()
    ask(replicas.port, f"{secrets}/hidden", method="PATCH", body=patch, headers=headers)
    ask(replicas.port, secrets, headers={"Authorization": f"Bearer {MARKER}"})
    status, stored = ask(replicas.port, f"{secrets}/hidden", headers=admin(replicas))
    assert status == 200
    assert MARKER in base64.b64decode(json.loads(stored)["data"]["password"]).decode()


def test_neither_logs_nor_metrics_show_anything_of_an_object(replicas: system.Server) -> None:
    use(replicas)
    # What breaks has more to say than what runs.
    for name in ("redis", "watchfanout-1", "apiserver-1"):
        part = replicas.parts()[name]
        replicas.send(name, signal.SIGKILL)
        replicas.wait_restarted(part)
    use(replicas)
    token = Path(replicas.system["watchfanout"]["token_file"]).read_text().strip()
    encoded = base64.b64encode(MARKER.encode()).decode()
    for part in replicas.parts().values():
        if part.role in ("apiserver", "watchfanout"):
            headers = admin(replicas)
            if part.role == "watchfanout":
                headers = {"Authorization": f"Bearer {token}"}
            status, metrics = ask(part.port, "/metrics", headers=headers)
            assert status == 200
            assert MARKER not in metrics.decode()
            assert encoded not in metrics.decode()
    log = replicas.log.read_text(errors="replace")
    assert MARKER not in log
    assert encoded not in log


@pytest.mark.parametrize("path", ["/snapshot", "/metrics"])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
def test_a_watchfanout_gives_nothing_without_its_token(
    replicas: system.Server, path: str, headers: dict[str, str]
) -> None:
    for name in ("watchfanout-1", "watchfanout-2"):
        status, body = ask(replicas.parts()[name].port, path, headers=headers)
        assert (status, MARKER.encode() in body) == (401, False)


def test_a_watchfanout_says_how_it_is_to_everybody(replicas: system.Server) -> None:
    assert ask(replicas.parts()["watchfanout-1"].port, "/healthz") == (200, b"ok")


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("etcd", b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("redis", b"PING\r\n"),
        ("watchfanout-1", b"GET /snapshot HTTP/1.1\r\nHost: a\r\n\r\n"),
    ],
)
def test_nothing_between_the_parts_is_spoken_in_the_clear(
    replicas: system.Server, name: str, question: bytes
) -> None:
    port = replicas.parts()[name].port
    assert port is not None
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(question)
        try:
            answer = connection.recv(1000)
        except ConnectionResetError:
            answer = b""
    assert b"200 OK" not in answer
    assert b"PONG" not in answer


def test_redis_and_etcd_want_to_know_who_asks(replicas: system.Server) -> None:
    anonymous = ssl._create_unverified_context()
    parts = replicas.parts()
    with (
        socket.create_connection(("127.0.0.1", parts["redis"].port or 0), timeout=5) as raw,
        anonymous.wrap_socket(raw) as connection,
    ):
        connection.sendall(b"XLEN kubefan:events\r\n")
        assert connection.recv(1000).startswith(b"-NOAUTH")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        health_of_etcd(parts["etcd"].port or 0, anonymous)


def health_of_etcd(port: int, context: ssl.SSLContext) -> bytes:
    """Raises ConnectionError where etcd hangs up instead of answering."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as raw,
        context.wrap_socket(raw) as connection,
    ):
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = connection.recv(1000)
    if not answer:
        raise ConnectionError("closed")
    return answer
