"""Tables and partial metadata have the shapes that kube-apiserver answers with."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.printers import columns, partial, partial_list, table
from services.apiserver.printers.descriptions import (
    describe,
    extract,
    named_fields,
    published_definitions,
)
from services.apiserver.printers.duration import parse_time
from services.apiserver.printers.kinds import PRINTERS

NOW = parse_time("2026-01-01T01:00:00Z")
CONFIG_MAP = ("", "ConfigMap")
META = {"resourceVersion": "9"}


def config_map(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "resourceVersion": "7",
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "data": {"a": "1"},
        "binaryData": {"b": "Mg=="},
    }


def test_a_table_has_the_kinds_columns_and_a_row_an_object() -> None:
    meta = {"resourceVersion": "9", "continue": "token", "remainingItemCount": 1}
    answer = table(CONFIG_MAP, [config_map("a")], meta, include_object="Metadata", now=NOW)
    assert answer == {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": [
            {
                "name": "Name",
                "type": "string",
                "format": "name",
                "description": describe("apimachinery.pkg.apis.meta.v1.ObjectMeta.name"),
                "priority": 0,
            },
            {
                "name": "Data",
                "type": "string",
                "format": "",
                "description": describe("api.core.v1.ConfigMap.data"),
                "priority": 0,
            },
            {
                "name": "Age",
                "type": "string",
                "format": "",
                "description": describe(
                    "apimachinery.pkg.apis.meta.v1.ObjectMeta.creationTimestamp"
                ),
                "priority": 0,
            },
        ],
        "rows": [
            {
                "cells": ["a", 2, "60m"],
                "object": {
                    "kind": "PartialObjectMetadata",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": config_map("a")["metadata"],
                },
            }
        ],
    }


def test_an_empty_continue_token_of_a_custom_resources_list_is_left_out() -> None:
    meta = {"resourceVersion": "9", "continue": ""}
    answer = table(CONFIG_MAP, [], meta, include_object="None", now=NOW)
    assert answer["metadata"] == {"resourceVersion": "9"}
    assert partial_list([], meta)["metadata"] == {"resourceVersion": "9"}


def test_rows_carry_what_include_object_says() -> None:
    obj = config_map("a")
    none = table(CONFIG_MAP, [obj], META, include_object="None", now=NOW)
    whole = table(CONFIG_MAP, [obj], META, include_object="Object", now=NOW)
    assert none["rows"][0]["object"] is None
    assert whole["rows"][0]["object"] == obj


def test_rows_carry_whole_objects_in_the_version_asked_for() -> None:
    answer = table(
        CONFIG_MAP,
        [config_map("a")],
        META,
        include_object="Object",
        now=NOW,
        convert=lambda obj: {**obj, "apiVersion": "v0"},
    )
    assert answer["rows"][0]["object"]["apiVersion"] == "v0"


def test_flow_schemas_are_listed_in_the_order_they_match() -> None:
    schemas = [
        {"metadata": {"name": name}, "spec": {"matchingPrecedence": precedence}}
        for name, precedence in (("c", 9), ("b", 1), ("a", 9))
    ]
    key = ("flowcontrol.apiserver.k8s.io", "FlowSchema")
    answer = table(key, schemas, META, include_object="None", now=NOW)
    assert [row["cells"][0] for row in answer["rows"]] == ["b", "a", "c"]


def test_an_empty_table_has_rows_for_kinds_with_a_printer_and_null_for_others() -> None:
    with_printer = table(CONFIG_MAP, [], META, include_object="Metadata", now=NOW)
    without = table(("", "LimitRange"), [], META, include_object="Metadata", now=NOW)
    assert with_printer["rows"] == []
    assert without["rows"] is None
    assert [one["name"] for one in without["columnDefinitions"]] == ["Name", "Created At"]


@pytest.mark.parametrize(
    "key",
    [
        ("", "LimitRange"),
        ("rbac.authorization.k8s.io", "Role"),
        ("rbac.authorization.k8s.io", "ClusterRole"),
        ("storage.k8s.io", "CSIStorageCapacity"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ],
)
def test_kinds_without_a_printer_show_when_they_were_created(key: tuple[str, str]) -> None:
    obj = {"metadata": {"name": "x", "creationTimestamp": "2026-01-01T00:00:00Z"}}
    answer = table(key, [obj, {"metadata": {}}], META, include_object="None", now=NOW)
    assert [row["cells"] for row in answer["rows"]] == [
        ["x", "2026-01-01T00:00:00Z"],
        ["", "0001-01-01T00:00:00Z"],
    ]


def test_later_events_of_a_watch_have_no_columns() -> None:
    answer = table(
        CONFIG_MAP, [config_map("a")], META, include_object="None", now=NOW, with_columns=False
    )
    assert answer["columnDefinitions"] is None


def test_a_bookmark_is_a_row_of_empty_cells() -> None:
    bookmark = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"resourceVersion": "12"}}
    answer = table(
        CONFIG_MAP, [bookmark], {"resourceVersion": "12"}, include_object="Metadata", now=NOW
    )
    assert answer["rows"] == [{"cells": ["", 0, "<unknown>"], "object": partial(bookmark)}]


@pytest.mark.parametrize("key", sorted(PRINTERS))
def test_every_kind_renders_an_object_that_holds_nothing(key: tuple[str, str]) -> None:
    bookmark = {"kind": key[1], "apiVersion": "v1", "metadata": {"resourceVersion": "12"}}
    answer = table(key, [bookmark], META, include_object="None", now=NOW)
    cells = answer["rows"][0]["cells"]
    # An IPAddress has an Age cell without a column, in kube-apiserver too.
    assert len(cells) == len(columns(*key)) + (key[1] == "IPAddress")
    assert all(isinstance(cell, str | int | bool) for cell in cells)


@pytest.mark.parametrize("key", sorted(PRINTERS))
def test_every_kind_renders_an_object_whose_parts_are_null(key: tuple[str, str]) -> None:
    obj = {"metadata": {"name": "x"}, "spec": None, "status": None, "data": None, "subsets": None}
    table(key, [obj], META, include_object="None", now=NOW)


def test_the_older_meta_version_is_kept_throughout() -> None:
    version = "meta.k8s.io/v1beta1"
    answer = table(
        CONFIG_MAP,
        [config_map("a")],
        META,
        include_object="Metadata",
        now=NOW,
        api_version=version,
    )
    assert answer["apiVersion"] == answer["rows"][0]["object"]["apiVersion"] == version


def test_a_partial_object_is_its_metadata() -> None:
    assert partial(config_map("a")) == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": config_map("a")["metadata"],
    }


def test_a_partial_list_holds_partial_objects_with_their_kind() -> None:
    assert partial_list([config_map("a")], META) == {
        "kind": "PartialObjectMetadataList",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": META,
        "items": [partial(config_map("a"))],
    }


def test_an_empty_partial_list_has_null_items() -> None:
    assert partial_list([], META)["items"] is None


def test_the_descriptions_of_columns_are_those_of_the_published_definitions() -> None:
    fields = named_fields()
    assert {field: describe(field) for field in fields} == extract(published_definitions(), fields)
