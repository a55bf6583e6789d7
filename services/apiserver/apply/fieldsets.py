"""Field sets: which fields somebody owns, in the form that FieldsV1 prints them in.

A set is a tree of dicts keyed by path elements (elements.py). A node stands for a field that
is in the set when it is empty or has the key "."; else only fields below it are. The root's
own membership means nothing, so an empty root is the empty set. Keys are in kube-apiserver's
order. Sets share nodes: they are never changed in place.
Source: sigs.k8s.io/structured-merge-diff/v6 fieldpath/{set,serialize}.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from services.apiserver.apply.elements import MalformedElement, canonical, order, shown

FieldSet = Mapping[str, Any]
"""A root, or a node: Mapping[str, FieldSet]."""

LEAF: FieldSet = {}
"""The node of a field with nothing below it."""
EMPTY: FieldSet = {}
"""The root of the empty set."""


def is_member(node: FieldSet) -> bool:
    return not node or "." in node


def union(one: FieldSet, other: FieldSet) -> FieldSet:
    """Return what is in either set."""
    if not one or not other:
        return one or other
    return _union(one, other)


def difference(one: FieldSet, other: FieldSet) -> FieldSet:
    """Return what is in `one` but not in `other`; a field's children are judged by themselves."""
    if not one or not other:
        return one
    return _difference(one, other) or EMPTY


def recursive_difference(one: FieldSet, other: FieldSet) -> FieldSet:
    """Return `one` without the fields in `other` and all below them."""
    if not one or not other:
        return one
    left = {}
    for element, node in one.items():
        without = other.get(element)
        if without is None or element == ".":
            left[element] = node
        elif not is_member(without):
            kept = recursive_difference(node, without)
            if kept or not node:
                left[element] = kept
    return left


def intersection(one: FieldSet, other: FieldSet) -> FieldSet:
    """Return what is in both sets."""
    if not one or not other:
        return EMPTY
    return _intersection(one, other) or EMPTY


def paths(fields: FieldSet) -> Iterator[str]:
    """Yield the path of each field as messages write it, those of a level before its children."""
    for element, node in fields.items():
        if element != "." and is_member(node):
            yield shown(element)
    for element, node in fields.items():
        if element != "." and node:
            head = shown(element)
            for path in paths(node):
                yield head + path


def has(fields: FieldSet, path: tuple[str, ...]) -> bool:
    """Whether the field at a path of elements is in the set."""
    node = fields
    for element in path:
        found = node.get(element)
        if found is None:
            return False
        node = found
    return is_member(node)


def of_path(path: tuple[str, ...]) -> FieldSet:
    """Return the set of one field."""
    node = LEAF
    for element in reversed(path):
        node = {element: node}
    return node


def parse(value: Any) -> FieldSet:
    """Return the set that a client's fieldsV1 means, canonical and in order.

    Raises:
        MalformedElement: it is none.
    """
    node = _parsed(value)
    return {element: child for element, child in node.items() if element != "."}


def in_order(node: dict[str, Any]) -> dict[str, Any]:
    """Return a node with its elements in order."""
    names = sorted(node)
    if names[-1][0] > "f":
        # Numbers in keys do not sort as texts.
        names.sort(key=order)
    return {name: node[name] for name in names}


def _union(one: FieldSet, other: FieldSet) -> FieldSet:
    if not one or not other:
        more = one or other
        return more if is_member(more) else {".": LEAF, **more}
    out = dict(one)
    grown = False
    for element, node in other.items():
        mine = out.get(element)
        if mine is None:
            out[element] = node
            grown = True
        elif mine is not node:
            out[element] = _union(mine, node)
    return in_order(out) if grown else out


def _difference(one: FieldSet, other: FieldSet) -> FieldSet | None:
    left: dict[str, Any] = {}
    if "." in one and not is_member(other):
        left["."] = LEAF
    for element, node in one.items():
        if element == ".":
            continue
        without = other.get(element)
        if without is None:
            left[element] = node
        else:
            kept = _difference(node, without)
            if kept is not None:
                left[element] = kept
    if not one and not is_member(other):
        return LEAF
    return _node(left)


def _intersection(one: FieldSet, other: FieldSet) -> FieldSet | None:
    both: dict[str, Any] = {}
    if is_member(one) and is_member(other):
        both["."] = LEAF
    if len(other) < len(one) // 2:
        one, other = other, one
    for element, node in one.items():
        match = other.get(element)
        if match is not None and element != ".":
            kept = _intersection(node, match)
            if kept is not None:
                both[element] = kept
    return _node(both)


def _node(parts: dict[str, Any]) -> FieldSet | None:
    """Return a node in its one form: None for nothing, empty for the field alone."""
    if not parts:
        return None
    return LEAF if len(parts) == 1 and "." in parts else parts


def _parsed(value: Any) -> FieldSet:
    if not isinstance(value, dict):
        raise MalformedElement("expected an object")
    node: dict[str, Any] = {}
    for text, below in value.items():
        if text == ".":
            node["."] = LEAF
            continue
        element = canonical(text)
        child = _parsed(below)
        if element is not None:
            node[element] = child
    if not node or (len(node) == 1 and "." in node):
        return LEAF
    return in_order(node)
