"""kubectl create, run, expose, autoscale: objects made from flags and from files."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import yaml

from tests.e2e.kubectl import Kubectl
from tests.e2e.manifests import configmap, deployment, pod


def test_create_from_a_file_a_folder_and_stdin(kubectl: Kubectl, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(yaml.safe_dump_all([configmap("a1"), configmap("a2")]))
    (tmp_path / "b.json").write_text(
        '{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}}'
    )
    out = kubectl("create", "-f", str(tmp_path))
    assert out.splitlines() == ["configmap/a1 created", "configmap/a2 created", "secret/b created"]
    assert kubectl.create(configmap("c")) == "configmap/c created\n"


def test_create_of_what_exists_is_refused(kubectl: Kubectl) -> None:
    kubectl.create(configmap("c"))
    refused = kubectl.fails("create", "configmap", "c")
    assert refused == 'error: failed to create configmap: configmaps "c" already exists\n'


@pytest.mark.parametrize(
    ("arguments", "created"),
    [
        (["configmap", "x", "--from-literal=a=1"], "configmap/x"),
        (["secret", "generic", "x", "--from-literal=a=1"], "secret/x"),
        (["deployment", "x", "--image=nginx", "--replicas=3", "--port=80"], "deployment.apps/x"),
        (["service", "clusterip", "x", "--tcp=80:8080"], "service/x"),
        (["service", "nodeport", "x", "--tcp=80"], "service/x"),
        (["service", "externalname", "x", "--external-name=example.com"], "service/x"),
        (["serviceaccount", "x"], "serviceaccount/x"),
        (["quota", "x", "--hard=pods=10"], "resourcequota/x"),
        (["job", "x", "--image=busybox", "--", "true"], "job.batch/x"),
        (["cronjob", "x", "--image=busybox", "--schedule=*/5 * * * *"], "cronjob.batch/x"),
        (["ingress", "x", "--rule=example.com/*=web:80"], "ingress.networking.k8s.io/x"),
        (
            ["pdb", "x", "--selector=app=x", "--min-available=1"],
            "poddisruptionbudget.policy/x",
        ),
        (
            ["role", "x", "--verb=get,list", "--resource=pods"],
            "role.rbac.authorization.k8s.io/x",
        ),
        (
            ["rolebinding", "x", "--clusterrole=view", "--user=jane"],
            "rolebinding.rbac.authorization.k8s.io/x",
        ),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_create_from_flags(kubectl: Kubectl, arguments: list[str], created: str) -> None:
    command, separator, rest = arguments, [], []
    if "--" in arguments:
        at = arguments.index("--")
        command, separator, rest = arguments[:at], ["--"], arguments[at + 1 :]
    assert kubectl("create", *command, *separator, *rest) == f"{created} created\n"


def test_create_configmap_and_secret_from_files(kubectl: Kubectl, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello\n")
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    kubectl("create", "configmap", "c", f"--from-file={tmp_path}")
    created = kubectl.get("configmap", "c")
    assert created["data"] == {"text": "hello\n"}
    assert base64.b64decode(created["binaryData"]["binary"]) == bytes(range(256))
    kubectl("create", "secret", "generic", "s", f"--from-file=key={tmp_path / 'binary'}")
    secret = kubectl.get("secret", "s")
    assert secret["type"] == "Opaque"
    assert base64.b64decode(secret["data"]["key"]) == bytes(range(256))


def test_create_namespace(admin: Kubectl, namespace: str) -> None:
    name = f"{namespace}-x"
    assert admin("create", "namespace", name) == f"namespace/{name} created\n"
    assert admin.rows("namespace", name)[0]["STATUS"] == "Active"
    assert admin("delete", "namespace", name) == f'namespace "{name}" deleted\n'


def test_create_cluster_scoped_kinds(admin: Kubectl, namespace: str) -> None:
    name = f"x-{namespace}"
    try:
        out = admin("create", "clusterrole", name, "--verb=get", "--resource=nodes")
        assert out == f"clusterrole.rbac.authorization.k8s.io/{name} created\n"
        out = admin("create", "clusterrolebinding", name, f"--clusterrole={name}", "--group=g")
        assert out == f"clusterrolebinding.rbac.authorization.k8s.io/{name} created\n"
        out = admin("create", "priorityclass", name, "--value=1000")
        assert out == f"priorityclass.scheduling.k8s.io/{name} created\n"
    finally:
        kinds = "clusterrole,clusterrolebinding,priorityclass"
        admin("delete", kinds, name, "--ignore-not-found")


def test_run_expose_and_autoscale(kubectl: Kubectl) -> None:
    assert kubectl("run", "p", "--image=nginx", "--port=80", "-l", "app=p") == "pod/p created\n"
    assert kubectl("expose", "pod", "p", "--port=8080", "--target-port=80") == "service/p exposed\n"
    [port] = kubectl.get("service", "p")["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (8080, 80)
    kubectl.create(deployment("d"))
    out = kubectl("autoscale", "deployment", "d", "--min=1", "--max=5", "--cpu=80%")
    assert out == "horizontalpodautoscaler.autoscaling/d autoscaled\n"
    assert kubectl.rows("hpa", "d")[0]["REFERENCE"] == "Deployment/d"


def test_a_dry_run_creates_nothing(kubectl: Kubectl) -> None:
    out = kubectl("create", "configmap", "c", "--dry-run=server", "-o", "yaml")
    assert yaml.safe_load(out)["metadata"]["uid"]
    out = kubectl("create", "configmap", "c", "--dry-run=client", "-o", "yaml")
    assert "uid" not in yaml.safe_load(out)["metadata"]
    kubectl.fails("get", "configmap", "c")


def test_a_generated_name_is_printed(kubectl: Kubectl) -> None:
    manifest = configmap("x")
    manifest["metadata"] = {"generateName": "made-"}
    out = kubectl.create(manifest)
    assert out.startswith("configmap/made-")
    assert len(out.split()[0]) == len("configmap/made-") + 5


def test_an_unknown_field_is_refused(kubectl: Kubectl) -> None:
    manifest = deployment("d")
    manifest["spec"]["replica"] = 1
    refused = kubectl.fails("create", "-f", "-", stdin=yaml.safe_dump(manifest))
    assert 'strict decoding error: unknown field "spec.replica"' in refused
    warned = kubectl.run("create", "--validate=warn", "-f", "-", stdin=yaml.safe_dump(manifest))
    assert warned.out == "deployment.apps/d created\n"
    assert 'Warning: unknown field "spec.replica"' in warned.err


def test_an_invalid_object_is_refused_with_every_cause(kubectl: Kubectl) -> None:
    manifest = pod("p")
    manifest["spec"]["containers"] = [{"name": "Bad Name", "image": ""}]
    refused = kubectl.fails("create", "-f", "-", stdin=yaml.safe_dump(manifest))
    assert 'The Pod "p" is invalid' in refused
    assert 'spec.containers[0].name: Invalid value: "Bad Name"' in refused
    assert "spec.containers[0].image: Required value" in refused
