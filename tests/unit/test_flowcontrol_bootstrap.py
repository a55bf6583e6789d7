"""The flow control objects of a new cluster."""

from __future__ import annotations

import pytest

from services.apiserver.kinds.platform.flowcontrolbootstrap import GROUP, flow_control_objects
from tests.unit.platformtools import causes

OBJECTS = list(flow_control_objects())


@pytest.mark.parametrize(("resource", "obj"), OBJECTS, ids=lambda one: str(one)[:40])
def test_a_default_object_is_valid(resource: str, obj: dict[str, object]) -> None:
    assert causes(GROUP, resource, metadata=obj["metadata"], spec=obj["spec"]) == []


def test_every_flow_schema_names_a_level_that_is_there() -> None:
    named = {
        obj["spec"]["priorityLevelConfiguration"]["name"]
        for resource, obj in OBJECTS
        if resource == "flowschemas"
    }
    levels = {obj["metadata"]["name"] for resource, obj in OBJECTS if resource != "flowschemas"}
    assert named == levels


def test_the_default_schemas_in_the_order_in_which_they_are_asked() -> None:
    schemas = [
        (obj["spec"]["matchingPrecedence"], obj["metadata"]["name"])
        for resource, obj in OBJECTS
        if resource == "flowschemas"
    ]
    assert sorted(schemas) == [
        (1, "exempt"),
        (2, "probes"),
        (100, "system-leader-election"),
        (150, "endpoint-controller"),
        (200, "workload-leader-election"),
        (400, "system-node-high"),
        (500, "system-nodes"),
        (800, "kube-controller-manager"),
        (800, "kube-scheduler"),
        (900, "kube-system-service-accounts"),
        (9000, "service-accounts"),
        (9900, "global-default"),
        (10000, "catch-all"),
    ]
