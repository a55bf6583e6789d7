"""The spec of a Job, alone or in the template of a CronJob: defaults and rules.

Source: kube-apiserver v1.36.2, pkg/apis/batch/v1/defaults.go,
pkg/apis/batch/validation/validation.go (validateJobSpec), pkg/api/job/warnings.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.apiserver.errors import Cause
from services.apiserver.kinds.jobindexes import IndexesError, count_indexes
from services.apiserver.kinds.podowners import non_negative
from services.apiserver.kinds.podspec.spec import validate_template
from services.apiserver.kinds.podspec.warnings import spec_warnings
from services.apiserver.validation import field, names

Object = dict[str, Any]

INDEXED, NON_INDEXED = "Indexed", "NonIndexed"
_MANY_COMPLETIONS = 100_000
_MAX_PARALLELISM = 100_000
_MAX_FAILED_INDEXES = 100_000
_MAX_WITH_MANY_COMPLETIONS = 10_000
_MAX_RULES = 20
_MAX_EXIT_CODES = 255
_MAX_PATTERNS = 20
_MAX_INDEXES_LENGTH = 64 * 1024
_MAX_MANAGED_BY_LENGTH = 63
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_OPERATORS = ("In", "NotIn")
_STATUSES = ("False", "True", "Unknown")
_REPLACEMENT_POLICIES = ("Failed", "TerminatingOrFailed")


def default_failure_policy(spec: Object) -> None:
    """Default the parts of a JobSpec that a CronJob's template defaults as well."""
    for rule in spec.get("podFailurePolicy", {}).get("rules") or ():
        for pattern in rule.get("onPodConditions", ()):
            if not pattern.get("status"):
                pattern["status"] = "True"


def warnings_for_job_spec(spec: Object, path: str) -> Iterator[str]:
    if (
        spec.get("completionMode") == INDEXED
        and spec.get("completions", 0) > _MANY_COMPLETIONS
        and spec.get("parallelism", 0) > _MAX_WITH_MANY_COMPLETIONS
    ):
        yield (
            f"{path}: In Indexed Jobs with a number of completions higher than 10^5 and a"
            " parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes"
            " when a big number of indexes fail"
        )
    template = spec["template"]
    yield from spec_warnings(template["metadata"], template["spec"], f"{path}.template")


def validate_job_spec(spec: Object, path: str, *, with_template: bool = True) -> Iterator[Cause]:
    """Check a JobSpec but for its selector; `with_template` False leaves out a pod template
    that is known to be valid."""
    yield from non_negative(
        spec,
        path,
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    )
    if "maxFailedIndexes" in spec and "backoffLimitPerIndex" not in spec:
        yield field.required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    if "managedBy" in spec:
        yield from _managed_by(spec["managedBy"], f"{path}.managedBy")
    mode = spec.get("completionMode", NON_INDEXED)
    if mode == INDEXED:
        yield from _indexed(spec, path)
    elif mode == NON_INDEXED:
        for name in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if name in spec:
                yield field.invalid(
                    f"{path}.{name}", spec[name], "requires indexed completion mode"
                )
    else:
        yield field.not_supported(f"{path}.completionMode", mode, (NON_INDEXED, INDEXED))
    if "podFailurePolicy" in spec:
        yield from _failure_policy(spec, f"{path}.podFailurePolicy.rules")
    if "successPolicy" in spec:
        if mode == INDEXED:
            yield from _success_policy(spec, f"{path}.successPolicy.rules")
        else:
            yield field.invalid(
                f"{path}.successPolicy", spec["successPolicy"], "requires indexed completion mode"
            )
    yield from _replacement_policy(spec, f"{path}.podReplacementPolicy")
    if with_template:
        yield from validate_template(spec["template"], f"{path}.template")
    yield from _restart_policy(spec, f"{path}.template.spec.restartPolicy")


