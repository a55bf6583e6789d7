"""The selectors of a request, as authorizers see them: parsed when one asks, not before.

Source: kube-apiserver v1.36.2, apiserver/pkg/endpoints/filters/authorization.go
(GetAuthorizerAttributes) and pkg/registry/authorization/util/helpers.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from shared.selectors import (
    FieldRequirement,
    LabelRequirement,
    SelectorError,
    label_selector_from_object,
    parse_field_selector,
    parse_label_selector,
)

Fields = tuple[tuple[FieldRequirement, ...], str]
"""What the fields must be, and what could not be understood of it ("" for nothing). What was
understood narrows the request in any case."""
Labels = tuple[tuple[LabelRequirement, ...], str]


class Selectors(Protocol):
    def fields(self) -> Fields: ...
    def labels(self) -> Labels: ...


@dataclass(frozen=True, slots=True)
class QuerySelectors:
    """The parameters fieldSelector and labelSelector of a list, watch or deletecollection."""

    field_text: str = ""
    label_text: str = ""

    def fields(self) -> Fields:
        return _parsed_fields(self.field_text)

    def labels(self) -> Labels:
        return _parsed_labels(self.label_text)


@dataclass(frozen=True, slots=True)
class GivenSelectors:
    """The selectors of an access review, already taken apart."""

    given_fields: Fields = ((), "")
    given_labels: Labels = ((), "")

    def fields(self) -> Fields:
        return self.given_fields

    def labels(self) -> Labels:
        return self.given_labels


def selectors_of_review(attributes: Mapping[str, Any]) -> GivenSelectors | None:
    """Return the selectors of a review's resourceAttributes; None if it has none."""
    fields, labels = attributes.get("fieldSelector"), attributes.get("labelSelector")
    if not fields and not labels:
        return None
    return GivenSelectors(_given_fields(fields or {}), _given_labels(labels or {}))


def _parsed_fields(text: str) -> Fields:
    try:
        return parse_field_selector(text).requirements, ""
    except SelectorError as error:
        return (), str(error)


def _parsed_labels(text: str) -> Labels:
    try:
        return parse_label_selector(text).requirements, ""
    except SelectorError as error:
        return (), str(error)


def _given_fields(selector: Mapping[str, Any]) -> Fields:
    if selector.get("rawSelector"):
        return _parsed_fields(selector["rawSelector"])
    found: list[FieldRequirement] = []
    errors: list[str] = []
    for one in selector.get("requirements") or ():
        key, operator = one.get("key", ""), one.get("operator", "")
        values: list[str] = one.get("values") or []
        if operator in ("In", "NotIn"):
            if len(values) == 1:
                found.append(FieldRequirement(key, values[0], negated=operator == "NotIn"))
            else:
                errors.append(f"fieldSelectors in {operator!r} must have one value")
        elif operator in ("Exists", "DoesNotExist"):
            errors.append(f"fieldSelectors do not support {operator}")
        else:
            errors.append(f'"{operator}" is not a valid field selector operator')
    return tuple(found), _joined(errors)


def _given_labels(selector: Mapping[str, Any]) -> Labels:
    if selector.get("rawSelector"):
        return _parsed_labels(selector["rawSelector"])
    found: list[LabelRequirement] = []
    errors: list[str] = []
    for one in selector.get("requirements") or ():
        try:
            found += label_selector_from_object({"matchExpressions": [one]}).requirements
        except SelectorError as error:
            errors.append(str(error))
    return tuple(found), _joined(errors)


def _joined(errors: Sequence[str]) -> str:
    return "; ".join(errors)
