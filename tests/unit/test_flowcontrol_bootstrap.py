"""The flow control objects of a new cluster, and which authorizers a mode stands for."""

from __future__ import annotations

import pytest

from services.apiserver.access import authorizers_of
from services.apiserver.authorization import AlwaysAllow, MastersMay, RbacAuthorizer
from services.apiserver.kinds.platform.flowcontrolbootstrap import GROUP, flow_control_objects
from services.apiserver.options import ApiServerOptions, OptionsError
from tests.unit.platformtools import causes
from tests.unit.rbac_world import RbacWorld

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


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("RBAC", [MastersMay, RbacAuthorizer]),
        ("Node,RBAC", [MastersMay, RbacAuthorizer]),
        ("AlwaysAllow", [MastersMay, AlwaysAllow]),
    ],
)
def test_an_authorization_mode(mode: str, expected: list[type]) -> None:
    options = ApiServerOptions.from_argv([f"--authorization-mode={mode}"])
    authorizers = authorizers_of(options.authorization.modes, RbacWorld().rbac)
    assert [type(one) for one in authorizers] == expected


def test_other_authorization_modes_are_refused() -> None:
    with pytest.raises(OptionsError, match="'ABAC' is not supported"):
        ApiServerOptions.from_argv(["--authorization-mode=RBAC,ABAC"])
