"""What docs/architecture.md promises of one replica, through a real server and real kills."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e import system
from tests.e2e.conftest import STORES

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"


class Client:
    """A plain HTTPS client of one server; one connection."""

    def __init__(self, server: system.Server) -> None:
        config = yaml.safe_load(server.kubeconfig.read_text())
        self._token = config["users"][0]["user"]["token"]
        authority = config["clusters"][0]["cluster"]["certificate-authority"]
        context = ssl.create_default_context(cafile=authority)
        self._connection = http.client.HTTPSConnection(
            "127.0.0.1", server.port, timeout=20, context=context
        )

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        response = self.open(method, path, body)
        return response.status, json.loads(response.read())

    def open(self, method: str, path: str, body: Any = None) -> http.client.HTTPResponse:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        text = None if body is None else json.dumps(body)
        self._connection.request(method, path, text, headers)
        return self._connection.getresponse()

    def create(self, name: str) -> int:
        """Create a ConfigMap; returns its resourceVersion."""
        status, made = self.call("POST", CONFIGMAPS, {"metadata": {"name": name}})
        assert status == 201, made
        return int(made["metadata"]["resourceVersion"])

    def watch(self, after: int, timeout_s: int = 3) -> Iterator[dict[str, Any]]:
        path = f"{CONFIGMAPS}?watch=1&resourceVersion={after}&timeoutSeconds={timeout_s}"
        response = self.open("GET", path)
        assert response.status == 200
        while line := response.readline():
            yield json.loads(line)


@pytest.fixture(params=STORES)
def store_flags(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    """The flags of a server on each kind of store, whose data outlives the server."""
    with ExitStack() as stack:
        if request.param == "etcd":
            yield [f"--etcd-servers={stack.enter_context(system.etcd(tmp_path))}"]
        else:
            yield []


@contextmanager
def serving(data_dir: Path, flags: list[str]) -> Iterator[tuple[system.Server, Client]]:
    with system.apiserver(data_dir, *flags) as server:
        yield server, Client(server)


def test_a_watch_resumes_after_the_server_was_killed(
    tmp_path: Path, store_flags: list[str]
) -> None:
    """A client that saw a revision goes on from there at the next server, without 410."""
    with serving(tmp_path, store_flags) as (server, client):
        seen = client.create("before")
        missed = [client.create(f"missed-{number}") for number in range(20)]
        server.process.kill()
        server.process.wait()
    with serving(tmp_path, store_flags) as (_, client):
        later = client.create("later")
        events = []
        for event in client.watch(seen):
            events.append((event["type"], int(event["object"]["metadata"]["resourceVersion"])))
            if len(events) == 21:
                break
    assert events == [("ADDED", revision) for revision in [*missed, later]]


def test_every_acknowledged_write_survives_a_kill(tmp_path: Path, store_flags: list[str]) -> None:
    acknowledged: list[str] = []

    def write(server: system.Server, writer: int) -> None:
        client = Client(server)
        try:
            for number in range(10_000):
                name = f"w{writer}-{number}"
                client.create(name)
                acknowledged.append(name)
        except (OSError, http.client.HTTPException):
            return  # the server is gone: what has no answer may be there or not

    with serving(tmp_path, store_flags) as (server, _):
        writers = [threading.Thread(target=write, args=(server, number)) for number in range(4)]
        for writer in writers:
            writer.start()
        while len(acknowledged) < 200:
            assert server.process.poll() is None
        server.process.kill()
        server.process.wait()
        for writer in writers:
            writer.join()
    with serving(tmp_path, store_flags) as (_, client):
        _, listing = client.call("GET", CONFIGMAPS)
    there = {item["metadata"]["name"] for item in listing["items"]}
    assert set(acknowledged) <= there


def test_a_read_sees_every_write_acknowledged_before_it_began(
    tmp_path: Path, store_flags: list[str]
) -> None:
    """Also while others write: the cache is waited for."""
    failures: list[str] = []

    def write_and_look(server: system.Server, writer: int) -> None:
        client = Client(server)
        for number in range(60):
            name = f"r{writer}-{number}"
            revision = client.create(name)
            status, _ = client.call("GET", f"{CONFIGMAPS}/{name}")
            _, listing = client.call("GET", f"{CONFIGMAPS}?fieldSelector=metadata.name%3D{name}")
            if status != 200 or len(listing["items"]) != 1:
                failures.append(f"{name} was not there")
            if int(listing["metadata"]["resourceVersion"]) < revision:
                failures.append(f"the list showed a state before {name}")

    with serving(tmp_path, store_flags) as (server, _):
        writers = [
            threading.Thread(target=write_and_look, args=(server, number)) for number in range(4)
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
    assert failures == []


def test_a_resource_version_is_never_answered_with_an_older_state(
    tmp_path: Path, store_flags: list[str]
) -> None:
    with serving(tmp_path, store_flags) as (_, client):
        for number in range(50):
            revision = client.create(f"n{number}")
            path = f"{CONFIGMAPS}?resourceVersion={revision}&resourceVersionMatch=NotOlderThan"
            status, listing = client.call("GET", path)
            assert status == 200
            assert int(listing["metadata"]["resourceVersion"]) >= revision
            assert len(listing["items"]) > number
