"""FlowSchema.

Source: kube-apiserver v1.36.2, pkg/registry/flowcontrol/flowschema/strategy.go,
pkg/apis/flowcontrol/validation/validation.go, pkg/apis/flowcontrol/v1/defaults.go,
apiserver/pkg/apis/flowcontrol/bootstrap/default.go (the mandatory objects).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from services.apiserver.errors import Cause
from services.apiserver.kinds.platform.flowcontrol import FlowControlStrategy, validate_status
from services.apiserver.kinds.platform.rules import follows, required_name
from services.apiserver.registry.strategy import Object, StrategyFactory, WriteContext
from services.apiserver.validation.field import (
    child,
    forbidden,
    index,
    invalid,
    not_supported,
    required,
)
from services.apiserver.validation.names import dns1123_label, dns1123_subdomain

DEFAULT_PRECEDENCE = 1000
MAX_PRECEDENCE = 10000
DISTINGUISHERS = ("ByNamespace", "ByUser")
VERBS = (
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "proxy",
    "update",
    "watch",
)
SUBJECTS = {"ServiceAccount": "serviceAccount", "User": "user", "Group": "group"}
_EVERYTHING = {
    "resourceRules": [
        {
            "verbs": ["*"],
            "apiGroups": ["*"],
            "resources": ["*"],
            "clusterScope": True,
            "namespaces": ["*"],
        }
    ],
    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
}


def _groups(*names: str) -> list[Object]:
    return [{"kind": "Group", "group": {"name": name}} for name in names]


MANDATORY_FLOW_SCHEMAS: Mapping[str, Object] = {
    "exempt": {
        "priorityLevelConfiguration": {"name": "exempt"},
        "matchingPrecedence": 1,
        "rules": [{"subjects": _groups("system:masters"), **_EVERYTHING}],
    },
    "catch-all": {
        "priorityLevelConfiguration": {"name": "catch-all"},
        "matchingPrecedence": 10000,
        "distinguisherMethod": {"type": "ByUser"},
        "rules": [
            {"subjects": _groups("system:unauthenticated", "system:authenticated"), **_EVERYTHING}
        ],
    },
}
"""The specs that these FlowSchemas must have."""


class FlowSchemaStrategy(FlowControlStrategy):
    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        if not spec.get("matchingPrecedence"):
            spec["matchingPrecedence"] = DEFAULT_PRECEDENCE

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        name, spec = obj["metadata"].get("name", ""), obj["spec"]
        found = _validate_flow_schema(name, spec)
        mandatory = MANDATORY_FLOW_SCHEMAS.get(name)
        if mandatory is not None and spec != mandatory:
            found.append(invalid("spec", spec, f"spec of '{name}' must equal the fixed value"))
        return found + validate_status(obj)


def _validate_flow_schema(name: str, spec: Object) -> list[Cause]:
    found: list[Cause] = []
    precedence, path = spec.get("matchingPrecedence", 0), "spec.matchingPrecedence"
    if precedence <= 0:
        found.append(invalid(path, precedence, "must be a positive value"))
    if precedence > MAX_PRECEDENCE:
        found.append(invalid(path, precedence, f"must not be greater than {MAX_PRECEDENCE}"))
    if precedence == 1 and name != "exempt":
        detail = "only the schema named 'exempt' may have matchingPrecedence 1"
        found.append(invalid(path, precedence, detail))
    method = spec.get("distinguisherMethod")
    if method is not None and method.get("type") not in DISTINGUISHERS:
        found.append(not_supported("spec.distinguisherMethod.type", method, DISTINGUISHERS))
    level = (spec.get("priorityLevelConfiguration") or {}).get("name", "")
    found += required_name("spec.priorityLevelConfiguration.name", level, dns1123_subdomain)
    for number, rule in enumerate(spec.get("rules") or ()):
        found += _validate_rule(rule, index("spec.rules", number))
    return found


def _validate_rule(rule: Object, path: str) -> list[Cause]:
    found: list[Cause] = []
    subjects = rule.get("subjects") or []
    resource_rules = rule.get("resourceRules") or []
    other_rules = rule.get("nonResourceRules") or []
    for number, subject in enumerate(subjects):
        found += _validate_subject(subject, index(child(path, "subjects"), number))
    if not subjects:
        detail = "subjects must contain at least one value"
        found.append(required(child(path, "subjects"), detail))
    if not resource_rules and not other_rules:
        detail = "at least one of resourceRules and nonResourceRules has to be non-empty"
        found.append(required(path, detail))
    for number, one in enumerate(resource_rules):
        found += _validate_resource_rule(one, index(child(path, "resourceRules"), number))
    for number, one in enumerate(other_rules):
        found += _validate_non_resource_rule(one, index(child(path, "nonResourceRules"), number))
    return found


def _validate_subject(subject: Object, path: str) -> list[Cause]:
    kind = subject.get("kind", "")
    if kind not in SUBJECTS:
        return [not_supported(child(path, "kind"), kind, sorted(SUBJECTS))]
    field = SUBJECTS[kind]
    at, details = child(path, field), subject.get(field)
    if details is None:
        found = [required(at, f"{field} is required when subject kind is '{kind}'")]
    elif kind == "ServiceAccount":
        found = _validate_account(details, at)
    else:
        found = [] if details.get("name") else [required(child(at, "name"))]
    return found + [
        forbidden(child(path, other), f"{other} is forbidden when subject kind is not '{name}'")
        for name, other in SUBJECTS.items()
        if name != kind and subject.get(other) is not None
    ]


def _validate_account(account: Object, path: str) -> list[Cause]:
    name, namespace = account.get("name", ""), account.get("namespace", "")
    found = [] if name == "*" else required_name(child(path, "name"), name, dns1123_subdomain)
    return found + required_name(child(path, "namespace"), namespace, dns1123_label)


def _validate_verbs(verbs: list[str], path: str) -> list[Cause]:
    if "*" not in verbs and verbs and not set(verbs) <= set(VERBS):
        return [not_supported(path, verbs, VERBS)]
    return _validate_wildcard(verbs, path, "verbs")


def _validate_wildcard(values: Collection[str], path: str, what: str) -> list[Cause]:
    """Check a list that holds something, and nothing besides "*" if that is in it."""
    if not values:
        return [required(path, f"{what} must contain at least one value")]
    if len(values) > 1 and "*" in values:
        return [invalid(path, values, f"if '*' is present, must not specify other {what}")]
    return []


def _validate_resource_rule(rule: Object, path: str) -> list[Cause]:
    found = _validate_verbs(rule.get("verbs") or [], child(path, "verbs"))
    for name, what in (("apiGroups", "api groups"), ("resources", "resources")):
        found += _validate_wildcard(rule.get(name) or [], child(path, name), what)
    namespaces, at = rule.get("namespaces") or [], child(path, "namespaces")
    if not namespaces:
        if not rule.get("clusterScope"):
            detail = "resource rules that are not cluster scoped must supply at least one namespace"
            found.append(required(at, detail))
    elif "*" in namespaces:
        found += _validate_wildcard(namespaces, at, "namespaces")
    else:
        for number, namespace in enumerate(namespaces):
            found += follows(index(at, number), namespace, dns1123_label)
    return found


def _validate_non_resource_rule(rule: Object, path: str) -> list[Cause]:
    found = _validate_verbs(rule.get("verbs") or [], child(path, "verbs"))
    urls, at = rule.get("nonResourceURLs") or [], child(path, "nonResourceURLs")
    if not urls or "*" in urls:
        return found + _validate_wildcard(urls, at, "non-resource URLs")
    for number, url in enumerate(urls):
        why = _what_is_wrong_with_url(url)
        if why:
            found.append(invalid(index(at, number), url, why))
    return found


def _what_is_wrong_with_url(url: str) -> str:
    if not url:
        return "must not be empty"
    if url == "/":
        return ""
    if not url.startswith("/"):
        return "must start with slash"
    if " " in url:
        return "must not contain white-space"
    if "//" in url:
        return "must not contain double slash"
    wildcards = url.count("*")
    if wildcards > 1 or (wildcards and not url.endswith("/*")):
        return "wildcard can only do suffix matching"
    return ""


FLOWSCHEMA_STRATEGIES: dict[tuple[str, str], StrategyFactory] = {
    ("flowcontrol.apiserver.k8s.io", "flowschemas"): FlowSchemaStrategy,
}
