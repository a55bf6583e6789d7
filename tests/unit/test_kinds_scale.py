"""The Scale of objects that have replicas."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.kinds.scale import apply_scale, selector_text, to_scale, validate_scale
from shared.resources import BUILTIN_RESOURCES

DEPLOYMENTS = next(one for one in BUILTIN_RESOURCES if one.name == "deployments")
WEB: dict[str, Any] = {
    "metadata": {"name": "web", "namespace": "ns", "resourceVersion": "7", "labels": {"a": "b"}},
    "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}},
    "status": {"replicas": 1},
}


def test_a_scale_shows_replicas_and_selector() -> None:
    assert to_scale(WEB, DEPLOYMENTS) == {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {"name": "web", "namespace": "ns", "resourceVersion": "7"},
        "spec": {"replicas": 2},
        "status": {"replicas": 1, "selector": "app=web"},
    }


def test_no_replicas_are_left_out_and_mean_none() -> None:
    none = apply_scale(WEB, {"metadata": {"name": "web"}, "spec": {}})
    assert none["spec"]["replicas"] == 0
    assert to_scale(none, DEPLOYMENTS)["spec"] == {}
    assert WEB["spec"]["replicas"] == 2


def test_a_scale_carries_its_own_version() -> None:
    done = apply_scale(WEB, {"metadata": {"resourceVersion": "5"}, "spec": {"replicas": 3}})
    assert done["metadata"]["resourceVersion"] == "5"
    assert "resourceVersion" not in apply_scale(WEB, {"metadata": {}})["metadata"]


def test_replicas_below_none_are_refused() -> None:
    (cause,) = validate_scale({"spec": {"replicas": -1}})
    assert (cause.field, cause.reason) == ("spec.replicas", "FieldValueInvalid")


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        (None, ""),
        ({"matchLabels": {"b": "c", "a": "d"}}, "a=d,b=c"),
        (
            {
                "matchLabels": {"app": "web", "b": "c"},
                "matchExpressions": [
                    {"key": "x", "operator": "NotIn", "values": ["z", "y"]},
                    {"key": "app", "operator": "Exists"},
                    {"key": "gone", "operator": "DoesNotExist"},
                ],
            },
            "app=web,app,b=c,!gone,x notin (y,z)",
        ),
    ],
)
def test_the_selector_is_told_by_key(selector: dict[str, Any] | None, text: str) -> None:
    assert selector_text(selector) == text
