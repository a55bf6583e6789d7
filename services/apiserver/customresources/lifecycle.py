"""Lifecycle: the status that kube-apiserver's own controllers give a definition.

One pure function says what a definition's status should be; every replica may write it, guarded
by the revision it was computed from, and all compute the same.
Source: kube-apiserver v1.36.2, apiextensions-apiserver/pkg/controller/{status,establish,
nonstructuralschema,apiapproval}, pkg/registry/customresourcedefinition/etcd.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from services.apiserver.customresources.definition import condition_is
from services.apiserver.customresources.naming import accepted_names

Object = dict[str, Any]

APPROVED_ANNOTATION = "api-approved.kubernetes.io"
PROTECTED_GROUPS = (".k8s.io", ".kubernetes.io")
ESTABLISHED = ("True", "InitialNamesAccepted", "the initial names have been accepted")
NOT_ACCEPTED = ("False", "NotAccepted", "not all names are accepted")


def settled_status(crd: Object, others: Iterable[Object], now: str) -> Object:
    """Return the status that a definition should have; equal to the present one if it has it.

    `others` are the other definitions of its group.
    """
    status: Object = {**crd.get("status", {})}
    conditions = [{**one} for one in status.get("conditions") or ()]
    names, accepted = accepted_names(crd, others)
    status["acceptedNames"] = names
    set_condition(conditions, "NamesAccepted", accepted, now)
    # Once established a definition stays so, whatever names it asks for later.
    if not condition_is(crd, "Established", "True"):
        names_fit = accepted[0] == "True"
        set_condition(conditions, "Established", ESTABLISHED if names_fit else NOT_ACCEPTED, now)
    approval = _approval(crd)
    if approval is None:
        conditions = [
            one for one in conditions if one["type"] != "KubernetesAPIApprovalPolicyConformant"
        ]
    else:
        set_condition(conditions, "KubernetesAPIApprovalPolicyConformant", approval, now)
    status["conditions"] = conditions
    if not status.get("storedVersions"):
        status["storedVersions"] = [
            one["name"] for one in crd["spec"]["versions"] if one.get("storage")
        ]
    return status


def terminating_status(crd: Object, verdict: tuple[str, str, str], now: str) -> Object:
    """Return the status of a definition whose objects are being deleted."""
    status: Object = {**crd.get("status", {})}
    conditions = [{**one} for one in status.get("conditions") or ()]
    set_condition(conditions, "Terminating", verdict, now)
    status["conditions"] = conditions
    return status


def set_condition(
    conditions: list[Object], kind: str, verdict: tuple[str, str, str], now: str
) -> None:
    """Add or change a condition in place; its time moves with its status alone."""
    status, reason, message = verdict
    found = next((one for one in conditions if one["type"] == kind), None)
    if found is None:
        conditions.append(
            {
                "type": kind,
                "status": status,
                "lastTransitionTime": now,
                "reason": reason,
                "message": message,
            }
        )
        return
    if found.get("status") != status:
        found["lastTransitionTime"] = now
    found.update(status=status, reason=reason, message=message)


def _approval(crd: Object) -> tuple[str, str, str] | None:
    """Return the approval condition of a definition in a protected group; None for others."""
    group: str = crd["spec"]["group"]
    if not (group in ("k8s.io", "kubernetes.io") or group.endswith(PROTECTED_GROUPS)):
        return None
    annotations = crd["metadata"].get("annotations") or {}
    value: str = annotations.get(APPROVED_ANNOTATION, "")
    if not value:
        return (
            "False",
            "MissingAnnotation",
            f"protected groups must have approval annotation {APPROVED_ANNOTATION!r}, see "
            "https://github.com/kubernetes/enhancements/pull/1111",
        )
    if value.startswith("unapproved"):
        return ("False", "UnapprovedAnnotation", f'not approved: "{value}"')
    if "://" in value:
        return ("True", "ApprovedAnnotation", f"approved in {value}")
    return (
        "False",
        "InvalidAnnotation",
        f"protected groups must have approval annotation {APPROVED_ANNOTATION!r} with either a "
        'URL or a reason starting with "unapproved"',
    )
