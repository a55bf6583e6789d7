"""kubectl edit, patch, label, annotate, scale, replace, set, taint, rollout."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.e2e.kubectl import Kubectl
from tests.e2e.manifests import configmap, deployment, node, pod, service


def test_edit_sends_what_the_editor_wrote(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl.create(configmap("c", data={"k": "old"}))
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nexec sed -i s/old/new/ "$1"\n')
    editor.chmod(0o755)
    out = kubectl("edit", "configmap", "c", env={"EDITOR": str(editor)})
    assert out == "configmap/c edited\n"
    assert kubectl.get("configmap", "c")["data"] == {"k": "new"}
    unchanged = kubectl.run("edit", "configmap", "c", env={"EDITOR": str(editor)})
    assert "no changes made" in unchanged.out + unchanged.err


@pytest.mark.parametrize(
    ("kind", "patch", "images"),
    [
        (
            "strategic",
            {"spec": {"template": {"spec": {"containers": [{"name": "b", "image": "i"}]}}}},
            {"main": "nginx:1.27", "b": "i"},
        ),
        (
            "merge",
            {"spec": {"template": {"spec": {"containers": [{"name": "b", "image": "i"}]}}}},
            {"b": "i"},
        ),
        (
            "json",
            [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "i"}],
            {"main": "i"},
        ),
    ],
)
def test_patch_merges_as_its_type_says(
    kubectl: Kubectl, kind: str, patch: object, images: dict[str, str]
) -> None:
    kubectl.create(deployment("d"))
    out = kubectl("patch", "deployment", "d", f"--type={kind}", "-p", json.dumps(patch))
    assert out == "deployment.apps/d patched\n"
    containers = kubectl.get("deployment", "d")["spec"]["template"]["spec"]["containers"]
    assert {c["name"]: c["image"] for c in containers} == images


def test_patch_tells_when_nothing_changes_and_when_it_cannot_apply(kubectl: Kubectl) -> None:
    kubectl.create(configmap("c", data={"k": "v"}))
    out = kubectl("patch", "configmap", "c", "-p", '{"data": {"k": "v"}}')
    assert out == "configmap/c patched (no change)\n"
    failing = '[{"op": "test", "path": "/data/k", "value": "other"}]'
    refused = kubectl.fails("patch", "configmap", "c", "--type=json", "-p", failing)
    assert "the server rejected our request" in refused or "testing value" in refused


def test_patch_of_a_subresource_changes_the_status_alone(kubectl: Kubectl) -> None:
    kubectl.create(pod("p"))
    patch = '{"status": {"phase": "Running"}, "spec": {"activeDeadlineSeconds": 5}}'
    kubectl("patch", "pod", "p", "--subresource=status", "--type=merge", "-p", patch)
    patched = kubectl.get("pod", "p")
    assert patched["status"]["phase"] == "Running"
    assert "activeDeadlineSeconds" not in patched["spec"]


@pytest.mark.parametrize(
    ("command", "field", "done"),
    [("label", "labels", "labeled"), ("annotate", "annotations", "annotated")],
)
def test_label_and_annotate_set_overwrite_and_remove(
    kubectl: Kubectl, command: str, field: str, done: str
) -> None:
    kubectl.create(configmap("a"), configmap("b"))
    assert kubectl(command, "configmap", "a", "b", "x=1", "y=2").splitlines() == [
        f"configmap/a {done}",
        f"configmap/b {done}",
    ]
    refused = kubectl.fails(command, "configmap", "a", "x=3")
    assert "--overwrite is false" in refused
    kubectl(command, "configmap", "a", "x=3", "y-", "--overwrite")
    assert kubectl.get("configmap", "a")["metadata"][field] == {"x": "3"}
    assert kubectl.get("configmap", "b")["metadata"][field] == {"x": "1", "y": "2"}


def test_scale_changes_the_replicas(kubectl: Kubectl) -> None:
    kubectl.create(deployment("d", replicas=2))
    assert kubectl("scale", "deployment", "d", "--replicas=5") == "deployment.apps/d scaled\n"
    assert kubectl.get("deployment", "d")["spec"]["replicas"] == 5
    refused = kubectl.fails("scale", "deployment/d", "--current-replicas=2", "--replicas=1")
    assert "Expected replicas to be 2, was 5" in refused
    kubectl("scale", "deployment/d", "--current-replicas=5", "--replicas=0")
    assert kubectl.get("deployment", "d")["spec"]["replicas"] == 0


def test_replace_takes_the_whole_object(kubectl: Kubectl) -> None:
    kubectl.create(configmap("c", data={"a": "1"}, labels={"l": "x"}))
    changed = yaml.safe_dump(configmap("c", data={"b": "2"}))
    assert kubectl("replace", "-f", "-", stdin=changed) == "configmap/c replaced\n"
    replaced = kubectl.get("configmap", "c")
    assert replaced["data"] == {"b": "2"}
    assert "labels" not in replaced["metadata"]


def test_replace_of_an_old_version_is_a_conflict(kubectl: Kubectl) -> None:
    kubectl.create(configmap("c", data={"a": "1"}))
    old = kubectl("get", "configmap", "c", "-o", "yaml")
    kubectl("label", "configmap", "c", "x=y")
    refused = kubectl.fails("replace", "-f", "-", stdin=old)
    assert "Error from server (Conflict)" in refused
    assert "the object has been modified" in refused


def test_replace_by_force_makes_a_new_object(kubectl: Kubectl) -> None:
    kubectl.create(service("s"))
    before = kubectl.get("service", "s")["metadata"]["uid"]
    out = kubectl("replace", "--force", "-f", "-", stdin=yaml.safe_dump(service("s", port=81)))
    assert out.splitlines()[-1] == "service/s replaced"
    after = kubectl.get("service", "s")
    assert after["metadata"]["uid"] != before
    assert after["spec"]["ports"][0]["port"] == 81


def test_set_changes_images_env_and_resources(kubectl: Kubectl) -> None:
    kubectl.create(deployment("d"), configmap("c", data={"K": "v"}))
    out = kubectl("set", "image", "deployment/d", "main=nginx:2")
    assert out == "deployment.apps/d image updated\n"
    kubectl("set", "env", "deployment/d", "A=1", "--from=configmap/c")
    kubectl("set", "resources", "deployment/d", "--limits=cpu=500m,memory=64Mi")
    [container] = kubectl.get("deployment", "d")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "nginx:2"
    assert {variable["name"] for variable in container["env"]} == {"A", "K"}
    assert container["resources"]["limits"] == {"cpu": "500m", "memory": "64Mi"}


def test_a_node_is_tainted_cordoned_and_uncordoned(admin: Kubectl, namespace: str) -> None:
    name = f"n-{namespace}"
    admin.create(node(name))
    try:
        assert admin("taint", "node", name, "k=v:NoExecute") == f"node/{name} tainted\n"
        assert admin("cordon", name) == f"node/{name} cordoned\n"
        spec = admin.get("node", name)["spec"]
        assert {"key": "k", "value": "v", "effect": "NoExecute"} in spec["taints"]
        assert spec["unschedulable"] is True
        assert admin.rows("node", name)[0]["STATUS"] == "Unknown,SchedulingDisabled"
        assert admin("uncordon", name) == f"node/{name} uncordoned\n"
        assert admin("taint", "node", name, "k-") == f"node/{name} untainted\n"
    finally:
        admin("delete", "node", name)


def test_rollout_status_follows_what_a_controller_writes(kubectl: Kubectl) -> None:
    kubectl.create(deployment("d", replicas=1))
    with kubectl.background("rollout", "status", "deployment/d") as following:
        assert following.stdout is not None
        assert "Waiting for deployment spec update" in following.stdout.readline()
        status = {
            "observedGeneration": 1,
            "replicas": 1,
            "updatedReplicas": 1,
            "readyReplicas": 1,
            "availableReplicas": 1,
        }
        patch = json.dumps({"status": status})
        kubectl("patch", "deployment", "d", "--subresource=status", "--type=merge", "-p", patch)
        assert 'deployment "d" successfully rolled out' in following.stdout.read()
        assert following.wait() == 0


def test_rollout_restart_pause_and_resume(kubectl: Kubectl) -> None:
    kubectl.create(deployment("d"))
    assert kubectl("rollout", "restart", "deployment/d") == "deployment.apps/d restarted\n"
    template = kubectl.get("deployment", "d")["spec"]["template"]
    assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]
    assert kubectl("rollout", "pause", "deployment/d") == "deployment.apps/d paused\n"
    assert kubectl.get("deployment", "d")["spec"]["paused"] is True
    assert kubectl("rollout", "resume", "deployment/d") == "deployment.apps/d resumed\n"


def test_rollout_history_and_undo_read_the_replica_sets(kubectl: Kubectl) -> None:
    kubectl.create(deployment("d", image="nginx:2"))
    owner = kubectl.get("deployment", "d")
    for revision, image in ((1, "nginx:1"), (2, "nginx:2")):
        kubectl.create(_replica_set(owner, revision, image))
    annotation = "deployment.kubernetes.io/revision=2"
    kubectl("annotate", "deployment", "d", annotation)
    history = kubectl("rollout", "history", "deployment/d")
    assert re.findall(r"^(\d+) ", history, re.MULTILINE) == ["1", "2"]
    assert "nginx:1" in kubectl("rollout", "history", "deployment/d", "--revision=1")
    assert kubectl("rollout", "undo", "deployment/d") == "deployment.apps/d rolled back\n"
    [container] = kubectl.get("deployment", "d")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "nginx:1"


def _replica_set(owner: dict[str, object], revision: int, image: str) -> dict[str, object]:
    """What the deployment controller would have made of `owner`."""
    metadata = owner["metadata"]
    assert isinstance(metadata, dict)
    made = deployment("d", image=image)
    made["kind"] = "ReplicaSet"
    labels = {"app": "d", "pod-template-hash": str(revision)}
    made["metadata"] = {
        "name": f"d-{revision}",
        "labels": labels,
        "annotations": {"deployment.kubernetes.io/revision": str(revision)},
        "ownerReferences": [
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": "d",
                "uid": metadata["uid"],
                "controller": True,
            }
        ],
    }
    made["spec"]["selector"] = {"matchLabels": labels}
    made["spec"]["template"]["metadata"]["labels"] = labels
    return made
