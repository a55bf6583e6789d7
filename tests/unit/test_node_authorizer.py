"""A node may what its pods need, and no other node's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.apiserver.authorization import Decision
from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.apiserver.requestselectors import QuerySelectors
from tests.unit.node_world import NodeWorld, node_user, on_node, pod
from tests.unit.rbac_world import asks

SECRET = asks("get", "secrets", name="s")
STORAGE, RESOURCE = "storage.k8s.io", "resource.k8s.io"


def selecting(verb: str, resource: str, fields: str, **more: str) -> RequestInfo:
    return asks(verb, resource, **more)._replace(selectors=QuerySelectors(fields))


def volume(name: str, **source: Any) -> dict[str, Any]:
    return {"volumes": [{"name": name, **source}]}


@pytest.mark.parametrize(
    "spec",
    [
        {"imagePullSecrets": [{"name": "s"}]},
        {"containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}]},
        {"initContainers": [{"envFrom": [{"secretRef": {"name": "s"}}]}]},
        {"ephemeralContainers": [{"envFrom": [{"secretRef": {"name": "s"}}]}]},
        volume("v", secret={"secretName": "s"}),
        volume("v", azureFile={"secretName": "s"}),
        volume("v", projected={"sources": [{"secret": {"name": "s"}}]}),
        volume("v", csi={"driver": "d", "nodePublishSecretRef": {"name": "s"}}),
        volume("v", rbd={"secretRef": {"name": "s"}}),
    ],
)
def test_a_node_reads_the_secrets_of_its_pods_and_no_others(spec: dict[str, Any]) -> None:
    world = NodeWorld(pod("p", "n1", **spec))
    assert world.may("n1", SECRET)
    assert world.may("n1", asks("watch", "secrets", name="s"))
    assert not world.may("n2", SECRET)
    assert not world.may("n1", asks("get", "secrets", name="other"))
    assert not world.may("n1", asks("get", "secrets", name="s", namespace="elsewhere"))
    for verb in ("create", "update", "patch", "delete", "deletecollection"):
        assert not world.may("n1", asks(verb, "secrets", name="s"))


def test_the_whole_of_the_secrets_is_never_a_nodes() -> None:
    world = NodeWorld(pod("p", "n1", imagePullSecrets=[{"name": "s"}]))
    for namespace in ("", "ns"):
        assert not world.may("n1", asks("list", "secrets", namespace=namespace))


def test_config_maps_claims_and_accounts_follow_the_pod() -> None:
    spec = {
        "serviceAccountName": "robot",
        "containers": [{"envFrom": [{"configMapRef": {"name": "c"}}]}],
        "volumes": [
            {"name": "v", "persistentVolumeClaim": {"claimName": "claim"}},
            {"name": "e", "ephemeral": {"volumeClaimTemplate": {}}},
        ],
        "resourceClaims": [{"name": "r", "resourceClaimName": "gpu"}],
    }
    world = NodeWorld(pod("p", "n1", **spec))
    wanted = [
        asks("get", "configmaps", name="c"),
        asks("get", "persistentvolumeclaims", name="claim"),
        asks("get", "persistentvolumeclaims", name="p-e"),
        asks("patch", "persistentvolumeclaims/status", name="claim"),
        asks("get", "resourceclaims", group=RESOURCE, name="gpu"),
        asks("get", "serviceaccounts", name="robot"),
        asks("create", "serviceaccounts/token", name="robot"),
    ]
    for info in wanted:
        assert world.may("n1", info), info
        assert not world.may("n2", info), info
    assert not world.may("n1", asks("create", "serviceaccounts/token", name="other"))
    assert not world.may("n1", asks("create", "serviceaccounts", name="robot"))
    assert not world.may("n1", asks("update", "persistentvolumeclaims", name="claim"))


def test_a_claim_of_a_template_is_the_one_that_was_made_for_it() -> None:
    claim = asks("get", "resourceclaims", group=RESOURCE, name="p-gpu-x7")
    made = pod("p", resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "t"}])
    world = NodeWorld(made)
    assert not world.may("n1", claim)
    status = {"resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": "p-gpu-x7"}]}
    world.put({**made, "status": status})
    assert world.may("n1", claim)


def test_volumes_and_their_secrets_follow_the_claim() -> None:
    bound = {
        "kind": "PersistentVolume",
        "metadata": {"name": "pv"},
        "spec": {
            "claimRef": {"namespace": "ns", "name": "claim"},
            "csi": {
                "nodeStageSecretRef": {"namespace": "vault", "name": "stage"},
                "controllerPublishSecretRef": {"namespace": "vault", "name": "controller"},
            },
        },
    }
    user = pod("p", "n1", **volume("v", persistentVolumeClaim={"claimName": "claim"}))
    world = NodeWorld(bound, user)
    stage = asks("get", "secrets", namespace="vault", name="stage")
    found = asks("get", "persistentvolumes", namespace="", name="pv")
    assert world.may("n1", stage)
    assert world.may("n1", found)
    assert not world.may("n2", stage)
    assert not world.may("n1", asks("get", "secrets", namespace="vault", name="controller"))
    world.drop(bound)
    assert not world.may("n1", stage)
    assert not world.may("n1", found)


def test_rights_end_with_the_pod_and_with_its_move() -> None:
    first, second = (pod(name, "n1", imagePullSecrets=[{"name": "s"}]) for name in "ab")
    world = NodeWorld(first, second)
    world.drop(first)
    assert world.may("n1", SECRET)
    world.put(pod("b", "n2", imagePullSecrets=[{"name": "s"}]))
    assert not world.may("n1", SECRET)
    assert world.may("n2", SECRET)


def test_a_mirror_pod_gives_a_node_nothing() -> None:
    world = NodeWorld(pod("p", "n1", mirror=True, imagePullSecrets=[{"name": "s"}]))
    assert not world.may("n1", SECRET)
    assert world.may("n1", asks("get", "pods", name="p"))


def test_attachments_and_slices_are_those_of_the_node() -> None:
    world = NodeWorld(on_node("VolumeAttachment", "a", "n1"), on_node("ResourceSlice", "r", "n1"))
    attachment = asks("get", "volumeattachments", group=STORAGE, namespace="", name="a")
    slice_ = asks("update", "resourceslices", group=RESOURCE, namespace="", name="r")
    for info in (attachment, slice_):
        assert world.may("n1", info)
        assert not world.may("n2", info)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("spec.nodeName=n1", True),
        ("spec.nodeName==n1,status.phase=Running", True),
        ("spec.nodeName=n2", False),
        ("spec.nodeName!=n1", False),
        ("metadata.namespace=ns", False),
        ("spec.nodeName=n1\\x", False),
        ("", False),
    ],
)
@pytest.mark.parametrize(
    ("resource", "group", "verbs"),
    [("pods", "", "list watch"), ("resourceslices", RESOURCE, "list watch deletecollection")],
)
def test_a_node_lists_only_what_it_selects_as_its_own(
    resource: str, group: str, verbs: str, fields: str, expected: bool
) -> None:
    for verb in verbs.split():
        info = selecting(verb, resource, fields, group=group, namespace="")
        assert NodeWorld().may("n1", info) is expected


def test_a_selector_that_does_not_parse_grants_nothing() -> None:
    assert not NodeWorld().may("n1", selecting("list", "pods", "spec.nodeName=n1,=a=b"))


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (asks("get", "nodes", namespace="", name="n1"), True),
        (asks("list", "nodes", namespace="", name="n1"), True),
        (asks("get", "nodes", namespace="", name="n2"), False),
        (asks("list", "nodes", namespace=""), False),
        (asks("create", "nodes", namespace=""), True),
        (asks("patch", "nodes/status", namespace="", name="n1"), True),
        (asks("delete", "nodes", namespace="", name="n1"), False),
        (asks("get", "nodes/proxy", namespace="", name="n1"), False),
        (asks("create", "pods"), True),
        (asks("delete", "pods", name="p"), True),
        (asks("update", "pods/status", name="p"), True),
        (asks("create", "pods/eviction", name="p"), True),
        (asks("update", "pods", name="p"), False),
        (asks("create", "pods/exec", name="p"), False),
        (asks("create", "pods/binding", name="p"), False),
        (asks("get", "services", namespace=""), True),
        (asks("create", "services"), False),
        (asks("create", "events"), True),
    ],
)
def test_what_nodes_may_whatever_runs_on_them(info: RequestInfo, expected: bool) -> None:
    assert NodeWorld().may("n1", info) is expected


@pytest.mark.parametrize(
    ("group", "resource", "namespace"),
    [
        ("coordination.k8s.io", "leases", "kube-node-lease"),
        (STORAGE, "csinodes", ""),
    ],
)
def test_leases_and_csi_nodes_have_the_nodes_name(
    group: str, resource: str, namespace: str
) -> None:
    world = NodeWorld()

    def may(verb: str, name: str) -> bool:
        return world.may("n1", asks(verb, resource, group=group, namespace=namespace, name=name))

    assert may("update", "n1")
    assert may("create", "")
    assert not may("update", "n2")
    assert not may("list", "n1")


def test_leases_of_other_namespaces_are_not_a_nodes() -> None:
    lease = asks("get", "leases", group="coordination.k8s.io", namespace="kube-system", name="n1")
    assert not NodeWorld().may("n1", lease)


@pytest.mark.parametrize(
    "user",
    [
        UserInfo("system:node:n1"),
        UserInfo("system:node:n1", groups=("system:nodes2",)),
        UserInfo("alice", groups=("system:nodes",)),
        UserInfo("system:node:", groups=("system:nodes",)),
    ],
)
def test_a_node_has_both_the_name_and_the_group(user: UserInfo) -> None:
    world = NodeWorld(pod("p", "n1", imagePullSecrets=[{"name": "s"}]))
    assert not world.decision(user, SECRET).allowed


def test_the_reason_tells_what_is_missing() -> None:
    world = NodeWorld(pod("p"))
    told = "no relationship found between node 'n1' and this object"
    assert world.decision(node_user("n1"), SECRET).reason == told
    others = asks("get", "nodes", namespace="", name="n2")
    told = "node 'n1' cannot read 'n2', only its own Node object"
    assert world.decision(node_user("n1"), others).reason == told


def test_many_pods_are_taken_in_without_holding_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.timeslice.SLICE_S", -1.0)  # every step is the last of its slice
    world = NodeWorld(*(pod(f"p{n}", "n1", imagePullSecrets=[{"name": "s"}]) for n in range(50)))
    others = 0

    async def run() -> list[Decision]:
        async def count() -> None:
            nonlocal others
            while True:
                others += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count(), name="others")
        asked = (world.authorizer.authorize(node_user("n1"), SECRET) for _ in range(3))
        decisions = await asyncio.gather(*asked)
        counting.cancel()
        return decisions

    assert all(decision.allowed for decision in asyncio.run(run()))
    assert others >= 50


def test_who_goes_away_while_pods_are_taken_in_leaves_the_rest_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shared.timeslice.SLICE_S", -1.0)
    world = NodeWorld(*(pod(f"p{n}", "n1", imagePullSecrets=[{"name": "s"}]) for n in range(50)))

    async def run() -> None:
        asking = asyncio.create_task(world.graph.catch_up(), name="asking")
        for _ in range(10):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    asyncio.run(run())
    assert world.may("n1", SECRET)
    for number in range(50):
        assert world.may("n1", SECRET)
        world.drop(pod(f"p{number}"))
    assert not world.may("n1", SECRET)
