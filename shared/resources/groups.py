"""The order of API groups and of their versions.

Source: kube-apiserver v1.36.2, pkg/controlplane/apiserver/aggregator.go and
apimachinery/pkg/version/helpers.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple


class Priority(NamedTuple):
    """An APIService's groupPriorityMinimum and versionPriority: the higher comes first."""

    group: int
    version: int


CUSTOM_PRIORITY = Priority(1000, 100)
"""What a CustomResourceDefinition's group version gets."""

FIRST = Priority(1_000_000, 15)
"""apiregistration.k8s.io has no APIService of its own and always comes first."""

BUILTIN_PRIORITIES: Mapping[tuple[str, str], Priority] = {
    ("apiregistration.k8s.io", "v1"): FIRST,
    ("", "v1"): Priority(18000, 1),
    ("apps", "v1"): Priority(17800, 15),
    ("events.k8s.io", "v1"): Priority(17750, 15),
    ("authentication.k8s.io", "v1"): Priority(17700, 15),
    ("authorization.k8s.io", "v1"): Priority(17600, 15),
    ("autoscaling", "v1"): Priority(17500, 15),
    ("autoscaling", "v2"): Priority(17500, 30),
    ("batch", "v1"): Priority(17400, 15),
    ("certificates.k8s.io", "v1"): Priority(17300, 15),
    ("networking.k8s.io", "v1"): Priority(17200, 15),
    ("policy", "v1"): Priority(17100, 15),
    ("rbac.authorization.k8s.io", "v1"): Priority(17000, 15),
    ("storage.k8s.io", "v1"): Priority(16800, 15),
    ("apiextensions.k8s.io", "v1"): Priority(16700, 15),
    ("admissionregistration.k8s.io", "v1"): Priority(16700, 15),
    ("scheduling.k8s.io", "v1"): Priority(16600, 15),
    ("coordination.k8s.io", "v1"): Priority(16500, 15),
    ("node.k8s.io", "v1"): Priority(16300, 15),
    ("discovery.k8s.io", "v1"): Priority(16200, 15),
    ("resource.k8s.io", "v1"): Priority(16200, 15),
    ("flowcontrol.apiserver.k8s.io", "v1"): Priority(16100, 21),
}

VersionRank = tuple[int, int, int, int, str]

_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")
_STABILITY = {None: 2, "beta": 1, "alpha": 0}


def version_rank(version: str) -> VersionRank:
    """Return a sort key that puts the preferred version first: v2, v1, v1beta1, v1alpha1, foo.

    Versions of another form come last, in the order of their text.
    """
    match = _VERSION.fullmatch(version)
    if match is None:
        return (1, 0, 0, 0, version)
    stability = _STABILITY[match[2]]
    return (0, -stability, -int(match[1]), -int(match[3] or 0), version)
