"""What the platform kinds differ in: PUT, DELETE, generation, status."""

from __future__ import annotations

import pytest

from services.apiserver.kinds.platform import PLATFORM_STRATEGIES
from shared.resources.builtin import BUILTIN_RESOURCES
from tests.unit.platformtools import strategy_of

ADMISSION = "admissionregistration.k8s.io"
RBAC = "rbac.authorization.k8s.io"
STORAGE = "storage.k8s.io"
RESOURCE = "resource.k8s.io"
FLOW = "flowcontrol.apiserver.k8s.io"
NETWORK = "networking.k8s.io"

CREATED_BY_PUT = {
    (RBAC, "roles"),
    (RBAC, "rolebindings"),
    (RBAC, "clusterroles"),
    (RBAC, "clusterrolebindings"),
    ("coordination.k8s.io", "leases"),
    ("node.k8s.io", "runtimeclasses"),
}
NEEDING_A_VERSION = {
    ("coordination.k8s.io", "leases"),
    ("node.k8s.io", "runtimeclasses"),
    (STORAGE, "csistoragecapacities"),
    (STORAGE, "volumeattachments"),
    (STORAGE, "csidrivers"),
    (STORAGE, "csinodes"),
    (ADMISSION, "validatingwebhookconfigurations"),
    (ADMISSION, "mutatingwebhookconfigurations"),
    (ADMISSION, "validatingadmissionpolicies"),
    (ADMISSION, "validatingadmissionpolicybindings"),
    (ADMISSION, "mutatingadmissionpolicies"),
    (ADMISSION, "mutatingadmissionpolicybindings"),
    ("apiregistration.k8s.io", "apiservices"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
}
DELETED_WITH_THE_OBJECT = {
    (STORAGE, "csidrivers"),
    (STORAGE, "csinodes"),
    (STORAGE, "storageclasses"),
    (STORAGE, "volumeattachments"),
    (STORAGE, "volumeattributesclasses"),
    (RESOURCE, "deviceclasses"),
    (RESOURCE, "resourceclaims"),
    (RESOURCE, "resourceclaimtemplates"),
    (RESOURCE, "resourceslices"),
}
WITH_GENERATION = {
    (NETWORK, "ingresses"),
    (NETWORK, "ingressclasses"),
    (NETWORK, "networkpolicies"),
    ("discovery.k8s.io", "endpointslices"),
    (FLOW, "flowschemas"),
    (FLOW, "prioritylevelconfigurations"),
    (ADMISSION, "validatingwebhookconfigurations"),
    (ADMISSION, "mutatingwebhookconfigurations"),
    (ADMISSION, "validatingadmissionpolicies"),
    (ADMISSION, "validatingadmissionpolicybindings"),
    (ADMISSION, "mutatingadmissionpolicies"),
    (ADMISSION, "mutatingadmissionpolicybindings"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    (RESOURCE, "deviceclasses"),
    (RESOURCE, "resourceslices"),
}


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("create_on_update", CREATED_BY_PUT),
        ("returns_deleted_object", DELETED_WITH_THE_OBJECT),
        ("has_generation", WITH_GENERATION),
    ],
)
def test_exactly_these_kinds_have_the_flag(flag: str, expected: set[tuple[str, str]]) -> None:
    assert {name for name in PLATFORM_STRATEGIES if getattr(strategy_of(*name), flag)} == expected


def test_exactly_these_kinds_want_a_resource_version_on_update() -> None:
    found = {name for name in PLATFORM_STRATEGIES if not strategy_of(*name).unconditional_update}
    assert found == NEEDING_A_VERSION


def test_every_served_resource_of_these_groups_has_a_strategy() -> None:
    groups = {group for group, _ in PLATFORM_STRATEGIES}
    stored = {
        (one.group, one.name) for one in BUILTIN_RESOURCES if one.storage and one.group in groups
    }
    assert stored == set(PLATFORM_STRATEGIES)


def test_the_subresources_are_those_that_discovery_shows() -> None:
    for resource in BUILTIN_RESOURCES:
        name = (resource.group, resource.name)
        if name in PLATFORM_STRATEGIES:
            assert set(strategy_of(*name).subresources()) == set(resource.subresources), name
