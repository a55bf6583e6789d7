"""What webhooks and admission policies have in common: which requests they match.

Source: kube-apiserver v1.36.2, pkg/apis/admissionregistration/validation/validation.go,
pkg/apis/admissionregistration/v1/defaults.go.
"""

from __future__ import annotations

from services.apiserver.errors import Cause
from services.apiserver.kinds.platform.expressions import BOOL, Variables, check
from services.apiserver.kinds.platform.rules import duplicates, follows, required_name
from services.apiserver.registry.strategy import Object
from services.apiserver.validation.field import (
    child,
    duplicate,
    index,
    invalid,
    not_supported,
    required,
    too_many,
)
from services.apiserver.validation.metadata import validate_label_selector
from services.apiserver.validation.names import path_segment, qualified_name

FAILURE_POLICIES = ("Fail", "Ignore")
MATCH_POLICIES = ("Equivalent", "Exact")
SCOPES = ("*", "Cluster", "Namespaced")
OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
MUTATING_OPERATIONS = ("*", "CONNECT", "CREATE", "UPDATE")
REINVOCATION_POLICIES = ("IfNeeded", "Never")
SELECTORS = ("namespaceSelector", "objectSelector")
MAX_MATCH_CONDITIONS = 64


def default_matching(matching: Object) -> None:
    """Fill in a webhook's or a MatchResources' policy, selectors and the scope of its rules."""
    matching.setdefault("matchPolicy", "Equivalent")
    for name in SELECTORS:
        matching.setdefault(name, {})
    for lists in ("rules", "resourceRules", "excludeResourceRules"):
        for rule in matching.get(lists) or ():
            rule.setdefault("scope", "*")


def validate_match_resources(matching: Object, path: str) -> list[Cause]:
    """Check the matchConstraints of a policy or the matchResources of a binding."""
    found: list[Cause] = []
    policy = matching.get("matchPolicy")
    if policy is None:
        found.append(required(child(path, "matchPolicy")))
    elif policy not in MATCH_POLICIES:
        found.append(not_supported(child(path, "matchPolicy"), policy, MATCH_POLICIES))
    for name in SELECTORS:
        if matching.get(name) is None:
            found.append(required(child(path, name)))
        else:
            found += validate_label_selector(matching[name], child(path, name))
    for lists in ("resourceRules", "excludeResourceRules"):
        for number, rule in enumerate(matching.get(lists) or ()):
            at = index(child(path, lists), number)
            names = rule.get("resourceNames") or []
            doubled = set(duplicates(names))
            for position, name in enumerate(names):
                where = index(child(at, "resourceNames"), position)
                found += follows(where, name, path_segment)
                if position in doubled:
                    found.append(duplicate(where, name))
            found += validate_rule(rule, at)
    return found


def validate_mutating_operations(matching: Object, path: str) -> list[Cause]:
    """Check that rules name only operations that a mutation can change the outcome of."""
    return [
        not_supported(child(path, "resourceRules", "operations"), operation, MUTATING_OPERATIONS)
        for rule in matching.get("resourceRules") or ()
        for operation in rule.get("operations") or ()
        if operation not in MUTATING_OPERATIONS
    ]


def validate_rule(rule: Object, path: str) -> list[Cause]:
    """Check a RuleWithOperations."""
    operations, at = rule.get("operations") or [], child(path, "operations")
    found = _validate_wildcard(operations, at)
    found += [
        not_supported(index(at, number), operation, OPERATIONS)
        for number, operation in enumerate(operations)
        if operation not in OPERATIONS
    ]
    found += _validate_wildcard(rule.get("apiGroups") or [], child(path, "apiGroups"))
    versions, at = rule.get("apiVersions") or [], child(path, "apiVersions")
    found += _validate_wildcard(versions, at)
    found += [required(index(at, number)) for number, version in enumerate(versions) if not version]
    found += _validate_resources(rule.get("resources") or [], child(path, "resources"))
    scope = rule.get("scope")
    if scope is not None and scope not in SCOPES:
        found.append(not_supported(child(path, "scope"), scope, SCOPES))
    return found


def _validate_wildcard(values: list[str], path: str) -> list[Cause]:
    """Check a list that holds something, and nothing besides "*" if that is in it."""
    if not values:
        return [required(path)]
    if len(values) > 1 and "*" in values:
        return [invalid(path, values, "if '*' is present, must not specify others")]
    return []


def _validate_resources(resources: list[str], path: str) -> list[Cause]:
    """Check resources and subresources: pods, pods/log, pods/*, */log, *, */*."""
    found = [] if resources else [required(path)]
    whole: set[str] = set()
    subresources: set[str] = set()
    has_plain = False
    for number, name in enumerate(resources):
        at = index(path, number)
        if not name:
            found.append(required(at))
            continue
        resource, slash, subresource = name.partition("/")
        if not slash:
            # The last name without subresource counts, as in kube-apiserver.
            has_plain = name != "*"
            continue
        if resource in whole:
            detail = f"if '{resource}/*' is present, must not specify {name}"
            found.append(invalid(at, name, detail))
        if subresource in subresources:
            detail = f"if '*/{subresource}' is present, must not specify {name}"
            found.append(invalid(at, name, detail))
        if subresource == "*":
            whole.add(resource)
        if resource == "*":
            subresources.add(subresource)
    if len(resources) > 1 and "*/*" in resources:
        detail = "if '*/*' is present, must not specify other resources"
        found.append(invalid(path, resources, detail))
    if "*" in resources and has_plain:
        detail = "if '*' is present, must not specify other resources without subresources"
        found.append(invalid(path, resources, detail))
    return found


def validate_match_conditions(
    conditions: list[Object], path: str, variables: Variables
) -> list[Cause]:
    found: list[Cause] = []
    if len(conditions) > MAX_MATCH_CONDITIONS:
        found.append(too_many(path, len(conditions), MAX_MATCH_CONDITIONS))
    seen: set[str] = set()
    for number, condition in enumerate(conditions):
        at = index(path, number)
        found += validate_expression(
            condition.get("expression", ""), child(at, "expression"), variables, BOOL
        )
        name = condition.get("name", "")
        found += required_name(child(at, "name"), name, qualified_name)
        if name and name in seen:
            found.append(duplicate(child(at, "name"), name))
        seen.add(name)
    return found


def validate_expression(
    text: str, path: str, variables: Variables, kinds: tuple[str, ...]
) -> list[Cause]:
    """Check that a CEL expression is there, and what can be known of it."""
    if not text.strip():
        return [required(path, "expression is not specified")]
    return check(text, path, variables, kinds)
