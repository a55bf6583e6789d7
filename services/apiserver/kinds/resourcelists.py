"""Resource names and amounts outside of pods: quotas, limit ranges, nodes.

Source: kube-apiserver v1.36.2, pkg/apis/core/helper/helpers.go,
pkg/apis/core/validation/validation.go (ValidateResourceQuantityValue and its neighbours).
"""

from __future__ import annotations

from services.apiserver.errors import Cause
from services.apiserver.kinds.podspec.resources import (
    NOT_INTEGER,
    NOT_NEGATIVE,
    is_extended,
    validate_resource_name,
)
from services.apiserver.validation.field import invalid
from services.apiserver.values.quantity import parse

COUNTED_RESOURCES = frozenset(
    (
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    )
)
QUOTA_RESOURCES = COUNTED_RESOURCES | frozenset(
    (
        "cpu",
        "memory",
        "ephemeral-storage",
        "requests.cpu",
        "requests.memory",
        "requests.storage",
        "requests.ephemeral-storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
    )
)


def is_quota_resource(name: str) -> bool:
    return name in QUOTA_RESOURCES or name.startswith(("hugepages-", "requests.hugepages-"))


def validate_quota_resource_name(name: str, path: str) -> list[Cause]:
    found = list(validate_resource_name(name, path))
    if "/" not in name and not is_quota_resource(name):
        found.append(invalid(path, name, "must be a standard resource for quota"))
    return found


def validate_quantity_value(name: str, text: str, path: str) -> list[Cause]:
    """Check that an amount is not negative and, for what is counted, whole."""
    amount = parse(text)
    found: list[Cause] = []
    if amount.sign < 0:
        found.append(invalid(path, text, NOT_NEGATIVE))
    if (name in COUNTED_RESOURCES or is_extended(name)) and amount.milli_value() % 1000:
        found.append(invalid(path, text, NOT_INTEGER))
    return found
