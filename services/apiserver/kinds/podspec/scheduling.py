"""Where a pod may run: node selectors, affinity, topology spread, tolerations, gates.

Source: kube-apiserver v1.36.2, pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.apiserver.errors import Cause
from services.apiserver.validation import field, metadata, names

Object = dict[str, Any]

TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_TOLERATION_OPERATORS = ("Equal", "Exists")
_SCHEDULE_ACTIONS = ("DoNotSchedule", "ScheduleAnyway")
_INCLUSION_POLICIES = ("Honor", "Ignore")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_WEIGHT = "must be in the range 1-100"
_NOT_POSITIVE = "must be greater than zero"


def validate_affinity(affinity: Object, path: str) -> Iterator[Cause]:
    node = affinity.get("nodeAffinity")
    if node is not None:
        at = f"{path}.nodeAffinity"
        if _REQUIRED in node:
            yield from validate_node_selector(node[_REQUIRED], f"{at}.{_REQUIRED}")
        for number, term in enumerate(node.get(_PREFERRED, ())):
            term_path = f"{at}.{_PREFERRED}[{number}]"
            yield from _weight(term, term_path)
            # Bad label values were once let through here and have to stay valid.
            yield from _node_selector_term(
                term.get("preference", {}), f"{term_path}.preference", check_values=False
            )
    for kind in ("podAffinity", "podAntiAffinity"):
        if kind in affinity:
            yield from _pod_affinity(affinity[kind], f"{path}.{kind}")


def _weight(term: Object, path: str) -> Iterator[Cause]:
    weight = term.get("weight", 0)
    if not 0 < weight <= 100:
        yield field.invalid(f"{path}.weight", weight, _WEIGHT)


def validate_node_selector(selector: Object, path: str) -> Iterator[Cause]:
    at = f"{path}.nodeSelectorTerms"
    terms = selector.get("nodeSelectorTerms")
    if not terms:
        yield field.required(at, "must have at least one node selector term")
        return
    for number, term in enumerate(terms):
        yield from _node_selector_term(term, f"{at}[{number}]", check_values=True)


def _node_selector_term(term: Object, path: str, *, check_values: bool) -> Iterator[Cause]:
    for number, requirement in enumerate(term.get("matchExpressions", ())):
        yield from _node_requirement(
            requirement, f"{path}.matchExpressions[{number}]", check_values
        )
    for number, requirement in enumerate(term.get("matchFields", ())):
        yield from _node_field_requirement(requirement, f"{path}.matchFields[{number}]")


def _node_requirement(requirement: Object, path: str, check_values: bool) -> Iterator[Cause]:
    operator, values = requirement.get("operator", ""), requirement.get("values", ())
    if operator in ("In", "NotIn"):
        if not values:
            yield field.required(
                f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"
            )
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            yield field.forbidden(
                f"{path}.values",
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            )
    elif operator in ("Gt", "Lt"):
        if len(values) != 1:
            yield field.required(
                f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'"
            )
    else:
        yield field.invalid(f"{path}.operator", operator, "not a valid selector operator")
    yield from metadata.validate_label_name(requirement.get("key", ""), f"{path}.key")
    if check_values:
        for number, value in enumerate(values):
            for message in names.label_value(value):
                yield field.invalid(f"{path}.values[{number}]", value, message)


def _node_field_requirement(requirement: Object, path: str) -> Iterator[Cause]:
    operator, values = requirement.get("operator", ""), requirement.get("values", ())
    if operator not in ("In", "NotIn"):
        yield field.invalid(f"{path}.operator", operator, "not a valid selector operator")
    elif len(values) != 1:
        yield field.required(
            f"{path}.values",
            "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
        )
    key = requirement.get("key", "")
    if key != "metadata.name":
        yield field.invalid(f"{path}.key", key, "not a valid field selector key")
        return
    for number, value in enumerate(values):
        for message in names.dns1123_subdomain(value):
            yield field.invalid(f"{path}.values[{number}]", value, message)


def _pod_affinity(affinity: Object, path: str) -> Iterator[Cause]:
    for number, term in enumerate(affinity.get(_REQUIRED, ())):
        yield from _pod_affinity_term(term, f"{path}.{_REQUIRED}[{number}]")
    for number, weighted in enumerate(affinity.get(_PREFERRED, ())):
        at = f"{path}.{_PREFERRED}[{number}]"
        yield from _weight(weighted, at)
        yield from _pod_affinity_term(weighted.get("podAffinityTerm", {}), f"{at}.podAffinityTerm")


def _pod_affinity_term(term: Object, path: str) -> Iterator[Cause]:
    selector = term.get("labelSelector")
    yield from metadata.validate_label_selector(selector, f"{path}.labelSelector")
    yield from metadata.validate_label_selector(
        term.get("namespaceSelector"), f"{path}.namespaceSelector"
    )
    for namespace in term.get("namespaces", ()):
        for message in names.dns1123_label(namespace):
            yield field.invalid(f"{path}.namespace", namespace, message)
    yield from _label_keys(
        term.get("matchLabelKeys", []), term.get("mismatchLabelKeys", []), selector, path
    )
    key = term.get("topologyKey", "")
    if not key:
        yield field.required(f"{path}.topologyKey", "can not be empty")
    yield from metadata.validate_label_name(key, f"{path}.topologyKey")


def _label_keys(
    match: list[str], mismatch: list[str], selector: Object | None, path: str
) -> Iterator[Cause]:
    for name, keys in (("matchLabelKeys", match), ("mismatchLabelKeys", mismatch)):
        if keys and selector is None:
            yield field.forbidden(
                f"{path}.{name}", "must not be specified when labelSelector is not set"
            )
            continue
        for number, key in enumerate(keys):
            yield from metadata.validate_label_name(key, f"{path}.{name}[{number}]")
    if selector is not None and match:
        positions = {key: number for number, key in enumerate(match)}
        used = set(selector.get("matchLabels", ()))
        for expression in selector.get("matchExpressions", ()):
            # Creation has turned each key into an expression: a second one is the client's.
            key = expression.get("key", "")
            if key in positions and key in used:
                yield field.invalid(
                    f"{path}[{positions[key]}]",
                    key,
                    "exists in both matchLabelKeys and labelSelector",
                )
            used.add(key)
    for number, key in enumerate(match):
        if key in mismatch:
            yield field.invalid(
                f"{path}.matchLabelKeys[{number}]",
                key,
                "exists in both matchLabelKeys and mismatchLabelKeys",
            )


def validate_topology_spread(constraints: list[Object], path: str) -> Iterator[Cause]:
    for number, constraint in enumerate(constraints):
        at = f"{path}[{number}]"
        skew = constraint.get("maxSkew", 0)
        if skew <= 0:
            yield field.invalid(f"{at}.maxSkew", skew, _NOT_POSITIVE)
        key, action = constraint.get("topologyKey", ""), constraint.get("whenUnsatisfiable", "")
        if not key:
            yield field.required(f"{at}.topologyKey", "can not be empty")
        if action not in _SCHEDULE_ACTIONS:
            yield field.not_supported(f"{at}.whenUnsatisfiable", action, _SCHEDULE_ACTIONS)
        if any(
            other.get("topologyKey", "") == key and other.get("whenUnsatisfiable", "") == action
            for other in constraints[number + 1 :]
        ):
            yield field.duplicate(
                f"{at}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {action}}}"
            )
        yield from _min_domains(constraint.get("minDomains"), action, f"{at}.minDomains")
        for name in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            policy = constraint.get(name)
            if policy is not None and policy not in _INCLUSION_POLICIES:
                yield field.not_supported(f"{at}.{name}", policy, _INCLUSION_POLICIES)
        selector = constraint.get("labelSelector")
        yield from _label_keys(constraint.get("matchLabelKeys", []), [], selector, at)
        yield from metadata.validate_label_selector(selector, f"{at}.labelSelector")


def _min_domains(domains: int | None, action: str, path: str) -> Iterator[Cause]:
    if domains is None:
        return
    if domains <= 0:
        yield field.invalid(path, domains, _NOT_POSITIVE)
    if action != "DoNotSchedule":
        yield field.invalid(
            path,
            domains,
            f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}",
        )


def validate_tolerations(tolerations: list[Object], path: str) -> Iterator[Cause]:
    for number, toleration in enumerate(tolerations):
        at = f"{path}[{number}]"
        key, operator = toleration.get("key", ""), toleration.get("operator", "")
        effect, value = toleration.get("effect", ""), toleration.get("value", "")
        if key:
            yield from metadata.validate_label_name(key, f"{at}.key")
        elif operator != "Exists":
            yield field.invalid(
                f"{at}.operator",
                operator,
                "operator must be Exists when `key` is empty, which means"
                ' "match all values and all keys"',
            )
        if "tolerationSeconds" in toleration and effect != "NoExecute":
            yield field.invalid(
                f"{at}.effect",
                effect,
                "effect must be 'NoExecute' when `tolerationSeconds` is set",
            )
        if operator in ("", "Equal"):
            messages = names.label_value(value)
            if messages:
                yield field.invalid(f"{at}.operator", value, ";".join(messages))
        elif operator == "Exists":
            if value:
                yield field.invalid(
                    f"{at}.operator", value, "value must be empty when `operator` is 'Exists'"
                )
        else:
            yield field.not_supported(f"{at}.operator", operator, _TOLERATION_OPERATORS)
        if effect and effect not in TAINT_EFFECTS:
            yield field.not_supported(f"{at}.effect", effect, TAINT_EFFECTS)


def validate_gates(gates: list[Object], path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for number, gate in enumerate(gates):
        name = gate.get("name", "")
        for message in names.qualified_name(name):
            yield field.invalid(f"{path}[{number}]", name, message)
        if name in seen:
            yield field.duplicate(f"{path}[{number}]", name)
        seen.add(name)
