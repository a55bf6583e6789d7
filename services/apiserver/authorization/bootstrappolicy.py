"""The roles and bindings that every cluster starts with, and how present ones are repaired.

bootstrappolicy.json holds the facts: rules by role, subjects by binding.
Source: kube-apiserver v1.36.2, plugin/pkg/auth/authorizer/rbac/bootstrappolicy (policy.go,
controller_policy.go, namespace_policy.go) and component-helpers' auth/rbac/reconciliation.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from services.apiserver.authorization.authorizer import Rule
from services.apiserver.authorization.roleindex import GROUP
from services.apiserver.authorization.rules import missing_rights
from services.apiserver.registry.strategy import Object

AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
KINDS = {
    "clusterroles": "ClusterRole",
    "clusterrolebindings": "ClusterRoleBinding",
    "roles": "Role",
    "rolebindings": "RoleBinding",
}


def bootstrap_policy() -> Iterator[tuple[str, Object]]:
    """Yield (resource, object) of all bootstrap roles and bindings."""
    for resource, entries in _policy().items():
        for entry in entries:
            yield resource, _object(KINDS[resource], entry)


def node_rules() -> list[Rule]:
    """Return the rules that hold for all nodes alike, those of the ClusterRole system:node."""
    roles = _policy()["clusterroles"]
    rules: list[Rule] = next(role["rules"] for role in roles if role["name"] == "system:node")
    return rules


def _policy() -> dict[str, list[dict[str, Any]]]:
    path = Path(__file__).with_name("bootstrappolicy.json")
    policy: dict[str, list[dict[str, Any]]] = orjson.loads(path.read_bytes())
    return policy


def _object(kind: str, entry: dict[str, Any]) -> Object:
    meta: dict[str, Any] = {"name": entry["name"]}
    if "namespace" in entry:
        meta["namespace"] = entry["namespace"]
    meta["labels"] = {**LABELS, **entry.get("labels", {})}
    meta["annotations"] = {AUTOUPDATE: "true"}
    obj: Object = {"kind": kind, "apiVersion": f"{GROUP}/v1", "metadata": meta}
    if "role" in entry:
        if entry["subjects"]:
            obj["subjects"] = [_subject(*subject) for subject in entry["subjects"]]
        role_kind, role_name = entry["role"]
        obj["roleRef"] = {"apiGroup": GROUP, "kind": role_kind, "name": role_name}
        return obj
    # Rules of an aggregated role are the clusterrole-aggregation-controller's to fill in.
    obj["rules"] = entry.get("rules")
    if "aggregationRule" in entry:
        obj["aggregationRule"] = entry["aggregationRule"]
    return obj


def _subject(kind: str, name: str, namespace: str = "") -> dict[str, str]:
    if kind == "ServiceAccount":
        return {"kind": kind, "name": name, "namespace": namespace}
    return {"kind": kind, "apiGroup": GROUP, "name": name}


def is_replaced(present: Object, wanted: Object) -> bool:
    """Whether a binding has to be made anew: what it refers to can't be changed."""
    return not _is_protected(present) and present.get("roleRef") != wanted.get("roleRef")


def repaired(present: Object, wanted: Object) -> Object:
    """Return `present` with what it lacks of `wanted`: labels, rules, subjects, selectors.

    What it has beyond that stays; with the annotation autoupdate "false" all stays as it is.
    """
    if _is_protected(present):
        return present
    out = {**present, "metadata": {**present["metadata"]}}
    for name in ("labels", "annotations"):
        out["metadata"][name] = {**wanted["metadata"][name], **(out["metadata"].get(name) or {})}
    if "roleRef" in wanted:
        lacking = _lacking(present.get("subjects"), wanted.get("subjects"))
        if lacking:
            out["subjects"] = [*(present.get("subjects") or ()), *lacking]
        return out
    aggregation = wanted.get("aggregationRule")
    if aggregation is not None:
        selectors = (present.get("aggregationRule") or {}).get("clusterRoleSelectors")
        lacking = _lacking(selectors, aggregation["clusterRoleSelectors"])
        if lacking:
            out["aggregationRule"] = {"clusterRoleSelectors": [*(selectors or ()), *lacking]}
        return out
    rules = present.get("rules") or []
    lacking = missing_rights(rules, wanted["rules"])
    if lacking:
        out["rules"] = [*rules, *lacking]
    return out


def _is_protected(present: Object) -> bool:
    return (present["metadata"].get("annotations") or {}).get(AUTOUPDATE) == "false"


def _lacking(present: list[Any] | None, wanted: list[Any] | None) -> list[Any]:
    return [one for one in wanted or () if one not in (present or ())]