def _managed_by(value: str, path: str) -> Iterator[Cause]:
    domain, _, rest = value.partition("/")
    if not value:
        yield field.required(path)
    elif not domain or not rest:
        yield field.invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")')
    else:
        for message in names.dns1123_subdomain(domain):
            yield field.invalid(path, domain, message)
        for message in names.http_path(rest):
            yield field.invalid(path, rest, message)
    if names.longer_than(value, _MAX_MANAGED_BY_LENGTH):
        yield field.too_long(path, _MAX_MANAGED_BY_LENGTH)


def _indexed(spec: Object, path: str) -> Iterator[Cause]:
    completions = spec.get("completions")
    parallelism, failed = spec.get("parallelism", 0), spec.get("maxFailedIndexes")
    if completions is None:
        yield field.required(f"{path}.completions", "when completion mode is Indexed")
    if parallelism > _MAX_PARALLELISM:
        yield field.invalid(
            f"{path}.parallelism",
            parallelism,
            f"must be less than or equal to {_MAX_PARALLELISM} when completion mode is Indexed",
        )
    if failed is not None:
        if completions is not None and failed > completions:
            yield field.invalid(
                f"{path}.maxFailedIndexes", failed, "must be less than or equal to completions"
            )
        if failed > _MAX_FAILED_INDEXES:
            yield field.invalid(
                f"{path}.maxFailedIndexes",
                failed,
                f"must be less than or equal to {_MAX_FAILED_INDEXES}",
            )
    if (completions or 0) > _MANY_COMPLETIONS and "backoffLimitPerIndex" in spec:
        if failed is None:
            yield field.required(
                f"{path}.maxFailedIndexes",
                f"must be specified when completions is above {_MANY_COMPLETIONS}",
            )
        for name, value in (("parallelism", parallelism), ("maxFailedIndexes", failed or 0)):
            if value > _MAX_WITH_MANY_COMPLETIONS:
                yield field.invalid(
                    f"{path}.{name}",
                    value,
                    f"must be less than or equal to {_MAX_WITH_MANY_COMPLETIONS} when completions"
                    f" are above {_MANY_COMPLETIONS} and used with backoff limit per index",
                )


def _failure_policy(spec: Object, path: str) -> Iterator[Cause]:
    rules = spec["podFailurePolicy"].get("rules") or ()
    if len(rules) > _MAX_RULES:
        yield field.too_many(path, len(rules), _MAX_RULES)
    pod = spec["template"]["spec"]
    containers = {
        container.get("name")
        for kind in ("containers", "initContainers")
        for container in pod.get(kind) or ()
    }
    for number, rule in enumerate(rules):
        at = f"{path}[{number}]"
        action = rule.get("action", "")
        if not action:
            yield field.required(f"{at}.action", _valid_values(_ACTIONS))
        elif action not in _ACTIONS:
            yield field.not_supported(f"{at}.action", action, _ACTIONS)
        elif action == "FailIndex" and "backoffLimitPerIndex" not in spec:
            yield field.invalid(
                f"{at}.action", action, "requires the backoffLimitPerIndex to be set"
            )
        codes, patterns = rule.get("onExitCodes"), rule.get("onPodConditions")
        if codes is not None:
            yield from _exit_codes(codes, containers, f"{at}.onExitCodes")
        if patterns:
            yield from _conditions(patterns, f"{at}.onPodConditions")
        if codes is not None and patterns:
            yield field.invalid(
                at, "", "specifying both OnExitCodes and OnPodConditions is not supported"
            )
        elif codes is None and not patterns:
            yield field.invalid(
                at, "", "specifying one of OnExitCodes and OnPodConditions is required"
            )


