"""What the built-in admission plugins fill in and refuse."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping
from typing import Any

import pytest

from services.apiserver.admission.attributes import Attributes, Mutating, Operation, Validating
from services.apiserver.admission.chain import KNOWN_PLUGINS, ORDER
from services.apiserver.admission.defaults import DEFAULT_PLUGINS, admission_chain
from services.apiserver.admission.ingress import DefaultIngressClass
from services.apiserver.admission.limitranger import LimitRanger
from services.apiserver.admission.namespacelifecycle import NamespaceLifecycle
from services.apiserver.admission.nodes import TaintNodesByCondition
from services.apiserver.admission.podplugins import (
    AlwaysPullImages,
    ExtendedResourceToleration,
    LimitPodHardAntiAffinityTopology,
)
from services.apiserver.admission.priority import Priority
from services.apiserver.admission.runtimeclass import RuntimeClass, merge_tolerations
from services.apiserver.admission.serviceaccount import ServiceAccount
from services.apiserver.admission.storageplugins import (
    DefaultStorageClass,
    PersistentVolumeClaimResize,
    StorageObjectInUseProtection,
)
from services.apiserver.admission.tolerations import DefaultTolerationSeconds
from services.apiserver.admission.topologylabels import PodTopologyLabels
from services.apiserver.errors import ApiError
from services.apiserver.registry.strategy import Object
from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.apiserver.validation.options import WriteOptions
from shared.resources import builtin_table
from tests.unit.kindtools import context
from tests.unit.memorystore import MemoryStore

TABLE = builtin_table()
RESOURCES = {(resource.group, resource.name): resource for resource in TABLE.resources()}
Stored = Mapping[tuple[str, str], list[Object]]


def attributes(
    resource: tuple[str, str],
    obj: Object | None,
    *,
    operation: Operation = "CREATE",
    old: Object | None = None,
    subresource: str = "",
    name: str = "a",
    dry_run: bool = False,
) -> Attributes:
    return Attributes(
        operation=operation,
        resource=RESOURCES[resource],
        subresource=subresource,
        namespace="ns" if RESOURCES[resource].namespaced else "",
        name=name,
        obj=obj,
        old=old,
        user=UserInfo("tester"),
        dry_run=dry_run,
        options=WriteOptions("CreateOptions"),
    )


def admit(plugin: Mutating, asked: Attributes, stored: Stored | None = None) -> None:
    assert plugin.handles(asked)
    asyncio.run(plugin.admit(context(stored), asked))


def validate(plugin: Validating, asked: Attributes, stored: Stored | None = None) -> None:
    assert plugin.handles(asked)
    asyncio.run(plugin.validate(context(stored), asked))


def pod(**spec: Any) -> Object:
    containers = [{"name": "c", "image": "i", "resources": {}}]
    return {
        "metadata": {"name": "a", "namespace": "ns"},
        "spec": {"containers": containers, **spec},
    }


PODS = ("", "pods")
CLAIMS = ("", "persistentvolumeclaims")


async def permitted(user: UserInfo, info: RequestInfo) -> bool:
    return True


def test_every_plugin_has_a_name_and_a_place_that_kube_apiserver_knows() -> None:
    assert DEFAULT_PLUGINS <= KNOWN_PLUGINS
    assert len(ORDER) == len(KNOWN_PLUGINS)
    chain = admission_chain(storage=MemoryStore(), permits=permitted)
    for name in DEFAULT_PLUGINS:
        assert name in repr(chain)


def test_a_disabled_plugin_is_not_in_the_chain() -> None:
    chain = admission_chain(storage=MemoryStore(), permits=permitted, disabled=["Priority"])
    assert "Priority" not in repr(chain)


def test_nothing_is_created_in_a_namespace_that_is_not_there() -> None:
    with pytest.raises(ApiError) as caught:
        admit(NamespaceLifecycle(), attributes(PODS, pod()))
    assert (caught.value.code, caught.value.details) == (404, {"name": "ns", "kind": "namespaces"})


def test_nothing_is_created_in_a_namespace_that_is_ending() -> None:
    namespace = {"metadata": {"name": "ns"}, "status": {"phase": "Terminating"}}
    with pytest.raises(ApiError) as caught:
        admit(NamespaceLifecycle(), attributes(PODS, pod()), {("", "namespaces"): [namespace]})
    assert caught.value.code == 403
    assert [cause.reason for cause in caught.value.causes] == ["NamespaceTerminating"]


def test_the_three_protected_namespaces_are_not_deleted() -> None:
    for name, refused in (("default", True), ("kube-public", True), ("kube-node-lease", False)):
        asked = attributes(("", "namespaces"), None, operation="DELETE", name=name)
        if refused:
            with pytest.raises(ApiError, match="may not be deleted"):
                admit(NamespaceLifecycle(), asked)
        else:
            admit(NamespaceLifecycle(), asked)


NOT_READY, UNREACHABLE = (
    {
        "key": f"node.kubernetes.io/{key}",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 300,
    }
    for key in ("not-ready", "unreachable")
)


@pytest.mark.parametrize(
    ("own", "added"),
    [
        ([], [NOT_READY, UNREACHABLE]),
        ([{"operator": "Exists"}], []),
        ([{"operator": "Exists", "effect": "NoSchedule"}], [NOT_READY, UNREACHABLE]),
        ([{**NOT_READY, "tolerationSeconds": 5}], [UNREACHABLE]),
        ([{"key": "node.kubernetes.io/unreachable", "operator": "Exists"}], [NOT_READY]),
    ],
)
def test_pods_tolerate_lost_nodes_for_a_while(own: list[Object], added: list[Object]) -> None:
    obj = pod(tolerations=list(own))
    admit(DefaultTolerationSeconds(), attributes(PODS, obj))
    assert obj["spec"]["tolerations"] == own + added


def priority_class(name: str, value: int, **more: Any) -> Object:
    return {"metadata": {"name": name}, "value": value, **more}


CLASSES: Stored = {
    ("scheduling.k8s.io", "priorityclasses"): [
        priority_class("high", 1000, preemptionPolicy="Never"),
        priority_class("usual", 7, globalDefault=True, preemptionPolicy="PreemptLowerPriority"),
    ]
}


@pytest.mark.parametrize(
    ("spec", "stored", "priority", "policy", "name"),
    [
        ({}, {}, 0, "PreemptLowerPriority", None),
        ({}, CLASSES, 7, "PreemptLowerPriority", "usual"),
        ({"priorityClassName": "high"}, CLASSES, 1000, "Never", "high"),
        ({"priorityClassName": "high", "priority": 1000}, CLASSES, 1000, "Never", "high"),
    ],
)
def test_a_pods_priority_is_its_classs(
    spec: Object, stored: Stored, priority: int, policy: str, name: str | None
) -> None:
    obj = pod(**spec)
    admit(Priority(), attributes(PODS, obj), stored)
    assert obj["spec"]["priority"] == priority
    assert obj["spec"]["preemptionPolicy"] == policy
    assert obj["spec"].get("priorityClassName") == name


@pytest.mark.parametrize(
    "spec",
    [
        {"priorityClassName": "none"},
        {"priority": 5},
        {"preemptionPolicy": "PreemptLowerPriority", "priorityClassName": "high"},
    ],
)
def test_a_priority_that_no_class_gives_is_refused(spec: Object) -> None:
    with pytest.raises(ApiError) as caught:
        admit(Priority(), attributes(PODS, pod(**spec)), CLASSES)
    assert (caught.value.code, caught.value.details) == (403, {"name": "a", "kind": "pods"})


def test_an_update_keeps_the_priority() -> None:
    obj = pod()
    old = pod(priority=1000, preemptionPolicy="Never")
    admit(Priority(), attributes(PODS, obj, operation="UPDATE", old=old))
    assert obj == old


def test_there_is_one_default_class_and_system_classes_stay() -> None:
    classes = ("scheduling.k8s.io", "priorityclasses")
    other = priority_class("other", 1, globalDefault=True)
    with pytest.raises(ApiError, match="already marked as default"):
        validate(Priority(), attributes(classes, other, name="other"), CLASSES)
    same = priority_class("usual", 1, globalDefault=True)
    validate(
        Priority(),
        attributes(classes, same, old=same, operation="UPDATE", name="usual"),
        CLASSES,
    )
    with pytest.raises(ApiError, match="cannot be deleted"):
        validate(
            Priority(),
            attributes(classes, None, operation="DELETE", name="system-node-critical"),
        )


def test_a_new_node_is_tainted_once() -> None:
    taint = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
    obj: Object = {"metadata": {"name": "n"}}
    for _ in range(2):
        admit(TaintNodesByCondition(), attributes(("", "nodes"), obj))
    assert obj["spec"]["taints"] == [taint]


def claim(size: str = "1Gi", **spec: Any) -> Object:
    return {
        "metadata": {"name": "a", "namespace": "ns"},
        "spec": {"resources": {"requests": {"storage": size}}, **spec},
        "status": {"phase": "Bound"},
    }


def test_claims_get_a_finalizer_and_the_newest_default_class() -> None:
    def storage_class(name: str, made: str) -> Object:
        mark = {"storageclass.kubernetes.io/is-default-class": "true"}
        return {"metadata": {"name": name, "creationTimestamp": made, "annotations": mark}}

    stored = {
        ("storage.k8s.io", "storageclasses"): [
            storage_class("old", "2020-01-01T00:00:00Z"),
            storage_class("z", "2021-01-01T00:00:00Z"),
            storage_class("b", "2021-01-01T00:00:00Z"),
        ]
    }
    obj = claim()
    admit(StorageObjectInUseProtection(), attributes(CLAIMS, obj))
    admit(DefaultStorageClass(), attributes(CLAIMS, obj), stored)
    assert obj["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    assert obj["spec"]["storageClassName"] == "b"
    chosen = claim(storageClassName="")
    admit(DefaultStorageClass(), attributes(CLAIMS, chosen), stored)
    assert chosen["spec"]["storageClassName"] == ""


def test_a_claim_grows_where_its_class_lets_it() -> None:
    old = claim(storageClassName="fast")
    new = claim("2Gi", storageClassName="fast")
    asked = attributes(CLAIMS, new, old=old, operation="UPDATE")
    storage_class: Object = {"metadata": {"name": "fast"}, "allowVolumeExpansion": True}
    stored = {("storage.k8s.io", "storageclasses"): [storage_class]}
    validate(PersistentVolumeClaimResize(), asked, stored)
    with pytest.raises(ApiError, match="must support resize"):
        validate(PersistentVolumeClaimResize(), asked)


def test_an_ingress_without_a_class_gets_the_default_one() -> None:
    mark = {"ingressclass.kubernetes.io/is-default-class": "true"}
    stored = {
        ("networking.k8s.io", "ingressclasses"): [
            {"metadata": {"name": "nginx", "annotations": mark}}
        ]
    }
    ingresses = ("networking.k8s.io", "ingresses")
    obj: Object = {"metadata": {"name": "a"}, "spec": {}}
    annotated = {
        "metadata": {"name": "a", "annotations": {"kubernetes.io/ingress.class": "old"}},
        "spec": {},
    }
    for one, chosen in ((obj, "nginx"), (annotated, None)):
        admit(DefaultIngressClass(), attributes(ingresses, one), stored)
        assert one["spec"].get("ingressClassName") == chosen


RUNTIMES: Stored = {
    ("node.k8s.io", "runtimeclasses"): [
        {
            "metadata": {"name": "kata"},
            "overhead": {"podFixed": {"cpu": "250m"}},
            "scheduling": {
                "nodeSelector": {"kata": "yes"},
                "tolerations": [{"key": "kata", "operator": "Exists", "effect": "NoSchedule"}],
            },
        }
    ]
}


def test_a_runtime_class_gives_overhead_selector_and_tolerations() -> None:
    obj = pod(runtimeClassName="kata", nodeSelector={"disk": "ssd"})
    admit(RuntimeClass(), attributes(PODS, obj), RUNTIMES)
    assert obj["spec"]["overhead"] == {"cpu": "250m"}
    assert obj["spec"]["nodeSelector"] == {"disk": "ssd", "kata": "yes"}
    assert [one["key"] for one in obj["spec"]["tolerations"]] == ["kata"]


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"runtimeClassName": "none"}, 'RuntimeClass "none" not found'),
        ({"runtimeClassName": "kata", "nodeSelector": {"kata": "no"}}, "conflict"),
        ({"runtimeClassName": "kata", "overhead": {"cpu": "1"}}, "doesn't match"),
    ],
)
def test_what_contradicts_the_runtime_class_is_refused(spec: Object, told: str) -> None:
    with pytest.raises(ApiError, match=told):
        admit(RuntimeClass(), attributes(PODS, pod(**spec)), RUNTIMES)


def test_overhead_needs_a_runtime_class() -> None:
    with pytest.raises(ApiError, match="without corresponding RuntimeClass"):
        validate(RuntimeClass(), attributes(PODS, pod(overhead={"cpu": "1"})))


def test_a_toleration_that_another_includes_is_dropped() -> None:
    wide = {"key": "a", "operator": "Exists"}
    narrow = {"key": "a", "value": "x", "effect": "NoSchedule"}
    assert merge_tolerations([narrow, wide, dict(wide)]) == [wide]
    assert merge_tolerations([narrow, {**narrow, "value": "y"}]) == [
        narrow,
        {**narrow, "value": "y"},
    ]


def test_pods_and_bindings_carry_the_nodes_zone_and_region() -> None:
    labels = {
        "topology.kubernetes.io/zone": "z",
        "topology.kubernetes.io/region": "r",
        "kubernetes.io/hostname": "h",
    }
    stored = {("", "nodes"): [{"metadata": {"name": "n", "labels": labels}}]}
    obj = pod(nodeName="n")
    binding: Object = {"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n"}}
    admit(PodTopologyLabels(), attributes(PODS, obj), stored)
    admit(PodTopologyLabels(), attributes(PODS, binding, subresource="binding"), stored)
    del labels["kubernetes.io/hostname"]
    assert obj["metadata"]["labels"] == labels
    assert binding["metadata"]["labels"] == labels


LIMITS: Stored = {
    ("", "limitranges"): [
        {
            "metadata": {"name": "l", "namespace": "ns"},
            "spec": {
                "limits": [
                    {
                        "type": "Container",
                        "default": {"cpu": "500m", "memory": "256Mi"},
                        "defaultRequest": {"cpu": "100m", "memory": "256Mi"},
                        "min": {"cpu": "50m"},
                        "max": {"cpu": "1"},
                        "maxLimitRequestRatio": {"cpu": "5"},
                    },
                    {"type": "Pod", "max": {"cpu": "1500m"}},
                ]
            },
        }
    ]
}


def container(name: str, requests: Object | None = None, limits: Object | None = None) -> Object:
    resources: Object = {}
    if requests is not None:
        resources["requests"] = requests
    if limits is not None:
        resources["limits"] = limits
    return {"name": name, "resources": resources}


def test_a_limit_range_fills_in_and_notes_what_it_filled() -> None:
    obj = pod(containers=[container("c"), container("d", {"cpu": "200m"})])
    admit(LimitRanger(), attributes(PODS, obj), LIMITS)
    first, second = (one["resources"] for one in obj["spec"]["containers"])
    assert first == {
        "requests": {"cpu": "100m", "memory": "256Mi"},
        "limits": {"cpu": "500m", "memory": "256Mi"},
    }
    assert second["requests"] == {"cpu": "200m", "memory": "256Mi"}
    assert obj["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu, memory request for container c; cpu, memory limit for"
        " container c; memory request for container d; cpu, memory limit for container d"
    )


@pytest.mark.parametrize(
    ("containers", "told"),
    [
        (
            [container("c", {"cpu": "10m"}, {"cpu": "50m"})],
            "minimum cpu usage per Container is 50m, but request is 10m",
        ),
        (
            [container("c", {"cpu": "1"}, {"cpu": "2"})],
            r"\[maximum cpu usage per Container is 1, but limit is 2, maximum cpu usage per Pod"
            " is 1500m, but limit is 2]",
        ),
        (
            [container("c", {"cpu": "100m"}, {"cpu": "600m"})],
            "cpu max limit to request ratio per Container is 5, but provided ratio is 6.000000",
        ),
        (
            [container(name, {"cpu": "1"}, {"cpu": "1"}) for name in "cd"],
            "maximum cpu usage per Pod is 1500m, but limit is 2",
        ),
        (
            [container("c", {"cpu": "100m"})],
            "maximum cpu usage per Container is 1.  No limit is specified",
        ),
    ],
)
def test_a_pod_beyond_the_limits_is_refused(containers: list[Object], told: str) -> None:
    with pytest.raises(ApiError, match=told):
        validate(LimitRanger(), attributes(PODS, pod(containers=containers)), LIMITS)


def test_a_claim_beyond_the_limits_is_refused() -> None:
    limit = {"type": "PersistentVolumeClaim", "min": {"storage": "2Gi"}, "max": {"storage": "4Gi"}}
    stored = {
        ("", "limitranges"): [
            {"metadata": {"name": "l", "namespace": "ns"}, "spec": {"limits": [limit]}}
        ]
    }
    for size, refused in (("1Gi", True), ("3Gi", False), ("5Gi", True)):
        asked = attributes(CLAIMS, copy.deepcopy(claim(size)))
        if refused:
            with pytest.raises(ApiError, match="usage per PersistentVolumeClaim"):
                validate(LimitRanger(), asked, stored)
        else:
            validate(LimitRanger(), asked, stored)


ACCOUNT: Object = {
    "metadata": {"name": "default", "namespace": "ns"},
    "imagePullSecrets": [{"name": "pull"}],
}
ACCOUNTS: Stored = {("", "serviceaccounts"): [ACCOUNT]}


def test_a_pod_runs_as_the_default_account_and_finds_its_token() -> None:
    obj = pod()
    admit(ServiceAccount(), attributes(PODS, obj), ACCOUNTS)
    spec = obj["spec"]
    assert spec["serviceAccountName"] == spec["serviceAccount"] == "default"
    assert spec["imagePullSecrets"] == [{"name": "pull"}]
    (volume,) = spec["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    assert spec["containers"][0]["volumeMounts"] == [
        {
            "name": volume["name"],
            "readOnly": True,
            "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
        }
    ]
    validate(ServiceAccount(), attributes(PODS, obj), ACCOUNTS)


def test_a_pod_may_decline_the_token() -> None:
    obj = pod(automountServiceAccountToken=False)
    admit(ServiceAccount(), attributes(PODS, obj), ACCOUNTS)
    assert "volumes" not in obj["spec"]


def test_a_container_that_mounts_something_there_keeps_it() -> None:
    mount = {"name": "v", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    obj = pod(containers=[{"name": "c", "volumeMounts": [mount]}])
    admit(ServiceAccount(), attributes(PODS, obj), ACCOUNTS)
    assert obj["spec"]["containers"][0]["volumeMounts"] == [mount]
    assert "volumes" not in obj["spec"]


def test_an_account_that_is_not_there_is_refused() -> None:
    with pytest.raises(ApiError, match='ns/robot: serviceaccount "robot" not found'):
        admit(ServiceAccount(), attributes(PODS, pod(serviceAccountName="robot")), ACCOUNTS)


def test_a_mirror_pod_uses_no_account() -> None:
    obj = pod(serviceAccountName="default")
    obj["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    with pytest.raises(ApiError, match="mirror pod may not reference service accounts"):
        validate(ServiceAccount(), attributes(PODS, obj), ACCOUNTS)


def test_images_are_always_pulled_where_that_is_asked_for() -> None:
    obj = pod()
    admit(AlwaysPullImages(), attributes(PODS, obj))
    assert obj["spec"]["containers"][0]["imagePullPolicy"] == "Always"
    with pytest.raises(ApiError, match="must be Always"):
        validate(AlwaysPullImages(), attributes(PODS, pod()))


def test_extended_resources_are_tolerated_once() -> None:
    resources = {"requests": {"example.com/gpu": "1", "cpu": "1"}}
    obj = pod(containers=[{"name": "c", "resources": resources}])
    for _ in range(2):
        admit(ExtendedResourceToleration(), attributes(PODS, obj))
    assert obj["spec"]["tolerations"] == [{"key": "example.com/gpu", "operator": "Exists"}]


def test_hard_anti_affinity_may_be_limited_to_nodes() -> None:
    def anti(key: str) -> Object:
        rules = {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": key}]}
        return pod(affinity={"podAntiAffinity": rules})

    validate(LimitPodHardAntiAffinityTopology(), attributes(PODS, anti("kubernetes.io/hostname")))
    with pytest.raises(ApiError, match="only key"):
        validate(LimitPodHardAntiAffinityTopology(), attributes(PODS, anti("zone")))
