"""Discovery answers as kube-apiserver's does."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from services.apiserver.discovery import (
    TEXT_NOT_FOUND,
    Discovery,
    DocumentResponse,
    storage_version_hash,
)
from services.apiserver.discovery.accept import parse_accept
from services.apiserver.discovery.protobuf import encode_document
from services.apiserver.errors import ApiError, MethodNotSupported, NotAcceptable, NotFound
from shared.resources import (
    GroupVersionKind,
    RemoteVersion,
    Resource,
    ResourceTable,
    builtin_table,
    custom_resource,
)

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@pytest.fixture
def table() -> ResourceTable:
    return builtin_table()


@pytest.fixture
def discovery(table: ResourceTable) -> Discovery:
    return Discovery(table, "127.0.0.1:6443", ["/healthz", "/version"])


def get(discovery: Discovery, path: str, accept: str | None = None) -> DocumentResponse:
    answer = discovery.answer(path, accept)
    assert answer is not None
    return answer


def body(answer: DocumentResponse) -> Any:
    return json.loads(answer.body)


def header(answer: DocumentResponse, name: bytes) -> str:
    return dict(answer.headers)[name].decode()


def widgets(namespaced: bool = True) -> Resource:
    return custom_resource(
        group="example.com",
        version="v1",
        plural="widgets",
        kind="Widget",
        namespaced=namespaced,
        storage_version="v1",
        status=True,
        scale=True,
    )


def test_api_names_version_and_address_but_no_api_version(discovery: Discovery) -> None:
    document = body(get(discovery, "/api"))
    assert document == {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [
            {"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:6443"}
        ],
    }


def test_a_closing_slash_makes_no_difference(discovery: Discovery) -> None:
    for path in ("/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1", "/version"):
        assert get(discovery, path) == get(discovery, path + "/")


def test_a_group_names_its_versions_and_the_preferred_one(discovery: Discovery) -> None:
    document = body(get(discovery, "/apis/autoscaling"))
    assert document == {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": "autoscaling",
        "versions": [
            {"groupVersion": "autoscaling/v2", "version": "v2"},
            {"groupVersion": "autoscaling/v1", "version": "v1"},
        ],
        "preferredVersion": {"groupVersion": "autoscaling/v2", "version": "v2"},
    }


def test_a_resource_list_puts_subresources_behind_their_resource(discovery: Discovery) -> None:
    document = body(get(discovery, "/apis/apps/v1"))
    assert document["apiVersion"] == "v1"
    entries = {entry["name"]: entry for entry in document["resources"]}
    assert list(entries) == sorted(entries)
    assert entries["deployments/scale"] == {
        "name": "deployments/scale",
        "singularName": "",
        "namespaced": True,
        "group": "autoscaling",
        "version": "v1",
        "kind": "Scale",
        "verbs": ["get", "patch", "update"],
    }
    assert entries["deployments"]["shortNames"] == ["deploy"]
    assert entries["deployments"]["categories"] == ["all"]


def test_the_core_resource_list_has_no_api_version(discovery: Discovery) -> None:
    assert "apiVersion" not in body(get(discovery, "/api/v1"))


def test_the_storage_version_hash_is_kubernetes_own() -> None:
    """The value kube-apiserver publishes for pods."""
    assert storage_version_hash(GroupVersionKind("", "v1", "Pod")) == "xPOwRZ+Yhw8="


def test_aggregated_discovery_is_tagged_and_varies_by_accept(discovery: Discovery) -> None:
    answer = get(discovery, "/apis", AGGREGATED)
    assert header(answer, b"content-type") == AGGREGATED
    assert header(answer, b"vary") == "Accept"
    document = body(answer)
    assert document["kind"] == "APIGroupDiscoveryList"
    assert document["apiVersion"] == "apidiscovery.k8s.io/v2"
    assert document["items"][0]["metadata"] == {"name": "apiregistration.k8s.io"}
    assert "creationTimestamp" not in document["items"][0]["metadata"]


def test_an_unchanged_aggregated_document_is_not_sent_again(
    discovery: Discovery, table: ResourceTable
) -> None:
    etag = header(get(discovery, "/apis", AGGREGATED), b"etag")
    again = discovery.answer("/apis", AGGREGATED, etag)
    assert again is not None
    assert (again.status, again.body) == (304, b"")
    table.add(widgets())
    changed = discovery.answer("/apis", AGGREGATED, etag)
    assert changed is not None
    assert changed.status == 200
    assert header(changed, b"etag") != etag


def test_the_core_group_is_aggregated_without_a_name(discovery: Discovery) -> None:
    [core] = body(get(discovery, "/api", AGGREGATED))["items"]
    assert core["metadata"] == {}
    pods = next(r for r in core["versions"][0]["resources"] if r["resource"] == "pods")
    assert pods["responseKind"] == {"group": "", "version": "", "kind": "Pod"}
    eviction = next(s for s in pods["subresources"] if s["subresource"] == "eviction")
    assert eviction["responseKind"] == {"group": "policy", "version": "v1", "kind": "Eviction"}


def test_custom_resources_carry_their_group_version_in_aggregated_discovery(
    discovery: Discovery, table: ResourceTable
) -> None:
    table.add(widgets())
    group = body(get(discovery, "/apis", AGGREGATED))["items"][-1]
    [resource] = group["versions"][0]["resources"]
    own = {"group": "example.com", "version": "v1", "kind": "Widget"}
    assert resource["responseKind"] == own
    assert [sub["responseKind"] for sub in resource["subresources"]] == [
        own,
        {"group": "autoscaling", "version": "v1", "kind": "Scale"},
    ]


def test_a_stale_remote_version_says_so(discovery: Discovery, table: ResourceTable) -> None:
    entry = {"resource": "nodes", "scope": "Cluster"}
    table.set_remote(RemoteVersion("metrics.k8s.io", "v1beta1", [entry], stale=True))
    group = body(get(discovery, "/apis", AGGREGATED))["items"][-1]
    assert group["versions"] == [{"version": "v1beta1", "resources": [entry], "freshness": "Stale"}]
    assert body(get(discovery, "/apis/metrics.k8s.io"))["name"] == "metrics.k8s.io"
    assert discovery.answer("/apis/metrics.k8s.io/v1beta1") is None


def test_documents_follow_the_table(discovery: Discovery, table: ResourceTable) -> None:
    assert get(discovery, "/apis/example.com") == TEXT_NOT_FOUND
    table.add(widgets())
    assert body(get(discovery, "/apis/example.com"))["name"] == "example.com"
    assert len(body(get(discovery, "/apis/example.com/v1"))["resources"]) == 3
    table.discard(widgets().gvr)
    assert get(discovery, "/apis/example.com/v1") == TEXT_NOT_FOUND


@pytest.mark.parametrize(
    ("path", "accept", "media_type"),
    [
        ("/api", None, "application/json"),
        ("/api", "*/*", "application/json"),
        ("/api", "application/yaml", "application/yaml"),
        ("/api", "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf"),
        ("/api", "application/json;q=0.1,application/yaml", "application/yaml"),
        ("/apis", f"{AGGREGATED},application/json", AGGREGATED),
        ("/apis", f"{AGGREGATED};profile=nopeer", AGGREGATED),
        ("/apis", "application/json;g=apidiscovery.k8s.io;v=v9;as=X,*/*", "application/json"),
        ("/apis/apps", "application/*", "application/json"),
    ],
)
def test_the_media_type_is_negotiated(
    discovery: Discovery, path: str, accept: str | None, media_type: str
) -> None:
    assert header(get(discovery, path, accept), b"content-type") == media_type


@pytest.mark.parametrize(
    ("path", "accept", "details"),
    [
        ("/api", "text/html", {}),
        ("/api/v1", "application/*", {}),
        ("/api/v1", AGGREGATED, None),
        ("/api", "application/json;as=APIGroupDiscoveryList", None),
        ("/apis", "text/html", None),
        ("/apis/apps", AGGREGATED, None),
        ("/apis", AGGREGATED.replace("v2", "v2beta1"), None),
        ("/version", "application/yaml", {}),
    ],
)
def test_what_cannot_be_had_is_not_acceptable(
    discovery: Discovery, path: str, accept: str, details: object
) -> None:
    with pytest.raises(NotAcceptable) as caught:
        discovery.answer(path, accept)
    assert caught.value.details == details


@pytest.mark.parametrize("path", ["/api", "/api/v1", "/apis/apps/v1", "/version"])
def test_only_get_is_served_there(discovery: Discovery, path: str) -> None:
    with pytest.raises(MethodNotSupported):
        discovery.answer(path, method="POST")


@pytest.mark.parametrize("path", ["/", "/apis", "/apis/apps"])
def test_any_method_is_served_there(discovery: Discovery, path: str) -> None:
    assert discovery.answer(path, method="DELETE") == discovery.answer(path)


@pytest.mark.parametrize("path", ["/api/v2", "/apis/apps/v7"])
def test_a_version_missing_in_a_builtin_group_is_a_status(discovery: Discovery, path: str) -> None:
    with pytest.raises(NotFound) as caught:
        discovery.answer(path)
    assert caught.value.details == {}


def test_a_missing_group_is_plain_text(discovery: Discovery) -> None:
    assert get(discovery, "/apis/nope.example.com") == TEXT_NOT_FOUND
    assert get(discovery, "/apis/nope.example.com/v1") == TEXT_NOT_FOUND


def test_an_unserved_version_of_a_custom_group_is_plain_text(
    discovery: Discovery, table: ResourceTable
) -> None:
    table.add(widgets())
    assert get(discovery, "/apis/example.com/v9") == TEXT_NOT_FOUND
    assert discovery.not_found("/apis/example.com/v1/gadgets") == TEXT_NOT_FOUND


def test_other_paths_are_left_to_others(discovery: Discovery) -> None:
    for path in ("/healthz", "/api/v1/pods", "/apis/apps/v1/deployments", "/openapi/v3"):
        assert discovery.answer(path) is None


def test_the_root_lists_paths_in_order(discovery: Discovery) -> None:
    paths = body(get(discovery, "/"))["paths"]
    assert paths == sorted(paths)
    assert {"/api/v1", "/apis/", "/apis/apps/v1", "/healthz", "/version"} <= set(paths)
    assert get(discovery, "/index.html") == get(discovery, "/")


def test_the_version_is_that_of_kubernetes(discovery: Discovery) -> None:
    version = body(get(discovery, "/version"))
    assert (version["major"], version["minor"]) == ("1", "36")
    assert version["gitVersion"] == "v1.36.2"
    assert version["gitCommit"].startswith("kubefan-")
    assert version["gitTreeState"] == ""
    assert "/" in version["platform"]


def test_yaml_holds_the_same_document(discovery: Discovery) -> None:
    as_yaml = yaml.safe_load(get(discovery, "/apis/apps/v1", "application/yaml").body)
    assert as_yaml == body(get(discovery, "/apis/apps/v1"))


def test_pretty_json_is_indented(discovery: Discovery) -> None:
    answer = discovery.answer("/api/v1", pretty=True)
    assert answer is not None
    assert answer.body.startswith(b'{\n  "kind"')


def test_protobuf_is_wrapped_as_kubernetes_objects_are() -> None:
    group = {"groupVersion": "a/v1", "version": "v1"}
    document = {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": "a",
        "versions": [group],
        "preferredVersion": group,
    }
    version = b"\x0a\x04a/v1\x12\x02v1"
    raw = b"\x0a\x01a\x12\x0a" + version + b"\x1a\x0a" + version
    type_meta = b"\x0a\x02v1\x12\x08APIGroup"
    assert encode_document(document) == (
        b"k8s\x00\x0a\x0e" + type_meta + b"\x12" + bytes([len(raw)]) + raw + b"\x1a\x00\x22\x00"
    )


def test_protobuf_nests_the_verbs_of_a_resource() -> None:
    resource = {"name": "x", "namespaced": True, "kind": "X", "verbs": ["get"]}
    document = {"kind": "APIResourceList", "groupVersion": "v1", "resources": [resource]}
    assert b"\x0a\x01x\x10\x01\x1a\x01X\x22\x05\x0a\x03get" in encode_document(document)


def test_accept_clauses_come_by_quality_then_precision() -> None:
    found = parse_accept("*/*, text/*, a/b;q=0.5, c/d; x = 1 ,broken, e/f/g, *")
    assert [(clause.type, clause.subtype) for clause in found] == [
        ("c", "d"),
        ("text", "*"),
        ("*", "*"),
        ("*", "*"),
        ("a", "b"),
    ]
    assert found[0].parameters == {"x": "1"}


def test_errors_are_api_errors(discovery: Discovery) -> None:
    with pytest.raises(ApiError):
        discovery.not_found("/api/v1/nopes")
