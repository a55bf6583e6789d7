"""ResourceQuota.

Source: kube-apiserver v1.36.2, pkg/registry/core/resourcequota/strategy.go,
pkg/apis/core/validation/validation.go (ValidateResourceQuota...).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.apiserver.errors import Cause
from services.apiserver.kinds.podspec.resources import round_up
from services.apiserver.kinds.resourcelists import (
    is_quota_resource,
    validate_quantity_value,
    validate_quota_resource_name,
)
from services.apiserver.registry.strategy import (
    Object,
    StatusSubresource,
    Strategy,
    UpdateSubresource,
    WriteContext,
)
from services.apiserver.validation.field import child, invalid, key, required
from services.apiserver.validation.metadata import IMMUTABLE

SCOPES = frozenset(
    (
        "Terminating",
        "NotTerminating",
        "BestEffort",
        "NotBestEffort",
        "PriorityClass",
        "CrossNamespacePodAffinity",
        "VolumeAttributesClass",
    )
)
EXISTS_ONLY = SCOPES - {"PriorityClass", "VolumeAttributesClass"}
POD_COMPUTE = frozenset(
    ("cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory")
)
CONFLICTING = (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating"))


class ResourceQuotaStrategy(Strategy):
    returns_deleted_object = True
    has_status = True

    def default(self, obj: Object) -> None:
        for part in (obj.setdefault("spec", {}), obj.setdefault("status", {})):
            for name in ("hard", "used"):
                if name in part:
                    round_up(part[name])

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        obj["status"] = {}

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _validate_spec(obj["spec"])

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        spec = obj["spec"]
        found = _validate_spec(spec)
        if set(spec.get("scopes", ())) != set(old["spec"].get("scopes", ())):
            found.append(invalid("spec.scopes", spec.get("scopes", []), IMMUTABLE))
        return found

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {"status": ResourceQuotaStatus(self)}


class ResourceQuotaStatus(StatusSubresource):
    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        status = obj.get("status", {})
        return _validate_list(status.get("hard", {}), "status.hard") + _validate_list(
            status.get("used", {}), "status.used"
        )


def _validate_spec(spec: Object) -> list[Cause]:
    hard = spec.get("hard", {})
    found = _validate_list(hard, "spec.hard")
    scopes = spec.get("scopes", ())
    path = "spec.scopes"
    for scope in scopes:
        if scope not in SCOPES:
            found.append(invalid(path, scopes, "unsupported scope"))
        found += _validate_reach(scope, hard, path, scopes)
    found += _validate_conflicts(scopes, scopes)
    selector = spec.get("scopeSelector")
    if selector is not None:
        found += _validate_selector(selector, hard, scopes)
    return found


def _validate_list(resources: Mapping[str, str], path: str) -> list[Cause]:
    found: list[Cause] = []
    for name, text in resources.items():
        at = key(path, name)
        found += validate_quota_resource_name(name, at)
        found += validate_quantity_value(name, text, at)
    return found


def _validate_selector(
    selector: Object, hard: Mapping[str, str], scopes: Iterable[str]
) -> list[Cause]:
    found: list[Cause] = []
    path = "spec.scopeSelector.matchExpressions"
    named: list[str] = []
    for expression in selector.get("matchExpressions", ()):
        scope, operator = expression.get("scopeName", ""), expression.get("operator", "")
        values = expression.get("values", ())
        if scope not in SCOPES:
            found.append(invalid(child(path, "scopeName"), scope, "unsupported scope"))
        found += _validate_reach(scope, hard, path, selector)
        if scope in EXISTS_ONLY and operator != "Exists":
            found.append(
                invalid(
                    child(path, "operator"),
                    operator,
                    f"must be 'Exists' when scope is any of {', '.join(sorted(EXISTS_ONLY))}",
                )
            )
        if operator in ("In", "NotIn"):
            if not values:
                found.append(
                    required(
                        child(path, "values"),
                        "must be at least one value when `operator` is 'In' or 'NotIn' for scope"
                        " selector",
                    )
                )
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                found.append(
                    invalid(
                        child(path, "values"),
                        values,
                        "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope"
                        " selector",
                    )
                )
        else:
            found.append(
                invalid(child(path, "operator"), operator, "not a valid selector operator")
            )
        named.append(scope)
    return found + _validate_conflicts(named, scopes)


def _validate_reach(scope: str, hard: Mapping[str, str], path: str, shown: object) -> list[Cause]:
    """Check that every limited resource is one that the scope can tell apart."""
    return [
        invalid(path, shown, "unsupported scope applied to resource")
        for name in sorted(hard)
        if is_quota_resource(name) and not _reaches(scope, name)
    ]


def _reaches(scope: str, name: str) -> bool:
    if scope == "BestEffort":
        return name == "pods"
    if scope == "VolumeAttributesClass":
        return name in ("persistentvolumeclaims", "requests.storage")
    return scope not in SCOPES or name == "pods" or name in POD_COMPUTE


def _validate_conflicts(named: Iterable[str], shown: object) -> list[Cause]:
    present = set(named)
    return [
        invalid("spec.scopes", shown, "conflicting scopes")
        for pair in CONFLICTING
        if present.issuperset(pair)
    ]
