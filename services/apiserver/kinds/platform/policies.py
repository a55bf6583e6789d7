"""ValidatingAdmissionPolicy, MutatingAdmissionPolicy and their bindings.

Source: kube-apiserver v1.36.2, pkg/registry/admissionregistration/*admissionpolicy*,
pkg/apis/admissionregistration/validation/validation.go,
pkg/apis/admissionregistration/v1/defaults.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from services.apiserver.cel.inference import DYN, Type
from services.apiserver.cel.syntax import KEYWORDS, RESERVED
from services.apiserver.errors import Cause
from services.apiserver.kinds.platform.admissionrules import (
    FAILURE_POLICIES,
    REINVOCATION_POLICIES,
    default_matching,
    validate_expression,
    validate_match_conditions,
    validate_match_resources,
    validate_mutating_operations,
)
from services.apiserver.kinds.platform.expressions import (
    ANY,
    BOOL,
    STRING,
    Fields,
    Variables,
    admission_variables,
    check,
    inferred,
)
from services.apiserver.kinds.platform.rules import (
    MetadataKeepingStatus,
    duplicates,
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
from services.apiserver.validation.metadata import validate_conditions, validate_label_selector
from services.apiserver.validation.names import (
    dns1035_label,
    dns1123_subdomain,
    longer_than,
    path_segment,
    qualified_name,
)

REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")
ACTIONS = ("Audit", "Deny", "Warn")
NOT_FOUND_ACTIONS = ("Deny", "Allow")
PATCH_TYPES = ("ApplyConfiguration", "JSONPatch")
MAX_AUDIT_ANNOTATIONS = 20
MAX_AUDIT_EXPRESSION_BYTES = 5 * 1024
_CEL_IDENTIFIER = re.compile("[_a-zA-Z][_a-zA-Z0-9]*")
_CEL_RESERVED = KEYWORDS | RESERVED


class _PolicyStrategy(Strategy):
    unconditional_update = False
    has_generation = True

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("failurePolicy", "Fail")
        constraints = spec.get("matchConstraints")
        if constraints is not None:
            default_matching(constraints)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return metadata_again(self, obj, old) + self.validate_policy(obj, old)

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return self.validate_policy(obj, None)

    def validate_policy(self, obj: Object, old: Object | None) -> list[Cause]:
        raise NotImplementedError


class ValidatingAdmissionPolicyStrategy(_PolicyStrategy):
    has_status = True

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        super().prepare_for_create(ctx, obj)
        obj["status"] = {}

    def validate_policy(self, obj: Object, old: Object | None) -> list[Cause]:
        spec = obj["spec"]
        seen = _Seen(spec)
        found = _validate_common(spec, old, seen, mutating=False)
        validations = spec.get("validations") or []
        annotations = spec.get("auditAnnotations") or []
        if not validations and not annotations:
            detail = "validations or auditAnnotations must contain at least one item"
            return [
                *found,
                required("spec.validations", detail),
                required("spec.auditAnnotations", detail),
            ]
        for number, validation in enumerate(validations):
            found += _validate_validation(validation, index("spec.validations", number), seen)
        name = obj["metadata"].get("name", "")
        return found + _validate_audit_annotations(name, annotations, seen)

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {"status": ValidatingAdmissionPolicyStatus(self)}


class ValidatingAdmissionPolicyStatus(MetadataKeepingStatus):
    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        status = obj.get("status") or {}
        warnings = (status.get("typeChecking") or {}).get("expressionWarnings") or ()
        found: list[Cause] = []
        for number, warning in enumerate(warnings):
            at = index("status.typeChecking.expressionWarnings", number)
            if not warning.get("warning"):
                found.append(required(child(at, "warning")))
            if not warning.get("fieldRef", "").strip():
                found.append(required(child(at, "fieldRef")))
        return found + validate_conditions(status.get("conditions"), "status.conditions")


class MutatingAdmissionPolicyStrategy(_PolicyStrategy):
    def validate_policy(self, obj: Object, old: Object | None) -> list[Cause]:
        spec = obj["spec"]
        seen = _Seen(spec)
        found = _validate_common(spec, old, seen, mutating=True)
        mutations = spec.get("mutations") or []
        if not mutations:
            found.append(required("spec.mutations", "mutations must contain at least one item"))
        for number, mutation in enumerate(mutations):
            found += _validate_mutation(mutation, index("spec.mutations", number), seen)
        policy, path = spec.get("reinvocationPolicy", ""), "spec.reinvocationPolicy"
        if not policy:
            found.append(required(path))
        elif policy not in REINVOCATION_POLICIES:
            found.append(not_supported(path, policy, REINVOCATION_POLICIES))
        return found


class _Seen:
    """What the expressions of a policy see: more with each of its variables."""

    def __init__(self, spec: Object) -> None:
        has_params = spec.get("paramKind") is not None
        self.all = admission_variables(params=has_params)
        self.messages = admission_variables(params=has_params, authorizer=False)
        """Without the authorizer, as messages must not cost a question to it."""
        self._types: dict[str, Type] = {}
        for known in (self.all, self.messages):
            known["variables"] = Type("object", Fields(self._types))

    def know(self, variable: Object) -> None:
        found = inferred(variable.get("expression", ""), self.all)
        self._types[variable.get("name", "")] = DYN if isinstance(found, str) else found


def _validate_common(
    spec: Object, old: Object | None, seen: _Seen, *, mutating: bool
) -> list[Cause]:
    found: list[Cause] = []
    policy = spec.get("failurePolicy")
    if policy is None:
        found.append(required("spec.failurePolicy"))
    elif policy not in FAILURE_POLICIES:
        found.append(not_supported("spec.failurePolicy", policy, FAILURE_POLICIES))
    if spec.get("paramKind") is not None:
        found += _validate_param_kind(spec["paramKind"], "spec.paramKind")
    constraints, path = spec.get("matchConstraints"), "spec.matchConstraints"
    if constraints is None:
        found.append(required(path))
    else:
        found += validate_match_resources(constraints, path)
        if not constraints.get("resourceRules"):
            found.append(required(child(path, "resourceRules")))
        if mutating:
            found += validate_mutating_operations(constraints, path)
    before = (old or {}).get("spec")
    if before is None or any(
        spec.get(name) != before.get(name) for name in ("paramKind", "matchConditions")
    ):
        known = admission_variables(params=spec.get("paramKind") is not None)
        found += validate_match_conditions(
            spec.get("matchConditions") or [], "spec.matchConditions", known
        )
    for number, variable in enumerate(spec.get("variables") or ()):
        found += _validate_variable(variable, index("spec.variables", number), seen.all)
        seen.know(variable)
    return found


def _validate_param_kind(kind: Object, path: str) -> list[Cause]:
    found: list[Cause] = []
    text, at = kind.get("apiVersion", ""), child(path, "apiVersion")
    group, _, version = text.rpartition("/")
    if not text:
        found.append(required(at))
    elif text.count("/") > 1:
        found.append(invalid(at, text, f"unexpected GroupVersion string: {text}"))
    else:
        messages = dns1123_subdomain(group) if group else []
        if messages:
            found.append(invalid(at, group, ",".join(messages)))
        messages = dns1035_label(version) if version else ["version must be specified"]
        if messages:
            found.append(invalid(at, version, ",".join(messages)))
    name, at = kind.get("kind", ""), child(path, "kind")
    messages = dns1035_label(name.lower()) if name else []
    if not name:
        found.append(required(at))
    elif messages:
        detail = f"may have mixed case, but should otherwise match: {','.join(messages)}"
        found.append(invalid(at, name, detail))
    return found


def _validate_variable(variable: Object, path: str, seen: Variables) -> list[Cause]:
    name, at = variable.get("name", ""), child(path, "name")
    found: list[Cause] = []
    if not name.strip():
        found.append(required(at, "name is not specified"))
    elif not _CEL_IDENTIFIER.fullmatch(name) or name in _CEL_RESERVED:
        found.append(invalid(at, name, "must be a valid CEL identifier"))
    at = child(path, "expression")
    return found + validate_expression(variable.get("expression", ""), at, seen, ANY)


def _validate_validation(validation: Object, path: str, seen: _Seen) -> list[Cause]:
    at = child(path, "expression")
    found = validate_expression(validation.get("expression", ""), at, seen.all, BOOL)
    for name in ("messageExpression", "message"):
        text, at = validation.get(name, ""), child(path, name)
        if text and not text.strip():
            found.append(invalid(at, text, "must be non-empty if specified"))
        elif text and name == "messageExpression":
            found += check(text, at, seen.messages, STRING)
        elif name == "message" and re.search("[\n\r]", text.strip()):
            found.append(invalid(at, text, "must not contain line breaks"))
    reason = validation.get("reason")
    if reason is not None and reason not in REASONS:
        found.append(not_supported(child(path, "reason"), reason, REASONS))
    return found


def _validate_audit_annotations(policy: str, annotations: list[Object], seen: _Seen) -> list[Cause]:
    path = "spec.auditAnnotations"
    found: list[Cause] = []
    if len(annotations) > MAX_AUDIT_ANNOTATIONS:
        detail = f"must not have more than {MAX_AUDIT_ANNOTATIONS} auditAnnotations"
        found.append(invalid(path, annotations, detail))
    keys = [annotation.get("key", "") for annotation in annotations]
    doubled = set(duplicates(keys))
    for number, annotation in enumerate(annotations):
        at = index(path, number)
        if policy:
            found += follows(child(at, "key"), f"{policy}/{keys[number]}", qualified_name)
        else:
            detail = "requires metadata.name be non-empty"
            found.append(invalid(child(at, "key"), keys[number], detail))
        text, where = annotation.get("valueExpression", ""), child(at, "valueExpression")
        if longer_than(text.strip(), MAX_AUDIT_EXPRESSION_BYTES):
            detail = f"must not exceed {MAX_AUDIT_EXPRESSION_BYTES} bytes in length"
            found.append(required(where, detail))
        else:
            found += validate_expression(text, where, seen.all, STRING)
        if number in doubled:
            found.append(duplicate(child(at, "key"), keys[number]))
    return found


def _validate_mutation(mutation: Object, path: str, seen: _Seen) -> list[Cause]:
    kind, at = mutation.get("patchType", ""), child(path, "patchType")
    if not kind:
        return [required(at)]
    if kind not in PATCH_TYPES:
        return [not_supported(at, kind, PATCH_TYPES)]
    wanted, other = "jsonPatch", "applyConfiguration"
    if kind == "ApplyConfiguration":
        wanted, other = other, wanted
    at = child(path, wanted)
    if mutation.get(wanted) is None:
        found = [required(at, f"must be specified when patchType is {kind}")]
    else:
        text = mutation[wanted].get("expression", "")
        kinds = ("list",) if wanted == "jsonPatch" else ("Object",)
        found = validate_expression(text, child(at, "expression"), seen.all, kinds)
    if mutation.get(other) is not None:
        detail = f"must not be specified when patchType is {kind}"
        found.append(invalid(child(path, other), f"{{{other}}}", detail))
    return found


class _BindingStrategy(Strategy):
    unconditional_update = False
    has_generation = True

    def default(self, obj: Object) -> None:
        matching = (obj.get("spec") or {}).get("matchResources")
        if matching is not None:
            default_matching(matching)

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        spec = obj["spec"]
        found = required_name("spec.policyName", spec.get("policyName", ""), dns1123_subdomain)
        if spec.get("paramRef") is not None:
            found += _validate_param_ref(spec["paramRef"], "spec.paramRef")
        if spec.get("matchResources") is not None:
            found += validate_match_resources(spec["matchResources"], "spec.matchResources")
        return found

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return metadata_again(self, obj, old) + self.validate_create(ctx, obj)


class ValidatingAdmissionPolicyBindingStrategy(_BindingStrategy):
    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        found = super().validate_create(ctx, obj)
        return found + _validate_actions(obj["spec"].get("validationActions") or [])


class MutatingAdmissionPolicyBindingStrategy(_BindingStrategy):
    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        matching = obj["spec"].get("matchResources") or {}
        return super().validate_create(ctx, obj) + validate_mutating_operations(
            matching, "spec.matchResources"
        )


def _validate_param_ref(reference: Object, path: str) -> list[Cause]:
    name, selector = reference.get("name", ""), reference.get("selector")
    exclusive = "name and selector are mutually exclusive"
    found: list[Cause] = []
    if name:
        found += follows(child(path, "name"), name, path_segment)
        if selector is not None:
            found.append(forbidden(child(path, "name"), exclusive))
    if selector is not None:
        found += validate_label_selector(selector, child(path, "selector"))
        if name:
            found.append(forbidden(child(path, "selector"), exclusive))
    if not name and selector is None:
        found.append(required(path, "one of name or selector must be specified"))
    action, at = reference.get("parameterNotFoundAction"), child(path, "parameterNotFoundAction")
    if not action:
        found.append(required(at))
    elif action not in NOT_FOUND_ACTIONS:
        found.append(not_supported(at, action, NOT_FOUND_ACTIONS))
    return found


def _validate_actions(actions: list[str]) -> list[Cause]:
    path = "spec.validationActions"
    if not actions:
        return [required(path, "at least one validation action is required")]
    found: list[Cause] = []
    doubled = set(duplicates(actions))
    for number, action in enumerate(actions):
        if action not in ACTIONS:
            found.append(not_supported(index(path, number), action, ACTIONS))
        if number in doubled:
            found.append(duplicate(index(path, number), action))
    if {"Deny", "Warn"} <= set(actions):
        detail = "must not contain both Deny and Warn, which would tell the same failure twice"
        found.append(invalid(path, actions, detail))
    return found


POLICY_STRATEGIES: dict[tuple[str, str], StrategyFactory] = {
    ("admissionregistration.k8s.io", "mutatingadmissionpolicies"): MutatingAdmissionPolicyStrategy,
    ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings"): (
        MutatingAdmissionPolicyBindingStrategy
    ),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"): (
        ValidatingAdmissionPolicyStrategy
    ),
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"): (
        ValidatingAdmissionPolicyBindingStrategy
    ),
}
