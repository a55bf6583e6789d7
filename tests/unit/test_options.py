"""Request options: what is read, and which answers bad ones get."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import pytest

from services.apiserver.errors import ApiError
from services.apiserver.validation.options import (
    DeleteOptions,
    ListOptions,
    WriteOptions,
    parse_create_options,
    parse_delete_options,
    parse_get_resource_version,
    parse_list_options,
    parse_patch_options,
)


def query(text: str) -> dict[str, list[str]]:
    return parse_qs(text, keep_blank_values=True)


def answer(error: ApiError) -> str:
    causes = [f"{cause.reason.removeprefix('FieldValue')} {cause.field}" for cause in error.causes]
    return " ".join([str(error.code), error.reason, *causes]).strip()


def test_create_options_are_read() -> None:
    options = parse_create_options(query("dryRun=All&fieldManager=me&fieldValidation=Strict"))
    assert options == WriteOptions("CreateOptions", True, "me", "Strict")
    assert options.as_object() == {
        "kind": "CreateOptions",
        "apiVersion": "meta.k8s.io/v1",
        "dryRun": ["All"],
        "fieldManager": "me",
        "fieldValidation": "Strict",
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("dryRun=", "422 Invalid NotSupported dryRun"),
        ("dryRun=All&dryRun=Some", "422 Invalid NotSupported dryRun"),
        ("fieldValidation=sometimes", "422 Invalid NotSupported fieldValidation"),
        ("fieldManager=a%0ab", "422 Invalid Invalid fieldManager"),
        ("fieldManager=" + "a" * 129, "422 Invalid TooLong fieldManager"),
    ],
)
def test_bad_create_options_are_told_about_their_kind(text: str, told: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_create_options(query(text))
    assert answer(caught.value) == told
    assert caught.value.details == {"group": "meta.k8s.io", "kind": "CreateOptions"}


def test_force_belongs_to_apply_which_needs_a_manager() -> None:
    assert parse_patch_options(query("force=maybe&fieldManager=a"), apply=True).force is True
    with pytest.raises(ApiError) as caught:
        parse_patch_options(query("force=true"), apply=False)
    assert answer(caught.value) == "422 Invalid Forbidden force"
    with pytest.raises(ApiError) as caught:
        parse_patch_options({}, apply=True)
    assert answer(caught.value) == "422 Invalid Required fieldManager"


def test_the_body_of_a_delete_replaces_its_query() -> None:
    body = {"gracePeriodSeconds": 3, "preconditions": {"uid": "u"}}
    assert parse_delete_options(query("propagationPolicy=Orphan"), body) == DeleteOptions(
        grace_period_s=3, uid="u"
    )
    assert parse_delete_options(query("propagationPolicy=Orphan&dryRun=All")) == DeleteOptions(
        dry_run=True, propagation_policy="Orphan", dry_run_values=("All",)
    )


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"propagationPolicy": "Sideways"}, "422 Invalid NotSupported propagationPolicy"),
        (
            {"propagationPolicy": "Orphan", "orphanDependents": True},
            "422 Invalid Invalid propagationPolicy",
        ),
        ({"dryRun": ["Some"]}, "422 Invalid NotSupported dryRun"),
    ],
)
def test_bad_delete_options_are_refused(body: dict[str, Any], told: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_delete_options({}, body)
    assert answer(caught.value) == told


def test_list_options_are_read() -> None:
    text = "labelSelector=a%3Db&limit=5&resourceVersion=7&timeoutSeconds=9&allowWatchBookmarks=1"
    assert parse_list_options(query(text), watch=False) == ListOptions(
        label_selector="a=b",
        limit=5,
        resource_version="7",
        timeout_s=9,
        allow_watch_bookmarks=True,
    )


@pytest.mark.parametrize("text", ["false", "False", "0"])
def test_only_0_and_false_are_false(text: str) -> None:
    options = parse_list_options(query(f"allowWatchBookmarks={text}"), watch=True)
    assert options.allow_watch_bookmarks is False
    assert parse_list_options(query("allowWatchBookmarks="), watch=True).allow_watch_bookmarks


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("limit=", "400 BadRequest"),
        ("limit=1.5", "400 BadRequest"),
        ("limit=99999999999999999999", "400 BadRequest"),
        ("timeoutSeconds=abc", "400 BadRequest"),
        ("resourceVersion=abc", "400 BadRequest"),
        ("resourceVersion=-1", "400 BadRequest"),
        ("resourceVersion=5&continue=x", "400 BadRequest"),
        (
            "resourceVersion=5&resourceVersionMatch=exact",
            "422 Invalid NotSupported resourceVersionMatch",
        ),
        (
            "resourceVersionMatch=Foo",
            "422 Invalid Forbidden resourceVersionMatch NotSupported resourceVersionMatch",
        ),
        (
            "resourceVersion=0&resourceVersionMatch=Exact",
            "422 Invalid Forbidden resourceVersionMatch",
        ),
        (
            "continue=x&resourceVersionMatch=Exact",
            "422 Invalid Forbidden resourceVersionMatch Forbidden resourceVersionMatch",
        ),
        ("sendInitialEvents=false", "422 Invalid Forbidden sendInitialEvents"),
    ],
)
def test_bad_list_options_are_refused(text: str, told: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_list_options(query(text), watch=False)
    assert answer(caught.value) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("resourceVersion=abc", "500"),
        ("sendInitialEvents=true", "422 Invalid Forbidden sendInitialEvents"),
        ("resourceVersionMatch=NotOlderThan", "422 Invalid Forbidden resourceVersionMatch"),
        (
            "sendInitialEvents=true&resourceVersionMatch=Exact",
            "422 Invalid NotSupported resourceVersionMatch Forbidden sendInitialEvents",
        ),
    ],
)
def test_bad_watch_options_are_refused(text: str, told: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_list_options(query(text), watch=True)
    assert answer(caught.value) == told


def test_a_get_knows_only_the_resource_version() -> None:
    assert parse_get_resource_version(query("resourceVersion=5&limit=x")) == "5"
    with pytest.raises(ApiError) as caught:
        parse_get_resource_version(query("resourceVersion=x"))
    assert answer(caught.value) == "500"
