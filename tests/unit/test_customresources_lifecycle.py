"""Definitions: the status they are given, what they print, and how paths are read."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.customresources.definition import ScalePaths, read_definition
from services.apiserver.customresources.jsonpath import JsonPath, JsonPathError
from services.apiserver.customresources.lifecycle import settled_status
from services.apiserver.customresources.printer import CustomPrinter
from services.apiserver.customresources.scale import CustomScale, validate_scale_fields
from services.apiserver.errors import InternalError
from tests.unit.kindtools import NOW, shown


def crd(plural: str = "widgets", group: str = "example.com", **names: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": f"{plural}.{group}", "uid": plural, "generation": 1},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {
                "plural": plural,
                "singular": plural[:-1],
                "kind": "Widget",
                "listKind": "WidgetList",
                **names,
            },
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object"}},
                }
            ],
        },
    }


def summary(status: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(one["type"], one["status"], one["reason"]) for one in status["conditions"]]


def test_a_definition_without_rivals_is_established() -> None:
    status = settled_status(crd(shortNames=["wd"]), [], NOW)
    assert summary(status) == [
        ("NamesAccepted", "True", "NoConflicts"),
        ("Established", "True", "InitialNamesAccepted"),
    ]
    assert status["acceptedNames"] == {
        "plural": "widgets",
        "singular": "widget",
        "shortNames": ["wd"],
        "kind": "Widget",
        "listKind": "WidgetList",
    }
    assert status["storedVersions"] == ["v1"]


def test_a_settled_status_stays_as_it_is() -> None:
    one = crd()
    one["status"] = settled_status(one, [], NOW)
    assert settled_status(one, [], "2030-01-01T00:00:00Z") == one["status"]


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ({"kind": "Gadget", "listKind": "GadgetList", "shortNames": ["wd"]}, "ShortNamesConflict"),
        ({"listKind": "GadgetList"}, "KindConflict"),
        ({"kind": "Gadget"}, "ListKindConflict"),
        ({}, "ListKindConflict"),
        ({"kind": "Gadget", "listKind": "GadgetList", "singular": "widget"}, "SingularConflict"),
    ],
)
def test_a_name_that_is_taken_keeps_a_definition_from_being_established(
    names: dict[str, Any], reason: str
) -> None:
    first = crd(shortNames=["wd"])
    first["status"] = settled_status(first, [], NOW)
    status = settled_status(crd("gadgets", **names), [first], NOW)
    assert summary(status) == [
        ("NamesAccepted", "False", reason),
        ("Established", "False", "NotAccepted"),
    ]


def test_an_established_definition_stays_so_when_it_asks_for_taken_names() -> None:
    first, second = crd(), crd("gadgets", kind="Gadget", listKind="GadgetList")
    for one in (first, second):
        one["status"] = settled_status(one, [], NOW)
    second["spec"]["names"]["kind"] = "Widget"
    status = settled_status(second, [first], NOW)
    assert summary(status)[0] == ("NamesAccepted", "False", "KindConflict")
    assert summary(status)[1] == ("Established", "True", "InitialNamesAccepted")
    assert status["acceptedNames"]["kind"] == "Gadget"


@pytest.mark.parametrize(
    ("annotation", "status", "reason"),
    [
        ("unapproved, testing", "False", "UnapprovedAnnotation"),
        ("https://example.com/pull/1", "True", "ApprovedAnnotation"),
        ("nonsense", "False", "InvalidAnnotation"),
        ("", "False", "MissingAnnotation"),
    ],
)
def test_protected_groups_tell_whether_they_are_approved(
    annotation: str, status: str, reason: str
) -> None:
    one = crd(group="x.k8s.io")
    one["metadata"]["annotations"] = {"api-approved.kubernetes.io": annotation}
    conditions = summary(settled_status(one, [], NOW))
    assert conditions[2] == ("KubernetesAPIApprovalPolicyConformant", status, reason)


def test_what_is_served_has_the_accepted_names() -> None:
    one = crd()
    one["status"] = settled_status(one, [], NOW)
    one["spec"]["names"]["listKind"] = "Others"
    resource = read_definition(one).resource(read_definition(one).storage_version)
    assert resource.list_kind == "WidgetList"
    assert resource.storage_path == "example.com/widgets"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.size", [3]),
        ("spec.size", [3]),
        ("$.spec.size", [3]),
        (".spec.missing", []),
        (".spec.list[*].n", ["a", "b"]),
        (".spec.list[-1].n", ["b"]),
        (".spec.list[0:1].v", [1]),
        ('.spec.list[?(@.n=="b")].v', [2]),
        (".spec.list[?(@.v>1)].n", ["b"]),
        ("['spec']['size']", [3]),
        (r".labels.a\.b/c", ["d"]),
        ("..n", ["a", "b"]),
    ],
)
def test_a_json_path_finds_values_in_order(path: str, found: list[Any]) -> None:
    obj = {
        "spec": {"size": 3, "list": [{"n": "a", "v": 1}, {"n": "b", "v": 2}]},
        "labels": {"a.b/c": "d"},
    }
    assert JsonPath(path).find(obj) == found


@pytest.mark.parametrize("path", [".a[", ".a[x]", ".a..[", ".a[?(@.b==)]"])
def test_what_is_no_json_path_is_refused(path: str) -> None:
    with pytest.raises(JsonPathError):
        JsonPath(path)


def test_columns_show_the_first_value_in_their_type() -> None:
    kinds = ["integer", "number", "string", "boolean", "date"]
    printer = CustomPrinter(
        [{"name": kind, "type": kind, "jsonPath": ".v"} for kind in kinds]
        + [{"name": "List", "type": "string", "jsonPath": ".l[*]", "description": "all"}]
    )

    def cells(value: Any) -> list[Any]:
        return printer.cells({"metadata": {"name": "x"}, "v": value, "l": ["a", "b"]}, 0.0)[1:]

    assert cells(3) == [3, 3, "3", None, None, "a"]
    assert cells(1.5) == [1, 1.5, "1.5", None, None, "a"]
    assert cells("never") == [None, None, "never", None, "<invalid>", "a"]
    assert cells(True) == [None, None, "true", True, None, "a"]
    assert cells(None) == [None, None, "<no value>", None, None, "a"]
    assert cells({"a": [1]}) == [None, None, '{"a":[1]}', None, None, "a"]
    assert printer.cells({"metadata": {"name": "x"}}, 0.0) == ["x", *[None] * 6]
    assert printer.columns[1]["description"].endswith(": .v")
    assert printer.columns[6]["description"] == "all"


def test_without_columns_name_and_age_are_shown() -> None:
    printer = CustomPrinter([])
    assert [one["name"] for one in printer.columns] == ["Name", "Age"]
    obj = {"metadata": {"name": "x", "creationTimestamp": "1970-01-01T00:00:00Z"}}
    assert printer.cells(obj, 60.0) == ["x", "60s"]


PATHS = ScalePaths.from_json(
    {
        "specReplicasPath": ".spec.counts.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
)


def test_a_scale_shows_and_changes_what_its_paths_lead_to() -> None:
    scale = CustomScale(PATHS)
    obj: dict[str, Any] = {
        "metadata": {"name": "x", "labels": {"a": "b"}},
        "spec": {"counts": {"replicas": 2}, "other": 1},
        "status": {"replicas": 1, "selector": "a=b"},
    }
    seen = scale.to_scale(obj, None)  # type: ignore[arg-type]
    assert seen["spec"] == {"replicas": 2}
    assert seen["status"] == {"replicas": 1, "selector": "a=b"}
    changed = scale.apply(obj, {"spec": {"replicas": 5}})
    assert changed["spec"] == {"counts": {"replicas": 5}, "other": 1}
    assert obj["spec"]["counts"]["replicas"] == 2


def test_an_object_without_replicas_has_no_scale_but_can_be_given_one() -> None:
    scale = CustomScale(PATHS)
    bare: dict[str, Any] = {"metadata": {"name": "x"}}
    with pytest.raises(InternalError):
        scale.to_scale(bare, None)  # type: ignore[arg-type]
    assert scale.before_patch(bare, None)["spec"] == {}  # type: ignore[arg-type]
    assert scale.apply(bare, {"spec": {"replicas": 3}})["spec"] == {"counts": {"replicas": 3}}


def test_negative_replicas_are_told_with_the_path_as_it_is_written() -> None:
    obj = {"spec": {"counts": {"replicas": -1}}, "status": {"replicas": 1}}
    assert shown(validate_scale_fields(obj, PATHS)) == ["Invalid .spec.counts.replicas"]
