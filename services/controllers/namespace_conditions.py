"""The conditions that tell why a terminating namespace is not gone yet.

Source: kubernetes v1.36.2, pkg/controller/namespace/deletion/status_condition_utils.go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.controllers.resource import Resource

# type -> (reason, message) while nothing is wrong
_FINE = {
    "NamespaceDeletionDiscoveryFailure": (
        "ResourcesDiscovered",
        "All resources successfully discovered",
    ),
    "NamespaceDeletionGroupVersionParsingFailure": (
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    "NamespaceDeletionContentFailure": (
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    "NamespaceContentRemaining": ("ContentRemoved", "All content successfully removed"),
    "NamespaceFinalizersRemaining": (
        "ContentHasNoFinalizers",
        "All content-preserving finalizers finished",
    ),
}


@dataclass(slots=True)
class Findings:
    """What one pass over a namespace's content found."""

    discovery_failures: Sequence[str] = ()
    content_failures: list[str] = field(default_factory=list)
    remaining: Counter[Resource] = field(default_factory=Counter)
    finalizers: Counter[str] = field(default_factory=Counter)
    grace_s: int = 0
    """The longest time that a pod still has to stop by itself."""

    @property
    def clean(self) -> bool:
        return not (self.discovery_failures or self.content_failures or self.remaining)


def updated_conditions(
    current: Sequence[Mapping[str, Any]], findings: Findings, *, now: str
) -> list[dict[str, Any]] | None:
    """Return the conditions after `findings`, or None where they say the same already.

    Conditions of other types are kept. `now` is the time of the API, to the second.
    """
    wrong = dict(_problems(findings))
    conditions = [dict(condition) for condition in current]
    by_type = {condition["type"]: condition for condition in conditions}
    changed = False
    for kind, fine in _FINE.items():
        reason, message = wrong.get(kind, fine)
        status = "True" if kind in wrong else "False"
        condition = by_type.get(kind)
        if condition is None:
            condition = {"type": kind}
            conditions.append(condition)
        elif (condition["status"], condition.get("reason"), condition.get("message")) == (
            status,
            reason,
            message,
        ):
            continue
        if condition.get("status") != status:
            condition["lastTransitionTime"] = now
        condition.update(status=status, reason=reason, message=message)
        changed = True
    return conditions if changed else None


def _problems(findings: Findings) -> list[tuple[str, tuple[str, str]]]:
    problems = []
    if failed := findings.discovery_failures:
        text = f"Discovery failed for some groups, {len(failed)} failing: {_joined(failed)}"
        problems.append(("NamespaceDeletionDiscoveryFailure", ("DiscoveryFailed", text)))
    if failed := findings.content_failures:
        text = f"Failed to delete all resource types, {len(failed)} remaining: {_joined(failed)}"
        problems.append(("NamespaceDeletionContentFailure", ("ContentDeletionFailed", text)))
    if findings.remaining:
        # A core resource is told with its empty group: "pods. has 1 resource instances".
        counts = [
            f"{resource.plural}.{resource.group} has {count} resource instances"
            for resource, count in findings.remaining.items()
        ]
        text = f"Some resources are remaining: {_joined(counts)}"
        problems.append(("NamespaceContentRemaining", ("SomeResourcesRemain", text)))
    if findings.finalizers:
        counts = [
            f"{finalizer} in {count} resource instances"
            for finalizer, count in findings.finalizers.items()
        ]
        text = f"Some content in the namespace has finalizers remaining: {_joined(counts)}"
        problems.append(("NamespaceFinalizersRemaining", ("SomeFinalizersRemain", text)))
    return problems


def _joined(texts: Sequence[str]) -> str:
    return ", ".join(sorted(texts))  # sorted, so that the same state gives the same message
