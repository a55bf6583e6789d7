"""A yes or no to whether an object fits its schema, without saying why: for the usual case.

Nearly all objects are valid; only for the others the causes are worth looking for
(schemavalidation), which takes several times as long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from services.apiserver.customresources.schemavalidation import Node

Check = Callable[[Any], bool]
"""Whether a value surely fits; False may also mean that it takes a closer look."""

_INT32, _INT64 = 2**31, 2**63


def quick_check(node: Node) -> Check:
    """Return the check of a node and all below it."""
    if node.any_of or node.one_of or node.all_of or node.none_of or node.enum is not None:
        return _look_closely(node)
    match node.types:
        case ("string",):
            check = _string(node)
        case ("integer",):
            check = _integer(node)
        case ("boolean",):
            check = _is_bool
        case ("array",):
            check = _list(node)
        case ("object",):
            check = _object(node)
        case ():
            check = _anything if not (node.properties or node.required) else _look_closely(node)
        case _:
            return _look_closely(node)
    return _or_null(check) if node.nullable else check


def _look_closely(node: Node) -> Check:
    from services.apiserver.customresources.correlation import ABSENT

    return lambda value: not node.check(value, "", ABSENT).causes


def _anything(value: Any) -> bool:
    return True


def _is_bool(value: Any) -> bool:
    return type(value) is bool


def _or_null(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _string(node: Node) -> Check:
    least, most = node.min_length or 0, node.max_length
    search = None if node.matches is None else node.matches.search
    check_format = node.check_format
    if not least and most is None and search is None and check_format is None:
        return lambda value: type(value) is str

    def check(value: Any) -> bool:
        return (
            type(value) is str
            and len(value) >= least
            and (most is None or len(value) <= most)
            and (search is None or search(value) is not None)
            and (check_format is None or check_format(value))
        )

    return check


def _integer(node: Node) -> Check:
    if node.multiple_of is not None:
        return _look_closely(node)
    bound = _INT32 if node.format == "int32" else _INT64
    least, most = node.minimum, node.maximum
    low = -bound if least is None else least + node.exclusive_minimum
    high = bound - 1 if most is None else most - node.exclusive_maximum
    low, high = max(low, -bound), min(high, bound - 1)
    return lambda value: type(value) is int and low <= value <= high


def _list(node: Node) -> Check:
    if node.unique_items:
        return _look_closely(node)
    least, most = node.min_items or 0, node.max_items
    item = None if node.items is None else quick_check(node.items)

    def check(value: Any) -> bool:
        if type(value) is not list or len(value) < least:
            return False
        if most is not None and len(value) > most:
            return False
        if item is not None:
            for one in value:
                if not item(one):
                    return False
        return True

    return check


def _object(node: Node) -> Check:
    least, most = node.min_properties or 0, node.max_properties
    properties = {name: quick_check(below) for name, below in node.properties.items()}
    additional = None if node.additional is None else quick_check(node.additional)
    required, closed = node.required, node.closed
    find = properties.get

    def check(value: Any) -> bool:
        if type(value) is not dict or len(value) < least:
            return False
        if most is not None and len(value) > most:
            return False
        for name in required:
            if name not in value:
                return False
        for name, item in value.items():
            below = find(name)
            if below is None:
                if additional is not None:
                    if not additional(item):
                        return False
                elif closed:
                    return False
            elif not below(item):
                return False
        return True

    return check
