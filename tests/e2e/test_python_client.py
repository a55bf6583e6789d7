"""The official Python client."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes import client as api
from kubernetes import watch

from tests.e2e.manifests import configmap, deployment, pod


@pytest.fixture
def apps(api_client: api.ApiClient) -> api.AppsV1Api:
    return api.AppsV1Api(api_client)


def failure(call: Callable[[], Any]) -> tuple[int, dict[str, Any]]:
    """Return the HTTP code and the Status of a call that must fail."""
    with pytest.raises(api.ApiException) as caught:
        call()
    status: dict[str, Any] = json.loads(caught.value.body)
    assert status["kind"] == "Status"
    assert status["code"] == caught.value.status
    return caught.value.status, status


def test_objects_are_created_read_replaced_and_deleted(core: api.CoreV1Api, namespace: str) -> None:
    body = api.V1ConfigMap(metadata=api.V1ObjectMeta(name="c"), data={"k": "1"})
    created = core.create_namespaced_config_map(namespace, body)
    assert created.metadata.uid
    assert created.metadata.creation_timestamp.tzinfo is not None
    created.data = {"k": "2"}
    replaced = core.replace_namespaced_config_map("c", namespace, created)
    assert int(replaced.metadata.resource_version) > int(created.metadata.resource_version)
    assert core.read_namespaced_config_map("c", namespace).data == {"k": "2"}
    status = core.delete_namespaced_config_map("c", namespace)
    assert status["status"] == "Success"
    assert status["details"]["uid"] == created.metadata.uid


def test_a_whole_workload_keeps_its_fields_on_the_way(apps: api.AppsV1Api, namespace: str) -> None:
    container = api.V1Container(
        name="main",
        image="nginx",
        ports=[api.V1ContainerPort(container_port=80)],
        resources=api.V1ResourceRequirements(requests={"cpu": "0.5", "memory": "1024Mi"}),
        env=[api.V1EnvVar(name="A", value="b")],
    )
    template = api.V1PodTemplateSpec(
        metadata=api.V1ObjectMeta(labels={"app": "d"}), spec=api.V1PodSpec(containers=[container])
    )
    spec = api.V1DeploymentSpec(
        replicas=3, selector=api.V1LabelSelector(match_labels={"app": "d"}), template=template
    )
    apps.create_namespaced_deployment(
        namespace, api.V1Deployment(metadata=api.V1ObjectMeta(name="d"), spec=spec)
    )
    read = apps.read_namespaced_deployment("d", namespace)
    [shown] = read.spec.template.spec.containers
    assert shown.resources.requests == {"cpu": "500m", "memory": "1Gi"}
    assert (shown.image_pull_policy, shown.ports[0].protocol) == ("Always", "TCP")
    assert (read.spec.strategy.type, read.spec.revision_history_limit) == ("RollingUpdate", 10)
    assert apps.read_namespaced_deployment_scale("d", namespace).spec.replicas == 3


def test_errors_carry_status_reason_and_details(core: api.CoreV1Api, namespace: str) -> None:
    code, status = failure(lambda: core.read_namespaced_config_map("none", namespace))
    assert (code, status["reason"]) == (404, "NotFound")
    assert status["details"] == {"name": "none", "kind": "configmaps"}
    assert status["message"] == 'configmaps "none" not found'

    core.create_namespaced_config_map(namespace, configmap("c"))
    code, status = failure(lambda: core.create_namespaced_config_map(namespace, configmap("c")))
    assert (code, status["reason"]) == (409, "AlreadyExists")

    old = core.read_namespaced_config_map("c", namespace)
    core.patch_namespaced_config_map("c", namespace, {"data": {"x": "y"}})
    code, status = failure(lambda: core.replace_namespaced_config_map("c", namespace, old))
    assert (code, status["reason"]) == (409, "Conflict")

    bad = pod("Bad_Name")
    code, status = failure(lambda: core.create_namespaced_pod(namespace, bad))
    assert (code, status["reason"]) == (422, "Invalid")
    assert status["details"]["causes"][0]["field"] == "metadata.name"


@pytest.mark.parametrize("unknown", ["namespace", "version"])
def test_what_does_not_exist_is_not_found(
    core: api.CoreV1Api, api_client: api.ApiClient, unknown: str
) -> None:
    if unknown == "namespace":
        code, status = failure(lambda: core.create_namespaced_config_map("none", configmap("c")))
        assert status["message"] == 'namespaces "none" not found'
    else:
        custom = api.CustomObjectsApi(api_client)
        with pytest.raises(api.ApiException) as caught:
            custom.list_cluster_custom_object("example.com", "v1", "widgets")
        code = caught.value.status
    assert code == 404


def test_each_patch_type_has_its_own_meaning(apps: api.AppsV1Api, namespace: str) -> None:
    apps.create_namespaced_deployment(namespace, deployment("d"))
    containers = [{"name": "b", "image": "i"}]
    body = {"spec": {"template": {"spec": {"containers": containers}}}}

    def patched(body: object, content_type: str) -> dict[str, str]:
        answer = apps.patch_namespaced_deployment("d", namespace, body, _content_type=content_type)
        return {c.name: c.image for c in answer.spec.template.spec.containers}

    strategic = patched(body, "application/strategic-merge-patch+json")
    assert strategic == {"b": "i", "main": "nginx:1.27"}
    assert patched(body, "application/merge-patch+json") == {"b": "i"}
    path = "/spec/template/spec/containers/0/image"
    json_patch = [{"op": "replace", "path": path, "value": "j"}]
    assert patched(json_patch, "application/json-patch+json") == {"b": "j"}


def test_a_list_comes_in_pages_of_one_moment(core: api.CoreV1Api, namespace: str) -> None:
    names = [f"c{number:02}" for number in range(10)]
    for name in names:
        core.create_namespaced_config_map(namespace, configmap(name))
    page = core.list_namespaced_config_map(namespace, limit=4)
    assert page.metadata.remaining_item_count == 6
    first_version = page.metadata.resource_version
    core.delete_namespaced_config_map("c05", namespace)
    core.create_namespaced_config_map(namespace, configmap("c06b"))
    seen = [item.metadata.name for item in page.items]
    while page.metadata._continue:
        page = core.list_namespaced_config_map(
            namespace, limit=4, _continue=page.metadata._continue
        )
        assert page.metadata.resource_version == first_version
        seen += [item.metadata.name for item in page.items]
    assert seen == names


def test_a_list_is_selected_by_labels_and_fields(core: api.CoreV1Api, namespace: str) -> None:
    core.create_namespaced_config_map(namespace, configmap("a", labels={"x": "1"}))
    core.create_namespaced_config_map(namespace, configmap("b", labels={"x": "2"}))

    def names(**selection: str) -> list[str]:
        listed = core.list_namespaced_config_map(namespace, **selection)
        return [item.metadata.name for item in listed.items]

    assert names(label_selector="x=1") == ["a"]
    assert names(label_selector="x") == ["a", "b"]
    assert names(field_selector="metadata.name!=a") == ["b"]
    code, status = failure(lambda: names(field_selector="data.k=1"))
    assert (code, status["reason"]) == (400, "BadRequest")


def test_a_watch_from_a_version_delivers_each_change_after_it(
    core: api.CoreV1Api, namespace: str
) -> None:
    core.create_namespaced_config_map(namespace, configmap("before"))
    version = core.list_namespaced_config_map(namespace).metadata.resource_version
    core.create_namespaced_config_map(namespace, configmap("c"))
    core.patch_namespaced_config_map("c", namespace, {"data": {"k": "v"}})
    core.delete_namespaced_config_map("c", namespace)
    stream = watch.Watch()
    seen = []
    for event in stream.stream(
        core.list_namespaced_config_map, namespace, resource_version=version, timeout_seconds=10
    ):
        seen.append((event["type"], event["object"].metadata.name, event["object"].data))
        if event["type"] == "DELETED":
            stream.stop()
    assert seen == [
        ("ADDED", "c", None),
        ("MODIFIED", "c", {"k": "v"}),
        ("DELETED", "c", {"k": "v"}),
    ]


def test_a_watch_without_a_version_begins_with_what_is_there(
    core: api.CoreV1Api, namespace: str
) -> None:
    for name in ("b", "a"):
        core.create_namespaced_config_map(namespace, configmap(name))
    stream = watch.Watch()
    events = stream.stream(core.list_namespaced_config_map, namespace, timeout_seconds=1)
    assert [(event["type"], event["object"].metadata.name) for event in events] == [
        ("ADDED", "a"),
        ("ADDED", "b"),
    ]


def test_a_watch_ends_at_its_timeout(core: api.CoreV1Api, namespace: str) -> None:
    events = watch.Watch().stream(core.list_namespaced_config_map, namespace, timeout_seconds=1)
    assert list(events) == []


def test_a_watch_from_too_old_a_version_is_410_and_a_new_list_helps(
    core: api.CoreV1Api, namespace: str
) -> None:
    old = core.list_namespaced_config_map(namespace).metadata.resource_version
    for number in range(25):  # of 900 KB: more than the window of past states keeps
        body = configmap("big", data={"k": str(number % 10) * 900_000})
        if number:
            core.replace_namespaced_config_map("big", namespace, body)
        else:
            core.create_namespaced_config_map(namespace, body)

    def watch_from(version: str) -> None:
        for _ in watch.Watch().stream(
            core.list_namespaced_config_map,
            namespace,
            resource_version=version,
            timeout_seconds=1,
        ):
            pass

    with pytest.raises(api.ApiException) as caught:
        watch_from(old)
    assert caught.value.status == 410
    assert "too old resource version" in str(caught.value.reason)
    watch_from(core.list_namespaced_config_map(namespace).metadata.resource_version)


def test_an_informer_like_loop_ends_with_the_servers_state(
    core: api.CoreV1Api, namespace: str
) -> None:
    """List, watch from there, resume where the last watch ended: nothing lost, nothing twice."""

    def change() -> None:
        for number in range(60):
            name = f"c{number % 7}"
            try:
                core.create_namespaced_config_map(
                    namespace, configmap(name, data={"n": str(number)})
                )
            except api.ApiException as error:
                if error.status != 409:
                    raise
                core.delete_namespaced_config_map(name, namespace)
        core.create_namespaced_config_map(namespace, configmap("last"))

    listed = core.list_namespaced_config_map(namespace)
    cache = {item.metadata.name: item.metadata.resource_version for item in listed.items}
    version = listed.metadata.resource_version
    changing = threading.Thread(target=change)
    changing.start()
    seen: list[int] = []
    try:
        while "last" not in cache:
            stream = watch.Watch()
            events = stream.stream(
                core.list_namespaced_config_map,
                namespace,
                resource_version=version,
                timeout_seconds=10,
            )
            for count, event in enumerate(events, 1):
                metadata = event["object"].metadata
                version = metadata.resource_version
                seen.append(int(version))
                if event["type"] == "DELETED":
                    assert cache.pop(metadata.name, None) is not None
                else:
                    assert metadata.name not in cache
                    cache[metadata.name] = version
                if count == 5:  # break off often
                    stream.stop()
    finally:
        changing.join()
    assert seen == sorted(set(seen))
    current = core.list_namespaced_config_map(namespace)
    assert cache == {item.metadata.name: item.metadata.resource_version for item in current.items}


def test_finalizers_hold_a_deleted_object(core: api.CoreV1Api, namespace: str) -> None:
    core.create_namespaced_config_map(namespace, configmap("c", finalizers=["example.com/f"]))
    core.delete_namespaced_config_map("c", namespace)
    held = core.read_namespaced_config_map("c", namespace)
    assert held.metadata.deletion_timestamp is not None
    core.patch_namespaced_config_map("c", namespace, {"metadata": {"finalizers": None}})
    code, _ = failure(lambda: core.read_namespaced_config_map("c", namespace))
    assert code == 404


def test_preconditions_guard_a_deletion(core: api.CoreV1Api, namespace: str) -> None:
    core.create_namespaced_config_map(namespace, configmap("c"))
    other = api.V1DeleteOptions(preconditions=api.V1Preconditions(uid="other"))
    code, status = failure(lambda: core.delete_namespaced_config_map("c", namespace, body=other))
    assert (code, status["reason"]) == (409, "Conflict")


def test_a_collection_is_deleted_by_selection(core: api.CoreV1Api, namespace: str) -> None:
    for name, tier in (("a", "web"), ("b", "web"), ("c", "db")):
        core.create_namespaced_config_map(namespace, configmap(name, labels={"tier": tier}))
    core.delete_collection_namespaced_config_map(namespace, label_selector="tier=web")
    left = core.list_namespaced_config_map(namespace)
    assert [item.metadata.name for item in left.items] == ["c"]


def test_a_pod_is_bound_and_its_status_written(core: api.CoreV1Api, namespace: str) -> None:
    """What a scheduler and a kubelet do."""
    core.create_namespaced_pod(namespace, pod("p"))
    target = api.V1ObjectReference(kind="Node", name="n")
    binding = api.V1Binding(metadata=api.V1ObjectMeta(name="p"), target=target)
    core.create_namespaced_binding(namespace, binding, _preload_content=False)
    core.patch_namespaced_pod_status("p", namespace, {"status": {"phase": "Running"}})
    read = core.read_namespaced_pod("p", namespace)
    assert (read.spec.node_name, read.status.phase) == ("n", "Running")
    [scheduled] = [c for c in read.status.conditions if c.type == "PodScheduled"]
    assert scheduled.status == "True"
