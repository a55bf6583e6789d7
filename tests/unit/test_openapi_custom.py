"""Custom resources' schemas, as they are published."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.openapi.custom import custom_schemas
from services.apiserver.openapi.documents import build_v3
from services.apiserver.openapi.operations import resource_operations
from shared.resources import Resource, custom_resource

Schema = dict[str, Any]


def widgets(**more: Any) -> Resource:
    return custom_resource(
        group="example.com",
        version="v1",
        plural="widgets",
        kind="Widget",
        namespaced=True,
        storage_version="v1",
        **more,
    )


def published(schema: Schema | None, *, v2: bool = False, **more: Any) -> Schema:
    return dict(custom_schemas(widgets(**more), schema, v2=v2))["com.example.v1.Widget"]


def field(schema: Schema, *, v2: bool = False) -> Schema:
    """Return how a field's schema is published."""
    found: Schema = published({"type": "object", "properties": {"f": schema}}, v2=v2)
    return dict(found["properties"]["f"])


def test_a_schema_becomes_a_kubernetes_object() -> None:
    schema = published({"type": "object", "properties": {"spec": {"type": "string"}}})
    assert set(schema["properties"]) == {"apiVersion", "kind", "metadata", "spec"}
    meta = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    assert schema["properties"]["metadata"]["allOf"] == [{"$ref": meta}]
    assert schema["x-kubernetes-group-version-kind"] == [
        {"group": "example.com", "version": "v1", "kind": "Widget"}
    ]


def test_without_a_schema_nothing_is_said_of_fields() -> None:
    assert "properties" not in published(None)
    preserving = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    assert "properties" not in published(preserving, v2=True)
    assert "metadata" in published(preserving)["properties"]


def test_the_list_refers_to_the_object() -> None:
    schema = dict(custom_schemas(widgets(), None, v2=False))["com.example.v1.WidgetList"]
    items = schema["properties"]["items"]["items"]
    assert items == {"$ref": "#/components/schemas/com.example.v1.Widget"}
    assert schema["x-kubernetes-group-version-kind"][0]["kind"] == "WidgetList"


def test_selectable_fields_are_told() -> None:
    schema = published(None, selectable_fields=[".spec.color"])
    assert schema["x-kubernetes-selectable-fields"] == [{"fieldPath": "spec.color"}]


EITHER = [{"type": "integer"}, {"type": "string"}]
INT_OR_STRING = {"x-kubernetes-int-or-string": True}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"anyOf": EITHER}),
        ({"anyOf": EITHER}, {"anyOf": EITHER}),
        (
            {"anyOf": [{"minimum": 1}]},
            {"anyOf": [{"minimum": 1}], "allOf": [{"anyOf": EITHER}]},
        ),
        ({"allOf": [{"anyOf": EITHER}]}, {"allOf": [{"anyOf": EITHER}]}),
    ],
)
def test_int_or_string_is_written_out(given: Schema, expected: Schema) -> None:
    assert field({**INT_OR_STRING, **given}) == {**INT_OR_STRING, **expected}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "string", "nullable": True}, {}),
        (
            {"type": "integer", "oneOf": [{"minimum": 1}], "not": {"maximum": 0}},
            {"type": "integer"},
        ),
        (
            {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            {"x-kubernetes-preserve-unknown-fields": True},
        ),
        (INT_OR_STRING, INT_OR_STRING),
        (
            {
                "type": "object",
                "required": ["a", "b"],
                "properties": {"a": {"nullable": True}, "b": {"type": "string"}},
            },
            {
                "type": "object",
                "required": ["b"],
                "properties": {"a": {}, "b": {"type": "string"}},
            },
        ),
    ],
)
def test_version_2_leaves_out_what_it_cannot_say(given: Schema, expected: Schema) -> None:
    assert field(given, v2=True) == expected


def test_embedded_resources_get_the_fields_of_objects() -> None:
    embedded = field({"type": "object", "x-kubernetes-embedded-resource": True})
    assert set(embedded["properties"]) == {"apiVersion", "kind", "metadata"}
    assert embedded["required"] == ["kind", "apiVersion"]


def test_the_source_schema_is_not_changed() -> None:
    source = {"type": "object", "properties": {"f": {"nullable": True, "type": "string"}}}
    before = repr(source)
    published(source)
    published(source, v2=True)
    assert repr(source) == before


def test_custom_documents_are_titled_and_operate_without_protobuf() -> None:
    resource = widgets(status=True, scale=True)
    document = build_v3(resource_operations(resource), {resource: {"type": "object"}})
    assert document["info"]["title"] == "Kubernetes CRD Swagger"
    assert "securitySchemes" not in document["components"]
    item = document["paths"]["/apis/example.com/v1/namespaces/{namespace}/widgets/{name}"]
    assert list(item["get"]["responses"]["200"]["content"]) == [
        "application/json",
        "application/yaml",
    ]
    assert "201" not in item["patch"]["responses"]
    scale = document["paths"]["/apis/example.com/v1/namespaces/{namespace}/widgets/{name}/scale"][
        "put"
    ]
    body = scale["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/io.k8s.api.autoscaling.v1.Scale"}
    assert scale["x-kubernetes-group-version-kind"]["kind"] == "Widget"
    assert not any("/watch/" in path for path in document["paths"])
