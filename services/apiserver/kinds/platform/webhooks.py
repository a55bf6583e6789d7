"""ValidatingWebhookConfiguration and MutatingWebhookConfiguration.

Source: kube-apiserver v1.36.2, pkg/registry/admissionregistration/*webhookconfiguration,
pkg/apis/admissionregistration/validation/validation.go,
pkg/apis/admissionregistration/v1/defaults.go.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.apiserver.errors import Cause
from services.apiserver.kinds.platform.admissionrules import (
    FAILURE_POLICIES,
    MATCH_POLICIES,
    REINVOCATION_POLICIES,
    SELECTORS,
    default_matching,
    validate_match_conditions,
    validate_rule,
)
from services.apiserver.kinds.platform.expressions import admission_variables
from services.apiserver.kinds.platform.rules import (
    duplicates,
    follows,
    fully_qualified_name,
    metadata_again,
)
from services.apiserver.kinds.platform.webhookclient import (
    default_webhook_service,
    swapped,
    validate_webhook_service,
    validate_webhook_url,
)
from services.apiserver.registry.strategy import Object, Strategy, StrategyFactory, WriteContext
from services.apiserver.validation.field import (
    child,
    duplicate,
    index,
    invalid,
    not_supported,
    required,
)
from services.apiserver.validation.metadata import validate_label_selector
from services.apiserver.validation.names import dns1035_label

SIDE_EFFECTS = ("None", "NoneOnDryRun", "Some", "Unknown")
NO_SIDE_EFFECTS = ("None", "NoneOnDryRun")
REVIEW_VERSIONS = ("v1", "v1beta1")
DEFAULT_TIMEOUT_S = 10
MAX_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class _Rules:
    """What is asked of webhooks; less where the old configuration did not have it."""

    match_conditions: bool = True
    no_side_effects: bool = True
    known_review_version: bool = True
    unique_names: bool = True
    label_values: bool = True


class ValidatingWebhookConfigurationStrategy(Strategy):
    unconditional_update = False
    has_generation = True

    def default(self, obj: Object) -> None:
        for hook in _webhooks(obj):
            hook.setdefault("failurePolicy", "Fail")
            hook.setdefault("timeoutSeconds", DEFAULT_TIMEOUT_S)
            default_matching(hook)
            default_webhook_service(hook.get("clientConfig") or {})

    def generation_moves(self, obj: Object, old: Object) -> bool:
        return _webhooks(obj) != _webhooks(old)

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _validate_webhooks(_webhooks(obj), _Rules())

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        hooks, before = _webhooks(obj), _webhooks(old)
        return metadata_again(self, obj, old) + _validate_webhooks(hooks, _rules(hooks, before))


class MutatingWebhookConfigurationStrategy(ValidatingWebhookConfigurationStrategy):
    def default(self, obj: Object) -> None:
        super().default(obj)
        for hook in _webhooks(obj):
            hook.setdefault("reinvocationPolicy", "Never")


def _webhooks(obj: Object) -> list[Object]:
    return obj.get("webhooks") or []


def _rules(hooks: list[Object], before: list[Object]) -> _Rules:
    def conditions(among: list[Object]) -> list[object]:
        return [hook.get("matchConditions") for hook in among]

    return _Rules(
        match_conditions=conditions(hooks) != conditions(before),
        no_side_effects=all(hook.get("sideEffects") in NO_SIDE_EFFECTS for hook in before),
        known_review_version=all(
            not hook.get("admissionReviewVersions")
            or not set(REVIEW_VERSIONS).isdisjoint(hook["admissionReviewVersions"])
            for hook in before
        ),
        unique_names=not duplicates([hook.get("name", "") for hook in before]),
        label_values=not any(
            validate_label_selector(hook.get(name), "") for hook in before for name in SELECTORS
        ),
    )


def _validate_webhooks(hooks: list[Object], rules: _Rules) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    for number, hook in enumerate(hooks):
        at = index("webhooks", number)
        found += _validate_webhook(hook, at, rules)
        found += _validate_review_versions(
            hook.get("admissionReviewVersions") or [],
            child(at, "admissionReviewVersions"),
            known=rules.known_review_version,
        )
        name = hook.get("name", "")
        if rules.unique_names and name and name in seen:
            found.append(duplicate(child(at, "name"), name))
        seen.add(name)
    return found


def _validate_webhook(hook: Object, path: str, rules: _Rules) -> list[Cause]:
    found = fully_qualified_name(child(path, "name"), hook.get("name", ""))
    for number, rule in enumerate(hook.get("rules") or ()):
        found += validate_rule(rule, index(child(path, "rules"), number))
    for name, supported in (("failurePolicy", FAILURE_POLICIES), ("matchPolicy", MATCH_POLICIES)):
        if hook.get(name) is not None and hook[name] not in supported:
            found.append(not_supported(child(path, name), hook[name], supported))
    effects, at = hook.get("sideEffects"), child(path, "sideEffects")
    allowed = NO_SIDE_EFFECTS if rules.no_side_effects else SIDE_EFFECTS
    if effects is None:
        found.append(required(at, f"must specify one of {', '.join(allowed)}"))
    elif effects not in allowed:
        found.append(not_supported(at, effects, allowed))
    timeout = hook.get("timeoutSeconds")
    if timeout is not None and not 1 <= timeout <= MAX_TIMEOUT_S:
        detail = "the timeout value must be between 1 and 30 seconds"
        found.append(invalid(child(path, "timeoutSeconds"), timeout, detail))
    for name in SELECTORS:
        found += validate_label_selector(
            hook.get(name), child(path, name), check_values=rules.label_values
        )
    policy = hook.get("reinvocationPolicy")
    if policy is not None and policy not in REINVOCATION_POLICIES:
        at = child(path, "reinvocationPolicy")
        found.append(not_supported(at, policy, REINVOCATION_POLICIES))
    found += _validate_client(hook.get("clientConfig") or {}, child(path, "clientConfig"))
    if rules.match_conditions:
        conditions = hook.get("matchConditions") or []
        found += validate_match_conditions(
            conditions, child(path, "matchConditions"), admission_variables()
        )
    return found


def _validate_client(client: Object, path: str) -> list[Cause]:
    url, service = client.get("url"), client.get("service")
    if (url is None) == (service is None):
        return [required(path, "exactly one of url or service is required")]
    if url is not None:
        return validate_webhook_url(url, child(path, "url"))
    return validate_webhook_service(swapped(service or {}), child(path, "service"))


def _validate_review_versions(versions: list[str], path: str, *, known: bool) -> list[Cause]:
    one_of = ", ".join(REVIEW_VERSIONS)
    if not versions:
        return [required(path, f"must specify one of {one_of}")]
    found: list[Cause] = []
    doubled = set(duplicates(versions))
    for number, version in enumerate(versions):
        at = index(path, number)
        if number in doubled:
            found.append(invalid(at, version, "duplicate version"))
        else:
            found += follows(at, version, dns1035_label)
    if known and set(REVIEW_VERSIONS).isdisjoint(versions):
        found.append(invalid(path, versions, f"must include at least one of {one_of}"))
    return found


WEBHOOK_STRATEGIES: dict[tuple[str, str], StrategyFactory] = {
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"): (
        MutatingWebhookConfigurationStrategy
    ),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"): (
        ValidatingWebhookConfigurationStrategy
    ),
}
