"""The rules of the access reviews' specs.

Source: kube-apiserver v1.36.2, pkg/apis/authorization/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from services.apiserver.errors import Cause
from services.apiserver.registry.strategy import Object
from services.apiserver.validation.field import child, forbidden, index, invalid, required
from services.apiserver.validation.metadata import validate_label_name

RESOURCE, NON_RESOURCE = "resourceAttributes", "nonResourceAttributes"
AT_RESOURCE, AT_NON_RESOURCE = f"spec.{RESOURCE}", f"spec.{NON_RESOURCE}"

ValidateKey = Callable[[str, str], list[Cause]]


def validate_self_review(review: Object) -> list[Cause]:
    """Check a SelfSubjectAccessReview."""
    return _validate_attributes(review) + _validate_metadata(review["metadata"])


def validate_subject_review(review: Object) -> list[Cause]:
    """Check a SubjectAccessReview."""
    return _validate_subject(review) + _validate_metadata(review["metadata"])


def validate_local_review(review: Object) -> list[Cause]:
    """Check a LocalSubjectAccessReview, which has its URL's namespace."""
    spec, meta = review["spec"], review["metadata"]
    found = _validate_subject(review)
    if any(value for name, value in meta.items() if name != "namespace"):
        found.append(invalid("metadata", meta, "must be empty except for namespace"))
    attributes = spec.get(RESOURCE)
    if attributes is not None and attributes.get("namespace", "") != meta.get("namespace", ""):
        found.append(
            invalid(
                f"{AT_RESOURCE}.namespace",
                attributes.get("namespace", ""),
                "must match metadata.namespace",
            )
        )
    if spec.get(NON_RESOURCE) is not None:
        found.append(
            invalid(AT_NON_RESOURCE, spec[NON_RESOURCE], "disallowed on this kind of request")
        )
    return found


def _validate_metadata(meta: Mapping[str, Any]) -> list[Cause]:
    if not any(meta.values()):
        return []
    return [invalid("metadata", meta, "must be empty")]


def _validate_subject(review: Object) -> list[Cause]:
    spec = review["spec"]
    found = _validate_attributes(review, with_selectors=False)
    if not spec.get("user") and not spec.get("groups"):
        detail = "at least one of user or group must be specified"
        found.append(invalid("spec.user", spec.get("user", ""), detail))
    return found + _validate_selectors(spec.get(RESOURCE))


def _validate_attributes(review: Object, *, with_selectors: bool = True) -> list[Cause]:
    resource, other = review["spec"].get(RESOURCE), review["spec"].get(NON_RESOURCE)
    found: list[Cause] = []
    if resource is not None and other is not None:
        detail = "cannot be specified in combination with resourceAttributes"
        found.append(invalid(AT_NON_RESOURCE, other, detail))
    if resource is None and other is None:
        detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        found.append(invalid(AT_RESOURCE, None, detail))
    if with_selectors:
        found += _validate_selectors(resource)
    return found


def _validate_selectors(attributes: Object | None) -> list[Cause]:
    if attributes is None:
        return []
    return _validate_selector(
        attributes.get("fieldSelector"), f"{AT_RESOURCE}.fieldSelector", _validate_field_key
    ) + _validate_selector(
        attributes.get("labelSelector"), f"{AT_RESOURCE}.labelSelector", validate_label_name
    )


def _validate_field_key(key: str, path: str) -> list[Cause]:
    return [] if key else [required(path, "must be specified")]


def _validate_selector(
    selector: Object | None, path: str, validate_key: ValidateKey
) -> list[Cause]:
    if selector is None:
        return []
    raw, requirements = selector.get("rawSelector"), selector.get("requirements") or []
    found: list[Cause] = []
    if raw and requirements:
        detail = "may not specified at the same time as requirements"
        found.append(invalid(child(path, "rawSelector"), raw, detail))
    if not raw and not requirements:
        detail = f"when {path} is specified, requirements or rawSelector is required"
        found.append(required(child(path, "requirements"), detail))
    for number, requirement in enumerate(requirements):
        at = index(child(path, "requirements"), number)
        operator, values = requirement.get("operator"), requirement.get("values")
        # Unknown operators pass: a newer client may know more of them.
        if operator in ("In", "NotIn") and not values:
            detail = "must be specified when `operator` is 'In' or 'NotIn'"
            found.append(required(child(at, "values"), detail))
        elif operator in ("Exists", "DoesNotExist") and values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            found.append(forbidden(child(at, "values"), detail))
        found += validate_key(requirement.get("key", ""), child(at, "key"))
    return found
