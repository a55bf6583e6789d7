"""labelSelector and fieldSelector of a request → one predicate over cached objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from services.apiserver.errors import BadRequest
from services.apiserver.registry.served import Served
from services.apiserver.validation.options import ListOptions
from shared.objects import Selection
from shared.resources.keys import split_key
from shared.selectors import SelectorError, parse_field_selector, parse_label_selector

Matches = Callable[[bytes, Selection], bool]


@dataclass(frozen=True, slots=True)
class Selected:
    """What a list or watch selects.

    `matches` is None where everything in scope is selected. `name` is the one name that a
    field selector metadata.name=NAME allows, "" where there is none.
    """

    matches: Matches | None
    name: str


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
        fields = parse_field_selector(options.field_selector).compile(
            resource.field_labels.keys(), resource.field_labels
        )
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
        return label_match(selection.labels) and field_match(
            own_name, namespace, selection.fields
        )

    return Selected(matches, name)
