"""Requests that schemathesis makes of the published OpenAPI: each gets an answer that fits it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import response_schema_conformance

from tests.e2e import system
from tests.e2e.manifests import configmap, deployment, pod, service
from tests.property.hostile import Answer, judge

EXAMPLES = 2
"""Requests for each operation; there are some seven hundred operations."""
ANSWER_TIMEOUT_S = 5.0
DOCUMENTS = (
    "api/v1",
    "apis/apps/v1",
    "apis/batch/v1",
    "apis/networking.k8s.io/v1",
    "apis/rbac.authorization.k8s.io/v1",
)
METHODS = ("get", "post", "put", "patch", "delete")
KEPT = {
    "/api/v1/namespaces/default/configmaps": configmap("kept"),
    "/api/v1/namespaces/default/pods": pod("kept"),
    "/api/v1/namespaces/default/services": service("kept"),
    "/apis/apps/v1/namespaces/default/deployments": deployment("kept"),
    "/api/v1/nodes": {"metadata": {"name": "kept"}},
}
"""Objects that every second request is about."""

PRINTS_NULL = {
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}",
}
"""Where answers differ from the documents in kube-apiserver too: no rules are null, not []."""


class Api:
    """The server and its published documents."""

    def __init__(self, server: system.Server) -> None:
        self.server = server
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(server.data_dir / "certs" / "ca.crt")
        user = yaml.safe_load(server.kubeconfig.read_text())["users"][0]["user"]
        self.session.headers["Authorization"] = f"Bearer {user['token']}"

    def document(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = self.session.get(f"{self.server.url}/openapi/v3/{path}").json()
        return found

    def keep(self) -> None:
        """Make the objects again that requests have deleted."""
        for path, manifest in KEPT.items():
            assert self.session.post(self.server.url + path, json=manifest).status_code < 500


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A server of its own: what is generated deletes whole collections."""
    data_dir = tmp_path_factory.mktemp("schemathesis")
    with system.apiserver(data_dir, system.NO_ACCOUNTS) as server:
        found = Api(server)
        found.keep()
        yield found
        found.session.close()


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", DOCUMENTS)
def test_every_operation_answers_what_its_document_allows_to_ask(
    path: str, method: str, api: Api
) -> None:
    schema = schemathesis.openapi.from_dict(api.document(path))
    asked = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.method == method and is_tried(operation):
            ask(operation, api)
            asked += 1
    assert asked
    log = api.server.log.read_text(errors="replace")
    assert "Traceback" not in log, log[log.index("Traceback") - 200 :][:4000]


def is_tried(operation: Any) -> bool:
    """Whether an operation ends by itself and is one of the API server alone."""
    action = operation.definition.raw.get("x-kubernetes-action", "")
    return action != "connect" and not action.startswith("watch")


def ask(operation: Any, api: Api) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), is_known=st.booleans())
    def run(case: Any, is_known: bool) -> None:
        if is_known:
            for name, value in (("namespace", "default"), ("name", "kept")):
                if name in (case.path_parameters or {}):
                    case.path_parameters[name] = value
        # A watch has no end worth waiting for.
        if case.query:
            case.query.pop("watch", None)
        response = case.call(
            base_url=api.server.url,
            session=api.session,
            verify=api.session.verify,
            timeout=ANSWER_TIMEOUT_S,
        )
        if response.status_code == 501:
            # What is not served yet says so.
            assert response.json()["reason"] == "NotImplemented"
            return
        if response.status_code < 300 and case.path not in PRINTS_NULL:
            case.validate_response(response, checks=[response_schema_conformance])
        content_type = response.headers.get("content-type", [""])[0]
        judge(case.method, Answer(response.status_code, content_type, response.content))

    run()
    if operation.method == "delete":
        api.keep()
