"""Path elements: one step of a field's path, written as FieldsV1 writes it.

`f:name` is a field or map key, `k:{"name":"c"}` an item of a keyed list, `v:"x"` an item of a
set, `i:0` an item by position. These texts are canonical: two are equal when the elements are.
Source: sigs.k8s.io/structured-merge-diff/v6 fieldpath/{element,serialize-pe}.go.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson

_KINDS = {"f": 0, "k": 1, "v": 2, "i": 3}


class MalformedElement(ValueError):
    """A text that is no path element."""


@lru_cache(maxsize=8192, typed=True)
def keyed(names: tuple[str, ...], *values: Any) -> str:
    """Return the element of a list item with these keys; a key whose value is None is left out.

    `names` are sorted; values are strings, numbers and booleans.
    """
    fields = {name: value for name, value in zip(names, values, strict=True) if value is not None}
    return "k:" + orjson.dumps(fields).decode()


@lru_cache(maxsize=8192, typed=True)
def valued(value: Any) -> str:
    """Return the element of an item of a set of scalars."""
    return "v:" + orjson.dumps(value).decode()


@lru_cache(maxsize=1024)
def canonical(text: str) -> str | None:
    """Return the canonical form of an element that a client sent, None for an unknown kind.

    Raises:
        MalformedElement: too short, or not followed by JSON.
    """
    if len(text) < 2:
        raise MalformedElement(f"key must be 2 characters long: {text}")
    kind, value = text[:2], text[2:]
    if kind == "f:":
        return text
    if kind not in ("k:", "v:", "i:"):
        return None
    try:
        parsed = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise MalformedElement(f"{text}: {error}") from None
    if kind == "k:" and not isinstance(parsed, dict):
        raise MalformedElement(f"{text}: not an object")
    if kind == "i:" and type(parsed) is not int:
        raise MalformedElement(f"{text}: not a number")
    return kind + orjson.dumps(parsed, option=orjson.OPT_SORT_KEYS).decode()


@lru_cache(maxsize=8192)
def order(text: str) -> tuple[Any, ...]:
    """Return what elements are sorted by: their kind, then names, keys or values."""
    if text == ".":
        return (-1,)
    kind = _KINDS[text[0]]
    if kind == 0:
        return (0, text)
    value = orjson.loads(text[2:])
    if kind == 1:
        return (1, *((name, *_order_of(item)) for name, item in value.items()))
    return (kind, *_order_of(value))


def _order_of(value: Any) -> tuple[int, Any]:
    """Numbers come before strings, strings before booleans, as values are compared there."""
    if isinstance(value, bool):
        return (2, value)
    if isinstance(value, (int, float)):
        return (0, value)
    if isinstance(value, str):
        return (1, value)
    return (3, orjson.dumps(value, option=orjson.OPT_SORT_KEYS))


def shown(text: str) -> str:
    """Return an element as messages write it: `.name`, `[port=80,protocol="TCP"]`, `[="x"]`."""
    kind, value = text[:2], text[2:]
    if kind == "f:":
        return "." + value
    if kind == "i:":
        return f"[{value}]"
    if kind == "v:":
        return f"[={value}]"
    fields = orjson.loads(value)
    return (
        "[" + ",".join(f"{name}={orjson.dumps(one).decode()}" for name, one in fields.items()) + "]"
    )
