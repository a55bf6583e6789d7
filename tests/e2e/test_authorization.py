"""Authorization modes on a real server: a webhook and its configuration, ABAC, clear mistakes."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import system
from tests.e2e.kubectl import Kubectl
from tests.e2e.tlsclient import Answer, Connection

TOKENS = """admin-token,admin,uid-admin,"system:masters"
alice-token,alice,uid-alice,"developers"
bob-token,bob,uid-bob
"""
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: c
contexts: [{{name: c, context: {{cluster: k, user: u}}}}]
clusters: [{{name: k, cluster: {{server: "{url}"}}}}]
users: [{{name: u, user: {{token: hook-token}}}}]
"""
CONFIGURATION = """
apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers:
- type: Webhook
  name: hook
  webhook:
    timeout: 3s
    authorizedTTL: 1ms
    unauthorizedTTL: 1ms
    subjectAccessReviewVersion: v1
    matchConditionSubjectAccessReviewVersion: v1
    failurePolicy: {policy}
    connectionInfo: {{type: KubeConfigFile, kubeConfigFile: "{kubeconfig}"}}
    matchConditions:
    - expression: has(request.resourceAttributes)
    - expression: request.resourceAttributes.namespace == "{namespace}"
- {{type: RBAC, name: rbac}}
"""


@dataclass
class Hook:
    """A webhook that allows what `allows` names, denies what `denies` does."""

    url: str = ""
    allows: set[str] = field(default_factory=set)
    denies: set[str] = field(default_factory=set)
    asked: list[dict[str, Any]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    def answer(self, review: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(review["spec"])
        resource = review["spec"]["resourceAttributes"]["resource"]
        status = {"allowed": resource in self.allows, "denied": resource in self.denies}
        if resource in self.denies:
            status["reason"] = "the hook says no"
        return {"kind": review["kind"], "apiVersion": review["apiVersion"], "status": status}


@contextmanager
def hook_running() -> Iterator[Hook]:
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hook.tokens.add(self.headers.get("Authorization", ""))
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(hook.answer(review)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook.url = f"http://127.0.0.1:{server.server_port}/authorize"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Client:
    """Asks as the owner of a token."""

    def __init__(self, server: system.Server) -> None:
        self._connection = Connection(server.port)

    def ask(self, user: str, method: str, path: str, body: Any = None) -> Answer:
        raw = b"" if body is None else json.dumps(body).encode()
        headers = [("Authorization", f"Bearer {user}-token")]
        return self._connection.ask(method, path, headers, raw)

    def status(self, user: str, path: str) -> int:
        return self.ask(user, "GET", path).status


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.1)


DEFAULT, OTHER = (f"/api/v1/namespaces/{one}" for one in ("default", "kube-public"))


def test_a_webhook_is_asked_as_configured_and_the_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(TOKENS)
    config, kubeconfig = tmp_path / "config.yaml", tmp_path / "hook.kubeconfig"

    def configure(namespace: str, policy: str) -> None:
        new = tmp_path / "new"
        new.write_text(
            CONFIGURATION.format(kubeconfig=kubeconfig, namespace=namespace, policy=policy)
        )
        new.replace(config)

    with hook_running() as hook:
        kubeconfig.write_text(KUBECONFIG.format(url=hook.url))
        configure("default", "NoOpinion")
        flags = (f"--token-auth-file={tmp_path}/tokens", f"--authorization-config={config}")
        with system.apiserver(tmp_path / "data", *flags) as server:
            client = Client(server)
            hook.allows, hook.denies = {"configmaps", "nodes"}, {"secrets"}
            assert client.status("alice", f"{DEFAULT}/configmaps") == 200
            assert hook.tokens == {"Bearer hook-token"}
            assert hook.asked[-1]["user"] == "alice"
            denied = client.ask("alice", "GET", f"{DEFAULT}/secrets").body
            assert denied["message"].endswith(": the hook says no")
            # Masters come before all, other namespaces and paths are no match, RBAC comes after.
            count = len(hook.asked)
            assert client.status("admin", f"{DEFAULT}/secrets") == 200
            assert client.status("alice", f"{OTHER}/configmaps") == 403
            assert client.status("alice", "/api/v1/nodes") == 403
            assert client.status("alice", "/version") == 200
            assert len(hook.asked) == count
            review = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {
                    "user": "bob",
                    "resourceAttributes": {
                        "verb": "list",
                        "namespace": "default",
                        "resource": "secrets",
                        "labelSelector": {"rawSelector": "a=b"},
                    },
                },
            }
            path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
            status = client.ask("admin", "POST", path, review).body["status"]
            assert status == {"allowed": False, "denied": True, "reason": "the hook says no"}
            requirements = [{"key": "a", "operator": "In", "values": ["b"]}]
            asked = hook.asked[-1]["resourceAttributes"]["labelSelector"]
            assert asked == {"requirements": requirements}
            rules = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectRulesReview",
                "spec": {"namespace": "default"},
            }
            path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
            status = client.ask("alice", "POST", path, rules).body["status"]
            assert status["incomplete"]
            assert "webhook authorizer does not support" in status["evaluationError"]

            configure("kube-public", "Deny")
            until(lambda: client.status("alice", f"{OTHER}/configmaps") == 200)
            assert client.status("alice", f"{DEFAULT}/configmaps") == 403
            config.write_text("nonsense")
            time.sleep(1.5)
            assert client.status("alice", f"{OTHER}/configmaps") == 200
            kubeconfig.write_text(KUBECONFIG.format(url="http://127.0.0.1:1/"))
            configure("kube-public", "Deny")
            until(lambda: client.status("alice", f"{OTHER}/configmaps") == 500)
            configure("kube-public", "NoOpinion")
            until(lambda: client.status("alice", "/version") == 200)


