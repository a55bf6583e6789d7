"""The types that fields are owned, merged and compared by, and the two walks of every write.

`added` is the set of all that a new value brings. `compare` tells what a changed value brings
or changes, and what it takes away; equal parts are passed over by equality, at C's speed.
Source: sigs.k8s.io/structured-merge-diff/v6 schema/elements.go, typed/compare.go,
k8s.io/kube-openapi pkg/schemaconv (the deduced types).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Protocol

from services.apiserver.apply.elements import LIMIT_REMEMBERED_LENGTH, keyed, order, valued
from services.apiserver.apply.fieldsets import LEAF, FieldSet, in_order

ScalarKind = Literal["string", "numeric", "boolean", "untyped"]
Changes = tuple[FieldSet | None, FieldSet | None]
"""The nodes of what was added or modified and of what was removed; None for nothing."""
CHANGED: Changes = (LEAF, None)


class Type(Protocol):
    """What a value may be, and which of its parts can have owners of their own."""

    @property
    def is_leaf(self) -> bool:
        """Whether the value is owned as a whole, whatever it is."""
        ...

    def added(self, value: Any) -> FieldSet:
        """Return the node of a value that was not there before."""
        ...

    def compare(self, old: Any, new: Any) -> Changes:
        """Return how two values differ, which are known to be unequal."""
        ...


class Scalar:
    """A string, number or boolean."""

    __slots__ = ("kind",)
    is_leaf = True

    def __init__(self, kind: ScalarKind) -> None:
        self.kind = kind

    def added(self, value: Any) -> FieldSet:
        return LEAF

    def compare(self, old: Any, new: Any) -> Changes:
        return CHANGED


Field = tuple[str, Type, bool]
"""A field's path element, its type, and whether that is a leaf."""
Shape = tuple[dict[str, FieldSet], tuple[tuple[str, str, Type], ...]]
"""The node of a struct with certain fields, and the elements, names and types of those in it
that have fields of their own."""
LIMIT_SHAPES = 256
LIMIT_ELEMENTS = 1024


