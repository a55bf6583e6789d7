"""FlowSchema and PriorityLevelConfiguration.

Source: kube-apiserver v1.36.2, pkg/registry/flowcontrol/*/strategy.go,
pkg/apis/flowcontrol/validation/validation.go, pkg/apis/flowcontrol/v1/defaults.go,
apiserver/pkg/apis/flowcontrol/bootstrap/default.go (the mandatory objects).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from services.apiserver.errors import Cause
from services.apiserver.kinds.platform.rules import (
    MetadataKeepingStatus,
    follows,
    metadata_again,
    required_name,
)
from services.apiserver.registry.strategy import (
    Object,
    Strategy,
    StrategyFactory,
    UpdateSubresource,
    WriteContext,
)
from services.apiserver.validation.field import (
    child,
    duplicate,
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
DEFAULT_SHARES = 30
QUEUING_DEFAULTS = {"handSize": 8, "queues": 64, "queueLengthLimit": 50}
MAX_QUEUES = 10_000_000
MAX_HASH_BITS = 60
ZERO_SHARES_ANNOTATION = "flowcontrol.k8s.io/preserve-zero-concurrency-shares"
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

MANDATORY_PRIORITY_LEVELS: Mapping[str, Object] = {
    "exempt": {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}},
    "catch-all": {
        "type": "Limited",
        "limited": {
            "nominalConcurrencyShares": 5,
            "limitResponse": {"type": "Reject"},
            "lendablePercent": 0,
        },
    },
}
"""The specs that these PriorityLevelConfigurations must have; exempt's `exempt` may differ."""


class _FlowControlStrategy(Strategy):
    has_status = True
    has_generation = True

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        super().prepare_for_create(ctx, obj)
        obj["status"] = {}

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return metadata_again(self, obj, old) + self.validate_create(ctx, obj)

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {"status": FlowControlStatus(self)}


class FlowControlStatus(MetadataKeepingStatus):
    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return _validate_status(obj)


def _validate_status(obj: Object) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    for number, condition in enumerate((obj.get("status") or {}).get("conditions") or ()):
        kind, at = condition.get("type", ""), child(index("status.conditions", number), "type")
        if kind in seen:
            found.append(duplicate(at, kind))
        seen.add(kind)
        if not kind:
            found.append(required(at))
    return found


class FlowSchemaStrategy(_FlowControlStrategy):
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
        return found + _validate_status(obj)


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


class PriorityLevelConfigurationStrategy(_FlowControlStrategy):
    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        for name, shares in (("exempt", 0), ("limited", DEFAULT_SHARES)):
            level = spec.get(name)
            if level is not None:
                if level.get("nominalConcurrencyShares") is None:
                    level["nominalConcurrencyShares"] = shares
                level.setdefault("lendablePercent", 0)
        response = (spec.get("limited") or {}).get("limitResponse") or {}
        queuing = response.get("queuing")
        if queuing is not None:
            for name, value in QUEUING_DEFAULTS.items():
                if not queuing.get(name):
                    queuing[name] = value

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        meta, spec = obj["metadata"], obj["spec"]
        found: list[Cause] = []
        if ZERO_SHARES_ANNOTATION in (meta.get("annotations") or {}):
            detail = f"annotation '{ZERO_SHARES_ANNOTATION}' is forbidden"
            found.append(forbidden("metadata.annotations", detail))
        name = meta.get("name", "")
        found += _validate_level(name, spec)
        found += _validate_mandatory_level(name, spec)
        return found + _validate_status(obj)


def _validate_mandatory_level(name: str, spec: Object) -> list[Cause]:
    mandatory = MANDATORY_PRIORITY_LEVELS.get(name)
    if mandatory is None:
        return []
    # Of the exempt level the part of that name may be changed, nothing else.
    compared = {**spec, "exempt": mandatory["exempt"]} if name == "exempt" else spec
    if compared == mandatory:
        return []
    return [invalid("spec", spec, f"spec of '{name}' must equal the fixed value")]


