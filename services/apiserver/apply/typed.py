"""What apply does with typed values: check, list the fields of, merge, and remove from them.

All functions leave their arguments alone; results may share parts with them.
Source: sigs.k8s.io/structured-merge-diff/v6 typed/{validate,tofieldset,merge,remove}.go,
fieldpath/set.go (EnsureNamedFieldsAreMembers).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.apiserver.apply.elements import shown
from services.apiserver.apply.fieldsets import LEAF, FieldSet, in_order, is_member
from services.apiserver.apply.types import Anything, List, Map, Scalar, Type, resolve


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Any = _Absent()
"""Stands for a value that is not there, which null is."""

_SCALAR_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "numeric": (int, float),
    "boolean": (bool,),
    "untyped": (str, int, float, bool),
}


_EXPECTED = {
    "string": "string",
    "numeric": "numeric (int or float)",
    "boolean": "boolean",
    "untyped": "any scalar",
}
_NAMES = {str: "string", bool: "boolean", int: "int", float: "float", list: "list", dict: "map"}


def _shown(value: Any) -> str:
    return _NAMES[type(value)]


def mistakes(type_: Type, value: Any, path: str = "") -> Iterator[str]:
    """Yield what is wrong with a value: unknown fields, wrong types, items that are there twice."""
    node = resolve(type_, value)
    if value is None:
        return
    if isinstance(node, Scalar):
        wrong_bool = isinstance(value, bool) and node.kind == "numeric"
        if wrong_bool or not isinstance(value, _SCALAR_TYPES[node.kind]):
            yield f"{path}: expected {_EXPECTED[node.kind]}, got {_shown(value)}"
    elif isinstance(node, Map):
        if not isinstance(value, dict):
            yield f"{path}: expected map, got {_shown(value)}"
            return
        for name, one in value.items():
            field = node.field(name)
            if field is None:
                yield f"{path}.{name}: field not declared in schema"
            else:
                yield from mistakes(field, one, f"{path}.{name}")
    elif not isinstance(value, list):
        yield f"{path}: expected list, got {_shown(value)}"
    else:
        yield from _item_mistakes(node, value, path)


def _item_mistakes(type_: List, items: list[Any], path: str) -> Iterator[str]:
    seen: set[str] = set()
    for number, item in enumerate(items):
        at = f"{path}[{number}]"
        if not type_.is_leaf:
            element = type_.element(item)
            if element is None:
                keys = ", ".join(type_.keys)
                wanted = f"without the key fields {keys}" if keys else "that is no scalar"
                yield f"{path}: element {number}: associative list has an element {wanted}"
                continue
            at = path + shown(element)
            if element in seen:
                yield f"{path}: duplicate entries for key {shown(element)}"
            seen.add(element)
        yield from mistakes(type_.item, item, at)


def fields_in(type_: Type, value: Any) -> FieldSet:
    """Return the node of an applied value: its leaves, and items of lists and maps."""
    node = resolve(type_, value)
    if node.is_leaf or not value:
        return LEAF
    out: dict[str, Any] = {}
    if isinstance(node, Map) and isinstance(value, dict):
        for name, item in value.items():
            child = node.field(name)
            below = LEAF if child is None else fields_in(child, item)
            if name not in node.fields or item is None or item == {}:
                below = _with_itself(below)
            elif not below and not _is_owned(child, item):
                continue
            out["f:" + name] = below
    elif isinstance(node, List) and isinstance(value, list):
        for item in value:
            element = node.element(item)
            if element is not None:
                out[element] = _with_itself(fields_in(node.item, item))
    return in_order(out) if len(out) > 1 else out


def _is_owned(type_: Type | None, value: Any) -> bool:
    """Whether a field with nothing below it is owned itself: an empty keyed list is not."""
    if type_ is None:
        return True
    node = resolve(type_, value)
    return node.is_leaf or isinstance(node, Scalar)


def _with_itself(node: FieldSet) -> FieldSet:
    return node if is_member(node) else {".": LEAF, **node}


def with_named_fields(type_: Type | None, fields: FieldSet) -> FieldSet:
    """Return a set that also has the structs of which it has fields."""
    out: dict[str, Any] = {}
    map_ = type_.map if isinstance(type_, Anything) else type_ if isinstance(type_, Map) else None
    list_ = (
        type_.list if isinstance(type_, Anything) else type_ if isinstance(type_, List) else None
    )
    for element, node in fields.items():
        if not node:
            out[element] = node
            continue
        child: Type | None = None
        named = False
        if element[:2] == "f:" and map_ is not None:
            child = map_.field(element[2:])
            named = element[2:] in map_.fields
        elif element[:2] in ("k:", "v:", "i:") and list_ is not None:
            child = list_.item
        below = with_named_fields(child, node)
        out[element] = _with_itself(below) if named else below
    return out


def settled(type_: Type | None, fields: FieldSet) -> FieldSet:
    """Return a set in which what the type owns as a whole by now is owned as a whole."""
    if not fields or type_ is None or isinstance(type_, Scalar):
        return fields
    if type_.is_leaf:
        return LEAF
    map_ = type_.map if isinstance(type_, Anything) else type_
    list_ = type_.list if isinstance(type_, Anything) else type_
    out: dict[str, Any] = {}
    for element, node in fields.items():
        child: Type | None = None
        if element[:2] == "f:" and isinstance(map_, Map):
            child = map_.field(element[2:])
        elif element != "." and isinstance(list_, List):
            child = list_.item
        out[element] = settled(child, node)
    changed = any(out[element] is not node for element, node in fields.items())
    return out if changed else fields


def merge(type_: Type, old: Any, new: Any) -> Any:
    """Return `old` with what `new` says laid over it; one of them may be ABSENT."""
    node = resolve(type_, old if new is ABSENT else new)
    if isinstance(node, Scalar) or node.is_leaf or not (_filled(node, old) or _filled(node, new)):
        return old if new is ABSENT else new
    if isinstance(node, List):
        return _merged_lists(node, old or [] if old is not ABSENT else [], _or_empty_list(new))
    before = old if isinstance(old, dict) else {}
    after = new if isinstance(new, dict) else {}
    out = {}
    for name, value in before.items():
        out[name] = _merged_field(node, name, value, after.get(name, ABSENT))
    for name, value in after.items():
        if name not in before:
            out[name] = _merged_field(node, name, ABSENT, value)
    return out


def _merged_field(type_: Map, name: str, old: Any, new: Any) -> Any:
    field = type_.field(name)
    if field is None:
        return old if new is ABSENT else new
    return merge(field, old, new)


def _filled(type_: Map | List, value: Any) -> bool:
    return bool(value) and isinstance(value, dict if isinstance(type_, Map) else list)


def _or_empty_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _merged_lists(type_: List, old: Any, new: list[Any]) -> list[Any]:
    """Merge items by their elements, in an order that both lists' orders agree with.

    Where they disagree on shared items the new order counts.
    """
    old = _or_empty_list(old)
    old_keys = [type_.element(item) for item in old]
    new_keys = [type_.element(item) for item in new]
    olds: dict[str | None, Any] = {}
    for key, item in zip(old_keys, old, strict=True):
        # An item that is there twice cannot be merged with.
        olds[key] = ABSENT if key in olds else item
    news = dict(zip(new_keys, new, strict=True))
    shared = iter([key for key in new_keys if key in olds])
    next_shared = next(shared, None)
    merged: set[str | None] = set()
    out: list[Any] = []
    at_old = at_new = 0
    while at_old < len(old) or at_new < len(new):
        if at_old < len(old) and at_new < len(new):
            key = old_keys[at_old]
            if key == new_keys[at_new]:
                merged.add(key)
                out.append(merge(type_.item, olds[key], news[key]))
                at_old += 1
                at_new += 1
                next_shared = next(shared, None)
                continue
            if key in news and next_shared is not None and next_shared != key:
                # Shared, but not the one whose turn it is.
                at_old += 1
                continue
        if at_old < len(old):
            key = old_keys[at_old]
            if key not in news:
                out.append(merge(type_.item, old[at_old], ABSENT))
                at_old += 1
                continue
            if key in merged:
                at_old += 1
        if at_new < len(new):
            key = new_keys[at_new]
            merged.add(key)
            out.append(merge(type_.item, olds.get(key, ABSENT), news[key]))
            at_new += 1
            if next_shared == key:
                next_shared = next(shared, None)
    return out


def without(type_: Type, value: Any, fields: FieldSet) -> Any:
    """Return a value without the fields of a set; null where nothing is left of it."""
    node = resolve(type_, value)
    if isinstance(node, Scalar):
        return value
    if node.is_leaf or not _filled(node, value):
        return None
    if isinstance(node, List):
        items = []
        for item in value:
            found = fields.get(node.element(item) or "")
            if found is None:
                items.append(item)
            elif not is_member(found):
                items.append(without(node.item, item, found))
        return items or None
    out = {}
    for name, item in value.items():
        found = fields.get("f:" + name)
        if found is None:
            out[name] = item
        elif not is_member(found):
            field = node.field(name)
            out[name] = item if field is None else without(field, item, found)
    return out or None
