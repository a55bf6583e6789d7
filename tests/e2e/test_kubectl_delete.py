"""kubectl delete and wait."""

from __future__ import annotations

import time

import pytest

from tests.e2e.kubectl import Kubectl
from tests.e2e.manifests import configmap, deployment, pod


def test_delete_tells_what_it_deleted_and_waits_until_it_is_gone(kubectl: Kubectl) -> None:
    kubectl.create(configmap("a"), configmap("b"), pod("p"))
    out = kubectl("delete", "configmap/a", "pod/p")
    assert out.splitlines() == [
        f'configmap "a" deleted from {kubectl.namespace} namespace',
        f'pod "p" deleted from {kubectl.namespace} namespace',
    ]
    assert kubectl("get", "configmaps,pods", "-o", "name", "--ignore-not-found").split() == [
        "configmap/b"
    ]


def test_delete_of_what_is_not_there(kubectl: Kubectl) -> None:
    refused = kubectl.fails("delete", "configmap", "none")
    assert refused == 'Error from server (NotFound): configmaps "none" not found\n'
    assert kubectl("delete", "configmap", "none", "--ignore-not-found") == ""


def test_delete_by_label_and_all(kubectl: Kubectl) -> None:
    for name, tier in (("a", "web"), ("b", "web"), ("c", "db")):
        kubectl.create(configmap(name, labels={"tier": tier}))
    out = kubectl("delete", "configmaps", "-l", "tier=web", "-o", "name")
    assert out.split() == ["configmap/a", "configmap/b"]
    assert "configmap/c" in kubectl("delete", "configmaps", "--all", "-o", "name").split()


def test_delete_waits_for_finalizers(kubectl: Kubectl) -> None:
    kubectl.create(configmap("c", finalizers=["example.com/hold"]))
    kubectl("delete", "configmap", "c", "--wait=false")
    held = kubectl.get("configmap", "c")["metadata"]
    assert held["deletionTimestamp"]
    with kubectl.background("delete", "configmap", "c") as deleting:
        with kubectl.background("wait", "configmap/c", "--for=delete", "--timeout=20s") as waiting:
            time.sleep(0.3)
            assert deleting.poll() is None
            kubectl(
                "patch",
                "configmap",
                "c",
                "--type=merge",
                "-p",
                '{"metadata": {"finalizers": null}}',
            )
            assert waiting.wait(10) == 0
        assert deleting.wait(10) == 0


@pytest.mark.parametrize(
    ("cascade", "finalizers"),
    [("orphan", ["orphan"]), ("foreground", ["foregroundDeletion"]), ("background", None)],
)
def test_delete_cascades_as_told(
    kubectl: Kubectl, cascade: str, finalizers: list[str] | None
) -> None:
    """The finalizers are the garbage collector's orders; it may have carried them out already."""
    kubectl.create(deployment("d"))
    uid = kubectl.get("deployment", "d")["metadata"]["uid"]
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": uid}
    held = ["example.com/hold"]
    kubectl.create(
        configmap("c", ownerReferences=[{**owner, "blockOwnerDeletion": True}], finalizers=held)
    )
    kubectl("delete", "deployment", "d", f"--cascade={cascade}", "--wait=false")
    left = kubectl.run("get", "deployment", "d", "-o", "jsonpath={.metadata.finalizers}")
    if finalizers is None:
        assert left.code != 0
    elif cascade == "foreground":
        assert left.out == '["foregroundDeletion"]'
    else:
        assert left.code != 0 or left.out == '["orphan"]'
    release = '{"metadata": {"finalizers": null}}'
    kubectl("patch", "configmap", "c", "--type=merge", "-p", release)
    if left.code == 0:
        kubectl.run("patch", "deployment", "d", "--type=merge", "-p", release)


def test_a_pod_on_a_node_is_deleted_with_grace_or_by_force(kubectl: Kubectl) -> None:
    for name in ("graceful", "forced"):
        manifest = pod(name)
        manifest["spec"]["nodeName"] = "far-away"
        kubectl.create(manifest)
    kubectl("delete", "pod", "graceful", "--grace-period=7", "--wait=false")
    metadata = kubectl.get("pod", "graceful")["metadata"]
    assert metadata["deletionGracePeriodSeconds"] == 7
    assert kubectl.rows("pod", "graceful")[0]["STATUS"] == "Terminating"
    kubectl("delete", "pod", "graceful", "forced", "--force")
    kubectl.fails("get", "pod", "forced")


def test_delete_namespace_ends_soon_and_leaves_nothing(admin: Kubectl, kubectl: Kubectl) -> None:
    kubectl.create(*(configmap(f"c{number}") for number in range(20)), deployment("d"), pod("p"))
    start = time.monotonic()
    out = admin("delete", "namespace", kubectl.namespace)
    took_s = time.monotonic() - start
    assert out == f'namespace "{kubectl.namespace}" deleted\n'
    assert took_s < 5
    admin.fails("get", "namespace", kubectl.namespace)
    assert kubectl("get", "configmaps,deployments,pods", "-o", "name") == ""


def test_wait_for_a_field_a_condition_and_a_creation(kubectl: Kubectl) -> None:
    with kubectl.background(
        "wait", "pod/p", "--for=jsonpath={.status.phase}=Running", "--timeout=20s"
    ) as absent:
        assert absent.wait(10) != 0
    with kubectl.background("wait", "pod/p", "--for=create", "--timeout=20s") as created:
        time.sleep(0.3)
        kubectl.create(pod("p"))
        assert created.wait(10) == 0
    with (
        kubectl.background(
            "wait", "pod/p", "--for=jsonpath={.status.phase}=Running", "--timeout=20s"
        ) as field,
        kubectl.background("wait", "pod/p", "--for=condition=Ready", "--timeout=20s") as condition,
    ):
        time.sleep(0.3)
        ready = (
            '{"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}'
        )
        kubectl("patch", "pod", "p", "--subresource=status", "-p", ready)
        assert field.wait(10) == 0
        assert condition.wait(10) == 0


def test_wait_ends_at_its_timeout(kubectl: Kubectl) -> None:
    kubectl.create(pod("p"))
    refused = kubectl.fails("wait", "pod/p", "--for=condition=Ready", "--timeout=1s")
    assert "timed out waiting for the condition on pods/p" in refused
