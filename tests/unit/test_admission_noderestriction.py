"""A kubelet writes its own node, its pods' status, and nothing that gives it more."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.apiserver.admission.attributes import Attributes, Operation
from services.apiserver.admission.defaults import admission_chain
from services.apiserver.admission.noderestriction import NodeRestriction
from services.apiserver.errors import Forbidden, NotFound
from services.apiserver.registry.strategy import Object
from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.apiserver.validation.options import WriteOptions
from shared.resources import builtin_table
from tests.unit.kindtools import context
from tests.unit.memorystore import MemoryStore
from tests.unit.node_world import node_user

RESOURCES = {resource.name: resource for resource in builtin_table().resources()}
Stored = dict[tuple[str, str], list[Object]]
NODE = {"metadata": {"name": "n1", "uid": "u1"}}
NODES: Stored = {("", "nodes"): [NODE]}
OWNER = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u1", "controller": True}


async def nobody(user: UserInfo, info: RequestInfo) -> bool:
    return False


async def audience_a(user: UserInfo, info: RequestInfo) -> bool:
    return (info.verb, info.resource, info.name) == (
        "request-serviceaccounts-token-audience",
        "a",
        "robot",
    )


def ask(
    resource: str,
    obj: Object | None = None,
    old: Object | None = None,
    *,
    operation: Operation = "CREATE",
    user: UserInfo | None = None,
    name: str = "",
    namespace: str = "ns",
    stored: Stored | None = None,
    plugin: NodeRestriction | None = None,
) -> None:
    """Ask about RESOURCE or RESOURCE/SUBRESOURCE as the node n1, unless another user is given."""
    resource, _, subresource = resource.partition("/")
    shown = (obj or old or {}).get("metadata", {})
    attributes = Attributes(
        operation=operation,
        resource=RESOURCES[resource],
        subresource=subresource,
        namespace=namespace if RESOURCES[resource].namespaced else "",
        name=name or shown.get("name", ""),
        obj=obj,
        old=old,
        user=user or node_user("n1"),
        dry_run=False,
        options=WriteOptions("CreateOptions"),
    )
    plugin = plugin or NodeRestriction(nobody)
    if plugin.handles(attributes):
        asyncio.run(plugin.admit(context(stored), attributes))


def told(*args: Any, **more: Any) -> str:
    """Return why it is refused, "" if it is not."""
    try:
        ask(*args, **more)
    except (Forbidden, NotFound) as error:
        return error.message.partition("is forbidden: ")[2] or error.message
    return ""


def mirror(node: str = "n1", owner: dict[str, Any] | None = OWNER, **spec: Any) -> Object:
    meta: dict[str, Any] = {
        "name": "p",
        "namespace": "ns",
        "annotations": {"kubernetes.io/config.mirror": "x"},
    }
    if owner is not None:
        meta["ownerReferences"] = [owner]
    return {"metadata": meta, "spec": {"nodeName": node, **spec}}


def running(node: str = "n1", **status: Any) -> Object:
    meta = {"name": "p", "namespace": "ns", "uid": "pod-uid"}
    return {"metadata": meta, "spec": {"nodeName": node}, "status": status}


def test_a_node_makes_its_own_mirror_pods() -> None:
    assert told("pods", mirror(), stored=NODES) == ""


def volume(**source: Any) -> dict[str, Any]:
    return {"volumes": [{"name": "v", **source}]}


@pytest.mark.parametrize(
    ("pod", "why"),
    [
        (running(), "can only create mirror pods"),
        (mirror("n2"), "with spec.nodeName set to itself"),
        (mirror(owner=None), "with an owner reference set to itself"),
        (mirror(owner={**OWNER, "name": "n2"}), "with an owner reference set to itself"),
        (mirror(owner={**OWNER, "controller": False}), "with a controller owner reference"),
        (mirror(owner={**OWNER, "blockOwnerDeletion": True}), "must not set blockOwnerDeletion"),
        (mirror(owner={**OWNER, "uid": "u2"}), "UID mismatch: expected u2 got u1"),
        (mirror(serviceAccountName="robot"), "reference serviceaccounts"),
        (mirror(imagePullSecrets=[{"name": "s"}]), "reference secrets"),
        (mirror(**volume(configMap={"name": "c"})), "reference configmaps"),
        (mirror(resourceClaims=[{"name": "r"}]), "reference resourceclaims"),
        (mirror(**volume(persistentVolumeClaim={"claimName": "c"})), "persistentvolumeclaims"),
        (mirror(**volume(ephemeral={})), "via ephemeral volumes"),
        (mirror(**volume(csi={"driver": "d"})), "csidrivers"),
        (
            mirror(**volume(projected={"sources": [{"serviceAccountToken": {"path": "t"}}]})),
            "serviceaccounts (via projected volumes)",
        ),
        (mirror(**volume(projected={"sources": [{"clusterTrustBundle": {}}]})), "trustbundles"),
    ],
)
def test_a_mirror_pod_uses_nothing_and_belongs_to_its_node(pod: Object, why: str) -> None:
    assert why in told("pods", pod, stored=NODES)


def test_a_mirror_pod_has_one_owner() -> None:
    pod = mirror()
    pod["metadata"]["ownerReferences"] = [OWNER, OWNER]
    assert "a single owner reference" in told("pods", pod, stored=NODES)


def test_a_mirror_pod_of_a_node_that_is_not_there_is_not_found() -> None:
    assert told("pods", mirror()) == 'nodes "n1" not found'


def test_pods_are_deleted_evicted_and_reported_by_their_own_node_only() -> None:
    own: Stored = {("", "pods"): [running()]}
    others: Stored = {("", "pods"): [running("n2")]}
    assert told("pods", old=running(), operation="DELETE") == ""
    assert "only delete pods" in told("pods", old=running("n2"), operation="DELETE")
    assert told("pods/eviction", {}, name="p", stored=own) == ""
    assert "only evict pods" in told("pods/eviction", {}, name="p", stored=others)
    assert "not found" in told("pods/eviction", {}, name="p")
    report = running(phase="Running")
    assert told("pods/status", report, running(), operation="UPDATE") == ""
    assert "only update pod status" in told(
        "pods/status", report, running("n2"), operation="UPDATE"
    )
    assert "only create and delete" in told("pods", report, running(), operation="UPDATE")
    assert "unexpected pod subresource" in told("pods/binding", {}, name="p")


def test_a_status_changes_neither_labels_nor_claims() -> None:
    labelled = running()
    labelled["metadata"]["labels"] = {"a": "b"}
    assert "cannot update labels" in told("pods/status", labelled, running(), operation="UPDATE")
    claimed = running(resourceClaimStatuses=[{"name": "r", "resourceClaimName": "theirs"}])
    assert "resource claim" in told("pods/status", claimed, running(), operation="UPDATE")


def node(name: str = "n1", **meta: Any) -> Object:
    spec = meta.pop("spec", {})
    return {"metadata": {"name": name, **meta}, "spec": spec}


LABEL = {"node-restriction.kubernetes.io/tier": "a"}


@pytest.mark.parametrize(
    ("new", "old", "why"),
    [
        (node(labels={"a": "b", "kubernetes.io/os": "linux"}), None, ""),
        (node(labels={"x.node.kubernetes.io/y": "1"}), None, ""),
        (node("n2"), None, 'not allowed to modify node "n2"'),
        (node(labels=LABEL), None, "following labels: node-restriction.kubernetes.io/tier"),
        (node(labels={"x.node-restriction.kubernetes.io/a": ""}), None, "following labels"),
        (node(labels={"node-role.kubernetes.io/master": ""}), None, "following labels"),
        (node(labels={"x.k8s.io/a": ""}), None, "following labels"),
        (node(spec={"configSource": {}}), None, "non-nil configSource"),
        (node(labels={"a": "c"}), node(labels={"a": "b"}), ""),
        (node(labels=LABEL), node(labels=LABEL), ""),
        (node(), node(labels=LABEL), "not allowed to modify labels"),
        (node(spec={"taints": []}), node(), ""),
        (node(), node(spec={"taints": [{"key": "k"}]}), "not allowed to modify taints"),
        (node(ownerReferences=[OWNER]), node(), "not allowed to modify ownerReferences"),
        (node(spec={"configSource": {"a": 1}}), node(), "update configSource"),
    ],
)
def test_what_a_node_says_of_itself(new: Object, old: Object | None, why: str) -> None:
    found = told("nodes", new, old, operation="UPDATE" if old else "CREATE")
    assert (why in found) if why else found == ""


def token(bound: dict[str, Any] | None, *audiences: str) -> Object:
    return {"spec": {"boundObjectRef": bound, "audiences": list(audiences)}}


BOUND = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "pod-uid"}


def with_volumes(*volumes: dict[str, Any], node: str = "n1") -> Stored:
    pod = running(node)
    pod["spec"]["volumes"] = list(volumes)
    return {("", "pods"): [pod]}


TOKEN_VOLUME = {
    "name": "v",
    "projected": {"sources": [{"serviceAccountToken": {"audience": "vault", "path": "t"}}]},
}
DRIVER = {"metadata": {"name": "d"}, "spec": {"tokenRequests": [{"audience": "vault"}]}}


@pytest.mark.parametrize(
    ("request_", "stored", "why"),
    [
        (token(BOUND, "vault"), with_volumes(TOKEN_VOLUME), ""),
        (token(None), {}, "not bound to a pod"),
        (token({**BOUND, "kind": "Secret"}), {}, "not bound to a pod"),
        (token({**BOUND, "uid": ""}), {}, "without a uid"),
        (token(BOUND), {}, "not found"),
        (token({**BOUND, "uid": "old"}), with_volumes(), "does not match the UID in record"),
        (token(BOUND), with_volumes(node="n2"), "scheduled on a different node"),
        (token(BOUND, "a", "b"), with_volumes(), "only request 0 or 1 audiences"),
        (token(BOUND, "other"), with_volumes(TOKEN_VOLUME), 'audience "other" not found'),
        (
            token(BOUND, "vault"),
            {
                **with_volumes({"name": "v", "csi": {"driver": "d"}}),
                ("storage.k8s.io", "csidrivers"): [DRIVER],
            },
            "",
        ),
    ],
)
def test_tokens_are_for_the_nodes_pods_and_what_they_mount(
    request_: Object, stored: Stored, why: str
) -> None:
    found = told("serviceaccounts/token", request_, name="robot", stored=stored)
    assert (why in found) if why else found == ""


def test_other_audiences_are_the_authorizers_to_allow() -> None:
    plugin = NodeRestriction(audience_a)
    asked = {"name": "robot", "stored": with_volumes(), "plugin": plugin}
    assert told("serviceaccounts/token", token(BOUND, "a"), **asked) == ""
    assert "not found" in told("serviceaccounts/token", token(BOUND, "b"), **asked)


def claim(**status: Any) -> Object:
    return {"metadata": {"name": "c", "namespace": "ns"}, "spec": {"a": 1}, "status": status}


def test_of_a_claim_a_node_changes_the_capacity() -> None:
    resource = "persistentvolumeclaims/status"
    grown = claim(capacity={"storage": "2Gi"}, conditions=[{"type": "Resizing"}])
    assert told(resource, grown, claim(), operation="UPDATE") == ""
    assert "other than" in told(resource, claim(phase="Lost"), claim(), operation="UPDATE")
    assert told("persistentvolumeclaims", claim(), claim(), operation="UPDATE") == (
        "may only update PVC status"
    )


def named(name: str, node: str = "") -> Object:
    return {"metadata": {"name": name}, "spec": {"nodeName": node}}


def test_leases_csi_nodes_and_slices_are_the_nodes_own() -> None:
    leases = {"namespace": "kube-node-lease"}
    assert told("leases", named("n1"), **leases) == ""
    assert "same name" in told("leases", named("n2"), **leases)
    assert "system namespace" in told("leases", named("n1"), namespace="kube-system")
    assert told("csinodes", named("n1")) == ""
    assert "same name" in told("csinodes", named("n2"))
    assert told("resourceslices", named("s", "n1")) == ""
    assert "only create ResourceSlice" in told("resourceslices", named("s", "n2"))
    found = told("resourceslices", old=named("s", "n2"), operation="DELETE")
    assert "only delete ResourceSlice" in found


def signing_request(common_name: str, signer: str) -> Object:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    request = (
        x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    )
    pem = request.public_bytes(serialization.Encoding.PEM)
    spec = {"signerName": signer, "request": base64.b64encode(pem).decode()}
    return {"metadata": {"name": "csr"}, "spec": spec}


def test_a_node_asks_for_certificates_of_its_own_name() -> None:
    kubelet = "kubernetes.io/kubelet-serving"
    resource = "certificatesigningrequests"
    assert told(resource, signing_request("system:node:n1", kubelet)) == ""
    assert "CN=system:node:n1" in told(resource, signing_request("system:node:n2", kubelet))
    assert told(resource, signing_request("system:node:n2", "example.com/any")) == ""


def test_others_are_not_restricted_and_nameless_nodes_are_refused() -> None:
    assert told("nodes", node("n2"), user=UserInfo("alice", groups=("system:nodes",))) == ""
    assert told("nodes", node("n2"), user=UserInfo("system:node:n1")) == ""
    nameless = UserInfo("system:node:", groups=("system:nodes",))
    assert "could not determine node" in told("nodes", node("n2"), user=nameless)


def test_the_plugin_is_off_until_it_is_enabled() -> None:
    off = admission_chain(storage=MemoryStore(), permits=nobody)
    on = admission_chain(storage=MemoryStore(), permits=nobody, enabled=["NodeRestriction"])
    assert "NodeRestriction" not in repr(off)
    assert "NodeRestriction" in repr(on)
