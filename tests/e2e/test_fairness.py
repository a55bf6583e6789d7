"""An overloaded server: who floods it is told to come back, and others are served."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import system

TIMEOUT_S = 30.0
FLOW = "/apis/flowcontrol.apiserver.k8s.io/v1"
LISTED = "/api/v1/namespaces/default/configmaps"
ONE = "/api/v1/namespaces/default"
SCHEMA, LEVEL = "x-kubernetes-pf-flowschema-uid", "x-kubernetes-pf-prioritylevel-uid"
FLOOD_S = 4.0


@dataclass(slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Client:
    """Asks as one user, a connection a request, which reads no faster than it must."""

    server: system.Server
    token: str
    answers: list[Answer] = field(default_factory=list)

    def connect(self, target: str, method: str = "GET", body: bytes = b"") -> ssl.SSLSocket:
        """Send a request; the answer is left to be read."""
        plain = socket.socket()
        # Large answers then wait in the server, and not in the kernel.
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        plain.settimeout(TIMEOUT_S)
        plain.connect(("127.0.0.1", self.server.port))
        context = ssl.create_default_context(cafile=str(self.server.data_dir / "certs" / "ca.crt"))
        wrapped = context.wrap_socket(plain, server_hostname="127.0.0.1")
        head = (
            f"{method} {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
            f"Authorization: Bearer {self.token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        wrapped.sendall(head.encode() + body)
        return wrapped

    def ask(self, target: str, method: str = "GET", body: Any = None) -> Answer:
        started = time.monotonic()
        text = b"" if body is None else json.dumps(body).encode()
        with self.connect(target, method, text) as connection:
            response = http.client.HTTPResponse(connection)
            response.begin()
            read = response.read()
        headers = {name.lower(): value for name, value in response.getheaders()}
        answer = Answer(response.status, headers, read, time.monotonic() - started)
        self.answers.append(answer)
        return answer


@contextmanager
def serving(directory: Path, *flags: str) -> Iterator[system.Server]:
    directory.mkdir(parents=True)
    tokens = directory / "tokens.csv"
    tokens.write_text(
        'admin-token,admin,1,"system:masters"\n'
        'noisy-token,noisy,2,"crowd"\n'
        'quiet-token,quiet,3,"crowd"\n'
        "other-token,other,4\n"
    )
    access = ("--authorization-mode=AlwaysAllow", f"--token-auth-file={tokens}")
    with system.apiserver(directory / "data", *access, *flags) as server:
        admin = Client(server, "admin-token")
        for number in range(30):
            body = {"metadata": {"name": f"large-{number}"}, "data": {"a": "x" * 300_000}}
            assert admin.ask(LISTED, "POST", body).status == 201
        yield server


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[system.Server]:
    """A server with few seats, and a level of its own for the group crowd."""
    directory = tmp_path_factory.mktemp("fairness") / "crowded"
    with serving(
        directory, "--max-requests-inflight=6", "--max-mutating-requests-inflight=2"
    ) as server:
        admin = Client(server, "admin-token")
        queuing = {"queues": 16, "handSize": 2, "queueLengthLimit": 2}
        level = {
            "metadata": {"name": "crowd"},
            "spec": {
                "type": "Limited",
                "limited": {
                    "nominalConcurrencyShares": 30,
                    "borrowingLimitPercent": 0,
                    "limitResponse": {"type": "Queue", "queuing": queuing},
                },
            },
        }
        schema = {
            "metadata": {"name": "crowd"},
            "spec": {
                "priorityLevelConfiguration": {"name": "crowd"},
                "matchingPrecedence": 700,
                "distinguisherMethod": {"type": "ByUser"},
                "rules": [
                    {
                        "subjects": [{"kind": "Group", "group": {"name": "crowd"}}],
                        "resourceRules": [
                            {
                                "verbs": ["*"],
                                "apiGroups": ["*"],
                                "resources": ["*"],
                                "namespaces": ["*"],
                                "clusterScope": True,
                            }
                        ],
                    }
                ],
            },
        }
        made = admin.ask(f"{FLOW}/prioritylevelconfigurations", "POST", level)
        assert made.status == 201
        made = admin.ask(f"{FLOW}/flowschemas", "POST", schema)
        assert made.status == 201
        deadline = time.monotonic() + TIMEOUT_S
        while Client(server, "quiet-token").ask(ONE).headers[SCHEMA] != uid(server, "crowd"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield server


def uid(server: system.Server, name: str, resource: str = "flowschemas") -> str:
    found: str = (
        Client(server, "admin-token").ask(f"{FLOW}/{resource}/{name}").json["metadata"]["uid"]
    )
    return found


@contextmanager
def flood(client: Client, connections: int) -> Iterator[None]:
    """List again and again from many connections, whatever the answers say, until the end."""
    over = threading.Event()

    def ask_on() -> None:
        while not over.is_set():
            if client.ask(f"{LISTED}?resourceVersion=0").status == 429:
                over.wait(0.02)

    with ThreadPoolExecutor(connections) as threads:
        asking = [threads.submit(ask_on) for _ in range(connections)]
        try:
            yield
        finally:
            over.set()
    for one in asking:
        one.result()


def test_one_floods_and_the_others_are_served(crowded: system.Server) -> None:
    noisy, quiet, admin = (Client(crowded, f"{name}-token") for name in ("noisy", "quiet", "admin"))
    with flood(noisy, 12):
        time.sleep(0.5)
        until = time.monotonic() + FLOOD_S
        while time.monotonic() < until:
            assert quiet.ask(ONE).status == 200
            assert admin.ask(ONE).status == 200
    refused = [one for one in noisy.answers if one.status == 429]
    served = [one for one in noisy.answers if one.status == 200]
    assert len(refused) + len(served) == len(noisy.answers)
    assert served, "a flood takes its share, too"
    assert refused, "it was no flood"
    for one in refused:
        assert int(one.headers["retry-after"]) >= 1
        status = one.json
        assert (status["kind"], status["reason"], status["code"]) == (
            "Status",
            "TooManyRequests",
            429,
        )
        assert status["details"]["retryAfterSeconds"] == int(one.headers["retry-after"])
    levels = "prioritylevelconfigurations"
    of_crowd = (uid(crowded, "crowd"), uid(crowded, "crowd", levels))
    of_admin = (uid(crowded, "exempt"), uid(crowded, "exempt", levels))
    for one in (*noisy.answers, *quiet.answers):
        assert (one.headers[SCHEMA], one.headers[LEVEL]) == of_crowd
    for one in admin.answers:
        assert (one.headers[SCHEMA], one.headers[LEVEL]) == of_admin
    # The exempt do not wait for seats; the others wait for a turn, not for the flood's end.
    assert max(one.seconds for one in admin.answers) < 1.5
    assert max(one.seconds for one in quiet.answers) < 5


def test_who_leaves_while_waiting_makes_room(crowded: system.Server) -> None:
    """Clients that do not read hold the seats; those behind them go away, and are forgotten."""
    noisy, admin = Client(crowded, "noisy-token"), Client(crowded, "admin-token")
    with ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(noisy.connect(f"{LISTED}?resourceVersion=0"))
        wait_for(admin, waiting=lambda count: count > 0)
    wait_for(admin, waiting=lambda count: count == 0)
    assert Client(crowded, "quiet-token").ask(ONE).status == 200


def wait_for(admin: Client, waiting: Any) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        rows = admin.ask("/debug/api_priority_and_fairness/dump_requests").body.splitlines()[1:]
        if waiting(sum(row.startswith(b"crowd,") for row in rows)):
            return
        assert time.monotonic() < deadline, rows
        time.sleep(0.05)


def test_the_metrics_show_the_level(crowded: system.Server) -> None:
    admin = Client(crowded, "admin-token")
    text = admin.ask("/metrics").body.decode()
    labels = '{flow_schema="crowd",priority_level="crowd"}'
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(lines[f"apiserver_flowcontrol_dispatched_requests_total{labels}"]) > 0
    assert float(lines['apiserver_flowcontrol_nominal_limit_seats{priority_level="crowd"}']) == 1
    assert float(lines[f"apiserver_flowcontrol_current_executing_seats{labels}"]) == 0


def test_a_default_that_was_deleted_comes_back_at_the_next_start(tmp_path: Path) -> None:
    directory = tmp_path / "server"
    for expected in (True, False):
        with system.apiserver(directory) as server:
            admin = Client(server, (server.data_dir / "certs" / "admin.token").read_text().strip())
            path = f"{FLOW}/flowschemas/probes"
            assert admin.ask(path).status == 200
            if expected:
                assert admin.ask(path, "DELETE").status == 200


def test_without_it_two_counters_decide(tmp_path: Path) -> None:
    with serving(
        tmp_path / "counted",
        "--enable-priority-and-fairness=false",
        "--max-requests-inflight=1",
        "--max-mutating-requests-inflight=1",
    ) as server:
        other, admin = Client(server, "other-token"), Client(server, "admin-token")
        with other.connect(f"{LISTED}?resourceVersion=0"):
            time.sleep(0.5)
            refused = other.ask(ONE)
            assert (refused.status, refused.headers["retry-after"]) == (429, "1")
            assert SCHEMA not in refused.headers
            assert admin.ask(ONE).status == 200
            body = {"metadata": {"name": "changes-are-counted-apart"}}
            assert other.ask(LISTED, "POST", body).status == 201
            watch = other.ask(f"{LISTED}?watch=1&resourceVersion=0&timeoutSeconds=1&limit=1")
            assert watch.status == 200
        deadline = time.monotonic() + TIMEOUT_S
        while other.ask(ONE).status != 200:
            assert time.monotonic() < deadline
