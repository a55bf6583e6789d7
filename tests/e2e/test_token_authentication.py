"""Bearer tokens and requests without any, against a real server with all kinds switched on."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.system import Server, apiserver
from tests.e2e.tlsclient import Answer, Connection

CONFIGURATION = """
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions: [{path: /livez}, {path: /readyz}]
"""
ID, SECRET = "abcdef", "0123456789abcdef"
SECRETS = "/api/v1/namespaces/kube-system/secrets"
AUDIENCE = "https://kubernetes.default.svc.cluster.local"


@dataclass(frozen=True, slots=True)
class World:
    server: Server
    connection: Connection

    def ask(self, method: str, path: str, body: Any = None, token: str | None = "admin") -> Answer:
        """Ask with a token of the file, or another; None: with none."""
        headers = [] if token is None else [("Authorization", f"Bearer {token}")]
        content = b"" if body is None else json.dumps(body).encode()
        return self.connection.ask(method, path, headers, content)

    def whoami(self, token: str) -> Answer:
        return self.connection.whoami(("Authorization", f"Bearer {token}"))

    def review(self, token: str, **spec: Any) -> Any:
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, **spec},
        }
        answer = self.ask("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)
        assert answer.status == 201, answer.body
        return answer.body["status"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory: Path = tmp_path_factory.mktemp("tokens")
    (directory / "tokens.csv").write_text('admin,admin,1,"system:masters"\n')
    (directory / "authentication.yaml").write_text(CONFIGURATION)
    with apiserver(
        directory / "data",
        f"--token-auth-file={directory / 'tokens.csv'}",
        f"--authentication-config={directory / 'authentication.yaml'}",
        "--enable-bootstrap-token-auth",
    ) as server:
        connection = Connection(server.port)
        yield World(server, connection)
        connection.close()


def test_anybody_may_ask_for_some_paths_alone(world: World) -> None:
    for path, status in (("/livez", 200), ("/readyz", 200), ("/healthz", 401), ("/api", 401)):
        assert world.ask("GET", path, token=None).status == status, path
    # A bad token is bad even there.
    assert world.ask("GET", "/livez", token="wrong").status == 401


def test_a_bootstrap_token_is_good_while_its_secret_is_there(world: World) -> None:
    token = f"{ID}.{SECRET}"
    assert world.whoami(token).status == 401
    data = {
        "token-id": ID,
        "token-secret": SECRET,
        "usage-bootstrap-authentication": "true",
        "auth-extra-groups": "system:bootstrappers:nodes",
    }
    secret = {
        "metadata": {"name": f"bootstrap-token-{ID}"},
        "type": "bootstrap.kubernetes.io/token",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }
    assert world.ask("POST", SECRETS, secret).status == 201
    user = {
        "username": f"system:bootstrap:{ID}",
        "groups": ["system:bootstrappers", "system:bootstrappers:nodes", "system:authenticated"],
    }
    assert world.whoami(token).user == user
    assert world.review(token) == {"authenticated": True, "user": user, "audiences": [AUDIENCE]}
    assert world.review(token, audiences=["other"])["error"] == "invalid bearer token"
    assert world.ask("DELETE", f"{SECRETS}/bootstrap-token-{ID}").status == 200
    deadline = time.monotonic() + 20  # it is remembered for 10 s
    while world.whoami(token).status != 401:
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_a_review_tells_why_a_token_is_bad(world: World) -> None:
    path = "/api/v1/namespaces/default/serviceaccounts"
    assert world.ask("POST", path, {"metadata": {"name": "robot"}}).status == 201
    request = {"spec": {"audiences": ["other"], "expirationSeconds": 600}}
    made = world.ask("POST", f"{path}/robot/token", request)
    assert made.status == 201, made.body
    token = made.body["status"]["token"]
    assert world.whoami(token).status == 401
    assert world.review(token) == {
        "user": {},
        "error": "[invalid bearer token, token audiences "
        f'["other"] is invalid for the target audiences ["{AUDIENCE}"]]',
    }
    assert world.review(token, audiences=["other"])["authenticated"]
