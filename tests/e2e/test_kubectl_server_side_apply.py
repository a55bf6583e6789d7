"""kubectl apply --server-side, and who owns what through all of kubectl's ways to write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.e2e.kubectl import Kubectl
from tests.e2e.manifests import configmap, deployment, pod


def applied(kubectl: Kubectl, manifest: dict[str, Any], *flags: str) -> str:
    stdin = yaml.safe_dump(manifest)
    return kubectl("apply", "--server-side", *flags, "-f", "-", stdin=stdin)


def owners(kubectl: Kubectl, *what: str) -> dict[tuple[str, str, str], Any]:
    """Return the sets by manager, operation and subresource."""
    shown = kubectl.get(*what, "--show-managed-fields")
    return {
        (one["manager"], one["operation"], one.get("subresource", "")): one["fieldsV1"]
        for one in shown["metadata"].get("managedFields", [])
    }


def test_apply_creates_changes_and_removes(kubectl: Kubectl) -> None:
    out = applied(kubectl, configmap("c", data={"a": "1", "b": "2"}))
    assert out == "configmap/c serverside-applied\n"
    version = kubectl.get("configmap", "c")["metadata"]["resourceVersion"]
    applied(kubectl, configmap("c", data={"a": "1", "b": "2"}))
    assert kubectl.get("configmap", "c")["metadata"]["resourceVersion"] == version
    applied(kubectl, configmap("c", data={"a": "3"}))
    assert kubectl.get("configmap", "c")["data"] == {"a": "3"}
    assert owners(kubectl, "configmap", "c") == {("kubectl", "Apply", ""): {"f:data": {"f:a": {}}}}


def test_a_conflict_names_the_fields_and_force_takes_them(kubectl: Kubectl) -> None:
    manifest = deployment("d", replicas=2)
    applied(kubectl, manifest)
    kubectl("scale", "deployment", "d", "--replicas=5")
    assert ("kubectl", "Update", "scale") in owners(kubectl, "deployment", "d")
    result = kubectl.run(
        "apply", "--server-side", "-f", "-", stdin=yaml.safe_dump(deployment("d", replicas=3))
    )
    assert result.code == 1
    told = 'conflict with "kubectl" with subresource "scale" using apps/v1: .spec.replicas'
    assert told in result.err
    applied(kubectl, deployment("d", replicas=3), "--force-conflicts")
    assert kubectl.get("deployment", "d")["spec"]["replicas"] == 3
    assert ("kubectl", "Update", "scale") not in owners(kubectl, "deployment", "d")


def test_two_managers_share_an_object(kubectl: Kubectl) -> None:
    applied(kubectl, configmap("c", data={"a": "1"}), "--field-manager=one")
    applied(kubectl, configmap("c", data={"b": "2"}), "--field-manager=two")
    assert kubectl.get("configmap", "c")["data"] == {"a": "1", "b": "2"}
    applied(kubectl, configmap("c"), "--field-manager=one")
    assert kubectl.get("configmap", "c")["data"] == {"b": "2"}


def test_what_was_applied_as_a_client_goes_over_to_the_server(kubectl: Kubectl) -> None:
    kubectl.apply(configmap("c", data={"a": "1", "b": "2"}))
    assert ("kubectl-client-side-apply", "Update", "") in owners(kubectl, "configmap", "c")
    applied(kubectl, configmap("c", data={"a": "9"}))
    shown = kubectl.get("configmap", "c")
    assert shown["data"] == {"a": "9"}
    assert ("kubectl-client-side-apply", "Update", "") not in owners(kubectl, "configmap", "c")
    # Back again: the annotation has been kept up.
    kubectl.apply(configmap("c", data={"b": "3"}))
    assert kubectl.get("configmap", "c")["data"] == {"b": "3"}


def test_diff_compares_with_what_the_server_would_make(kubectl: Kubectl, tmp_path: Path) -> None:
    manifest = tmp_path / "d.yaml"
    manifest.write_text(yaml.safe_dump(deployment("d")))
    kubectl("apply", "--server-side", "-f", str(manifest))
    assert kubectl.run("diff", "--server-side", "-f", str(manifest)).code == 0
    manifest.write_text(yaml.safe_dump(deployment("d", image="nginx:2")))
    result = kubectl.run("diff", "--server-side", "-f", str(manifest))
    assert result.code == 1
    assert "+      - image: nginx:2" in result.out
    assert kubectl.get("deployment", "d")["metadata"]["generation"] == 1


def test_each_way_to_write_has_a_manager_of_its_own(kubectl: Kubectl) -> None:
    kubectl.create(pod("p"))
    kubectl("label", "pod", "p", "l=m")
    kubectl("annotate", "pod", "p", "a=b")
    patch = '{"status": {"phase": "Running"}}'
    kubectl("patch", "pod", "p", "--subresource=status", "--type=merge", "-p", patch)
    found = owners(kubectl, "pod", "p")
    assert found.keys() == {
        ("kubectl-create", "Update", ""),
        ("kubectl-label", "Update", ""),
        ("kubectl-annotate", "Update", ""),
        ("kubectl-patch", "Update", "status"),
    }
    assert found["kubectl-label", "Update", ""] == {
        "f:metadata": {"f:labels": {".": {}, "f:l": {}}}
    }
    assert found["kubectl-patch", "Update", "status"] == {"f:status": {"f:phase": {}}}


def test_a_field_that_no_one_knows_is_refused(kubectl: Kubectl) -> None:
    manifest = deployment("d")
    manifest["spec"]["template"]["spec"]["containers"][0]["imag"] = "typo"
    told = kubectl.fails("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump(manifest))
    assert '.spec.template.spec.containers[name="main"].imag: field not declared' in told


def test_a_dry_run_changes_nothing(kubectl: Kubectl) -> None:
    applied(kubectl, configmap("c", data={"a": "1"}))
    applied(kubectl, configmap("c", data={"a": "2"}), "--dry-run=server")
    applied(kubectl, configmap("not-made", data={"a": "2"}), "--dry-run=server")
    assert kubectl.get("configmap", "c")["data"] == {"a": "1"}
    assert "not-made" not in kubectl("get", "configmaps", "-o", "name")


def test_what_a_client_sends_back_whole_stays_as_it_was(kubectl: Kubectl) -> None:
    applied(kubectl, configmap("c", data={"a": "1", "b": "2"}))
    whole = kubectl.get("configmap", "c", "--show-managed-fields")
    whole["data"]["a"] = "9"
    kubectl("replace", "-f", "-", stdin=yaml.safe_dump(whole))
    assert owners(kubectl, "configmap", "c") == {
        ("kubectl", "Apply", ""): {"f:data": {"f:b": {}}},
        ("kubectl-replace", "Update", ""): {"f:data": {"f:a": {}}},
    }
