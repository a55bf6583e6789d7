"""The audit log of a real server: a scripted session, and rotation under load."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import system
from tests.e2e.kubectl import Kubectl

POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitManagedFields: true
rules:
- level: None
  nonResourceURLs: ["/readyz*", "/api*", "/openapi*", "/version"]
- level: None
  verbs: [get]
  resources: [{resources: [configmaps], resourceNames: [hushed]}]
- level: RequestResponse
  resources: [{resources: [configmaps]}]
  omitStages: [RequestReceived]
- level: Request
  resources: [{resources: [pods]}]
- level: Metadata
"""
TOKENS = 'bobs-token,bob,bobs-uid,"devs"\n'
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Client:
    """Sends requests whose Audit-ID is the step's name."""

    server: system.Server
    token: str

    def __call__(
        self,
        step: str,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        **headers: str,
    ) -> int:
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(
            f"127.0.0.1:{self.server.port}", timeout=30, context=context
        )
        sent = {
            "Audit-ID": step,
            "Authorization": f"Bearer {token or self.token}",
            "Content-Type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            answer.read()
            assert answer.headers["Audit-Id"] == step
            return answer.status
        finally:
            connection.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[system.Server]:
    directory = tmp_path_factory.mktemp("audit")
    (directory / "policy.yaml").write_text(POLICY)
    (directory / "tokens.csv").write_text(TOKENS)
    with system.apiserver(
        directory / "data",
        "--authorization-mode=RBAC",
        "--disable-admission-plugins=ServiceAccount",
        f"--token-auth-file={directory / 'tokens.csv'}",
        f"--audit-policy-file={directory / 'policy.yaml'}",
        f"--audit-log-path={directory / 'audit.log'}",
    ) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: system.Server) -> Client:
    return Client(server, admin_token(server))


def admin_token(server: system.Server) -> str:
    return (server.data_dir / "certs" / "admin.token").read_text().strip()


def audit_log(server: system.Server) -> Path:
    return server.data_dir.parent / "audit.log"


def wait_for(server: system.Server, ready: Callable[[list[Event]], bool]) -> list[Event]:
    """Return the log's events as soon as they are what a test waits for."""
    deadline = time.monotonic() + 10
    while True:
        events = [json.loads(line) for line in audit_log(server).read_text().splitlines()]
        if ready(events):
            return events
        assert time.monotonic() < deadline, events
        time.sleep(0.02)


def steps(server: system.Server, *names: str) -> dict[str, list[Event]]:
    """Return the events of each step, once all are complete."""

    def ready(events: list[Event]) -> bool:
        done = {one["auditID"] for one in events if one["stage"] == "ResponseComplete"}
        return done >= set(names)

    found: dict[str, list[Event]] = {}
    for event in wait_for(server, ready):
        found.setdefault(event["auditID"], []).append(event)
    return found


def stages(events: list[Event]) -> list[str]:
    return [event["stage"] for event in events]


def picked(event: Mapping[str, Any], *fields: str) -> dict[str, Any]:
    return {field: event[field] for field in fields if field in event}


def test_a_session_is_recorded_as_the_policy_asks(server: system.Server, client: Client) -> None:
    config_map = {"metadata": {"name": "settings"}, "data": {"a": "1"}}
    pod = {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "a", "image": "b"}]}}
    merge = "application/merge-patch+json"
    assert client("create", "POST", CONFIG_MAPS, config_map) == 201
    assert client("get", "GET", f"{CONFIG_MAPS}/settings?x=1") == 200
    assert client("hushed", "GET", f"{CONFIG_MAPS}/hushed") == 404
    assert client("list", "GET", CONFIG_MAPS) == 200
    assert client("watch", "GET", f"{CONFIG_MAPS}?watch=1&timeoutSeconds=1") == 200
    patch = {"data": {"a": "2"}}
    path = f"{CONFIG_MAPS}/settings"
    assert client("patch", "PATCH", path, patch, Content_Type=merge) == 200
    assert client("pod", "POST", PODS, pod) == 201
    options = {"gracePeriodSeconds": 0}
    assert client("delete", "DELETE", f"{CONFIG_MAPS}/settings", options) == 200
    told = steps(server, "create", "get", "list", "watch", "patch", "pod", "delete")

    assert "hushed" not in told
    (created,) = told["create"]
    assert list(created["user"].items()) == [
        ("username", "admin"),
        ("groups", ["system:masters", "system:authenticated"]),
    ]
    assert picked(created, "level", "stage", "verb", "requestURI", "responseStatus") == {
        "level": "RequestResponse",
        "stage": "ResponseComplete",
        "verb": "create",
        "requestURI": CONFIG_MAPS,
        "responseStatus": {"metadata": {}, "code": 201},
    }
    assert created["sourceIPs"] == ["127.0.0.1"]
    assert created["objectRef"] == {
        "resource": "configmaps",
        "namespace": "default",
        "name": "settings",
        "apiVersion": "v1",
    }
    assert created["requestObject"] == {"kind": "ConfigMap", "apiVersion": "v1", **config_map}
    answered = created["responseObject"]
    assert answered["metadata"]["uid"]
    assert "managedFields" not in answered["metadata"]
    assert created["annotations"]["authorization.k8s.io/decision"] == "allow"

    (got,) = told["get"]
    assert got["requestURI"] == f"{CONFIG_MAPS}/settings?x=1"
    assert got["responseObject"] == answered
    (listed,) = told["list"]
    assert "settings" in [one["metadata"]["name"] for one in listed["responseObject"]["items"]]
    assert stages(told["watch"]) == ["ResponseStarted", "ResponseComplete"]
    assert told["watch"][0]["verb"] == "watch"
    assert "responseObject" not in told["watch"][1]
    (patched,) = told["patch"]
    assert patched["requestObject"] == patch
    assert patched["responseObject"]["data"] == {"a": "2"}
    assert stages(told["pod"]) == ["RequestReceived", "ResponseComplete"]
    received, done = told["pod"]
    assert "requestObject" not in received
    # As decoded: with defaults, before admission.
    assert done["requestObject"]["spec"]["restartPolicy"] == "Always"
    assert "namespace" not in done["requestObject"]["metadata"]
    assert "responseObject" not in done
    assert done["annotations"]["pod-security.kubernetes.io/enforce-policy"] == "privileged:latest"
    (deleted,) = told["delete"]
    assert deleted["requestObject"]["gracePeriodSeconds"] == 0
    assert deleted["responseStatus"]["status"] == "Success"
    assert deleted["responseStatus"]["details"]["name"] == "settings"
    assert deleted["responseStatus"]["code"] == 200


