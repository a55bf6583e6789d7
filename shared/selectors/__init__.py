"""Label and field selectors: parsed once a request, matched once an object.

`labels` and `fields` know the grammars of kube-apiserver and nothing of kinds: which fields
a kind can be selected by is the caller's to say.
"""

from shared.selectors.fields import FieldRequirement, FieldSelector, parse_field_selector
from shared.selectors.labels import (
    EVERYTHING,
    NOTHING,
    LabelRequirement,
    LabelSelector,
    label_selector_from_object,
    parse_label_selector,
)
from shared.selectors.syntax import SelectorError, UnsupportedField, UnsupportedOperator

__all__ = [
    "EVERYTHING",
    "NOTHING",
    "FieldRequirement",
    "FieldSelector",
    "LabelRequirement",
    "LabelSelector",
    "SelectorError",
    "UnsupportedField",
    "UnsupportedOperator",
    "label_selector_from_object",
    "parse_field_selector",
    "parse_label_selector",
]
