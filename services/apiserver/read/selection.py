"""labelSelector and fieldSelector of a request → one predicate over cached objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from services.apiserver.errors import BadRequest
from services.apiserver.registry.served import Served
from services.apiserver.validation.options import ListOptions
from shared.objects import Selection
from shared.resources import Resource
from shared.resources.keys import split_key
from shared.selectors import (
    FieldSelector,
    SelectorError,
    parse_field_selector,
    parse_label_selector,
)

Matches = Callable[[bytes, Selection], bool]


@dataclass(frozen=True, slots=True)
class Selected:
    """What a list or watch selects.

    `matches` is None where everything in scope is selected. `name` is the one name that a
    field selector metadata.name=NAME allows, "" where there is none.
    """

    matches: Matches | None
    name: str


def field_selector(resource: Resource, text: str) -> FieldSelector:
    """Return a kind's compiled field selector.

    Raises:
        SelectorError: it does not parse, or names a field this kind can't be selected by.
    """
    known = resource.field_labels
    # First by the names that clients of this version use, then by those that are extracted.
    parsed = parse_field_selector(text).compile(known.keys())
    return parsed.compile(set(known.values()), known)


def selected(served: Served, options: ListOptions) -> Selected:
    """Return the request's selection.

    Raises:
        BadRequest: a selector does not parse, or names a field this kind can't be selected by.
    """
    if not options.label_selector and not options.field_selector:
        return Selected(None, "")
    resource = served.resource
    try:
        labels = parse_label_selector(options.label_selector)
    except SelectorError as error:
        raise BadRequest(str(error)) from error
    try:
        fields = field_selector(resource, options.field_selector)
    except SelectorError as error:
        raise BadRequest(str(error)) from error
    name = fields.requires_exact_match("metadata.name") or ""
    if fields.everything:
        if labels.everything:
            return Selected(None, "")
        matches_labels = labels.matches
        return Selected(lambda key, selection: matches_labels(selection.labels), name)
    prefix, namespaced = served.store.prefix, resource.namespaced
    label_match, field_match = labels.matches, fields.matches

    def matches(key: bytes, selection: Selection) -> bool:
        namespace, own_name = split_key(prefix, key, namespaced=namespaced)
        return label_match(selection.labels) and field_match(own_name, namespace, selection.fields)

    return Selected(matches, name)