def test_refusals_are_recorded(server: system.Server, client: Client) -> None:
    assert client("forbidden", "DELETE", "/api/v1/nodes/a", token="bobs-token") == 403
    assert client("unknown", "GET", "/api/v1/nodes", token="forged") == 401
    told = steps(server, "forbidden")
    received, done = told["forbidden"]
    assert received["user"] == {
        "username": "bob",
        "uid": "bobs-uid",
        "groups": ["devs", "system:authenticated"],
    }
    assert "annotations" not in received
    assert done["responseStatus"]["reason"] == "Forbidden"
    assert done["responseStatus"]["code"] == 403
    assert done["annotations"]["authorization.k8s.io/decision"] == "forbid"
    (unknown,) = wait_for(server, lambda events: any(e["auditID"] == "unknown" for e in events))[
        -1:
    ]
    assert picked(unknown, "auditID", "stage", "user") == {
        "auditID": "unknown",
        "stage": "ResponseStarted",
        "user": {},
    }
    assert unknown["responseStatus"] == {
        "metadata": {},
        "status": "Failure",
        "message": "Unauthorized",
        "reason": "Unauthorized",
        "code": 401,
    }


def test_an_impersonated_request_names_both_users(server: system.Server, client: Client) -> None:
    headers = {"Impersonate_User": "carol", "Impersonate_Group": "ops"}
    assert client("as", "GET", "/api/v1/nodes", X_Forwarded_For="1.2.3.4", **headers) == 403
    _, done = steps(server, "as")["as"]
    assert done["user"]["username"] == "admin"
    assert done["impersonatedUser"] == {
        "username": "carol",
        "groups": ["ops", "system:authenticated"],
    }
    constraint = {"impersonationConstraint": "impersonate:user-info"}
    assert done["authenticationMetadata"] == constraint
    assert done["sourceIPs"] == ["1.2.3.4", "127.0.0.1"]


def test_kubectl_is_recorded(server: system.Server, home: Path) -> None:
    kubectl = Kubectl(server.kubeconfig, home, "default")
    kubectl("create", "configmap", "by-kubectl", "--from-literal=a=1")
    kubectl("get", "configmaps")

    def of_kubectl(events: list[Event], verb: str) -> list[Event]:
        return [
            event
            for event in events
            if event.get("userAgent", "").startswith("kubectl/") and event["verb"] == verb
        ]

    events = wait_for(server, lambda events: bool(of_kubectl(events, "list")))
    created = of_kubectl(events, "create")[0]
    assert created["requestURI"].startswith(f"{CONFIG_MAPS}?fieldManager=kubectl-create")
    assert created["objectRef"]["name"] == "by-kubectl"
    assert of_kubectl(events, "list")[0]["responseObject"]["kind"] == "Table"


def test_metrics_count_events(server: system.Server, client: Client) -> None:
    context = ssl._create_unverified_context()
    connection = http.client.HTTPSConnection(f"127.0.0.1:{server.port}", context=context)
    connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {client.token}"})
    text = connection.getresponse().read().decode()
    connection.close()
    assert "apiserver_audit_event_total " in text
    assert 'apiserver_audit_level_total{level="None"}' in text
    assert "apiserver_audit_requests_rejected_total 0.0" in text


def test_rotation_under_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: Metadata}]}")
    logs = tmp_path / "logs"
    with system.apiserver(
        tmp_path / "data",
        f"--audit-policy-file={policy}",
        f"--audit-log-path={logs / 'audit.log'}",
        "--audit-log-maxsize=1",
    ) as server:
        token = admin_token(server)
        context = ssl._create_unverified_context()

        def load(worker: int) -> None:
            connection = http.client.HTTPSConnection(f"127.0.0.1:{server.port}", context=context)
            for number in range(250):
                # Long, so that a megabyte is soon full.
                name = f"load-{worker}-{number}-{'x' * 500}"
                headers = {"Audit-ID": name, "Authorization": f"Bearer {token}"}
                connection.request("GET", "/api/v1/namespaces/default", headers=headers)
                connection.getresponse().read()
            connection.close()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(load, range(8)))
    # The server has stopped: all is written.
    files = list(logs.iterdir())
    assert len(files) >= 4
    assert all(one.stat().st_size <= 2**20 for one in files)
    assert all(one.stat().st_mode & 0o777 == 0o600 for one in files)
    events = [json.loads(line) for one in files for line in one.read_text().splitlines()]
    told = Counter(
        (one["auditID"], one["stage"]) for one in events if one["auditID"].startswith("load-")
    )
    assert len(told) == 2 * 8 * 250
    assert set(told.values()) == {1}
