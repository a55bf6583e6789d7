"""Lists of type set and map hold nothing twice.

Source: kube-apiserver v1.36.2,
apiextensions-apiserver/pkg/apiserver/schema/listtype/validation.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from services.apiserver.customresources.structural import Structural
from services.apiserver.errors import Cause
from services.apiserver.validation.field import child, duplicate, index, key


def validate_list_types(value: Any, schema: Structural | None, path: str = "") -> Iterator[Cause]:
    """Yield a cause for every item that is in its set or map already; each value once."""
    if schema is None or not schema.has_list_types:
        return
    if isinstance(value, list):
        if schema.list_type == "set":
            yield from _duplicates(value, path, lambda item: item)
        elif schema.list_type == "map":
            names = schema.list_map_keys
            yield from _duplicates(
                value,
                path,
                lambda item: (
                    {name: item[name] for name in names if name in item}
                    if isinstance(item, dict)
                    else item
                ),
            )
        for number, item in enumerate(value):
            yield from validate_list_types(item, schema.items, index(path, number))
    elif isinstance(value, dict):
        for name, item in value.items():
            found = schema.properties.get(name)
            if found is not None:
                yield from validate_list_types(item, found, child(path, name))
            elif schema.additional is not None:
                yield from validate_list_types(item, schema.additional, key(path, name))


def _duplicates(items: list[Any], path: str, identity: Callable[[Any], Any]) -> Iterator[Cause]:
    identities = [identity(item) for item in items]
    if _surely_distinct(identities):
        return
    seen: dict[bytes, int] = {}
    for number, identified in enumerate(identities):
        same = orjson.dumps(identified, option=orjson.OPT_SORT_KEYS)
        seen[same] = seen.get(same, 0) + 1
        if seen[same] == 2:
            yield duplicate(index(path, number), identified)


def _surely_distinct(identities: list[Any]) -> bool:
    """Whether a look at hashes is enough; false alarms are fine."""
    try:
        hashed = {tuple(sorted(one.items())) if type(one) is dict else one for one in identities}
    except TypeError:
        return False
    return len(hashed) == len(identities)
