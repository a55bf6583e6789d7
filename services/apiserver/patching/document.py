"""What the kinds of patch share: reading one, and bounding what it makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from services.apiserver.codec.body import decode_body
from services.apiserver.errors import ApiError, BadRequest, Invalid

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ObjectPatch:
    """A patch that is a JSON object. `duplicates` are messages on fields sent twice."""

    value: Object
    duplicates: tuple[str, ...] = ()


def parse_object(raw: bytes) -> ObjectPatch:
    """Read a merge patch or a strategic merge patch.

    Raises:
        BadRequest: not JSON, or no object.
    """
    body = decode_body(raw, merge_repeated=False)
    if not isinstance(body.value, dict):
        raise BadRequest("error decoding patch: json: cannot unmarshal into a JSON object")
    return ObjectPatch(body.value, body.duplicates)


def copied(value: Any) -> Any:
    """Return a deep copy of a JSON value.

    Raises:
        Invalid: it is nested too deeply to be printed.
    """
    return orjson.loads(printed(value))


def printed(value: Any) -> bytes:
    """Return a JSON value as bytes.

    Raises:
        Invalid: it is nested too deeply.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        raise unappliable("the patched object exceeds the maximum depth") from None


def unappliable(message: str) -> ApiError:
    """Return the error for a patch that is well formed but does not fit the object."""
    return Invalid(message, details={})
