"""SubjectAccessReview: a question to an authorizer as JSON, for webhooks and their conditions.

Source: kube-apiserver v1.36.2, apiserver/plugin/pkg/authorizer/webhook/webhook.go
(resourceAttributesFrom, v1ToV1Beta1ResourceAttributes) and apiserver/pkg/authorization/cel
(convertObjectToUnstructured).
"""

from __future__ import annotations

from typing import Any

from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.apiserver.requestselectors import Selectors

GROUP = "authorization.k8s.io"
KIND = "SubjectAccessReview"
VERSIONS = ("v1", "v1beta1")
LABEL_OPERATORS = {
    "=": "In",
    "==": "In",
    "in": "In",
    "!=": "NotIn",
    "notin": "NotIn",
    "exists": "Exists",
    "!": "DoesNotExist",
}
"""Comparisons by size have no place in a review: they are left out, which asks for more."""


def access_review_spec(user: UserInfo, info: RequestInfo) -> dict[str, Any]:
    """Return the spec of authorization.k8s.io/v1 that asks whether `user` may do `info`."""
    spec: dict[str, Any] = {}
    if info.is_resource_request:
        spec["resourceAttributes"] = _filled(
            {
                "namespace": info.namespace,
                "verb": info.verb,
                "group": info.group,
                "version": info.version,
                "resource": info.resource,
                "subresource": info.subresource,
                "name": info.name,
                **_selectors(info.selectors),
            }
        )
    else:
        spec["nonResourceAttributes"] = _filled({"path": info.path, "verb": info.verb})
    about_user = {
        "user": user.name,
        "groups": list(user.groups),
        "extra": user.extra_as_dict(),
        "uid": user.uid,
    }
    return {**spec, **_filled(about_user)}


def access_review(spec: dict[str, Any], version: str) -> dict[str, Any]:
    """Return a review; v1beta1 calls the groups `group`."""
    if version == "v1beta1":
        spec = {("group" if name == "groups" else name): value for name, value in spec.items()}
    return {"kind": KIND, "apiVersion": f"{GROUP}/{version}", "metadata": {}, "spec": spec}


def condition_variable(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the variable `request` of match conditions: a spec with nothing left out."""
    variable: dict[str, Any] = {
        "user": spec.get("user", ""),
        "groups": spec.get("groups", []),
        "uid": spec.get("uid", ""),
        "extra": spec.get("extra", {}),
    }
    if "resourceAttributes" in spec:
        attributes = dict.fromkeys(
            ("namespace", "verb", "group", "version", "resource", "subresource", "name"), ""
        )
        variable["resourceAttributes"] = attributes | spec["resourceAttributes"]
    if "nonResourceAttributes" in spec:
        variable["nonResourceAttributes"] = {"path": "", "verb": ""} | spec["nonResourceAttributes"]
    return variable


def _filled(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _selectors(selectors: Selectors | None) -> dict[str, Any]:
    if selectors is None:
        return {}
    fields, _ = selectors.fields()
    labels, _ = selectors.labels()
    out: dict[str, Any] = {}
    if fields:
        out["fieldSelector"] = {
            "requirements": [
                {
                    "key": one.field,
                    "operator": "NotIn" if one.negated else "In",
                    "values": [one.value],
                }
                for one in fields
            ]
        }
    requirements = [
        _filled({"key": one.key, "operator": operator, "values": sorted(one.values)})
        for one in labels
        if (operator := LABEL_OPERATORS.get(one.operator))
    ]
    if requirements:
        out["labelSelector"] = {"requirements": requirements}
    return out
