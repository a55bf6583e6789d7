"""The published OpenAPI documents: complete, consistent, and as kube-apiserver prints them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from services.apiserver.openapi.documents import build_v2, build_v3
from services.apiserver.openapi.operationids import operation_id, tag_of
from services.apiserver.openapi.operations import (
    Operation,
    document_operations,
    resource_operations,
)
from shared.resources import builtin_table

TABLE = builtin_table()
METHODS = ("get", "put", "post", "delete", "options", "head", "patch")

Document = dict[str, Any]


def operations(group: str, version: str) -> list[Operation]:
    path = f"/apis/{group}/{version}/" if group else f"/api/{version}/"
    found = list(document_operations(path))
    for resource in TABLE.in_version(group, version):
        found += resource_operations(resource)
    return found


@pytest.fixture(scope="module")
def core() -> Document:
    return build_v3(operations("", "v1"), {})


@pytest.fixture(scope="module")
def apps() -> Document:
    return build_v3(operations("apps", "v1"), {})


@pytest.fixture(scope="module")
def swagger() -> Document:
    everything = [
        one
        for group in ("", *(group.name for group in TABLE.groups()))
        for version in (["v1"] if not group else TABLE.group(group).versions)  # type: ignore[union-attr]
        for one in operations(group, version)
    ]
    return build_v2(everything, {})


def refs(value: Any, *, named: bool = False) -> Iterator[str]:
    """Yield every $ref; `named`: the keys of `value` are names, not keywords."""
    if isinstance(value, dict):
        if not named and isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for key, inner in value.items():
            yield from refs(inner, named=not named and key in ("properties", "definitions"))
    elif isinstance(value, list):
        for inner in value:
            yield from refs(inner)


def resolve(document: Document, ref: str) -> Any:
    found: Any = document
    for part in ref.removeprefix("#/").split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def methods_of(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


@pytest.mark.parametrize("name", ["core", "apps", "swagger"])
def test_every_reference_resolves(name: str, request: pytest.FixtureRequest) -> None:
    document = request.getfixturevalue(name)
    found = set(refs(document))
    assert len(found) > 50
    for ref in found:
        resolve(document, ref)


@pytest.mark.parametrize("name", ["core", "apps", "swagger"])
def test_operation_ids_are_unique(name: str, request: pytest.FixtureRequest) -> None:
    ids = [
        operation["operationId"] for _, _, operation in methods_of(request.getfixturevalue(name))
    ]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", ["core", "apps", "swagger"])
def test_every_path_variable_is_a_parameter(name: str, request: pytest.FixtureRequest) -> None:
    document = request.getfixturevalue(name)
    for path, _, operation in methods_of(document):
        parameters = document["paths"][path].get("parameters", []) + operation.get("parameters", [])
        parameters = [resolve(document, p["$ref"]) if "$ref" in p else p for p in parameters]
        in_path = {p["name"] for p in parameters if p["in"] == "path"}
        assert in_path == {part[1:-1] for part in path.split("/") if part.startswith("{")}
        assert len(parameters) == len({(p["name"], p["in"]) for p in parameters})


def test_a_struct_by_value_defaults_to_an_empty_object_behind_allof(core: Document) -> None:
    spec = core["components"]["schemas"]["io.k8s.api.core.v1.Pod"]["properties"]["spec"]
    assert spec["allOf"] == [{"$ref": "#/components/schemas/io.k8s.api.core.v1.PodSpec"}]
    assert spec["default"] == {}
    assert "$ref" not in spec


def test_a_pointer_has_no_default(core: Document) -> None:
    schemas = core["components"]["schemas"]
    context = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["securityContext"]
    assert "default" not in context
    assert "default" not in schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["hostUsers"]


@pytest.mark.parametrize(
    ("definition", "field", "default"),
    [
        ("Container", "name", ""),
        ("ContainerPort", "protocol", "TCP"),
        ("ContainerPort", "containerPort", 0),
        ("ContainerStatus", "ready", False),
        ("LocalObjectReference", "name", ""),
        ("ReplicationControllerSpec", "replicas", 1),
        ("GRPCAction", "service", ""),
        ("AzureDiskVolumeSource", "readOnly", False),
    ],
)
def test_scalars_have_the_defaults_of_their_go_types(
    core: Document, definition: str, field: str, default: object
) -> None:
    schema = core["components"]["schemas"][f"io.k8s.api.core.v1.{definition}"]
    assert schema["properties"][field]["default"] == default


def test_swagger_has_no_defaults_and_no_nullable_types(swagger: Document) -> None:
    pod = swagger["definitions"]["io.k8s.api.core.v1.Pod"]
    assert pod["type"] == "object"
    assert "default" not in pod["properties"]["spec"]
    assert pod["properties"]["spec"]["$ref"] == "#/definitions/io.k8s.api.core.v1.PodSpec"
    assert "enum" not in pod["properties"]["kind"]


def test_closed_sets_of_values_are_published(core: Document, swagger: Document) -> None:
    for schemas in (core["components"]["schemas"], swagger["definitions"]):
        spec = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]
        assert spec["restartPolicy"]["enum"] == ["Always", "Never", "OnFailure"]
        claim = schemas["io.k8s.api.core.v1.PersistentVolumeClaimSpec"]["properties"]
        assert "ReadWriteOnce" in claim["accessModes"]["items"]["enum"]


def test_numbers_or_strings_are_either(core: Document, swagger: Document) -> None:
    name = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
    schema = core["components"]["schemas"][name]
    assert schema["oneOf"] == [{"type": "integer"}, {"type": "string"}]
    assert schema["format"] == "int-or-string"
    assert swagger["definitions"][name]["type"] == "string"


def test_a_property_named_ref_is_no_reference() -> None:
    document = build_v3(operations("apiextensions.k8s.io", "v1"), {})
    package = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1"
    schema = document["components"]["schemas"][f"{package}.JSONSchemaProps"]
    assert schema["properties"]["$ref"]["type"] == "string"


def test_parameters_that_all_methods_take_stand_at_the_path(core: Document) -> None:
    item = core["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]
    assert [one["name"] for one in item["parameters"]] == ["name", "namespace", "pretty"]
    assert "parameters" not in item["get"]
    patch = [one["name"] for one in item["patch"]["parameters"]]
    assert patch == ["dryRun", "fieldManager", "fieldValidation", "force"]


def test_what_a_delete_answers_with_depends_on_the_kind(core: Document) -> None:
    def answer(path: str) -> str:
        content = core["paths"][path]["delete"]["responses"]["200"]["content"]
        schema = content["application/json"]["schema"]["$ref"]
        return str(schema.rpartition(".")[2])

    assert answer("/api/v1/namespaces/{namespace}/pods/{name}") == "Pod"
    assert answer("/api/v1/namespaces/{namespace}/configmaps/{name}") == "Status"
    assert answer("/api/v1/namespaces/{namespace}/pods") == "Status"


def test_bodies_are_required_but_for_deletes(core: Document) -> None:
    item = core["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]
    assert item["put"]["requestBody"]["required"] is True
    assert "required" not in item["delete"]["requestBody"]
    assert list(item["patch"]["requestBody"]["content"]) == [
        "application/apply-patch+yaml",
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/strategic-merge-patch+json",
    ]


def test_watch_paths_are_published_as_deprecated(core: Document) -> None:
    path = "/api/v1/watch/namespaces/{namespace}/pods/{name}"
    watch = core["paths"][path]["get"]
    assert watch["operationId"] == "watchCoreV1NamespacedPod"
    assert watch["x-kubernetes-action"] == "watch"
    assert "deprecated" in watch["description"]


def test_subresources_name_the_kind_they_take(core: Document, apps: Document) -> None:
    pod = "/api/v1/namespaces/{namespace}/pods/{name}"
    eviction = core["paths"][f"{pod}/eviction"]["post"]
    assert eviction["x-kubernetes-group-version-kind"] == {
        "group": "policy",
        "version": "v1",
        "kind": "Eviction",
    }
    scale = apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"]
    assert scale["get"]["operationId"] == "readAppsV1NamespacedDeploymentScale"
    assert scale["get"]["description"] == "read scale of the specified Deployment"
    connect = core["paths"][f"{pod}/proxy/{{path}}"]
    assert set(METHODS) == set(connect) - {"parameters"}
    assert connect["get"]["operationId"] == "connectCoreV1GetNamespacedPodProxyWithPath"
    log = core["paths"][f"{pod}/log"]["get"]
    assert "text/plain" in log["responses"]["200"]["content"]


def test_shared_parameters_of_swagger_leave_out_what_kubectl_looks_for(swagger: Document) -> None:
    post = swagger["paths"]["/api/v1/namespaces/{namespace}/pods"]["post"]
    plain = [one["name"] for one in post["parameters"] if "$ref" not in one]
    assert plain == ["body", "dryRun", "fieldValidation"]
    assert any(name.startswith("fieldManager-") for name in swagger["parameters"])


def test_every_builtin_kind_is_defined_with_its_gvk(swagger: Document) -> None:
    for resource in TABLE.resources():
        kinds = swagger["definitions"][resource.definition]["x-kubernetes-group-version-kind"]
        group, version, kind = resource.gvk
        assert {"group": group, "version": version, "kind": kind} in kinds


@pytest.mark.parametrize(
    ("operation", "path", "expected"),
    [
        ("listNamespacedPod", "/api/v1", "listCoreV1NamespacedPod"),
        ("deletecollectionJob", "/apis/batch/v1", "deleteBatchV1CollectionJob"),
        ("readRole", "/apis/rbac.authorization.k8s.io/v1", "readRbacAuthorizationV1Role"),
        ("getAPIGroup", "/apis/apps/", "getAppsAPIGroup"),
        ("getAPIVersions", "/apis/", "getAPIVersions"),
        ("getAPIVersions", "/api/", "getCoreAPIVersions"),
        ("getCodeVersion", "/version/", "getCodeVersion"),
    ],
)
def test_operation_ids_have_group_and_version_behind_the_verb(
    operation: str, path: str, expected: str
) -> None:
    assert operation_id(operation, path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1", "core_v1"),
        ("/apis/flowcontrol.apiserver.k8s.io/v1", "flowcontrolApiserver_v1"),
        ("/apis/apps/", "apps"),
        ("/.well-known/openid-configuration/", "WellKnown"),
    ],
)
def test_tags_are_group_and_version(path: str, expected: str) -> None:
    assert tag_of(path) == expected


@pytest.mark.parametrize("name", ["core", "apps", "swagger"])
def test_tools_that_test_apis_can_read_every_operation(
    name: str, request: pytest.FixtureRequest
) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    document = request.getfixturevalue(name)
    loaded = schemathesis.openapi.from_dict(document)
    read = [result.ok().label for result in loaded.get_all_operations()]
    assert len(read) == sum(1 for _ in methods_of(document))
