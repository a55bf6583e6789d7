"""Strategic merge patch: a merge patch that knows which lists merge, and by which key.

Directives in the patch: `$patch: replace|delete` (objects and list items), `$retainKeys`,
`$deleteFromPrimitiveList/FIELD` and `$setElementOrder/FIELD`.
Source: kube-apiserver v1.36.2, apimachinery/pkg/util/strategicpatch/patch.go and
apiserver/pkg/endpoints/handlers/patch.go (interpretStrategicMergePatchError).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from services.apiserver.codec.schema import NO_MERGE_FACT, MergeFact, field_type, is_struct
from services.apiserver.codec.schema import merge_fact as merge_fact_of
from services.apiserver.errors import ApiError, BadRequest
from services.apiserver.patching.document import (
    Object,
    ObjectPatch,
    copied,
    parse_object,
    unappliable,
)
from services.apiserver.patching.elementorder import in_element_order

_PATCH = "$patch"
_RETAIN_KEYS = "$retainKeys"
_DELETE_PREFIX = "$deleteFromPrimitiveList"
_ORDER_PREFIX = "$setElementOrder"
_MESSAGE_CHARACTERS = 200
"""Of a value that a message shows; patches can be megabytes."""


def parse(raw: bytes) -> ObjectPatch:
    """Read a strategic merge patch.

    Raises:
        BadRequest: not JSON, or no object.
    """
    return parse_object(raw)


def apply(current: Object, patch: Object, definition: str) -> Object:
    """Return `current` with `patch` merged in by the rules of a built-in kind.

    `definition` is the OpenAPI name of the kind's type. Neither argument is changed.

    Raises:
        BadRequest: a directive is malformed.
        Invalid: lists of lists, or values that are nested too deeply.
        ApiError: 500 without a reason, as kube-apiserver answers what it has no other code
            for: a missing merge key, an unknown $patch, items that do not fit the order.
    """
    try:
        return _merge_map(copied(current), copied(patch), definition)
    except RecursionError:
        raise unappliable("the patched object exceeds the maximum depth") from None


def _failure(message: str) -> ApiError:
    return ApiError(message, code=500, reason="")


def _merge_map(original: Object, patch: Object, type_: str) -> Object:
    """Merge `patch` into `original`; both are used up."""
    if _PATCH in patch:
        return _directed(patch)
    _retain_keys(original, patch)
    _merge_ordered_lists(original, patch, type_)
    for key, value in patch.items():
        deletes = key.startswith(_DELETE_PREFIX)
        if deletes:
            key = _directive_field(key, _DELETE_PREFIX)
        if value is None:
            original.pop(key, None)
        elif key not in original or type(original[key]) is not type(value):
            if not deletes:
                _put(original, key, _without_nulls(value))
        elif isinstance(value, dict):
            subtype, fact = _lookup(type_, key)
            if "replace" in fact.patch_strategies:
                original[key] = value
            else:
                original[key] = _merge_map(original[key], value, subtype)
        elif isinstance(value, list):
            subtype, fact = _lookup(type_, key)
            original[key] = _merge_list_field(original[key], value, subtype, fact, deletes)
        else:
            original[key] = value
    return original


def _directed(patch: Object) -> Object:
    directive = patch.pop(_PATCH)
    if directive == "replace":
        return patch
    if directive == "delete":
        return {}
    raise _failure(f"unknown patch type: {_shown(directive)} found in map {_shown(patch)}")


def _retain_keys(original: Object, patch: Object) -> None:
    if _RETAIN_KEYS not in patch:
        return
    keys = patch.pop(_RETAIN_KEYS)
    malformed = BadRequest(
        "invalid patch format of retainKeys: its list must name the patch's keys"
    )
    if not isinstance(keys, list):
        raise malformed
    retained = {key for key in keys if isinstance(key, str)}
    for key, value in patch.items():
        directive = key.startswith((_DELETE_PREFIX, _ORDER_PREFIX))
        if value is not None and not directive and key not in retained:
            raise malformed
    for key in [key for key in original if key not in retained]:
        del original[key]


def _merge_ordered_lists(original: Object, patch: Object, type_: str) -> None:
    """Merge the lists that have a $setElementOrder, and take both out of the patch."""
    for directive in [key for key in patch if key.startswith(_ORDER_PREFIX)]:
        order = patch.pop(directive)
        key = _directive_field(directive, _ORDER_PREFIX)
        _require_list(order)
        subtype, fact = _lookup(type_, key)
        before = _require_list(original.get(key, []))
        change = _require_list(patch.get(key, []))
        merge_key = fact.patch_merge_key
        _check_order(change, order, merge_key)
        if key not in original and key not in patch:
            continue
        if key not in patch:
            merged = before
        elif key not in original:
            merged = _without_directives(change)
        else:
            merged = _merge_list_field(before, change, subtype, fact, deletes=False)
        _element_kind(before, change)  # refuses lists without elements, and mixed ones
        original[key] = _ordered(merged, order, before, merge_key)
        patch.pop(key, None)


def _merge_list_field(
    original: list[Any], patch: list[Any], type_: str, fact: MergeFact, deletes: bool
) -> list[Any]:
    """Merge two lists by the field's strategy; `type_` is that of their elements."""
    if "merge" not in fact.patch_strategies and not deletes:
        return patch
    if not original and not patch:
        return original
    kind = _element_kind(original, patch)
    merge_key = fact.patch_merge_key
    if kind is not dict:
        if deletes:
            gone = {(type(item), item) for item in patch}
            return [item for item in original if (type(item), item) not in gone]
        merged = list({(type(item), item): item for item in original + patch}.values())
        return _ordered(merged, patch, original, "")
    if not merge_key:
        raise _failure(f"cannot merge lists without merge key for type {type_}")
    original, patch = _apply_item_directives(original, patch, merge_key)
    merged = _merge_items(list(original), patch, merge_key, type_)
    return _ordered(merged, patch, original, merge_key)


