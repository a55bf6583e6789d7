"""Path elements: one step of a field's path, written as FieldsV1 writes it.

`f:name` is a field or map key, `k:{"name":"c"}` an item of a keyed list, `v:"x"` an item of a
set, `i:0` an item by position. These texts are canonical: two are equal when the elements are.
Source: sigs.k8s.io/structured-merge-diff/v6 fieldpath/{element,serialize-pe}.go.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson

LIMIT_REMEMBERED_LENGTH = 256
"""Characters of a text from which on nothing is remembered by it."""


class MalformedElement(ValueError):
    """A text that is no path element."""


def keyed(names: tuple[str, ...], *values: Any) -> str:
    """Return the element of a list item with these keys; a key whose value is None is left out.

    `names` are sorted; values are strings, numbers and booleans.
    """
    for value in values:
        if type(value) is str and len(value) > LIMIT_REMEMBERED_LENGTH:
            return _keyed.__wrapped__(names, *values)
    return _keyed(names, *values)


@lru_cache(maxsize=8192, typed=True)
def _keyed(names: tuple[str, ...], *values: Any) -> str:
    fields = {name: value for name, value in zip(names, values, strict=True) if value is not None}
    return "k:" + orjson.dumps(fields).decode()


def valued(value: Any) -> str:
    """Return the element of an item of a set of scalars."""
    return "v:" + orjson.dumps(value).decode()


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


def order(text: str) -> str:
    """Return a text by which elements sort: by their kind, then names, keys or values."""
    return _order(text) if len(text) <= LIMIT_REMEMBERED_LENGTH else _order.__wrapped__(text)


@lru_cache(maxsize=8192)
def _order(text: str) -> str:
    if text == ".":
        return ""
    kind = text[0]
    if kind == "f":
        return "0" + text[2:]
    value = orjson.loads(text[2:])
    if kind == "k":
        return "1" + "\0".join(f"{name}\0{_order_of(item)}" for name, item in value.items())
    return ("2" if kind == "v" else "3") + _order_of(value)


def _order_of(value: Any) -> str:
    """Numbers come before strings, strings before booleans, as values are compared there."""
    if isinstance(value, bool):
        return f"2{value:d}"
    if isinstance(value, (int, float)):
        return f"0{int(value // 1) + 2**63:020d}{value % 1:.15f}"
    if isinstance(value, str):
        return "1" + value
    return "3" + orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


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
