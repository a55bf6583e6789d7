"""A server with users who may do exactly what a test grants, and with two nodes."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e import system
from tests.e2e.hostile.objects import RBAC, binding, pod, right, role
from tests.e2e.tlsclient import Answer, Connection

USERS, NODES = 100, ("n1", "n2")
PATCH = ("Content-Type", "application/merge-patch+json")


@dataclass
class User:
    """Somebody with a token."""

    name: str
    connection: Connection
    token: str

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *headers: tuple[str, str],
    ) -> Answer:
        raw = b"" if body is None else json.dumps(body).encode()
        kind = [PATCH] if method == "PATCH" else []
        own = ("Authorization", f"Bearer {self.token}")
        return self.connection.ask(method, path, [*kind, own, *headers], raw)

    def may(self, *arguments: Any) -> bool:
        """Whether a request is answered otherwise than by 403; 401 never comes in question."""
        answer = self.ask(*arguments)
        assert answer.status not in (400, 401, 415, 500), answer.body
        return answer.status != 403


@dataclass
class World:
    """One server with users and two nodes, each with a pod and its secret."""

    admin: User
    users: Iterator[User]
    nodes: dict[str, User]
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def make(self, path: str, obj: dict[str, Any]) -> dict[str, Any]:
        answer = self.admin.ask("POST", path, obj)
        assert answer.status in (201, 409), answer.body
        made: dict[str, Any] = answer.body
        return made

    def user_with(self, *rules: dict[str, Any], namespace: str = "") -> User:
        """Return a new user with these rights, in one namespace or everywhere."""
        user, number = next(self.users), next(self.numbers)
        marker = right("get", f"marker{number}", group="example.com")
        path = f"{RBAC}/namespaces/{namespace}" if namespace else RBAC
        kind, plural = ("Role", "role") if namespace else ("ClusterRole", "clusterrole")
        name = f"given-{number}"
        self.make(f"{path}/{plural}s", role(name, *rules, marker, kind=kind))
        self.make(
            f"{path}/{plural}bindings",
            binding(name, (kind, name), ("User", user.name), kind=f"{kind}Binding"),
        )
        attributes = {"verb": "get", "group": "example.com", "resource": f"marker{number}"}
        self.until_may(user.name, {**attributes, "namespace": namespace})
        return user

    def until_may(self, user: str, attributes: dict[str, Any]) -> None:
        """Wait until the roles written have come to the authorizer."""
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, "resourceAttributes": attributes},
        }
        deadline = time.monotonic() + 10
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        while not self.admin.ask("POST", path, review).body["status"]["allowed"]:
            assert time.monotonic() < deadline, attributes
            time.sleep(0.02)


def impersonate(**parts: str) -> list[tuple[str, str]]:
    return [(f"Impersonate-{name.replace('_', '-')}", value) for name, value in parts.items()]


@contextmanager
def running(data_dir: Path) -> Iterator[World]:
    lines = ['admin-token,admin,uid-admin,"system:masters"']
    lines += [f"token-{number},mallory-{number},uid-{number}" for number in range(USERS)]
    lines += [f'token-{name},system:node:{name},{name},"system:nodes"' for name in NODES]
    (data_dir / "tokens.csv").write_text("\n".join(lines))
    flags = (
        f"--token-auth-file={data_dir}/tokens.csv",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        system.NO_ACCOUNTS,
    )
    with system.apiserver(data_dir, *flags) as server:
        connection = Connection(server.port)
        users = (User(f"mallory-{one}", connection, f"token-{one}") for one in range(USERS))
        nodes = {name: User(f"system:node:{name}", connection, f"token-{name}") for name in NODES}
        found = World(User("admin", connection, "admin-token"), users, nodes)
        fill(found)
        yield found


def fill(world: World) -> None:
    """Make two namespaces with an account each; nodes, pods, secrets are in the first."""
    world.make("/api/v1/namespaces", {"metadata": {"name": "ns"}})
    world.make("/api/v1/namespaces", {"metadata": {"name": "other"}})
    for namespace in ("ns", "other"):
        world.make(
            f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "robot"}}
        )
    for name in NODES:
        world.make("/api/v1/nodes", {"metadata": {"name": name}})
        world.make("/api/v1/namespaces/ns/secrets", {"metadata": {"name": f"secret-of-{name}"}})
        world.make(
            "/api/v1/namespaces/ns/pods",
            pod(f"pod-of-{name}", name, imagePullSecrets=[{"name": f"secret-of-{name}"}]),
        )
    for name in ("one", "two"):
        world.make("/api/v1/namespaces/ns/configmaps", {"metadata": {"name": name}})
