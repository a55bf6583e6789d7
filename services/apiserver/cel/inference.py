"""What can be known of an expression without running it: the type of its value, and its cost.

Types are inferred where literals, functions and the shapes of variables tell them; where they do
not, anything goes. Costs are estimated from below. So what is refused here, cel-go refuses too.
Source: github.com/google/cel-spec, doc/langdef.md (type checking); kube-apiserver v1.36.2,
apiserver/pkg/cel/library/cost.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from services.apiserver.cel.functions import FUNCTIONS, METHODS
from services.apiserver.cel.kubernetes import OPAQUE_METHODS
from services.apiserver.cel.macros import MACROS, OPERATORS
from services.apiserver.cel.program import TYPES
from services.apiserver.cel.syntax import (
    Call,
    Ident,
    Index,
    ListLiteral,
    Literal,
    MapLiteral,
    Node,
    ParseError,
    Select,
    StructLiteral,
    parse,
)
from services.apiserver.cel.values import type_name

_LOGICAL = frozenset(
    {"_&&_", "_||_", "!_", "_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "@in", "has"}
)
_LOOPS: Mapping[str, str] = {
    "all": "bool",
    "exists": "bool",
    "exists_one": "bool",
    "existsOne": "bool",
    "filter": "list",
    "map": "list",
    "transformList": "list",
    "transformMap": "map",
    "transformMapEntry": "map",
}
_RESULTS: Mapping[str, str] = {
    **dict.fromkeys(("contains", "startsWith", "endsWith", "matches", "isSorted"), "bool"),
    **dict.fromkeys(("hasValue", "isQuantity", "isIP", "isURL", "isCIDR", "bool"), "bool"),
    **dict.fromkeys(("size", "int", "indexOf", "lastIndexOf"), "int"),
    **dict.fromkeys(("string", "lowerAscii", "upperAscii", "trim", "replace", "join"), "string"),
    **dict.fromkeys(("substring", "format", "find", "charAt"), "string"),
    **dict.fromkeys(("split", "findAll"), "list"),
    "double": "double",
}
_ARITHMETIC = frozenset({"_+_", "_-_", "_*_", "_/_", "_%_"})
_NUMBERS = frozenset({"int", "double", "uint"})


class Shape(Protocol):
    """What is known of the inside of a list, a map or an object."""

    def field(self, name: str) -> Type | None:
        """Return the type of a field of an object; None if it has no such field."""
        ...

    def item(self) -> Type:
        """Return the type of a list's items or a map's values."""
        ...

    def most_items(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Type:
    """What is known of a value; kind "dyn": nothing."""

    kind: str = "dyn"
    shape: Shape | None = None


DYN = Type()


def type_of(text: str, variables: Mapping[str, Type]) -> Type:
    """Return the type of an expression's value.

    Raises:
        ParseError: it does not parse, names what there is not, or can have no type.
    """
    return Inference(variables).type_of(text)


class Inference:
    """Walks an expression: finds the type of its value, and counts what it costs."""

    def __init__(self, variables: Mapping[str, Type]) -> None:
        self._variables = variables
        self.cost = 0.0
        self._times = 1.0

    def type_of(self, text: str) -> Type:
        """See `type_of`; `cost` has grown by what the expression costs."""
        try:
            return self._infer(parse(text), {})
        except RecursionError:
            raise ParseError("the expression is nested too deeply") from None

    def _infer(self, node: Node, local: Mapping[str, Type]) -> Type:
        self.cost += self._times
        match node:
            case Literal(value):
                return Type(_LITERALS.get(type_name(value), type_name(value)))
            case Ident(name):
                return self._named(name, local)
            case Select():
                operand = self._infer(node.operand, local)
                found = _field(operand, node.field)
                return DYN if node.optional or operand.kind == "optional" else found
            case Index():
                operand = self._infer(node.operand, local)
                self._infer(node.index, local)
                return DYN if node.optional else _item(operand)
            case ListLiteral(items):
                for item, _ in items:
                    self._infer(item, local)
                return Type("list")
            case MapLiteral(entries):
                for one, value, _ in entries:
                    self._infer(one, local)
                    self._infer(value, local)
                return Type("map")
            case StructLiteral(_, fields):
                for _, value, _ in fields:
                    self._infer(value, local)
                return DYN
            case Call():
                return self._call(node, local)

    def _named(self, name: str, local: Mapping[str, Type]) -> Type:
        found = local.get(name) or self._variables.get(name)
        if found is None:
            if name not in TYPES and name not in _PACKAGES:
                raise ParseError(f"undeclared reference to '{name}'")
            return DYN
        return found

    def _call(self, node: Call, local: Mapping[str, Type]) -> Type:
        name, target, args = node.function, node.target, node.args
        if target is not None and name in _LOOPS and len(args) >= 2:
            return self._loop(node, local)
        if target is not None and name in ("optMap", "optFlatMap", "bind"):
            return self._bound(node, local)
        if target is None and name not in _GLOBAL:
            raise ParseError(f"undeclared reference to '{name}'")
        types = [self._infer(one, local) for one in args]
        if target is not None and not (isinstance(target, Ident) and target.name in _PACKAGES):
            self._infer(target, local)
            if name not in _METHODS:
                raise ParseError(f"undeclared reference to '{name}'")
        if name in _LOGICAL:
            if name in _COMPARISONS:
                _must_agree(name, types)
            return Type("bool")
        if name == "_?_:_":
            return types[1] if types[1].kind == types[2].kind else DYN
        if name in _ARITHMETIC:
            return _must_agree(name, types)
        if name == "-_":
            return types[0]
        return Type(_RESULTS.get(name, "dyn"))

    def _loop(self, node: Call, local: Mapping[str, Type]) -> Type:
        assert node.target is not None
        source = self._infer(node.target, local)
        if source.kind not in ("list", "map", "dyn", "optional"):
            raise ParseError(
                f"expression of type '{source.kind}' cannot be range of a comprehension "
                "(must be list, map, or dynamic)"
            )
        names = [one.name for one in node.args if isinstance(one, Ident)]
        item = _item(source)
        inner = {**local}
        for name in names[:2]:
            inner[name] = DYN
        if len(node.args) == 2 or node.function in ("map", "filter"):
            inner[names[0]] = item if source.kind == "list" else DYN
        many = 1.0
        if source.shape is not None and source.kind in ("list", "map"):
            many = source.shape.most_items()
        outer, self._times = self._times, self._times * many
        for one in node.args[1:]:
            self._infer(one, inner)
        self._times = outer
        return source if node.function == "filter" else Type(_LOOPS[node.function])

    def _bound(self, node: Call, local: Mapping[str, Type]) -> Type:
        name = node.args[0].name if isinstance(node.args[0], Ident) else ""
        inner = {**local, name: DYN}
        if node.function == "bind":
            inner[name] = self._infer(node.args[1], local)
        elif node.target is not None:
            self._infer(node.target, local)
        result = self._infer(node.args[-1], inner)
        return result if node.function == "bind" else DYN


_LITERALS = {"null_type": "dyn"}
_GLOBAL = frozenset(["has", *OPERATORS, *FUNCTIONS])
_METHODS = frozenset(
    [
        *METHODS,
        *OPAQUE_METHODS,
        *(name for name, _ in MACROS),
        *"path group resource subresource namespace name fieldSelector labelSelector".split(),
        *"serviceAccount check allowed reason errored error".split(),
    ]
)
"""Those of the authorizer too (apiserver/pkg/cel/library/authz.go)."""
_PACKAGES = frozenset(
    ["cel", "math", *(name.partition(".")[0] for name in (*FUNCTIONS, *TYPES) if "." in name)]
)
"""What stands before a dot and is no value: sets.contains(a, b), google.protobuf.Duration."""
_COMPARISONS = frozenset({"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"})
_AGREEING = frozenset({"int", "double", "string", "bool", "bytes"})


def _must_agree(name: str, types: list[Type]) -> Type:
    """Both sides of an operator are of one type, as far as that is known."""
    one, other = types[0].kind, types[1].kind
    if one in _AGREEING and other in _AGREEING and one != other:
        ordering = name not in ("_==_", "_!=_") and name in _COMPARISONS
        if not (ordering and one in _NUMBERS and other in _NUMBERS):
            raise _no_overload(name, one, other)
    if name in _ARITHMETIC and "bool" in (one, other):
        raise _no_overload(name, one, other)
    if one == other or other == "dyn":
        return types[0]
    return types[1] if one == "dyn" else DYN


def _no_overload(name: str, one: str, other: str) -> ParseError:
    return ParseError(f"found no matching overload for '{name}' applied to '({one}, {other})'")


def _field(operand: Type, name: str) -> Type:
    if operand.kind == "map":
        return _item(operand)
    if operand.kind in _AGREEING or operand.kind == "list":
        raise ParseError(f"type '{operand.kind}' does not support field selection")
    if operand.shape is None or operand.kind not in ("object", "dyn"):
        return DYN
    found = operand.shape.field(name)
    if found is not None:
        return found
    if operand.kind == "dyn":
        return DYN
    raise ParseError(f"undefined field '{name}'")


def _item(source: Type) -> Type:
    if source.shape is None or source.kind not in ("list", "map"):
        return DYN
    return source.shape.item()
