"""From client-side to server-side apply: kubectl's annotation of what it applied last.

Source: kube-apiserver v1.36.2, apimachinery/pkg/util/managedfields/internal/
{lastapplied,lastappliedmanager,lastappliedupdater}.go.
"""

from __future__ import annotations

import orjson

from services.apiserver.apply.fieldsets import FieldSet, difference
from services.apiserver.apply.schema import Schema
from services.apiserver.registry.strategy import Object
from services.apiserver.validation.metadata import ANNOTATIONS_MAX_BYTES

ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"


def still_there(schema: Schema, live: Object, api_version: str) -> FieldSet | None:
    """Return the fields applied last that the live object still has as they were applied.

    None where nothing was applied, or something that does not fit.
    """
    text = _annotation(live)
    if not text:
        return None
    try:
        applied = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(applied, dict) or applied.get("apiVersion") != api_version:
        return None
    if schema.mistakes(applied):
        return None
    changed, removed = schema.compare(applied, live)
    return difference(difference(schema.fields_in(applied), changed), removed)


def renewed(obj: Object, config: Object) -> Object | None:
    """Return the object with the annotation for this configuration; None if it has none."""
    if not _annotation(obj):
        return None
    meta = {**(config.get("metadata") or {})}
    annotations = {**(meta.get("annotations") or {})}
    annotations.pop(ANNOTATION, None)
    if annotations:
        meta["annotations"] = annotations
    else:
        meta.pop("annotations", None)
    applied = orjson.dumps({**config, "metadata": meta}, option=orjson.OPT_SORT_KEYS)
    noted = {**obj["metadata"]["annotations"], ANNOTATION: applied.decode() + "\n"}
    size = sum(len(key.encode()) + len(str(value).encode()) for key, value in noted.items())
    if size > ANNOTATIONS_MAX_BYTES:
        del noted[ANNOTATION]
    return {**obj, "metadata": {**obj["metadata"], "annotations": noted}}


def _annotation(obj: Object) -> str:
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    text = annotations.get(ANNOTATION)
    return text if isinstance(text, str) else ""
