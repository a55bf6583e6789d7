"""What an endpoint does not take from its clients, and so nobody comes to own through it.

Source: kube-apiserver v1.36.2, the GetResetFields and GetResetFieldsFilter of
pkg/registry/*/strategy.go and apiextensions-apiserver/pkg/registry/customresource.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.apiserver.apply.fieldsets import EMPTY, FieldSet, of_path, recursive_difference, union

ANY = "*"
"""Stands for any one element in a path of `only`."""


@dataclass(frozen=True, slots=True)
class ResetFields:
    """`top` are fields of the object itself, `deeper` a set of others; `only`, if there are
    any, are the paths of elements (with ANY) of which nothing is reset, all else is."""

    top: frozenset[str] = frozenset()
    deeper: FieldSet = field(default_factory=dict)
    only: tuple[tuple[str, ...], ...] = ()

    def kept(self, fields: FieldSet) -> FieldSet:
        """Return a set without what is reset."""
        if self.only:
            return _matching(fields, self.only)
        if self.top and fields:
            fields = {name: node for name, node in fields.items() if name[2:] not in self.top}
        return recursive_difference(fields, self.deeper) if self.deeper else fields


def _matching(fields: FieldSet, paths: tuple[tuple[str, ...], ...]) -> FieldSet:
    kept: dict[str, Any] = {}
    for element, node in fields.items():
        if element == ".":
            continue
        rest = [path[1:] for path in paths if path[0] in (ANY, element)]
        if not rest:
            continue
        if not all(rest):
            kept[element] = node
            continue
        below = _matching(node, tuple(rest))
        if below:
            kept[element] = below
    return kept or EMPTY


def _reset(*paths: str) -> ResetFields:
    deeper: FieldSet = EMPTY
    for path in paths:
        if "." in path:
            deeper = union(deeper, of_path(tuple(f"f:{name}" for name in path.split("."))))
    return ResetFields(frozenset(path for path in paths if "." not in path), deeper)


def _only(*paths: str) -> ResetFields:
    split = (path.split(".") for path in paths)
    return ResetFields(
        only=tuple(tuple(one if one == ANY else f"f:{one}" for one in path) for path in split)
    )


NOTHING_RESET = ResetFields()
STATUS_RESET = _reset("status")
SPEC_RESET = _reset("spec")
ALL_BUT_STATUS_RESET = _reset("metadata", "spec")

_SPECIAL: Mapping[tuple[str, str, str], ResetFields] = {
    ("", "pods", "status"): _reset(
        "spec", "metadata.deletionTimestamp", "metadata.ownerReferences"
    ),
    ("", "pods", "ephemeralcontainers"): _only("spec.ephemeralContainers"),
    ("", "pods", "resize"): _only(
        "spec.containers.*.resources",
        "spec.containers.*.resizePolicy",
        "spec.initContainers.*.resources",
        "spec.initContainers.*.resizePolicy",
    ),
    ("", "namespaces", "finalize"): STATUS_RESET,
    ("apps", "deployments", "status"): _reset("spec", "metadata.labels"),
    ("certificates.k8s.io", "certificatesigningrequests", ""): _reset("spec", "status"),
    ("certificates.k8s.io", "certificatesigningrequests", "status"): _reset(
        "spec", "status.conditions"
    ),
    ("certificates.k8s.io", "certificatesigningrequests", "approval"): _reset(
        "spec", "status.certificate"
    ),
    **{
        (group, resource, "status"): ALL_BUT_STATUS_RESET
        for group, resource in (
            ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
            ("apiextensions.k8s.io", "customresourcedefinitions"),
            ("apiregistration.k8s.io", "apiservices"),
            ("flowcontrol.apiserver.k8s.io", "flowschemas"),
            ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"),
            ("storage.k8s.io", "volumeattachments"),
        )
    },
}


def reset_fields(
    group: str, resource: str, subresource: str, *, has_status: bool, custom: bool
) -> ResetFields:
    """Return what an endpoint resets."""
    special = None if custom else _SPECIAL.get((group, resource, subresource))
    if special is not None:
        return special
    if subresource == "status":
        return ALL_BUT_STATUS_RESET if custom else SPEC_RESET
    return STATUS_RESET if has_status and not subresource else NOTHING_RESET