def _validate_level(name: str, spec: Object) -> list[Cause]:
    found: list[Cause] = []
    kind, exempt, limited = spec.get("type", ""), spec.get("exempt"), spec.get("limited")
    if (name == "exempt") != (kind == "Exempt"):
        detail = "must be 'Exempt' if and only if `name` is 'exempt'"
        found.append(invalid("spec.type", kind, detail))
    if kind == "Exempt":
        if limited is not None:
            found.append(forbidden("spec.limited", "must be nil if the type is not Limited"))
        if exempt is not None:
            found += _validate_shares(exempt, "spec.exempt") + _validate_lendable(
                exempt, "spec.exempt"
            )
    elif kind == "Limited":
        if exempt is not None:
            found.append(forbidden("spec.exempt", "must be nil if the type is Limited"))
        if limited is None:
            found.append(required("spec.limited", "must not be empty when type is Limited"))
        else:
            found += _validate_limited(limited)
    else:
        found.append(not_supported("spec.type", kind, ("Exempt", "Limited")))
    return found


def _validate_shares(level: Object, path: str) -> list[Cause]:
    shares = level.get("nominalConcurrencyShares") or 0
    if shares >= 0:
        return []
    return [
        invalid(child(path, "nominalConcurrencyShares"), shares, "must be a non-negative integer")
    ]


def _validate_lendable(level: Object, path: str) -> list[Cause]:
    percent = level.get("lendablePercent")
    if percent is None or 0 <= percent <= 100:
        return []
    detail = "must be between 0 and 100, inclusive"
    return [invalid(child(path, "lendablePercent"), percent, detail)]


def _validate_limited(level: Object) -> list[Cause]:
    path = "spec.limited"
    found = _validate_shares(level, path)
    response, at = level.get("limitResponse") or {}, child(path, "limitResponse")
    kind, queuing = response.get("type", ""), response.get("queuing")
    where = child(at, "queuing")
    if kind == "Reject":
        if queuing is not None:
            found.append(forbidden(where, "must be nil if the type is not Queue"))
    elif kind == "Queue":
        if queuing is None:
            found.append(required(where, "must not be empty if the type is Queue"))
        else:
            found += _validate_queuing(queuing, where)
    else:
        found.append(not_supported(child(at, "type"), kind, ("Queue", "Reject")))
    found += _validate_lendable(level, path)
    limit = level.get("borrowingLimitPercent")
    if limit is not None and limit < 0:
        detail = "if specified, must be a non-negative integer"
        found.append(invalid(child(path, "borrowingLimitPercent"), limit, detail))
    return found


def _validate_queuing(queuing: Object, path: str) -> list[Cause]:
    found: list[Cause] = []
    length, queues = queuing.get("queueLengthLimit", 0), queuing.get("queues", 0)
    hand, positive = queuing.get("handSize", 0), "must be positive"
    if length <= 0:
        found.append(invalid(child(path, "queueLengthLimit"), length, positive))
    at = child(path, "queues")
    if queues <= 0:
        found.append(invalid(at, queues, positive))
    elif queues > MAX_QUEUES:
        found.append(invalid(at, queues, f"must not be greater than {MAX_QUEUES}"))
    at = child(path, "handSize")
    if hand <= 0:
        found.append(invalid(at, hand, positive))
    elif hand > queues:
        found.append(invalid(at, hand, f"should not be greater than queues ({queues})"))
    elif math.ceil(math.log2(queues) * hand) > MAX_HASH_BITS:
        # A hand is dealt from the bits of one hash.
        detail = f"required entropy bits should not be greater than {MAX_HASH_BITS}"
        found.append(invalid(at, hand, detail))
    return found


FLOWCONTROL_STRATEGIES: dict[tuple[str, str], StrategyFactory] = {
    ("flowcontrol.apiserver.k8s.io", "flowschemas"): FlowSchemaStrategy,
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"): (
        PriorityLevelConfigurationStrategy
    ),
}
