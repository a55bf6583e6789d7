"""What access reviews may ask, and whom and what they ask about."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.authorization.reviewvalidation import (
    validate_local_review,
    validate_self_review,
    validate_subject_review,
)
from services.apiserver.handlers.reviews import attributes_of, subject_of, user_as_dict
from services.apiserver.requestinfo import RequestInfo, UserInfo

RESOURCE = {"resourceAttributes": {"verb": "get", "resource": "pods"}}
URL = {"nonResourceAttributes": {"path": "/a", "verb": "get"}}


def selecting(**selector: Any) -> dict[str, Any]:
    return {"user": "u", "resourceAttributes": {"verb": "list", "labelSelector": selector}}


def paths(causes: Any) -> list[str]:
    return [f"{cause.reason.removeprefix('FieldValue')} {cause.field}" for cause in causes]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"user": "u", **RESOURCE}, []),
        ({"groups": ["g"], **URL}, []),
        (RESOURCE, ["Invalid spec.user"]),
        ({"user": "u"}, ["Invalid spec.resourceAttributes"]),
        ({}, ["Invalid spec.resourceAttributes", "Invalid spec.user"]),
        ({"user": "u", **RESOURCE, **URL}, ["Invalid spec.nonResourceAttributes"]),
        (selecting(), ["Required spec.resourceAttributes.labelSelector.requirements"]),
        (selecting(rawSelector="a=b"), []),
        (
            selecting(rawSelector="a", requirements=[{"key": "a", "operator": "Exists"}]),
            ["Invalid spec.resourceAttributes.labelSelector.rawSelector"],
        ),
        (
            selecting(
                requirements=[
                    {"key": "a", "operator": "In"},
                    {"key": "a", "operator": "Exists", "values": ["b"]},
                    {"key": "a", "operator": "Newer"},
                ]
            ),
            [
                "Required spec.resourceAttributes.labelSelector.requirements[0].values",
                "Forbidden spec.resourceAttributes.labelSelector.requirements[1].values",
            ],
        ),
    ],
)
def test_a_subject_access_review(spec: dict[str, Any], expected: list[str]) -> None:
    assert paths(validate_subject_review({"metadata": {}, "spec": spec})) == expected


def test_a_review_has_no_metadata() -> None:
    review = {"metadata": {"name": "given"}, "spec": RESOURCE}
    assert paths(validate_self_review(review)) == ["Invalid metadata"]


def test_a_local_review_asks_about_resources_of_its_namespace() -> None:
    meta = {"namespace": "ns"}
    inside = {"user": "u", "resourceAttributes": {"verb": "get", "namespace": "ns"}}
    assert validate_local_review({"metadata": meta, "spec": inside}) == []
    outside = {"user": "u", **RESOURCE}
    assert paths(validate_local_review({"metadata": meta, "spec": outside})) == [
        "Invalid spec.resourceAttributes.namespace"
    ]
    assert paths(validate_local_review({"metadata": meta, "spec": {"user": "u", **URL}})) == [
        "Invalid spec.nonResourceAttributes"
    ]


def test_a_review_implies_no_groups() -> None:
    spec = {"user": "u", "uid": "1", "groups": ["g"], "extra": {"a": ["b"]}}
    user = subject_of(spec)
    assert user == UserInfo("u", "1", ("g",), (("a", ("b",)),))
    assert user_as_dict(user) == {
        "username": "u",
        "uid": "1",
        "groups": ["g"],
        "extra": {"a": ["b"]},
    }


def test_what_a_review_asks_about() -> None:
    assert attributes_of(URL) == RequestInfo(False, "/a", "get")
    scale = {"verb": "get", "group": "apps", "resource": "deployments", "subresource": "scale"}
    asked = attributes_of({"resourceAttributes": scale})
    assert (asked.group, asked.resource, asked.subresource) == ("apps", "deployments", "scale")
    assert asked.is_resource_request
