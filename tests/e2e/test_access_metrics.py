"""What a running server shows of access: who decides, by which files, and what is encrypted."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.e2e import system
from tests.e2e.kubectl import Kubectl

AUTHORIZATION = """
apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers:
- {type: RBAC, name: roles}
- type: Webhook
  name: remote
  webhook:
    timeout: 3s
    subjectAccessReviewVersion: v1
    matchConditionSubjectAccessReviewVersion: v1
    failurePolicy: NoOpinion
    connectionInfo: {type: KubeConfigFile, kubeConfigFile: KUBECONFIG}
    matchConditions: [{expression: "request.user == 'bob'"}]
"""
SECRET = base64.b64encode(b"s" * 32).decode()
ENCRYPTION = {
    "apiVersion": "apiserver.config.k8s.io/v1",
    "kind": "EncryptionConfiguration",
    "resources": [
        {
            "resources": ["secrets"],
            "providers": [{"aesgcm": {"keys": [{"name": "k", "secret": SECRET}]}}],
        }
    ],
}
NOBODY = {
    "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:1/"}}],
    "contexts": [{"name": "a", "context": {"cluster": "a"}}],
    "current-context": "a",
}


def shown(kubectl: Kubectl) -> dict[tuple[str, ...], float]:
    """Every sample of the server by its name, without apiserver_, and its labels' values."""
    text = kubectl("get", "--raw", "/metrics")
    return {
        (
            one.name.removeprefix("apiserver_"),
            *(value for label, value in sorted(one.labels.items()) if label != "apiserver_id_hash"),
        ): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def hashed(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_the_metrics_of_access_are_those_of_the_running_server(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("authorization", "encryption", "nobody", "tokens")}
    files["nobody"].write_text(json.dumps(NOBODY))
    files["encryption"].write_text(json.dumps(ENCRYPTION))
    files["authorization"].write_text(AUTHORIZATION.replace("KUBECONFIG", str(files["nobody"])))
    files["tokens"].write_text("bob-token,bob,1\ncarol-token,carol,2\n")
    with system.apiserver(
        tmp_path / "data",
        f"--authorization-config={files['authorization']}",
        f"--encryption-provider-config={files['encryption']}",
        f"--token-auth-file={files['tokens']}",
    ) as server:
        kubectl = Kubectl(server.kubeconfig, tmp_path, "default")
        kubectl("create", "secret", "generic", "s", "--from-literal=a=b")
        for name in ("bob", "carol"):
            kubectl.fails("get", "pods", f"--token={name}-token")
            kubectl("get", "--raw", "/version", f"--token={name}-token")
        found = shown(kubectl)
        before = hashed(files["authorization"])
        assert found["authorization_config_controller_last_config_info", before] == 1
        encryption = hashed(files["encryption"])
        assert found["encryption_config_controller_last_config_info", encryption] == 1
        assert found["authorization_decisions_total", "allowed", "roles", "RBAC"] >= 2
        assert found["authorization_webhook_evaluations_fail_open_total", "remote", "error"] >= 1
        assert found["authorization_match_condition_exclusions_total", "remote", "Webhook"] >= 1
        operations = "storage_transformation_operations_total"
        assert found[operations, "OK", "to_storage", "k8s:enc:aesgcm:v1:"] == 1
        assert found[operations, "OK", "to_storage", "k:"] == 1
        executions = "flowcontrol_request_execution_seconds_count"
        assert found[executions, "global-default", "global-default", "regular"] >= 4

        files["authorization"].write_text("broken")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            found = shown(kubectl)
            if ("authorization_config_controller_automatic_reloads_total", "failure") in found:
                break
            time.sleep(0.2)
        assert found["authorization_config_controller_automatic_reloads_total", "failure"] == 1
        assert found["authorization_config_controller_last_config_info", before] == 1
