"""Pruning: fields that a structural schema does not specify, and nulls where none are allowed.

Source: kube-apiserver v1.36.2, apiextensions-apiserver/pkg/apiserver/schema/pruning/algorithm.go
and schema/defaulting/algorithm.go (PruneNonNullableNullsWithoutDefaults).
"""

from __future__ import annotations

from typing import Any

from services.apiserver.customresources.structural import Structural

OBJECT_FIELDS = frozenset({"apiVersion", "kind", "metadata"})
"""What every resource has, whatever its schema says."""


def prune(value: Any, schema: Structural | None, unknown: list[str] | None = None) -> None:
    """Drop the fields of a resource that its schema does not specify, in place.

    `unknown` receives the paths of what was dropped.
    """
    schema = schema or Structural()
    if schema.preserves_unknown:
        _prune_specified(value, schema, "", unknown, is_resource=True)
    else:
        _prune(value, schema, "", unknown, is_resource=True)


def _prune(
    value: Any,
    schema: Structural | None,
    path: str,
    unknown: list[str] | None,
    *,
    is_resource: bool = False,
) -> None:
    if schema is not None and schema.preserves_unknown:
        _prune_specified(value, schema, path, unknown)
    elif isinstance(value, dict):
        if schema is None:
            if unknown is not None:
                unknown += [_child(path, name) for name in value]
            value.clear()
            return
        is_resource = is_resource or schema.embedded
        dropped = []
        properties, additional = schema.properties, schema.additional
        for name, item in value.items():
            if is_resource and name in OBJECT_FIELDS:
                continue
            found = properties.get(name)
            if found is not None or schema.allows_additional:
                if type(item) is dict or type(item) is list:
                    below = additional if found is None else found
                    _prune(item, below, _child(path, name), unknown)
            else:
                dropped.append(name)
        for name in dropped:
            del value[name]
            if unknown is not None:
                unknown.append(_child(path, name))
    elif isinstance(value, list):
        below = None if schema is None else schema.items
        for number, item in enumerate(value):
            if type(item) is dict or type(item) is list:
                _prune(item, below, f"{path}[{number}]", unknown)


def _prune_specified(
    value: Any,
    schema: Structural,
    path: str,
    unknown: list[str] | None,
    *,
    is_resource: bool = False,
) -> None:
    """Keep unknown fields at this level, and prune below what is specified."""
    if isinstance(value, dict):
        for name, item in value.items():
            if (is_resource or schema.embedded) and name in OBJECT_FIELDS:
                continue
            found = schema.properties.get(name)
            if found is not None or schema.allows_additional:
                below = schema.additional if found is None else found
                _prune(item, below, _child(path, name), unknown)
    elif isinstance(value, list) and schema.items is not None:
        for number, item in enumerate(value):
            _prune(item, schema.items, f"{path}[{number}]", unknown)


def fits(value: Any, schema: Structural | None, *, is_resource: bool = False) -> bool:
    """Whether neither `prune` nor `drop_nulls` would change a dict or list."""
    if type(value) is dict:
        if schema is None:
            return not value
        is_resource = is_resource or schema.embedded
        find, additional = schema.properties.get, schema.additional
        for name, item in value.items():
            if is_resource and name in OBJECT_FIELDS:
                # Never pruned, but its nulls are dropped like all others.
                if _holds_null(item):
                    return False
                continue
            below = find(name)
            if below is None:
                below = additional
                if below is None:
                    kind = type(item)
                    if schema.allows_additional:
                        if (kind is dict or kind is list) and not fits(item, None):
                            return False
                    elif not schema.preserves_unknown:
                        return False
                    continue
            if item is None:
                if not below.nullable and below.default is None:
                    return False
            elif (type(item) is dict or type(item) is list) and not fits(item, below):
                return False
        return True
    items = None if schema is None else schema.items
    if items is None and schema is not None and schema.preserves_unknown:
        return True
    for item in value:
        if (type(item) is dict or type(item) is list) and not fits(item, items):
            return False
    return True


def _holds_null(value: Any) -> bool:
    if type(value) is dict:
        return any(map(_holds_null, value.values()))
    if type(value) is list:
        return any(map(_holds_null, value))
    return value is None


def drop_nulls(value: Any, schema: Structural | None) -> None:
    """Drop the nulls of fields that are neither nullable nor have a default, in place."""
    if schema is None:
        return
    if isinstance(value, dict):
        dropped = []
        for name, item in value.items():
            below = schema.child(name)
            if below is None:
                continue
            if item is None:
                if not below.nullable and below.default is None:
                    dropped.append(name)
            elif type(item) is dict or type(item) is list:
                drop_nulls(item, below)
        for name in dropped:
            del value[name]
    elif isinstance(value, list) and schema.items is not None:
        for item in value:
            if type(item) is dict or type(item) is list:
                drop_nulls(item, schema.items)


def _child(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
