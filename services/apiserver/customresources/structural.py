"""Structural schemas: openAPIV3Schema compiled into nodes that pruning and the rest walk.

Source: kube-apiserver v1.36.2, apiextensions-apiserver/pkg/apiserver/schema/structural.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

PRESERVE = "x-kubernetes-preserve-unknown-fields"
EMBEDDED = "x-kubernetes-embedded-resource"
INT_OR_STRING = "x-kubernetes-int-or-string"
LIST_TYPE = "x-kubernetes-list-type"
LIST_MAP_KEYS = "x-kubernetes-list-map-keys"
MAP_TYPE = "x-kubernetes-map-type"
RULES = "x-kubernetes-validations"


@dataclass(slots=True, eq=False)
class Structural:
    """One node of a schema. `additional` is None where additionalProperties has no schema.

    `default` is the default as JSON bytes, so that each use gets a copy of its own.
    """

    properties: dict[str, Structural] = field(default_factory=dict)
    items: Structural | None = None
    additional: Structural | None = None
    allows_additional: bool = False
    nullable: bool = False
    preserves_unknown: bool = False
    embedded: bool = False
    int_or_string: bool = False
    type: str = ""
    format: str = ""
    list_type: str = ""
    list_map_keys: tuple[str, ...] = ()
    map_type: str = ""
    default: bytes | None = None
    rules: tuple[Mapping[str, Any], ...] = ()
    max_items: int | None = None
    """maxItems of a list, maxProperties of a map."""
    has_defaults: bool = False
    """Somewhere in this subtree is a default."""
    has_embedded: bool = False
    has_list_types: bool = False
    has_rules: bool = False

    def child(self, name: str) -> Structural | None:
        """Return the schema of a field, None where it is not specified."""
        found = self.properties.get(name)
        return self.additional if found is None else found

    def new_default(self) -> Any:
        """Return a fresh copy of the default; None where there is none."""
        return None if self.default is None else orjson.loads(self.default)


def compile_schema(schema: Mapping[str, Any]) -> Structural:
    """Return the structural form of an openAPIV3Schema."""
    additional = schema.get("additionalProperties")
    items = schema.get("items")
    node = Structural(
        properties={
            name: compile_schema(one) for name, one in (schema.get("properties") or {}).items()
        },
        items=compile_schema(items) if isinstance(items, dict) else None,
        additional=compile_schema(additional) if isinstance(additional, dict) else None,
        allows_additional=isinstance(additional, dict) or additional is True,
        nullable=bool(schema.get("nullable")),
        preserves_unknown=bool(schema.get(PRESERVE)),
        embedded=bool(schema.get(EMBEDDED)),
        int_or_string=bool(schema.get(INT_OR_STRING)),
        type=schema.get("type", ""),
        format=schema.get("format", ""),
        list_type=schema.get(LIST_TYPE, ""),
        list_map_keys=tuple(schema.get(LIST_MAP_KEYS) or ()),
        map_type=schema.get(MAP_TYPE, ""),
        default=None if schema.get("default") is None else orjson.dumps(schema["default"]),
        rules=tuple(schema.get(RULES) or ()),
        max_items=schema.get("maxItems", schema.get("maxProperties")),
    )
    below = [*node.properties.values()]
    below += [one for one in (node.items, node.additional) if one is not None]
    node.has_defaults = any(one.has_defaults or one.default is not None for one in below)
    node.has_embedded = node.embedded or any(one.has_embedded for one in below)
    node.has_list_types = node.list_type in ("set", "map") or any(
        one.has_list_types for one in below
    )
    node.has_rules = bool(node.rules) or any(one.has_rules for one in below)
    return node
