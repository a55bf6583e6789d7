"""Selection rules: which fields of a stored object field selectors may ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shared.resources.keys import key_prefix
from shared.resources.resource import Resource, SelectableField


def selection_rules(
    resources: Iterable[Resource], etcd_prefix: str = "/registry"
) -> Mapping[bytes, tuple[SelectableField, ...]]:
    """Return what to extract of each object, by key prefix; prefixes without fields are absent.

    Resources that share a prefix (the versions of one, both Event APIs) name the same fields.
    """
    return {
        key_prefix(resource, etcd_prefix): resource.selectable
        for resource in resources
        if resource.selectable and resource.stored
    }
