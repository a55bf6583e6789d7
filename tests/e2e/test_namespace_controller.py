"""The namespace controller beside a real API server."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from kubernetes import client as api

from tests.e2e.manifests import configmap, deployment, pod, service

WAIT_S = 20.0


def until(condition: Callable[[], bool]) -> float:
    """Wait for `condition` and return how long it took."""
    start = time.monotonic()
    while time.monotonic() - start < WAIT_S:
        if condition():
            return time.monotonic() - start
        time.sleep(0.02)
    pytest.fail(f"not so after {WAIT_S:.0f} s")


def gone(core: api.CoreV1Api, namespace: str) -> bool:
    try:
        core.read_namespace(namespace)
    except api.ApiException as error:
        if error.status != 404:
            raise
        return True
    return False


def conditions(core: api.CoreV1Api, namespace: str) -> dict[str, tuple[str, str]]:
    found = core.read_namespace(namespace).status.conditions or []
    return {condition.type: (condition.status, condition.reason) for condition in found}


def test_an_empty_namespace_is_gone_soon_after_its_deletion(
    core: api.CoreV1Api, namespace: str
) -> None:
    core.delete_namespace(namespace)
    assert until(lambda: gone(core, namespace)) < 3


def test_a_namespace_goes_with_all_its_content(
    core: api.CoreV1Api, api_client: api.ApiClient, namespace: str
) -> None:
    apps = api.AppsV1Api(api_client)
    for number in range(10):
        core.create_namespaced_config_map(namespace, configmap(f"c{number}"))
    core.create_namespaced_pod(namespace, pod("p"))
    core.create_namespaced_service(namespace, service("s"))
    apps.create_namespaced_deployment(namespace, deployment("d"))
    core.delete_namespace(namespace)
    until(lambda: gone(core, namespace))
    assert core.list_namespaced_config_map(namespace).items == []
    assert core.list_namespaced_pod(namespace).items == []
    assert core.list_namespaced_service(namespace).items == []
    assert apps.list_namespaced_deployment(namespace).items == []


def test_a_namespace_waits_for_finalizers_and_tells_so(core: api.CoreV1Api, namespace: str) -> None:
    core.create_namespaced_config_map(namespace, configmap("c", finalizers=["example.com/f"]))
    core.delete_namespace(namespace)
    until(lambda: "NamespaceFinalizersRemaining" in conditions(core, namespace))
    told = conditions(core, namespace)
    assert told["NamespaceContentRemaining"] == ("True", "SomeResourcesRemain")
    assert told["NamespaceFinalizersRemaining"] == ("True", "SomeFinalizersRemain")
    assert told["NamespaceDeletionContentFailure"] == ("False", "ContentDeleted")
    assert told["NamespaceDeletionDiscoveryFailure"] == ("False", "ResourcesDiscovered")
    core.patch_namespaced_config_map("c", namespace, {"metadata": {"finalizers": None}})
    until(lambda: gone(core, namespace))


def test_pods_go_before_what_they_use(core: api.CoreV1Api, namespace: str) -> None:
    bound = pod("p")
    bound["spec"]["nodeName"] = "far-away"
    core.create_namespaced_pod(namespace, bound)
    core.create_namespaced_config_map(namespace, configmap("c"))
    core.delete_namespace(namespace)
    until(lambda: "NamespaceContentRemaining" in conditions(core, namespace))
    assert core.read_namespaced_pod("p", namespace).metadata.deletion_timestamp is not None
    assert core.read_namespaced_config_map("c", namespace).metadata.deletion_timestamp is None
    core.delete_namespaced_pod("p", namespace, grace_period_seconds=0)  # as its kubelet would
    until(lambda: gone(core, namespace))


def test_finalizers_of_others_in_the_namespaces_spec_are_left_to_them(
    core: api.CoreV1Api, namespace: str
) -> None:
    current = core.read_namespace(namespace)
    current.spec.finalizers = ["kubernetes", "example.com/mine"]
    core.replace_namespace_finalize(namespace, current)
    core.delete_namespace(namespace)
    until(lambda: core.read_namespace(namespace).spec.finalizers == ["example.com/mine"])
    current = core.read_namespace(namespace)
    current.spec.finalizers = []
    core.replace_namespace_finalize(namespace, current)
    until(lambda: gone(core, namespace))


def test_a_namespace_that_is_not_deleted_is_left_alone(core: api.CoreV1Api, namespace: str) -> None:
    core.create_namespaced_config_map(namespace, configmap("c"))
    other = f"{namespace}-other"
    core.create_namespace({"metadata": {"name": other}})
    core.delete_namespace(other)
    until(lambda: gone(core, other))
    assert core.read_namespaced_config_map("c", namespace).metadata.deletion_timestamp is None


def test_a_hundred_namespaces_go_together(core: api.CoreV1Api, namespace: str) -> None:
    names = [f"{namespace}-{number}" for number in range(100)]
    for name in names:
        core.create_namespace({"metadata": {"name": name, "labels": {"many": namespace}}})
        core.create_namespaced_config_map(name, configmap("c"))
    for name in names:
        core.delete_namespace(name)
    until(lambda: not core.list_namespace(label_selector=f"many={namespace}").items)
