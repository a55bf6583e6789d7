"""Defaulting by a structural schema.

Source: kube-apiserver v1.36.2,
apiextensions-apiserver/pkg/apiserver/schema/defaulting/algorithm.go.
"""

from __future__ import annotations

from typing import Any

from services.apiserver.customresources.structural import Structural


def set_defaults(value: Any, schema: Structural | None) -> None:
    """Fill in what is missing, and null where null is not allowed, in place; idempotent."""
    if schema is None or not schema.has_defaults:
        return
    if isinstance(value, dict):
        for name, below in schema.properties.items():
            if below.default is not None and (
                name not in value or (value[name] is None and not below.nullable)
            ):
                value[name] = below.new_default()
        additional = schema.additional
        for name, item in value.items():
            found = schema.properties.get(name)
            if found is not None:
                set_defaults(item, found)
            elif additional is not None:
                if item is None and not additional.nullable:
                    value[name] = item = additional.new_default()
                set_defaults(item, additional)
    elif isinstance(value, list) and schema.items is not None:
        items = schema.items
        for number, item in enumerate(value):
            if item is None and not items.nullable:
                value[number] = item = items.new_default()
            set_defaults(item, items)
