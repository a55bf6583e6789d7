"""Embedded resources: their metadata is ObjectMeta, whatever the schema says.

Source: kube-apiserver v1.36.2, apiextensions-apiserver/pkg/apiserver/schema/objectmeta
(algorithm.go, coercion.go, validation.go).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from services.apiserver.codec.facts import META
from services.apiserver.codec.mismatch import Mismatch
from services.apiserver.codec.typed import decoder_for
from services.apiserver.codec.unknownfields import unknown_paths
from services.apiserver.customresources.structural import Structural
from services.apiserver.errors import Cause
from services.apiserver.validation.field import child, index, invalid, key, required
from services.apiserver.validation.metadata import validate_annotations, validate_labels

OBJECT_META = f"{META}.ObjectMeta"
_KIND = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


class MalformedMetadata(Exception):
    """An apiVersion, kind or metadata that is of another type; the text says which."""


def coerced_metadata(value: Any, path: str, unknown: list[str] | None) -> dict[str, Any] | None:
    """Return metadata as Go's ObjectMeta prints it; None where it is null.

    Raises:
        MalformedMetadata: it is not of that type.
    """
    if value is None:
        return None
    missed: list[str] = []
    try:
        meta: dict[str, Any] = decoder_for(OBJECT_META)(value, missed)
    except Mismatch as mismatch:
        raise MalformedMetadata(mismatch.text()) from None
    if missed and unknown is not None:
        unknown += [child(path, name) for name in unknown_paths(OBJECT_META, value)]
    if meta.get("creationTimestamp") is None:
        meta.pop("creationTimestamp", None)
    return meta


def coerce_embedded(
    value: Any,
    schema: Structural | None,
    unknown: list[str] | None = None,
    *,
    drop_malformed: bool = False,
) -> None:
    """Make the metadata of all embedded resources ObjectMeta, in place.

    `drop_malformed` drops what is of another type instead: what is stored must be readable.

    Raises:
        MalformedMetadata: something is not of its type.
    """
    for path, resource in _embedded(value, schema, ""):
        for name in ("apiVersion", "kind"):
            if name in resource and not isinstance(resource[name], str):
                if not drop_malformed:
                    raise MalformedMetadata(f"{child(path, name)}: must be a string")
                del resource[name]
        if "metadata" not in resource:
            continue
        try:
            meta = coerced_metadata(resource["metadata"], child(path, "metadata"), unknown)
        except MalformedMetadata as error:
            if not drop_malformed:
                raise MalformedMetadata(f"{child(path, 'metadata')}: {error}") from None
            meta = _readable_part(resource["metadata"])
        if meta is None:
            del resource["metadata"]
        else:
            resource["metadata"] = meta


def _readable_part(value: Any) -> dict[str, Any] | None:
    """Return the fields of metadata that are of their types."""
    if not isinstance(value, dict):
        return None
    out: dict[str, Any] = {}
    for name, item in value.items():
        try:
            out.update(coerced_metadata({name: item}, "", None) or {})
        except MalformedMetadata:
            continue
    return out


def validate_embedded(value: Any, schema: Structural | None) -> list[Cause]:
    """Return what is wrong with the apiVersion, kind and metadata of embedded resources."""
    causes: list[Cause] = []
    for path, resource in _embedded(value, schema, ""):
        causes += _validate_type(resource, path, "apiVersion", _api_version_errors)
        causes += _validate_type(resource, path, "kind", _kind_errors)
        meta = resource.get("metadata")
        if isinstance(meta, dict):
            at = child(path, "metadata")
            causes += validate_labels(meta.get("labels"), child(at, "labels"))
            causes += validate_annotations(meta.get("annotations"), child(at, "annotations"))
    return causes


def _validate_type(
    resource: dict[str, Any], path: str, name: str, errors: Callable[[str], list[str]]
) -> Iterator[Cause]:
    at = child(path, name)
    value = resource.get(name)
    if name not in resource:
        yield required(at, "must not be empty")
    elif not isinstance(value, str) or not value:
        yield invalid(at, value, "must not be empty")
    else:
        for message in errors(value):
            yield invalid(at, value, message)


def _api_version_errors(value: str) -> list[str]:
    return [f"unexpected GroupVersion string: {value}"] if value.count("/") > 1 else []


def _kind_errors(value: str) -> list[str]:
    # A kind is a DNS label, written with upper-case letters.
    if len(value) <= 63 and _KIND.fullmatch(value.lower()):
        return []
    return ["a DNS-1035 label must consist of lower case alphanumeric characters or '-'"]


def _embedded(
    value: Any, schema: Structural | None, path: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the embedded resources of a value, outer ones first."""
    if schema is None or not schema.has_embedded:
        return
    if isinstance(value, dict):
        if schema.embedded:
            yield path, value
        for name, item in value.items():
            if type(item) is dict or type(item) is list:
                found = schema.properties.get(name)
                if found is not None:
                    yield from _embedded(item, found, child(path, name))
                else:
                    yield from _embedded(item, schema.additional, key(path, name))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            if type(item) is dict or type(item) is list:
                yield from _embedded(item, schema.items, index(path, number))
