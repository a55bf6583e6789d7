"""kubectl apply (client-side) and diff."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.e2e.kubectl import Kubectl
from tests.e2e.manifests import configmap, deployment


def test_apply_creates_then_leaves_alone_then_changes(kubectl: Kubectl) -> None:
    assert kubectl.apply(deployment("d")) == "deployment.apps/d created\n"
    before = kubectl.get("deployment", "d")["metadata"]
    assert kubectl.apply(deployment("d")) == "deployment.apps/d unchanged\n"
    assert kubectl.get("deployment", "d")["metadata"] == before
    assert kubectl.apply(deployment("d", image="nginx:2")) == "deployment.apps/d configured\n"
    after = kubectl.get("deployment", "d")
    assert after["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:2"
    assert after["metadata"]["generation"] == before["generation"] + 1


def test_apply_removes_what_is_no_longer_in_the_manifest_and_keeps_the_rest(
    kubectl: Kubectl,
) -> None:
    kubectl.apply(configmap("c", data={"mine": "1", "dropped": "2"}, labels={"l": "x"}))
    kubectl("patch", "configmap", "c", "--type=merge", "-p", '{"data": {"others": "3"}}')
    kubectl.apply(configmap("c", data={"mine": "1"}))
    applied = kubectl.get("configmap", "c")
    assert applied["data"] == {"mine": "1", "others": "3"}
    assert "labels" not in applied["metadata"]


def test_apply_merges_lists_by_their_keys(kubectl: Kubectl) -> None:
    kubectl.apply(deployment("d"))
    sidecar = '[{"op": "add", "path": "/spec/template/spec/containers/-", "value": '
    sidecar += '{"name": "sidecar", "image": "proxy"}}]'
    kubectl("patch", "deployment", "d", "--type=json", "-p", sidecar)
    kubectl.apply(deployment("d", image="nginx:2"))
    containers = kubectl.get("deployment", "d")["spec"]["template"]["spec"]["containers"]
    assert {c["name"]: c["image"] for c in containers} == {"main": "nginx:2", "sidecar": "proxy"}


def test_apply_of_several_documents_tells_each(kubectl: Kubectl) -> None:
    kubectl.apply(configmap("a", data={"k": "1"}), configmap("b"))
    out = kubectl.apply(configmap("a", data={"k": "2"}), configmap("b"), configmap("c"))
    assert out.splitlines() == [
        "configmap/a configured",
        "configmap/b unchanged",
        "configmap/c created",
    ]


def test_apply_with_prune_deletes_what_has_left_the_set(kubectl: Kubectl) -> None:
    kubectl.apply(configmap("a", labels={"set": "s"}), configmap("b", labels={"set": "s"}))
    kubectl.create(configmap("not-applied", labels={"set": "s"}))
    manifest = yaml.safe_dump(configmap("a", labels={"set": "s"}))
    flags = ("--prune", "-l", "set=s", "--prune-allowlist=core/v1/ConfigMap")
    out = kubectl("apply", "-f", "-", *flags, stdin=manifest)
    assert out.splitlines() == ["configmap/a unchanged", "configmap/b pruned"]
    assert kubectl("get", "configmaps", "-o", "name", "-l", "set=s").split() == [
        "configmap/a",
        "configmap/not-applied",
    ]


def test_apply_remembers_what_was_applied(kubectl: Kubectl) -> None:
    kubectl.apply(configmap("c", data={"k": "v"}))
    last = yaml.safe_load(kubectl("apply", "view-last-applied", "configmap/c"))
    assert last["data"] == {"k": "v"}


def test_apply_in_a_dry_run_changes_nothing(kubectl: Kubectl) -> None:
    kubectl.apply(configmap("c", data={"k": "1"}))
    changed = yaml.safe_dump(configmap("c", data={"k": "2"}))
    for where in ("server", "client"):
        out = kubectl("apply", f"--dry-run={where}", "-f", "-", stdin=changed)
        mode = "server dry run" if where == "server" else "dry run"
        assert out == f"configmap/c configured ({mode})\n"
    assert kubectl.get("configmap", "c")["data"] == {"k": "1"}


def test_diff_shows_changes_and_tells_by_its_exit_code(kubectl: Kubectl, tmp_path: Path) -> None:
    manifest = tmp_path / "d.yaml"
    manifest.write_text(yaml.safe_dump(deployment("d")))
    kubectl("apply", "-f", str(manifest))
    assert kubectl.run("diff", "-f", str(manifest)).code == 0
    manifest.write_text(yaml.safe_dump(deployment("d", image="nginx:2")))
    result = kubectl.run("diff", "-f", str(manifest))
    assert result.code == 1
    assert "-      - image: nginx:1.27" in result.out
    assert "+      - image: nginx:2" in result.out
    assert kubectl.get("deployment", "d")["metadata"]["generation"] == 1


def test_apply_from_a_kustomization(kubectl: Kubectl, tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text(
        "namePrefix: made-\nconfigMapGenerator:\n- name: c\n  literals: [k=v]\n"
        "generatorOptions:\n  disableNameSuffixHash: true\n"
    )
    assert kubectl("apply", "-k", str(tmp_path)) == "configmap/made-c created\n"
