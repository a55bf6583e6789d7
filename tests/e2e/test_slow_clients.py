"""Clients that read slowly, or not at all, or leave: they cost nobody but themselves."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml
from kubernetes import client as api

from tests.e2e import system
from tests.e2e.manifests import configmap

TIMEOUT_S = 20.0
LARGE = "x" * 200_000


class RawClient:
    """A connection that decides itself when it reads."""

    def __init__(self, server: system.Server, target: str) -> None:
        user = yaml.safe_load(server.kubeconfig.read_text())["users"][0]["user"]
        context = ssl.create_default_context(cafile=str(server.data_dir / "certs" / "ca.crt"))
        plain = socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S)
        self.socket = context.wrap_socket(plain, server_hostname="127.0.0.1")
        head = f"GET {target} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {user['token']}\r\n\r\n"
        self.socket.sendall(head.encode())

    def read_until(self, part: bytes) -> bytes:
        read = b""
        while part not in read:
            piece = self.socket.recv(65536)
            assert piece, f"closed before {part!r}; got {read[-200:]!r}"
            read += piece
        return read

    def read_to_the_end(self) -> int:
        """Read until the last chunk or the end of the connection; returns how many bytes."""
        size, tail = 0, b""
        while not tail.endswith(b"\r\n0\r\n\r\n"):
            piece = self.socket.recv(1 << 20)
            if not piece:
                break
            size += len(piece)
            tail = (tail + piece)[-10:]
        return size


@contextmanager
def connected(server: system.Server, target: str) -> Iterator[RawClient]:
    client = RawClient(server, target)
    try:
        yield client
    finally:
        client.socket.close()


def open_watches(server: system.Server, resource: str) -> float:
    with connected(server, "/metrics") as client:
        text = client.read_until(b"kubefan_cache_revision ").decode()
    for line in text.splitlines():
        if line.startswith(f'apiserver_registered_watchers{{resource="{resource}"}}'):
            return float(line.rpartition(" ")[2])
    return 0.0


def wait_until(condition: Any, why: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, why
        time.sleep(0.05)


@pytest.mark.parametrize("leaving", ["close", "reset", "with a request behind"])
def test_a_watch_ends_when_its_client_has_gone(
    leaving: str, server: system.Server, namespace: str
) -> None:
    """PodTemplates: nobody else watches them."""
    target = f"/api/v1/namespaces/{namespace}/podtemplates?watch=1"
    before = open_watches(server, "podtemplates")
    clients = [RawClient(server, target) for _ in range(5)]
    for client in clients:
        client.read_until(b"\r\n\r\n")
    wait_until(
        lambda: open_watches(server, "podtemplates") == before + 5, "the watches are not open"
    )
    for client in clients:
        if leaving == "with a request behind":
            client.socket.sendall(b"GET /version HTTP/1.1\r\nHost: h\r\n\r\n")
            time.sleep(0.02)
        if leaving == "reset":
            linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        client.socket.close()
    wait_until(
        lambda: open_watches(server, "podtemplates") == before, "watches outlive their clients"
    )


def test_a_watch_ends_at_its_time_and_the_connection_goes_on(
    server: system.Server, namespace: str
) -> None:
    target = f"/api/v1/namespaces/{namespace}/podtemplates?watch=1&timeoutSeconds=1"
    with connected(server, target) as client:
        client.read_until(b"\r\n0\r\n\r\n")
        client.socket.sendall(b"GET /version HTTP/1.1\r\nHost: h\r\n\r\n")
        assert b"200 OK" in client.read_until(b"\r\n\r\n")


def test_who_reads_a_large_list_slowly_keeps_nobody_waiting(
    server: system.Server, core: api.CoreV1Api, namespace: str
) -> None:
    for number in range(50):
        core.create_namespaced_config_map(namespace, configmap(f"c{number}", data={"d": LARGE}))
    target = f"/api/v1/namespaces/{namespace}/configmaps"
    with connected(server, target) as slow:
        begun = slow.read_until(b"\r\n\r\n")
        started = time.monotonic()
        for number in range(20):
            core.read_namespaced_config_map(f"c{number}", namespace)
        assert time.monotonic() - started < 5
        listed = core.list_namespaced_config_map(namespace)
        assert len(listed.items) == 50
        # And it still gets all of it.
        size = len(begun)
        while size < 50 * len(LARGE):
            size += len(slow.socket.recv(1 << 20))


def test_a_watch_that_nobody_reads_is_ended_and_the_others_miss_nothing(
    server: system.Server, core: api.CoreV1Api, namespace: str
) -> None:
    created = core.create_namespaced_config_map(namespace, configmap("busy"))
    version = created.metadata.resource_version
    target = f"/api/v1/namespaces/{namespace}/configmaps?watch=1&resourceVersion={version}"
    writes = 250
    with connected(server, target) as stalled, connected(server, target) as reading:
        stalled.read_until(b"\r\n\r\n")
        reading.read_until(b"\r\n\r\n")
        for number in range(writes):
            patch = {"data": {"n": str(number), "d": LARGE}}
            core.patch_namespaced_config_map("busy", namespace, patch)
            reading.read_until(b'"n":"%d"' % number)
        # What was on its way when the watch ended is all there is: far from everything.
        size = stalled.read_to_the_end()
        assert size < writes * len(LARGE) / 2
    newest = core.read_namespaced_config_map("busy", namespace)
    assert newest.data["n"] == str(writes - 1)


def test_a_client_that_never_sends_its_body_keeps_nobody_waiting(
    server: system.Server, core: api.CoreV1Api, namespace: str
) -> None:
    token = yaml.safe_load(server.kubeconfig.read_text())["users"][0]["user"]["token"]
    head = (
        f"POST /api/v1/namespaces/{namespace}/configmaps HTTP/1.1\r\nHost: h\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: 100\r\n\r\n"
    )
    clients = [RawClient(server, "/version") for _ in range(10)]
    for client in clients:
        client.socket.sendall(head.encode() + b'{"metadata"')
    core.create_namespaced_config_map(namespace, configmap("quick"))
    rest = b":" + json.dumps({"generateName": "slow-"}).encode() + b"}"
    for client in clients:
        client.socket.sendall(rest.ljust(100 - len(b'{"metadata"')))
        client.read_until(b" 201 Created\r\n")
        client.socket.close()
