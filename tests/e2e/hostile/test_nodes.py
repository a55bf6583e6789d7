"""A node gets at what its own pods need, and at nothing of other nodes."""

from __future__ import annotations

from tests.e2e.hostile.objects import REQUESTS, pod, signing_request
from tests.e2e.hostile.world import World, impersonate

MIRROR = {"kubernetes.io/config.mirror": "x"}


def test_a_node_reads_its_pods_secret_and_no_other(world: World) -> None:
    node, path = world.nodes["n1"], "/api/v1/namespaces/ns/secrets"
    assert node.ask("GET", f"{path}/secret-of-n1").status == 200
    assert not node.may("GET", f"{path}/secret-of-n2")
    assert not node.may("GET", path)
    assert not node.may("GET", "/api/v1/secrets")
    assert not node.may("GET", f"{path}?fieldSelector=metadata.name%3Dsecret-of-n2")
    assert not node.may("GET", "/api/v1/watch/namespaces/ns/secrets/secret-of-n2")


def test_a_node_makes_no_pod_that_opens_a_secret(world: World) -> None:
    node, path = world.nodes["n1"], "/api/v1/namespaces/ns/pods"
    uid = world.admin.ask("GET", "/api/v1/nodes/n1").body["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": uid, "controller": True}
    meta = {"annotations": MIRROR, "ownerReferences": [owner]}
    wanted = [{"name": "secret-of-n2"}]
    assert not node.may("POST", path, pod("a", "n1", imagePullSecrets=wanted))
    assert not node.may("POST", path, pod("b", "n1", imagePullSecrets=wanted, metadata=meta))
    assert not node.may("POST", path, pod("c", "n2", metadata=meta))
    assert node.ask("POST", path, pod("d", "n1", metadata=meta)).status == 201
    assert not node.may("GET", "/api/v1/namespaces/ns/secrets/secret-of-n2")


def test_a_node_leaves_other_nodes_and_their_pods_alone(world: World) -> None:
    node, pods = world.nodes["n1"], "/api/v1/namespaces/ns/pods"
    status = {"status": {"phase": "Failed"}}
    assert not node.may("PATCH", f"{pods}/pod-of-n2/status", status)
    assert not node.may("DELETE", f"{pods}/pod-of-n2")
    assert not node.may("GET", f"{pods}/pod-of-n2")
    assert not node.may("GET", f"{pods}?fieldSelector=spec.nodeName%3Dn2")
    assert not node.may("GET", f"{pods}?fieldSelector=spec.nodeName!%3Dn1")
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "pod-of-n2"}}
    assert not node.may("POST", f"{pods}/pod-of-n2/eviction", eviction)
    assert not node.may("PATCH", "/api/v1/nodes/n2/status", {"status": {"phase": "x"}})
    assert not node.may("PATCH", "/api/v1/nodes/n2", {"metadata": {"labels": {"a": "b"}}})
    assert not node.may("DELETE", "/api/v1/nodes/n1")
    assert not node.may("GET", "/api/v1/nodes/n2")


def test_a_node_does_not_choose_what_runs_on_it(world: World) -> None:
    node, path = world.nodes["n1"], "/api/v1/nodes/n1"
    restricted = {"node-restriction.kubernetes.io/tier": "a"}
    assert not node.may("PATCH", path, {"metadata": {"labels": restricted}})
    assert not node.may("PATCH", path, {"spec": {"taints": []}})
    assert not node.may("PATCH", f"{path}/status", {"metadata": {"labels": restricted}})
    owner = {"apiVersion": "v1", "kind": "Node", "name": "x", "uid": "u"}
    assert not node.may("PATCH", path, {"metadata": {"ownerReferences": [owner]}})
    assert node.may("PATCH", path, {"metadata": {"labels": {"example.com/a": "b"}}})


def test_a_node_has_no_tokens_leases_or_certificates_of_others(world: World) -> None:
    node = world.nodes["n1"]
    token = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    assert not node.may("POST", "/api/v1/namespaces/ns/serviceaccounts/robot/token", token)
    leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    assert not node.may("POST", leases, {"metadata": {"name": "n2"}})
    assert not node.may("GET", f"{leases}/n2")
    csr = signing_request("system:node:n2", "system:nodes", "kubernetes.io/kubelet-serving")
    assert not node.may("POST", REQUESTS, csr)


def test_a_nodes_tokens_are_bound_to_its_pods(world: World) -> None:
    node, path = world.nodes["n1"], "/api/v1/namespaces/ns/serviceaccounts/walker/token"
    world.make("/api/v1/namespaces/ns/serviceaccounts", {"metadata": {"name": "walker"}})
    audience = {"serviceAccountToken": {"path": "t", "audience": "vault"}}
    volumes = [{"name": "v", "projected": {"sources": [audience]}}]
    walks = pod("walks", "n1", serviceAccountName="walker", volumes=volumes)
    uid = world.make("/api/v1/namespaces/ns/pods", walks)["metadata"]["uid"]

    def asks(bound: dict[str, str] | None, audience: str) -> int:
        spec = {"audiences": [audience], "boundObjectRef": bound}
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        return node.ask("POST", path, request).status

    bound = {"apiVersion": "v1", "kind": "Pod", "name": "walks", "uid": uid}
    assert asks(bound, "vault") == 201
    assert asks(None, "vault") == 403
    assert asks(bound, "kubernetes") == 403
    assert asks({**bound, "name": "pod-of-n2"}, "vault") == 403
    assert asks({**bound, "uid": ""}, "vault") == 403
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    assert not world.nodes["n2"].may("POST", path, request)


def test_the_group_alone_makes_no_node_and_the_name_alone_neither(world: World) -> None:
    secret = "/api/v1/namespaces/ns/secrets/secret-of-n1"
    for headers in (
        impersonate(User="system:node:n1", Group="dev"),
        impersonate(User="zed", Group="system:nodes"),
        impersonate(User="system:node:", Group="system:nodes"),
    ):
        assert not world.admin.may("GET", secret, None, *headers)
