"""kubectl get and describe."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
import yaml

from tests.e2e.kubectl import Kubectl
from tests.e2e.manifests import configmap, deployment, node, pod, service

AGE = re.compile(r"^\d+(s|m|h)")


@pytest.fixture
def some_node(admin: Kubectl, namespace: str) -> Iterator[str]:
    name = f"node-{namespace}"
    admin.create(node(name, zone="a"))
    yield name
    admin("delete", "node", name)


def test_get_prints_the_columns_of_each_kind(kubectl: Kubectl) -> None:
    kubectl.create(
        configmap("c", data={"a": "1", "b": "2"}), pod("p"), deployment("d"), service("s")
    )
    [shown] = kubectl.rows("configmap", "c")
    assert (shown["NAME"], shown["DATA"]) == ("c", "2")
    assert AGE.match(shown["AGE"])
    [shown] = kubectl.rows("pod", "p")
    assert {**shown, "AGE": ""} == {
        "NAME": "p",
        "READY": "0/1",
        "STATUS": "Pending",
        "RESTARTS": "0",
        "AGE": "",
    }
    [shown] = kubectl.rows("deploy/d")
    assert {**shown, "AGE": ""} == {
        "NAME": "d",
        "READY": "0/2",
        "UP-TO-DATE": "0",
        "AVAILABLE": "0",
        "AGE": "",
    }
    [shown] = kubectl.rows("svc", "s")
    assert (shown["TYPE"], shown["EXTERNAL-IP"], shown["PORT(S)"]) == (
        "ClusterIP",
        "<none>",
        "80/TCP",
    )


def test_get_wide_adds_columns(kubectl: Kubectl) -> None:
    kubectl.create(pod("p"), deployment("d"))
    [shown] = kubectl.rows("pod", "-o", "wide")
    assert {"IP", "NODE", "NOMINATED NODE", "READINESS GATES"} <= shown.keys()
    [shown] = kubectl.rows("deployment", "-o", "wide")
    assert (shown["CONTAINERS"], shown["IMAGES"], shown["SELECTOR"]) == (
        "main",
        "nginx:1.27",
        "app=d",
    )


def test_get_of_several_kinds_names_each_with_its_kind(kubectl: Kubectl) -> None:
    kubectl.create(configmap("c"), service("s"))
    out = kubectl("get", "configmap,service", "-o", "name")
    assert out.split() == ["configmap/c", "service/s"]
    assert "service/s" in kubectl("get", "configmap,service")


def test_get_prints_whole_objects_as_yaml_and_json(kubectl: Kubectl) -> None:
    kubectl.create(configmap("c", data={"key": "value"}))
    shown = yaml.safe_load(kubectl("get", "configmap", "c", "-o", "yaml"))
    assert (shown["apiVersion"], shown["kind"], shown["data"]) == (
        "v1",
        "ConfigMap",
        {"key": "value"},
    )
    assert "managedFields" not in shown["metadata"]
    assert json.loads(kubectl("get", "configmap", "c", "-o", "json")) == shown
    listed = kubectl.get("configmaps")
    assert listed["kind"] == "List"
    assert listed["items"] == [shown]


def test_get_extracts_fields(kubectl: Kubectl) -> None:
    kubectl.create(configmap("a", data={"k": "1"}), configmap("b", data={"k": "2"}))
    path = "{range .items[*]}{.metadata.name}={.data.k} {end}"
    assert kubectl("get", "configmaps", "-o", f"jsonpath={path}") == "a=1 b=2 "
    columns = "custom-columns=N:.metadata.name,K:.data.k"
    assert kubectl("get", "configmaps", "-o", columns).split() == ["N", "K", "a", "1", "b", "2"]
    by_key = kubectl("get", "configmaps", "--sort-by={.data.k}", "-o", "name").split()
    assert by_key == ["configmap/a", "configmap/b"]


def test_get_selects_by_label(kubectl: Kubectl) -> None:
    for name, tier in (("a", "web"), ("b", "db"), ("c", "cache")):
        kubectl.create(configmap(name, labels={"tier": tier}))
    kubectl.create(configmap("d"))
    expected = {
        "tier=web": ["a"],
        "tier!=web": ["b", "c", "d"],
        "tier in (web,db)": ["a", "b"],
        "tier notin (web)": ["b", "c", "d"],
        "tier": ["a", "b", "c"],
        "!tier": ["d"],
        "tier,tier!=db": ["a", "c"],
    }
    for selector, names in expected.items():
        out = kubectl("get", "configmaps", "-l", selector, "-o", "name")
        assert out.split() == [f"configmap/{name}" for name in names], selector
    assert "tier=web" in kubectl("get", "configmaps", "--show-labels")
    shown = {row["NAME"]: row["TIER"] for row in kubectl.rows("configmaps", "-L", "tier")}
    assert shown == {"a": "web", "b": "db", "c": "cache", "d": ""}


def test_get_selects_by_field(kubectl: Kubectl) -> None:
    kubectl.create(pod("a"), pod("b"), configmap("c"))
    one = kubectl("get", "pods", "--field-selector", "metadata.name=b", "-o", "name")
    assert one.split() == ["pod/b"]
    pending = kubectl("get", "pods", "--field-selector", "status.phase=Pending", "-o", "name")
    assert pending.split() == ["pod/a", "pod/b"]
    running = kubectl.run("get", "pods", "--field-selector=status.phase=Running")
    assert running.out == ""
    assert "No resources found" in running.err
    refused = kubectl.fails("get", "configmaps", "--field-selector", "data.x=1")
    assert '"data.x" is not a known field selector' in refused


def test_get_all_namespaces_shows_the_namespace(admin: Kubectl, kubectl: Kubectl) -> None:
    kubectl.create(configmap("in-here", labels={"mark": kubectl.namespace}))
    [shown] = admin.rows("configmaps", "-A", "-l", f"mark={kubectl.namespace}")
    assert (shown["NAMESPACE"], shown["NAME"]) == (kubectl.namespace, "in-here")


def test_get_in_chunks_gives_the_whole_list(kubectl: Kubectl) -> None:
    names = [f"c{number:02}" for number in range(25)]
    kubectl.create(*(configmap(name) for name in names))
    out = kubectl("get", "configmaps", "--chunk-size=7", "-o", "name")
    assert out.split() == [f"configmap/{name}" for name in names]


def test_get_of_what_is_not_there_says_so(kubectl: Kubectl) -> None:
    assert (
        kubectl.fails("get", "configmap", "none")
        == 'Error from server (NotFound): configmaps "none" not found\n'
    )
    assert kubectl("get", "configmap", "none", "--ignore-not-found") == ""
    assert (
        kubectl.fails("get", "nonsense")
        == 'error: the server doesn\'t have a resource type "nonsense"\n'
    )
    empty = kubectl.run("get", "configmaps", "-l", "none=none")
    assert empty.err == f"No resources found in {kubectl.namespace} namespace.\n"


def test_get_watch_shows_changes_as_they_come(kubectl: Kubectl) -> None:
    kubectl.create(configmap("first"))
    with kubectl.background("get", "configmaps", "-w", "--no-headers") as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline().split()[:2] == ["first", "0"]
        kubectl.create(configmap("second"))
        assert watching.stdout.readline().split()[:2] == ["second", "0"]
        kubectl("patch", "configmap", "second", "-p", '{"data": {"a": "1"}}')
        assert watching.stdout.readline().split()[:2] == ["second", "1"]
        kubectl("delete", "configmap", "second")
        assert watching.stdout.readline().split()[:2] == ["second", "1"]


def test_get_watch_of_one_object_as_events(kubectl: Kubectl) -> None:
    kubectl.create(configmap("one"))
    arguments = ("get", "configmap", "one", "--watch-only", "--output-watch-events", "-o", "json")
    with kubectl.background(*arguments) as watching:
        assert watching.stdout is not None
        kubectl.create(configmap("other"))
        decoder = json.JSONDecoder()
        text = ""
        for change in range(50):
            kubectl("annotate", "configmap", "one", f"a={change}", "--overwrite")
            # The watch begins at some moment during these changes; the first event after it.
            while line := watching.stdout.readline():
                text += line
                try:
                    event, _ = decoder.raw_decode(text)
                except ValueError:
                    continue
                assert event["type"] == "MODIFIED"
                assert event["object"]["metadata"]["name"] == "one"
                return


def test_get_raw_is_the_servers_own_answer(admin: Kubectl, namespace: str) -> None:
    shown = json.loads(admin("get", "--raw", f"/api/v1/namespaces/{namespace}"))
    assert (shown["kind"], shown["metadata"]["name"]) == ("Namespace", namespace)
    assert admin("get", "--raw", "/readyz") == "ok"
    refused = admin.fails("get", "--raw", "/api/v1/nonsense")
    assert (
        refused
        == "Error from server (NotFound): the server could not find the requested resource\n"
    )


def test_describe_shows_each_kind(kubectl: Kubectl, admin: Kubectl, some_node: str) -> None:
    kubectl.create(pod("p", labels={"app": "x"}), deployment("d"), service("s"))
    shown = kubectl("describe", "pod", "p")
    assert re.search(r"^Name: +p$", shown, re.MULTILINE)
    assert re.search(r"^Labels: +app=x$", shown, re.MULTILINE)
    assert re.search(r"^Status: +Pending$", shown, re.MULTILINE)
    assert "nginx:1.27" in shown
    shown = kubectl("describe", "deployment", "d")
    assert re.search(r"^Selector: +app=d$", shown, re.MULTILINE)
    assert "2 desired | 0 updated | 0 total | 0 available | 0 unavailable" in shown
    assert "25% max unavailable, 25% max surge" in shown
    shown = kubectl("describe", "service", "s")
    assert re.search(r"^Type: +ClusterIP$", shown, re.MULTILINE)
    shown = admin("describe", "node", some_node)
    assert re.search(r"^Labels: +zone=a$", shown, re.MULTILINE)
    assert "node.kubernetes.io/not-ready:NoSchedule" in shown
    shown = admin("describe", "namespace", kubectl.namespace)
    assert re.search(r"^Status: +Active$", shown, re.MULTILINE)
    assert "No resource quota." in shown


def test_describe_shows_the_events_of_an_object(kubectl: Kubectl) -> None:
    kubectl.create(pod("p"))
    uid = kubectl.get("pod", "p")["metadata"]["uid"]
    reference = {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": "p",
        "namespace": kubectl.namespace,
        "uid": uid,
    }
    kubectl.create(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": "p.1"},
            "involvedObject": reference,
            "reason": "Tested",
            "message": "all is well",
            "type": "Normal",
            "source": {"component": "test"},
            "firstTimestamp": "2026-01-01T00:00:00Z",
            "lastTimestamp": "2026-01-01T00:00:00Z",
            "count": 1,
        }
    )
    assert re.search(r"Normal +Tested +\S+ +test +all is well", kubectl("describe", "pod", "p"))
    assert "all is well" in kubectl("events", "--for", "pod/p")