class Map:
    """A struct or map. `element` is the type of undeclared fields; None: there may be none.

    The fields are made when they are first needed: types contain themselves.
    """

    __slots__ = ("_fields", "_make", "_shapes", "element", "is_leaf")

    def __init__(
        self,
        fields: Callable[[], Mapping[str, Type]] | None = None,
        element: Type | None = None,
        *,
        atomic: bool = False,
    ) -> None:
        self._make = fields
        self._fields: dict[str, Field] | None = None if fields else {}
        self._shapes: dict[tuple[str, ...], Shape] = {}
        self.element = element
        self.is_leaf = atomic

    @property
    def fields(self) -> dict[str, Field]:
        """The declared fields by name."""
        if self._fields is None:
            made = self._make() if self._make else {}
            self._fields = {
                name: (f"f:{name}", type_, type_.is_leaf) for name, type_ in made.items()
            }
        return self._fields

    def field(self, name: str) -> Type | None:
        """Return the type of a field, None if it may not be there."""
        declared = self.fields.get(name)
        return self.element if declared is None else declared[1]

    def atomic(self) -> Map:
        """Return the same type, owned as a whole."""
        return Map(self._make, self.element, atomic=True)

    def added(self, value: Any) -> FieldSet:
        if type(value) is not dict:
            return LEAF
        names = tuple(value)
        # Objects of a kind have few shapes: what only depends on that is made once.
        shape = self._shapes.get(names)
        if shape is None:
            if self.is_leaf or not value:
                return LEAF
            if not self.fields and isinstance(self.element, Scalar):
                return {".": LEAF, **{"f:" + name: LEAF for name in sorted(names)}}
            shape = self._shape(names)
        node, inner = shape
        if not inner:
            return node
        node = node.copy()
        for element, name, type_ in inner:
            node[element] = type_.added(value[name])
        return node

    def brought(self, zero: Mapping[str, Any], value: Mapping[str, Any]) -> FieldSet | None:
        """Return the node of what a new struct has beyond its zero value."""
        names = tuple(value)
        full, inner = self._shapes.get(names) or self._shape(names)
        node = full.copy()
        del node["."]
        for element, name, type_ in inner:
            item = value[name]
            if name not in zero:
                node[element] = type_.added(item)
        for name, was in zero.items():
            # What is there even in an empty object was brought by nobody.
            if name not in value:
                continue
            item, field = value[name], self.field(name)
            below: FieldSet | None = LEAF
            if item == was:
                below = None
            elif isinstance(field, Map) and not field.is_leaf and item and was is not None:
                below = field.brought(was, item)
            elif field is not None:
                below = field.compare(was, item)[0]
            if below is None:
                del node["f:" + name]
            else:
                node["f:" + name] = below
        return node or None

    def _shape(self, names: tuple[str, ...]) -> Shape:
        fields = self._fields or self.fields
        node: dict[str, FieldSet] = {".": LEAF}
        inner = []
        for name in sorted(names):
            declared = fields.get(name)
            element, type_ = ("f:" + name, self.element) if declared is None else declared[:2]
            node[element] = LEAF
            if type_ is not None and not type_.is_leaf:
                inner.append((element, name, type_))
        shape = (node, tuple(inner))
        if fields.keys() >= set(names):
            if len(self._shapes) >= LIMIT_SHAPES:
                self._shapes.clear()
            self._shapes[names] = shape
        return shape

    def compare(self, old: Any, new: Any) -> Changes:
        if self.is_leaf:
            return CHANGED
        old = old if type(old) is dict else None
        new = new if type(new) is dict else None
        if not old and not new:
            return CHANGED
        return self.compare_fields(old or {}, new or {})

    def compare_fields(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> Changes:
        """Compare two maps that are both there."""
        fields = self._fields or self.fields
        changed: dict[str, Any] = {}
        removed: dict[str, Any] = {}
        for name, value in new.items():
            if name in old:
                before = old[name]
                if before is value or before == value:
                    continue
                type_ = self.field(name)
                plus, minus = CHANGED if type_ is None else type_.compare(before, value)
                if plus is not None:
                    changed["f:" + name] = plus
                if minus is not None:
                    removed["f:" + name] = minus
            else:
                field = fields.get(name)
                changed["f:" + name] = (
                    self._undeclared(value) if field is None else field[1].added(value)
                )
        for name, value in old.items():
            if name not in new:
                field = fields.get(name)
                removed["f:" + name] = (
                    self._undeclared(value) if field is None else field[1].added(value)
                )
        return _ordered(changed), _ordered(removed)

    def _undeclared(self, value: Any) -> FieldSet:
        return LEAF if self.element is None else self.element.added(value)


class List:
    """A list. `keys` name the fields that identify an item, with their defaults; none: a set."""

    __slots__ = ("_defaults", "_elements", "_names", "_orders", "is_leaf", "item", "keys")

    def __init__(
        self, item: Type, keys: Mapping[str, Any] | None = None, *, atomic: bool = False
    ) -> None:
        self.item = item
        self.is_leaf = atomic
        self.keys = dict(sorted((keys or {}).items()))
        self._names = tuple(self.keys)
        self._defaults = tuple(self.keys.values())
        self._elements: dict[str, str] = {}
        """Elements by the one key of their items, the last used ones."""
        self._orders: dict[str, str] = {}
        """What those elements sort by."""

    def atomic(self) -> List:
        """Return the same type, owned as a whole."""
        return List(self.item, self.keys, atomic=True)

    def element(self, item: Any) -> str | None:
        """Return the path element of an item, None if it has none."""
        if not self.keys:
            return None if item is None or isinstance(item, (dict, list)) else valued(item)
        if type(item) is not dict:
            return None
        if len(self._names) == 1:
            return self._single(item.get(self._names[0], self._defaults[0]))
        values = [item.get(*key) for key in self.keys.items()]
        try:
            if values.count(None) == len(values):
                return None
            return keyed(self._names, *values)
        except TypeError:  # a key that is no scalar
            return None

    def _single(self, value: Any) -> str | None:
        """Return the element of an item with one key."""
        if type(value) is not str:
            scalar = isinstance(value, (bool, int, float))
            return keyed(self._names, value) if scalar else None
        element = self._elements.get(value)
        if element is None:
            element = keyed(self._names, value)
            if len(value) <= LIMIT_REMEMBERED_LENGTH:
                if len(self._elements) >= LIMIT_ELEMENTS:
                    self._elements.clear()
                    self._orders.clear()
                self._elements[value] = element
                self._orders[element] = order(element)
        return element

    def added(self, value: Any) -> FieldSet:
        if self.is_leaf or not value or type(value) is not list:
            return LEAF
        out: dict[str, Any] = {}
        added = self.item.added
        key = self._names[0] if len(self._names) == 1 else None
        known = self._elements
        for item in value:
            name = item.get(key) if key and type(item) is dict else None
            element = (known.get(name) if type(name) is str else None) or self.element(item)
            if element is not None:
                # An item that is there twice is owned as a whole.
                out[element] = LEAF if element in out else added(item)
        if len(out) < 2:
            return {".": LEAF, **out}
        node: dict[str, Any] = {".": LEAF}
        for element in self._sorted(out):
            node[element] = out[element]
        return node

    def _sorted(self, elements: Iterable[str]) -> list[str]:
        try:
            return sorted(elements, key=self._orders.__getitem__)
        except KeyError:
            return sorted(elements, key=order)

    def compare(self, old: Any, new: Any) -> Changes:
        if self.is_leaf or not (old or new):
            return CHANGED
        before, after = self._grouped(old), self._grouped(new)
        changed: dict[str, Any] = {}
        removed: dict[str, Any] = {}
        for element, items in after.items():
            was = before.get(element)
            if was == items:
                continue
            if was is None:
                changed[element] = self.item.added(items[0]) if len(items) == 1 else LEAF
            elif len(was) == 1 and len(items) == 1:
                plus, minus = self.item.compare(was[0], items[0])
                if plus is not None:
                    changed[element] = plus
                if minus is not None:
                    removed[element] = minus
            elif len(was) > 1 and len(items) == 1:
                # What was there several times is gone, one of its kind has come.
                changed[element] = self.item.added(items[0])
                removed[element] = LEAF
            else:
                changed[element] = LEAF
                if len(was) == 1:
                    removed[element] = self.item.added(was[0])
        for element, items in before.items():
            if element not in after:
                removed[element] = self.item.added(items[0]) if len(items) == 1 else LEAF
        return _ordered(changed), _ordered(removed)

    def _grouped(self, value: Any) -> dict[str, list[Any]]:
        grouped: dict[str, list[Any]] = {}
        for item in value if type(value) is list else ():
            element = self.element(item)
            if element is not None:
                grouped.setdefault(element, []).append(item)
        return grouped


class Anything:
    """A value of any form: what it is decides how it is owned."""

    __slots__ = ("list", "map", "scalar")
    is_leaf = False

    def __init__(self, map_: Map | None = None, list_: List | None = None) -> None:
        self.map = map_ or Map(element=self)
        self.list = list_ or List(self, atomic=True)
        self.scalar = UNTYPED

    def resolve(self, value: Any) -> Map | List | Scalar:
        """Return the type of a value; null may be taken for an empty map."""
        if value is None or isinstance(value, dict):
            return self.map
        return self.list if isinstance(value, list) else self.scalar

    def added(self, value: Any) -> FieldSet:
        return self.resolve(value).added(value)

    def compare(self, old: Any, new: Any) -> Changes:
        before, after = self.resolve(old), self.resolve(new)
        if before is after:
            return after.compare(old, new)
        if old is None or new is None:
            some = before if new is None else after
            return some.compare(old, new)
        # Another form altogether: the field changed, and so did all that is below it.
        plus: dict[str, Any] = {**after.added(new)}
        minus: dict[str, Any] = {**before.added(old)}
        plus["."] = LEAF
        minus.pop(".", None)
        return in_order(plus) if len(plus) > 1 else LEAF, minus or None


UNTYPED = Scalar("untyped")
ANYTHING = Anything()


def resolve(type_: Type, value: Any) -> Map | List | Scalar:
    """Return the type by which a value is handled."""
    if isinstance(type_, Anything):
        return type_.resolve(value)
    assert isinstance(type_, (Map, List, Scalar))
    return type_


def _ordered(node: dict[str, Any]) -> FieldSet | None:
    if len(node) > 1:
        return in_order(node)
    return node or None