def _apply_item_directives(
    original: list[Any], patch: list[Any], merge_key: str
) -> tuple[list[Any], list[Any]]:
    """Carry out the $patch items of a list; return what is left of both lists."""
    kept = []
    replace = False
    deleted = set()
    for item in patch:
        if _PATCH not in item:
            kept.append(item)
        elif item[_PATCH] == "delete":
            deleted.add(_key_of(item, merge_key))
        elif item[_PATCH] == "replace":
            replace = True
        else:
            raise _failure(
                f"unknown patch type: {_shown(item[_PATCH])} found in map {_shown(item)}"
            )
    if replace:
        return kept, []
    if deleted:
        original = [item for item in original if _key_or_none(item, merge_key) not in deleted]
    return original, kept


def _merge_items(merged: list[Any], patch: list[Any], merge_key: str, type_: str) -> list[Any]:
    positions: dict[Hashable, int] = {}
    for position, item in enumerate(merged):
        positions.setdefault(_key_or_none(item, merge_key), position)
    for item in patch:
        found = _key_of(item, merge_key)
        if found in positions:
            position = positions[found]
            merged[position] = _merge_map(merged[position], item, type_)
        else:
            positions[found] = len(merged)
            merged.append(_without_directives(_without_nulls(item)))
    return merged


def _ordered(
    merged: list[Any], patch_order: list[Any], live_order: list[Any], merge_key: str
) -> list[Any]:
    """Order what was merged: patch items as the patch has them, the others where they were."""

    def identity(item: Any) -> Hashable:
        if merge_key:
            return _key_of(item, merge_key)
        return (type(item), item) if isinstance(item, Hashable) else None

    return in_element_order(
        merged,
        [identity(item) for item in merged],
        [identity(item) for item in patch_order],
        [identity(item) for item in live_order],
    )


def _check_order(patch: list[Any], order: list[Any], merge_key: str) -> None:
    """Refuse a patch whose items are not in the order list, or in another order there."""
    if not patch or not order:
        return
    if merge_key:
        _require_keys(order, merge_key)
        wanted = [_key_of(item, merge_key) for item in patch if _PATCH not in _require_map(item)]
        listed = [_key_of(item, merge_key) for item in order]
    else:
        wanted = [(type(item), repr(item)) for item in patch]
        listed = [(type(item), repr(item)) for item in order]
    rest = iter(listed)
    if not all(one in rest for one in wanted):
        raise _failure(f"the order in the patch list doesn't match the {_ORDER_PREFIX} list")


def _lookup(type_: str, key: str) -> tuple[str, MergeFact]:
    """Return the type inside a field (of a list: of its elements) and how the field merges."""
    type_ = type_.lstrip("*")
    if type_.startswith("map:"):
        return _inner(type_[4:]), NO_MERGE_FACT
    found = field_type(type_, key) if is_struct(type_) else None
    if found is None:
        name = type_.rpartition(".")[2]
        raise _failure(f'unable to find api field in struct {name} for the json field "{key}"')
    return _inner(found), merge_fact_of(type_, key)


def _inner(type_: str) -> str:
    type_ = type_.lstrip("*")
    return type_[2:].lstrip("*") if type_.startswith("[]") else type_


def _element_kind(*lists: list[Any]) -> type:
    """Return the Python type that all elements have."""
    kinds = {type(item) for items in lists for item in items}
    if not kinds:
        raise _failure("no elements in any of the given slices")
    if list in kinds:
        raise unappliable("lists of lists are not supported")
    if len(kinds) > 1:
        raise _failure("list element types are not identical")
    return kinds.pop()


def _put(original: Object, key: str, value: Any) -> None:
    if isinstance(value, dict) and _PATCH in value:
        original.pop(key, None)
    else:
        original[key] = _without_directives(value)


def _without_directives(value: Any) -> Any:
    """Drop every object that is a $patch directive, at any level below."""
    if isinstance(value, dict):
        return {
            key: _without_directives(item)
            for key, item in value.items()
            if not (isinstance(item, dict) and _PATCH in item)
        }
    if isinstance(value, list):
        return [
            _without_directives(item)
            for item in value
            if not (isinstance(item, dict) and _PATCH in item)
        ]
    return value


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _directive_field(directive: str, prefix: str) -> str:
    name, slash, field = directive.partition("/")
    if name != prefix or not slash:
        raise BadRequest(f"invalid patch format of {prefix}: {directive!r}")
    return field


def _key_of(item: Any, merge_key: str) -> Hashable:
    """Return an item's merge key, with its type: 1 and "1" and true are three keys.

    Raises:
        ApiError: the item has none.
    """
    if merge_key not in _require_map(item):
        raise _failure(f"map: {_shown(item)} does not contain declared merge key: {merge_key}")
    return _key_or_none(item, merge_key)


def _key_or_none(item: Any, merge_key: str) -> Hashable:
    value = _require_map(item).get(merge_key)
    if isinstance(value, dict | list):
        raise _failure(f"merge key {merge_key} is not a scalar")
    return (type(value), value)


def _shown(value: Any) -> str:
    return repr(value)[:_MESSAGE_CHARACTERS]


def _require_keys(items: list[Any], merge_key: str) -> None:
    for item in items:
        _key_of(item, merge_key)


def _require_map(item: Any) -> Object:
    if not isinstance(item, dict):
        raise _failure(f"expected a map, but received {_shown(item)}")
    return item


def _require_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _failure(f"expected a list, but received {_shown(value)}")
    return value
