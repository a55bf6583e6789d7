"""CustomResourceDefinition: defaults, deletion, names, versions, schemas."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.registry.strategy import Object
from tests.unit.kindtools import context
from tests.unit.platformtools import create, strategy_of, update

GROUP, RESOURCE = "apiextensions.k8s.io", "customresourcedefinitions"
SCHEMA_PATH = "spec.validation.openAPIV3Schema"


def version(name: str = "v1", **fields: Any) -> dict[str, Any]:
    schema = {"openAPIV3Schema": {"type": "object"}}
    return {"name": name, "served": True, "storage": True, "schema": schema, **fields}


def definition(*versions: dict[str, Any], **spec: Any) -> tuple[Object, list[str]]:
    fields = {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "things", "kind": "Thing"},
        "versions": list(versions) or [version()],
    }
    return create(GROUP, RESOURCE, metadata={"name": "things.example.com"}, spec=fields | spec)


def with_schema(schema: dict[str, Any], **fields: Any) -> list[str]:
    """Return the causes against a schema, without the path to it."""
    found = definition(version(schema={"openAPIV3Schema": schema}, **fields))[1]
    return [cause.replace(SCHEMA_PATH, "").replace(" .", " ").strip() for cause in found]


def prop(**schema: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"p": schema}}


def test_names_conversion_and_stored_versions_are_defaulted() -> None:
    obj, found = definition()
    assert found == []
    assert obj["spec"]["names"] == {
        "plural": "things",
        "kind": "Thing",
        "singular": "thing",
        "listKind": "ThingList",
    }
    assert obj["spec"]["conversion"] == {"strategy": "None"}
    assert obj["status"] == {
        "conditions": None,
        "acceptedNames": {"plural": "", "kind": ""},
        "storedVersions": ["v1"],
    }


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"scope": ""}, ["Required spec.scope"]),
        ({"scope": "Odd"}, ["NotSupported spec.scope"]),
        ({"group": "nodots"}, ["Invalid metadata.name", "Invalid spec.group"]),
        (
            {"names": {"plural": "things", "kind": "T", "listKind": "T"}},
            ["Invalid spec.names.listKind"],
        ),
        ({"preserveUnknownFields": True}, ["Invalid spec.preserveUnknownFields"]),
        (
            {"conversion": {"strategy": "Webhook"}},
            [
                "Required spec.conversion.webhookClientConfig",
                "Required spec.conversion.conversionReviewVersions",
            ],
        ),
        (
            {"conversion": {"strategy": "None", "webhook": {"conversionReviewVersions": ["v1"]}}},
            ["Forbidden spec.conversion.conversionReviewVersions"],
        ),
    ],
)
def test_a_definition_gives_these_causes(spec: dict[str, Any], expected: list[str]) -> None:
    assert definition(**spec)[1] == expected


def test_a_protected_group_needs_approval() -> None:
    meta: dict[str, Any] = {"name": "things.x.k8s.io"}
    path = "metadata.annotations[api-approved.kubernetes.io]"
    for text, expected in (
        ("", [f"Required {path}"]),
        ("because", [f"Invalid {path}"]),
        ("unapproved, test", []),
        ("https://github.com/kubernetes/kubernetes/pull/1", []),
    ):
        annotations = {"api-approved.kubernetes.io": text}
        spec = definition()[0]["spec"] | {"group": "x.k8s.io"}
        found = create(GROUP, RESOURCE, metadata=meta | {"annotations": annotations}, spec=spec)[1]
        assert found == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"schema": None}, ["Required spec.versions[0].schema.openAPIV3Schema"]),
        ({"name": "V_"}, ["Invalid spec.versions[0].name", "Invalid spec.version"]),
        ({"deprecationWarning": "x"}, ["Invalid spec.versions[0].deprecationWarning"]),
        ({"deprecated": True, "deprecationWarning": "x"}, []),
        (
            {"subresources": {"scale": {"specReplicasPath": ".status.a"}}},
            [
                "Invalid spec.subresources.scale.specReplicasPath",
                "Required spec.subresources.scale.statusReplicasPath",
            ],
        ),
        (
            {"additionalPrinterColumns": [{"name": "A", "type": "odd", "jsonPath": "a"}]},
            [
                "Invalid spec.additionalPrinterColumns[0].type",
                "Invalid spec.additionalPrinterColumns[0].JSONPath",
            ],
        ),
        (
            {"selectableFields": [{"jsonPath": ".spec.nope"}, {"jsonPath": ""}]},
            [
                "Invalid spec.selectableFields[0].jsonPath",
                "Required spec.selectableFields[1].jsonPath",
            ],
        ),
    ],
)
def test_a_version_gives_these_causes(fields: dict[str, Any], expected: list[str]) -> None:
    assert definition(version(**fields))[1] == expected


def test_what_differs_between_versions_is_told_in_each() -> None:
    schema = {"openAPIV3Schema": {"type": "object", "nullable": True}}
    found = definition(version(), version("v2", storage=False, schema=schema))[1]
    assert found == ["Forbidden spec.versions[1].schema.openAPIV3Schema.nullable"]
    found = definition(version(), version("v1"))[1]
    assert found == ["Invalid spec.versions", "Invalid spec.versions"]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "array", "items": {"type": "string"}}, ["Invalid type"]),
        ({"properties": {}}, ["Required type"]),
        (prop(), ["Required properties[p].type"]),
        (prop(**{"x-kubernetes-preserve-unknown-fields": True}), []),
        (prop(**{"x-kubernetes-preserve-unknown-fields": False}), [
            "Invalid properties[p].x-kubernetes-preserve-unknown-fields"
        ]),
        (prop(**{"x-kubernetes-int-or-string": True}), []),
        (prop(type="array"), ["Required properties[p].items"]),
        (prop(type="text"), ["NotSupported properties[p].type"]),
        (prop(type="string", pattern="("), ["Invalid properties[p].pattern"]),
        (prop(type="string", oneOf=[{"type": "string"}]), [
            "Forbidden properties[p].oneOf[0].type"
        ]),
        (prop(**{
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
        }), []),
        ({"type": "object", "allOf": [{"properties": {"q": {"minimum": 1}}}]}, [
            "Required properties[q]"
        ]),
        ({"type": "object", "additionalProperties": {"type": "string"}}, [
            "Forbidden additionalProperties"
        ]),
        (prop(type="object", additionalProperties=False, properties={"q": {"type": "string"}}), [
            "Forbidden properties[p].additionalProperties"
        ]),
        ({"type": "object", "properties": {"metadata": {"type": "object", "maxProperties": 1}}}, [
            "Forbidden properties[metadata]"
        ]),
        ({"type": "object", "properties": {"metadata": {
            "type": "object", "properties": {"name": {"type": "string", "maxLength": 3}},
        }}}, []),
        (prop(**{"$ref": "#/x"}), ["Forbidden properties[p].$ref"]),
        (prop(type="object", **{"x-kubernetes-embedded-resource": True}), [
            "Required properties[p].properties"
        ]),
        (prop(type="string", **{"x-kubernetes-list-type": "set"}), ["Invalid properties[p].type"]),
        (prop(type="array", items={"type": "object"}, **{"x-kubernetes-list-type": "set"}), [
            "Invalid properties[p].items.x-kubernetes-map-type"
        ]),
        (prop(type="array", items={"type": "object"}, **{"x-kubernetes-list-type": "map"}), [
            "Required properties[p].x-kubernetes-list-map-keys"
        ]),
        (prop(
            type="array",
            items={"type": "object", "properties": {"k": {"type": "string"}}},
            **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k", "k", "l"]},
        ), [
            "Invalid properties[p].x-kubernetes-list-map-keys",
            "Invalid properties[p].x-kubernetes-list-map-keys",
            "Required properties[p].items.properties[k].default",
            "Required properties[p].items.properties[k].default",
        ]),
        (prop(type="string", default="x"), []),
        (prop(type="string", default=5), ["TypeInvalid properties[p].default"]),
        (prop(type="object", default={"q": 1}), ["Invalid properties[p].default"]),
        ({"type": "object", "properties": {"metadata": {
            "type": "object", "properties": {"name": {"type": "string", "default": "x"}},
        }}}, ["Forbidden properties[metadata].properties[name].default"]),
    ],
)  # fmt: skip
def test_a_schema_gives_these_causes(schema: dict[str, Any], expected: list[str]) -> None:
    assert with_schema(schema) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"rule": "true"}, []),
        ({"rule": " "}, ["Required x-kubernetes-validations[0].rule"]),
        ({"rule": "a\nb"}, ["Required x-kubernetes-validations[0].message"]),
        ({"rule": "true", "reason": "Odd"}, ["NotSupported x-kubernetes-validations[0].reason"]),
        ({"rule": "true", "fieldPath": ".p"}, []),
        ({"rule": "true", "fieldPath": "['p']"}, []),
        ({"rule": "true", "fieldPath": ".q"}, ["Invalid x-kubernetes-validations[0].fieldPath"]),
        (
            {"rule": "true", "messageExpression": " "},
            ["Required x-kubernetes-validations[0].messageExpression"],
        ),
    ],
)
def test_the_form_of_a_cel_rule_is_checked(rule: dict[str, Any], expected: list[str]) -> None:
    assert with_schema({**prop(type="string"), "x-kubernetes-validations": [rule]}) == expected


def test_the_root_says_little_where_the_status_is_a_subresource() -> None:
    schema = {"type": "object", "maxProperties": 3}
    assert with_schema(schema, subresources={"status": {}}) == ["Invalid"]
    assert with_schema(schema) == []


def test_an_unknown_format_warns_once() -> None:
    schema = prop(type="string", format="odd")
    obj, found = definition(version(schema={"openAPIV3Schema": schema}))
    strategy = strategy_of(GROUP, RESOURCE)
    assert found == []
    assert strategy.warn_on_create(context(), obj) == ['unrecognized format "odd"']
    assert strategy.warn_on_update(context(), obj, obj) == []


def established() -> Object:
    obj, _ = definition()
    obj["status"]["conditions"] = [{"type": "Established", "status": "True"}]
    return obj


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"scope": "Cluster"}, ["Invalid spec.scope"]),
        ({"group": "other.com"}, ["Invalid spec.group"]),
        ({"names": {"kind": "Other"}}, ["Invalid spec.names.kind"]),
        ({"names": {"shortNames": ["t"], "listKind": "Things"}}, []),
        ({"versions": [version("v2")]}, ["Invalid status.storedVersions[0]"]),
    ],
)
def test_an_established_definition_keeps_what_its_resources_are_stored_by(
    spec: dict[str, Any], expected: list[str]
) -> None:
    assert update(GROUP, RESOURCE, established(), {"spec": spec})[1] == expected


def test_a_new_storage_version_joins_the_stored_ones() -> None:
    versions = [version(storage=False), version("v2")]
    old = established()
    obj, found = update(GROUP, RESOURCE, old, {"spec": {"versions": versions}})
    assert (obj["status"]["storedVersions"], found) == (["v1", "v2"], [])
    assert old["status"]["storedVersions"] == ["v1"]


def test_a_deletion_waits_for_the_custom_resources() -> None:
    strategy, obj = strategy_of(GROUP, RESOURCE), established()
    assert strategy.is_held(obj)
    for _ in range(2):  # a second DELETE changes nothing
        # What the store does to an object that something holds.
        obj["metadata"] |= {"generation": 2, "deletionTimestamp": "x"}
        obj["metadata"]["deletionGracePeriodSeconds"] = 0
        strategy.mark_deleting(obj)
        assert not strategy.is_held(obj)
        assert [one["type"] for one in obj["status"]["conditions"]] == [
            "Established",
            "Terminating",
        ]
        assert obj["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