def _exit_codes(codes: Object, containers: set[str], path: str) -> Iterator[Cause]:
    operator = codes.get("operator", "")
    if not operator:
        yield field.required(f"{path}.operator", _valid_values(_OPERATORS))
    elif operator not in _OPERATORS:
        yield field.not_supported(f"{path}.operator", operator, _OPERATORS)
    if "containerName" in codes and codes["containerName"] not in containers:
        yield field.invalid(
            f"{path}.containerName",
            codes["containerName"],
            "must be one of the container or initContainer names in the pod template",
        )
    values = codes.get("values") or []
    if not values:
        yield field.invalid(f"{path}.values", values, "at least one value is required")
    elif len(values) > _MAX_EXIT_CODES:
        yield field.too_many(f"{path}.values", len(values), _MAX_EXIT_CODES)
    seen = set()
    for number, value in enumerate(values):
        if operator == "In" and value == 0:
            yield field.invalid(
                f"{path}.values[{number}]", value, "must not be 0 for the In operator"
            )
        if value in seen:
            yield field.duplicate(f"{path}.values[{number}]", value)
        seen.add(value)
    if values != sorted(values):
        yield field.invalid(f"{path}.values", values, "must be ordered")


def _conditions(patterns: list[Object], path: str) -> Iterator[Cause]:
    if len(patterns) > _MAX_PATTERNS:
        yield field.too_many(path, len(patterns), _MAX_PATTERNS)
    for number, pattern in enumerate(patterns):
        at = f"{path}[{number}]"
        kind, status = pattern.get("type", ""), pattern.get("status", "")
        for message in names.qualified_name(kind):
            yield field.invalid(f"{at}.type", kind, message)
        if not status:
            yield field.required(f"{at}.status", _valid_values(_STATUSES))
        elif status not in _STATUSES:
            yield field.not_supported(f"{at}.status", status, _STATUSES)


def _success_policy(spec: Object, path: str) -> Iterator[Cause]:
    rules, completions = spec["successPolicy"].get("rules") or (), spec.get("completions", 0)
    if not rules:
        yield field.required(
            path, "at least one rules must be specified when the successPolicy is specified"
        )
    if len(rules) > _MAX_RULES:
        yield field.too_many(path, len(rules), _MAX_RULES)
    for number, rule in enumerate(rules):
        at = f"{path}[{number}]"
        indexes, wanted = rule.get("succeededIndexes"), rule.get("succeededCount")
        total = 0
        if indexes is None and wanted is None:
            yield field.required(
                at, "at least one of succeededCount or succeededIndexes must be specified"
            )
        if indexes is not None:
            if len(indexes) > _MAX_INDEXES_LENGTH:
                yield field.too_long(f"{at}.succeededIndexes", _MAX_INDEXES_LENGTH)
            try:
                total = count_indexes(indexes, completions)
            except IndexesError as error:
                yield field.invalid(
                    f"{at}.succeededIndexes", indexes, f"error parsing succeededIndexes: {error}"
                )
        if wanted is not None:
            yield from non_negative(rule, at, "succeededCount")
            if wanted > completions:
                yield field.invalid(
                    f"{at}.succeededCount",
                    wanted,
                    f"must be less than or equal to {completions}"
                    " (the number of specified completions)",
                )
            if indexes is not None and wanted > total:
                yield field.invalid(
                    f"{at}.succeededCount",
                    wanted,
                    f"must be less than or equal to {total}"
                    " (the number of indexes in the specified succeededIndexes field)",
                )


def _replacement_policy(spec: Object, path: str) -> Iterator[Cause]:
    policy = spec.get("podReplacementPolicy")
    supported = ("Failed",) if "podFailurePolicy" in spec else _REPLACEMENT_POLICIES
    if policy is not None and policy not in supported:
        yield field.not_supported(path, policy, supported)


def _restart_policy(spec: Object, path: str) -> Iterator[Cause]:
    policy = spec["template"]["spec"].get("restartPolicy", "")
    if policy in ("", "Always"):  # Always may have come from defaulting
        yield field.required(path, 'valid values: "OnFailure", "Never"')
    elif policy not in ("OnFailure", "Never"):
        yield field.not_supported(path, policy, ("OnFailure", "Never"))
    elif policy != "Never" and "podFailurePolicy" in spec:
        yield field.invalid(
            path, policy, 'only "Never" is supported when podFailurePolicy is specified'
        )


def _valid_values(values: tuple[str, ...]) -> str:
    return f"valid values: [{' '.join(field.shown(value) for value in values)}]"
