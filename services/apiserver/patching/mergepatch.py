"""JSON merge patch (RFC 7386).

Source: github.com/evanphx/json-patch v4, merge.go, which kube-apiserver v1.36.2 uses: nulls
inside lists go only where nothing was an object before.
"""

from __future__ import annotations

from typing import Any

from services.apiserver.patching.document import Object, ObjectPatch, parse_object, unappliable


def parse(raw: bytes) -> ObjectPatch:
    """Read a merge patch.

    Raises:
        BadRequest: not JSON, or no object.
    """
    return parse_object(raw)


def apply(current: Object, patch: Object) -> Object:
    """Return `current` with `patch` merged in.

    Neither is changed; the result shares parts with both, so decode or copy it before
    changing it in place.

    Raises:
        Invalid: the values are nested too deeply.
    """
    try:
        return _merge(current, patch)
    except RecursionError:
        raise unappliable("the patched object exceeds the maximum depth") from None


def _merge(current: Object, patch: Object) -> Object:
    out = dict(current)
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
            continue
        before = out.get(key)
        if not isinstance(before, dict):
            out[key] = _without_nulls(value)
        elif isinstance(value, dict):
            out[key] = _merge(before, value)
        else:
            out[key] = value
    return out


def _without_nulls(value: Any) -> Any:
    """Drop null fields of objects at every level; null items of lists stay."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
