"""The versions of a CustomResourceDefinition: schema, subresources, columns, selectable fields.

Source: kube-apiserver v1.36.2,
apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go and v1/conversion.go.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.apiserver.errors import Cause
from services.apiserver.kinds.platform.schemaopenapi import validate_schema
from services.apiserver.kinds.platform.schemapaths import find_schema
from services.apiserver.registry.strategy import Object
from services.apiserver.validation.field import (
    child,
    duplicate,
    index,
    invalid,
    required,
    too_many,
)
from services.apiserver.validation.names import dns1035_label, longer_than

COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
SELECTABLE_TYPES = ("string", "boolean", "integer")
MAX_SELECTABLE_FIELDS = 8
MAX_WARNING_BYTES = 256
FIELDS = ("schema", "subresources", "additionalPrinterColumns", "selectableFields")
"""What kube-apiserver moves to the top of the spec where it is equal in all versions."""


@dataclass(frozen=True, slots=True)
class VersionedPaths:
    """Which of FIELDS are told at the top, and which in each version."""

    at_top: tuple[str, ...]
    in_versions: tuple[str, ...]

    @staticmethod
    def of(versions: list[Object]) -> VersionedPaths:
        at_top = tuple(
            name
            for name in FIELDS
            if all(
                (version.get(name) or None) == (versions[0].get(name) or None)
                for version in versions
            )
        )
        return VersionedPaths(at_top, tuple(name for name in FIELDS if name not in at_top))


def validate_versions(versions: list[Object], paths: VersionedPaths) -> list[Cause]:
    """Check each version: its name, its warning, and what is its own."""
    found: list[Cause] = []
    for number, version in enumerate(versions):
        at, name = index("spec.versions", number), version.get("name", "")
        messages = dns1035_label(name)
        if messages:
            found.append(invalid(child(at, "name"), name, ",".join(messages)))
        found += _validate_deprecation(version, child(at, "deprecationWarning"))
        found += validate_versioned(version, at, paths.in_versions)
    return found


def validate_versioned(version: Object, path: str, fields: tuple[str, ...]) -> list[Cause]:
    """Check `fields` of a version, told at `path`: that of the version, or of the spec."""
    found: list[Cause] = []
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    subresources = version.get("subresources") or {}
    if "schema" in fields and schema is not None:
        # At the top the schema goes by another name.
        at = child(path, "validation" if path == "spec" else "schema", "openAPIV3Schema")
        found += validate_schema(schema, at, has_status="status" in subresources)
    if "subresources" in fields:
        found += _validate_scale(subresources.get("scale"), child(path, "subresources.scale"))
    if "additionalPrinterColumns" in fields:
        at = child(path, "additionalPrinterColumns")
        for number, column in enumerate(version.get("additionalPrinterColumns") or ()):
            found += _validate_column(column, index(at, number))
    if "selectableFields" in fields:
        selectable, at = version.get("selectableFields") or [], child(path, "selectableFields")
        found += _validate_selectable(selectable, schema, at)
    return found


def _validate_deprecation(version: Object, path: str) -> list[Cause]:
    text = version.get("deprecationWarning")
    if text is None:
        return []
    if not version.get("deprecated"):
        return [invalid(path, text, "can only be set for deprecated versions")]
    found: list[Cause] = []
    if longer_than(text, MAX_WARNING_BYTES):
        found.append(invalid(path, text, f"must be <= {MAX_WARNING_BYTES} characters long"))
    if not text:
        found.append(invalid(path, text, "must not be an empty string"))
    if not text.isprintable():
        found.append(invalid(path, text, "must only contain printable UTF-8 characters"))
    return found


def _validate_scale(scale: Object | None, path: str) -> list[Cause]:
    if scale is None:
        return []
    found: list[Cause] = []
    for name, roots in (
        ("specReplicasPath", (".spec.",)),
        ("statusReplicasPath", (".status.",)),
        ("labelSelectorPath", (".spec.", ".status.")),
    ):
        text, at = scale.get(name) or "", child(path, name)
        if not text:
            found += [] if name == "labelSelectorPath" else [required(at)]
        elif not text.startswith("."):
            found.append(invalid(at, text, "must be a simple json path starting with ."))
        elif not text.startswith(roots):
            detail = f"should be a json path under {' or '.join(root[:-1] for root in roots)}"
            found.append(invalid(at, text, detail))
    return found


def _validate_column(column: Object, path: str) -> list[Cause]:
    found = [] if column.get("name") else [required(child(path, "name"))]
    kind, form, text = (column.get(name, "") for name in ("type", "format", "jsonPath"))
    one_of = f"must be one of {','.join(COLUMN_TYPES)}"
    if not kind:
        found.append(required(child(path, "type"), one_of))
    elif kind not in COLUMN_TYPES:
        found.append(invalid(child(path, "type"), kind, one_of))
    if form and form not in COLUMN_FORMATS:
        detail = f"must be one of {','.join(COLUMN_FORMATS)}"
        found.append(invalid(child(path, "format"), form, detail))
    at = child(path, "JSONPath")
    if not text:
        found.append(required(at))
    elif not text.startswith("."):
        found.append(invalid(at, text, "must be a simple json path starting with ."))
    return found


def _validate_selectable(fields: list[Object], schema: Object | None, path: str) -> list[Cause]:
    if fields and schema is None:
        return [invalid(path, "", "may only be set when there is a schema")]
    found: list[Cause] = []
    seen: set[tuple[str, ...]] = set()
    for number, field in enumerate(fields):
        text, at = field.get("jsonPath", ""), child(index(path, number), "jsonPath")
        if not text:
            found.append(required(at))
            continue
        names, target = find_schema(text, schema or {}, in_brackets=False)
        if target is None:
            found.append(invalid(at, text, "is an invalid path"))
            continue
        if names[:1] == ("metadata",):
            found.append(invalid(at, text, "must not point to fields in metadata"))
        if target.get("type") not in SELECTABLE_TYPES:
            detail = "must point to a field of type string, boolean or integer"
            found.append(invalid(at, text, detail))
        if names in seen:
            found.append(duplicate(at, text))
        seen.add(names)
    if len(seen) > MAX_SELECTABLE_FIELDS:
        found.append(too_many(path, len(seen), MAX_SELECTABLE_FIELDS))
    return found