def test_abac_and_what_kubectl_lists_of_it(tmp_path: Path, home: Path) -> None:
    (tmp_path / "tokens").write_text(TOKENS)
    version = {"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy"}
    specs = (
        {"user": "alice", "namespace": "default", "resource": "configmaps", "apiGroup": ""},
        {"user": "bob", "namespace": "*", "resource": "*", "apiGroup": "*", "readonly": True},
        {"group": "system:authenticated", "nonResourcePath": "*", "readonly": True},
        {"group": "system:unauthenticated", "nonResourcePath": "/readyz", "readonly": True},
        {
            "group": "system:authenticated",
            "namespace": "*",
            "apiGroup": "authorization.k8s.io",
            "resource": "*",
        },
    )
    lines = ["# who may what", *(json.dumps({**version, "spec": spec}) for spec in specs)]
    (tmp_path / "policies").write_text("\n".join(lines))
    flags = (
        f"--token-auth-file={tmp_path}/tokens",
        "--authorization-mode=ABAC",
        f"--authorization-policy-file={tmp_path}/policies",
    )
    with system.apiserver(tmp_path / "data", *flags) as server:
        client = Client(server)
        assert client.status("alice", f"{DEFAULT}/configmaps") == 200
        assert client.status("alice", f"{OTHER}/configmaps") == 403
        assert client.status("bob", f"{OTHER}/secrets") == 200
        refused = client.ask("bob", "POST", f"{DEFAULT}/configmaps", {"metadata": {"name": "a"}})
        assert refused.status == 403
        assert refused.body["message"].endswith(": No policy matched.")
        kubectl = Kubectl(server.kubeconfig, home, "default")
        listed = kubectl(
            "auth",
            "can-i",
            "--list",
            "--token=alice-token",
            "--kubeconfig=/dev/null",
            f"--server={server.url}",
            "--insecure-skip-tls-verify",
        )
        assert "configmaps" in listed


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--authorization-mode=ABAC"], "needs --authorization-policy-file"),
        (["--authorization-mode=RBAC,Node,RBAC"], "RBAC is given more than once"),
        (["--authorization-config=FILE"], "at least one authorization mode must be defined"),
    ],
)
def test_a_server_that_can_not_decide_does_not_start(
    flags: list[str], told: str, tmp_path: Path
) -> None:
    head = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\n"
    (tmp_path / "file").write_text(head)
    named = [one.replace("FILE", f"{tmp_path}/file") for one in flags]
    command = [*system.KUBEFAN, "apiserver", f"--data-dir={tmp_path}", "--secure-port=0", *named]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert told in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_kubectl_reconciles_roles_without_taking_anything_away(
    kubectl: Kubectl, namespace: str
) -> None:
    def role(*verbs: str) -> str:
        rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": list(verbs)}
        meta = {"name": "r", "namespace": namespace}
        return json.dumps(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role",
                "metadata": meta,
                "rules": [rule],
            }
        )

    assert "reconciled" in kubectl("auth", "reconcile", "-f", "-", stdin=role("get"))
    kubectl("auth", "reconcile", "-f", "-", stdin=role("list"))
    assert kubectl("get", "role", "r", "-o", "jsonpath={.rules[*].verbs[*]}") == "get list"
    kubectl("auth", "reconcile", "-f", "-", "--remove-extra-permissions", stdin=role("list"))
    assert kubectl("get", "role", "r", "-o", "jsonpath={.rules[*].verbs[*]}") == "list"


ROLES = "/apis/rbac.authorization.k8s.io/v1"


def test_the_bootstrap_roles_are_repaired_at_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(TOKENS)
    flags = f"--token-auth-file={tmp_path}/tokens"
    emptied = f"{ROLES}/clusterroles/system:basic-user"
    kept, removed = f"{ROLES}/clusterroles/system:discovery", f"{ROLES}/clusterroles/system:node"
    replaced = f"{ROLES}/clusterrolebindings/system:node-proxier"
    with system.apiserver(tmp_path / "data", flags) as server:
        client = Client(server)
        own = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
        role = client.ask("admin", "GET", emptied).body
        assert client.ask("admin", "PUT", emptied, {**role, "rules": own}).status == 200
        role = client.ask("admin", "GET", kept).body
        role["metadata"]["annotations"]["rbac.authorization.kubernetes.io/autoupdate"] = "false"
        assert client.ask("admin", "PUT", kept, {**role, "rules": []}).status == 200
        assert client.ask("admin", "DELETE", removed).status == 200
        binding = client.ask("admin", "GET", replaced).body
        assert client.ask("admin", "DELETE", replaced).status == 200
        for name in ("uid", "resourceVersion", "creationTimestamp"):
            del binding["metadata"][name]
        binding["roleRef"]["name"] = "view"
        path = f"{ROLES}/clusterrolebindings"
        assert client.ask("admin", "POST", path, binding).status == 201
        assert client.status("alice", f"{ROLES}/clusterroles") == 403
    with system.apiserver(tmp_path / "data", flags) as server:
        client = Client(server)
        rules = client.ask("admin", "GET", emptied).body["rules"]
        assert rules[0] == own[0]
        assert any("selfsubjectaccessreviews" in rule["resources"] for rule in rules[1:])
        assert not client.ask("admin", "GET", kept).body.get("rules")
        assert client.status("admin", removed) == 200
        found = client.ask("admin", "GET", replaced).body["roleRef"]["name"]
        assert found == "system:node-proxier"
