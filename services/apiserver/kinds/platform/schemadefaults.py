"""Defaults in an openAPIV3Schema: each must itself be a value that the schema takes.

Source: kube-apiserver v1.36.2, apiextensions-apiserver/pkg/apiserver/schema/defaulting/
validation.go.
"""

from __future__ import annotations

from services.apiserver.customresources.codec import copied
from services.apiserver.customresources.correlation import ABSENT
from services.apiserver.customresources.pruning import prune
from services.apiserver.customresources.schemavalidation import compile_node
from services.apiserver.customresources.structural import compile_schema
from services.apiserver.errors import Cause
from services.apiserver.kinds.platform.schemastructural import EMBEDDED
from services.apiserver.registry.strategy import Object
from services.apiserver.validation.field import child, invalid, key

META_FIELDS = ("metadata", "kind", "apiVersion")


def validate_defaults(
    schema: Object, path: str, *, is_resource: bool = True, in_meta: bool = False
) -> list[Cause]:
    """Check the defaults of a structural schema.

    `is_resource`: it is that of a whole resource, whose metadata is implied. `in_meta`: it is
    below such metadata, which is not pruned. additionalProperties have no defaults.
    """
    found: list[Cause] = []
    is_resource = is_resource or bool(schema.get(EMBEDDED))
    in_meta = in_meta and not schema.get(EMBEDDED)
    default = schema.get("default")
    if default is not None:
        found += _validate_default(schema, default, child(path, "default"), in_meta)
    items = schema.get("items")
    if items is not None:
        found += validate_defaults(items, child(path, "items"), is_resource=False, in_meta=in_meta)
    for name, inner in (schema.get("properties") or {}).items():
        found += validate_defaults(
            inner,
            key(child(path, "properties"), name),
            is_resource=False,
            in_meta=in_meta or (is_resource and name in META_FIELDS),
        )
    return found


def _validate_default(schema: Object, default: object, path: str, in_meta: bool) -> list[Cause]:
    found: list[Cause] = []
    if not in_meta:
        pruned = copied(default)
        prune(pruned, compile_schema(schema))
        if pruned != default:
            found.append(invalid(path, default, "must not have unknown fields"))
    return found + compile_node(schema).check(default, path, ABSENT).causes
