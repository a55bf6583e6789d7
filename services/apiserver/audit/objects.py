"""The objects of an event: what was sent and answered, as one line of JSON each."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from typing import Any

import orjson
import yaml

from services.apiserver.codec import protobuf

Headers = Sequence[tuple[bytes, bytes]]

_PRETTY_STATUS = b'{\n  "kind": "Status"'
_LIMIT_ENVELOPE = 32
"""Bytes: the kind stands within them in protobuf."""
_JSON = b"application/json"
_PROTOBUF = b"application/vnd.kubernetes.protobuf"
_YAML = b"application/yaml"


def request_json(obj: dict[str, Any], *, omit_managed_fields: bool) -> bytes:
    """Return an object that was sent, as decoded. `obj` stays as it is."""
    if omit_managed_fields:
        obj = without_managed_fields(obj)
    return orjson.dumps({"kind": obj.get("kind"), "apiVersion": obj.get("apiVersion"), **obj})


def patch_json(raw: bytes) -> bytes:
    """Return a patch as it was sent. What is no JSON, as YAML to be applied, becomes a string."""
    try:
        return orjson.dumps(orjson.loads(raw))
    except orjson.JSONDecodeError:
        return orjson.dumps(raw.decode("utf-8", "replace"))


def response_json(raw: bytes, headers: Headers, *, omit_managed_fields: bool) -> bytes | None:
    """Return the API object in the body of an answer; None if it is something else."""
    media, encoding = _media(headers)
    if encoding == b"gzip":
        raw = gzip.decompress(raw)
    if media.startswith(_JSON) and raw.startswith(b'{"kind":'):
        raw = raw.rstrip(b"\n")
        # A line of JSON is taken as it is: a list may have many megabytes.
        if b"\n" not in raw and not (omit_managed_fields and b'"managedFields"' in raw):
            return raw
    value = _decoded(raw, media)
    if value is None:
        return None
    if omit_managed_fields:
        value = without_managed_fields(value)
    return orjson.dumps(value)


def response_status(raw: bytes, headers: Headers) -> dict[str, Any] | None:
    """Return the Status in the body of an answer, None for every other body."""
    if raw.startswith(b"{"):
        # Also where it is printed for people.
        if not (raw.startswith(b'{"kind":"Status"') or raw.startswith(_PRETTY_STATUS)):
            return None
    elif b"Status" not in raw[:_LIMIT_ENVELOPE] and not _media(headers)[0].startswith(_YAML):
        return None
    value = _decoded(raw, _media(headers)[0])
    return value if value is not None and value["kind"] == "Status" else None


def without_managed_fields(obj: dict[str, Any]) -> dict[str, Any]:
    """Return an object, a list's items or a Table's rows without managedFields.

    What changes is copied, everything else shared.
    """
    meta = obj.get("metadata")
    if isinstance(meta, dict) and "managedFields" in meta:
        obj = {**obj, "metadata": {k: v for k, v in meta.items() if k != "managedFields"}}
    items = obj.get("items")
    if isinstance(items, list):
        obj = {**obj, "items": [_item(one) for one in items]}
    rows = obj.get("rows")
    if isinstance(rows, list) and obj.get("kind") == "Table":
        obj = {**obj, "rows": [_row(one) for one in rows]}
    return obj


def _item(value: Any) -> Any:
    return without_managed_fields(value) if isinstance(value, dict) else value


def _row(row: Any) -> Any:
    if not isinstance(row, dict) or not isinstance(row.get("object"), dict):
        return row
    return {**row, "object": without_managed_fields(row["object"])}


def _media(headers: Headers) -> tuple[bytes, bytes]:
    media = encoding = b""
    for name, value in headers:
        if name == b"content-type":
            media = value
        elif name == b"content-encoding":
            encoding = value
    return media, encoding


def _decoded(raw: bytes, media: bytes) -> dict[str, Any] | None:
    value: Any = None
    if media.startswith(_JSON):
        value = orjson.loads(raw)
    elif media.startswith(_PROTOBUF):
        value = protobuf.decode(raw)
    elif media.startswith(_YAML):
        value = yaml.load(raw, Loader=yaml.CSafeLoader)
    return value if isinstance(value, dict) and "kind" in value else None
