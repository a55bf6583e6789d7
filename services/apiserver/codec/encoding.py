"""Objects to the bytes that are stored and sent."""

from __future__ import annotations

import orjson

from services.apiserver.codec.protocol import FIRST_FIELDS, Object


def encode(obj: Object) -> bytes:
    """Return the stored form: compact JSON; kind, apiVersion and metadata first, the other
    keys of every level sorted, so that equal objects have equal bytes."""
    parts = [
        b'"%b":%b' % (name.encode(), orjson.dumps(obj[name], option=orjson.OPT_SORT_KEYS))
        for name in FIRST_FIELDS
        if name in obj
    ]
    rest = {name: value for name, value in obj.items() if name not in FIRST_FIELDS}
    if rest:
        parts.append(orjson.dumps(rest, option=orjson.OPT_SORT_KEYS)[1:-1])
    return b"{%b}" % b",".join(parts)
