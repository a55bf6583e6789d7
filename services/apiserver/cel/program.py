"""Syntax tree → closures; macros; evaluation within a budget.

Source: github.com/google/cel-spec, doc/langdef.md; cel-go parser/macro.go, ext/
{bindings,comprehensions,optional}.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from services.apiserver.cel.functions import FUNCTIONS, METHODS
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
from services.apiserver.cel.values import (
    NONE,
    CelError,
    Opaque,
    Optional,
    Struct,
    TypeValue,
    equal,
    no_overload,
    type_name,
)

STEPS = 200_000
"""Calls and iterations that an evaluation may take: some 100 ms."""

TYPES = {
    name: TypeValue(name)
    for name in [
        "bool",
        "bytes",
        "double",
        "dyn",
        "int",
        "list",
        "map",
        "null_type",
        "string",
        "type",
        "uint",
        "google.protobuf.Timestamp",
        "google.protobuf.Duration",
        "optional_type",
        "net.IP",
        "net.CIDR",
        "kubernetes.Quantity",
        "kubernetes.URL",
    ]
}


class Budget:
    """The steps that are left to one or several evaluations."""

    __slots__ = ("left",)

    def __init__(self, steps: int = STEPS) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise CelError("operation cancelled: actual cost limit exceeded")


class _Scope:
    """The variables of an evaluation; comprehensions make inner ones."""

    __slots__ = ("budget", "variables")

    def __init__(self, variables: dict[str, Any], budget: Budget) -> None:
        self.variables = variables
        self.budget = budget

    def inner(self) -> _Scope:
        return _Scope({**self.variables}, self.budget)


Evaluate = Callable[[_Scope], Any]


class Program:
    """A compiled expression."""

    def __init__(self, text: str, evaluate: Evaluate, names: frozenset[str]) -> None:
        self.text = text
        self.names = names
        """The variables that it reads."""
        self._evaluate = evaluate

    def __repr__(self) -> str:
        return f"Program({self.text!r})"

    def evaluate(self, variables: Mapping[str, Any], budget: Budget | None = None) -> Any:
        """Return the value of the expression.

        Raises:
            CelError: it has none.
        """
        try:
            return self._evaluate(_Scope(dict(variables), budget or Budget()))
        except RecursionError:
            raise CelError("the expression is nested too deeply") from None


def compile_expression(
    text: str, variables: Iterable[str], *, functions: Mapping[str, Any] | None = None
) -> Program:
    """Return the program of an expression that may name these variables.

    `functions` adds global functions by name.

    Raises:
        ParseError: it does not parse, or names something that is not there.
    """
    compiler = _Compiler(frozenset(variables), functions or {})
    try:
        evaluate = compiler.compile(parse(text), frozenset())
    except RecursionError:
        raise ParseError("the expression is nested too deeply") from None
    return Program(text, evaluate, frozenset(compiler.read))


class _Compiler:
    def __init__(self, variables: frozenset[str], functions: Mapping[str, Any]) -> None:
        self._variables = variables
        self._functions = {**FUNCTIONS, **functions} if functions else FUNCTIONS
        self.read: set[str] = set()

    def compile(self, node: Node, local: frozenset[str]) -> Evaluate:
        match node:
            case Literal(value):
                return lambda scope: value
            case Ident(name):
                return self._ident(name, local)
            case Select():
                return self._select(node, local)
            case Index():
                return self._index(node, local)
            case Call():
                return self._call(node, local)
            case ListLiteral(items):
                return self._list(items, local)
            case MapLiteral(entries):
                return self._map(entries, local)
            case StructLiteral():
                return self._struct(node, local)

    def _ident(self, name: str, local: frozenset[str]) -> Evaluate:
        if name in local:
            return lambda scope: scope.variables[name]
        if name in self._variables:
            self.read.add(name)

            def read(scope: _Scope) -> Any:
                try:
                    return scope.variables[name]
                except KeyError:
                    raise CelError(f"no such attribute: {name}") from None

            return read
        if name in TYPES:
            value = TYPES[name]
            return lambda scope: value
        raise ParseError(f"undeclared reference to '{name}' (in container '')")

    def _select(self, node: Select, local: frozenset[str]) -> Evaluate:
        dotted = _dotted(node)
        if dotted in TYPES and dotted.split(".")[0] not in local | self._variables:
            value = TYPES[dotted]
            return lambda scope: value
        operand, field = self.compile(node.operand, local), node.field
        if node.optional:
            return lambda scope: _optional_at(operand(scope), field)

        def select(scope: _Scope) -> Any:
            found = operand(scope)
            if type(found) is dict:
                try:
                    return found[field]
                except KeyError:
                    raise CelError(f"no such key: {field}") from None
            return _select(found, field)

        return select

    def _index(self, node: Index, local: frozenset[str]) -> Evaluate:
        operand, index = self.compile(node.operand, local), self.compile(node.index, local)
        if node.optional:
            return lambda scope: _optional_at(operand(scope), index(scope))
        return lambda scope: _at(operand(scope), index(scope))

    def _list(self, items: tuple[tuple[Node, bool], ...], local: frozenset[str]) -> Evaluate:
        compiled = [(self.compile(item, local), optional) for item, optional in items]
        if not any(optional for _, optional in compiled):
            plain = [item for item, _ in compiled]
            return lambda scope: [item(scope) for item in plain]

        def make(scope: _Scope) -> Any:
            out = []
            for item, optional in compiled:
                value = item(scope)
                if not optional:
                    out.append(value)
                elif _optional(value).present:
                    out.append(value.value)
            return out

        return make

    def _map(self, entries: tuple[tuple[Node, Node, bool], ...], local: frozenset[str]) -> Evaluate:
        compiled = [
            (self.compile(key, local), self.compile(value, local), optional)
            for key, value, optional in entries
        ]

        def make(scope: _Scope) -> Any:
            out: dict[Any, Any] = {}
            for key, value, optional in compiled:
                name, made = key(scope), value(scope)
                if not isinstance(name, (str, int)):
                    raise CelError(f"unsupported key type: {type_name(name)}")
                if optional:
                    if not _optional(made).present:
                        continue
                    made = made.value
                if name in out:
                    raise CelError(f"insert failed: key {name} already exists")
                out[name] = made
            return out

        return make

    def _struct(self, node: StructLiteral, local: frozenset[str]) -> Evaluate:
        name = node.name
        compiled = [
            (field, self.compile(value, local), optional) for field, value, optional in node.fields
        ]

        def make(scope: _Scope) -> Any:
            out = {}
            for field, value, optional in compiled:
                made = value(scope)
                if optional:
                    if not _optional(made).present:
                        continue
                    made = made.value
                out[field] = made
            return Struct(name, out)

        return make

    # -- calls -----------------------------------------------------------------------

    def _call(self, node: Call, local: frozenset[str]) -> Evaluate:
        name, target, args = node.function, node.target, node.args
        if target is None:
            if name == "has":
                return self._has(args, local)
            special = _SPECIAL.get(name)
            if special is not None:
                return special(*(self.compile(one, local) for one in args))
            return self._function(name, args, local)
        if isinstance(target, Ident) and target.name == "cel" and name == "bind":
            return self._bind(args, local)
        macro = _MACROS.get((name, len(args)))
        if macro is not None and (all(isinstance(one, Ident) for one in args[: macro[0]])):
            return self._comprehension(name, macro[0], macro[1], node, local)
        qualified = _dotted(Select(target, name))
        if qualified in self._functions and _dotted(target).split(".")[0] not in (
            local | self._variables
        ):
            return self._function(qualified, args, local)
        return self._method(name, target, args, local)

    def _function(self, name: str, args: tuple[Node, ...], local: frozenset[str]) -> Evaluate:
        function = self._functions.get(name)
        if function is None:
            raise ParseError(f"undeclared reference to '{name}' (in container '')")
        compiled = [self.compile(one, local) for one in args]

        def call(scope: _Scope) -> Any:
            values = [one(scope) for one in compiled]
            scope.budget.spend(_cost(values))
            return _apply(function, name, values)

        return call

    def _method(
        self, name: str, target: Node, args: tuple[Node, ...], local: frozenset[str]
    ) -> Evaluate:
        receiver = self.compile(target, local)
        compiled = [self.compile(one, local) for one in args]
        function = METHODS.get(name)

        def call(scope: _Scope) -> Any:
            values = [receiver(scope), *(one(scope) for one in compiled)]
            scope.budget.spend(_cost(values))
            if isinstance(values[0], Opaque):
                return values[0].call(name, values[1:])
            if function is None:
                raise no_overload(name)
            return _apply(function, name, values)

        return call

    def _has(self, args: tuple[Node, ...], local: frozenset[str]) -> Evaluate:
        if len(args) != 1 or not isinstance(args[0], Select):
            raise ParseError("invalid argument to has() macro")
        operand, field = self.compile(args[0].operand, local), args[0].field

        def has(scope: _Scope) -> bool:
            found = operand(scope)
            if isinstance(found, Optional):
                found = found.value if found.present else {}
            if isinstance(found, Struct):
                return field in found.fields
            if not isinstance(found, dict):
                raise CelError(f"invalid type for field selection: {type_name(found)}")
            return field in found

        return has

    def _bind(self, args: tuple[Node, ...], local: frozenset[str]) -> Evaluate:
        if len(args) != 3 or not isinstance(args[0], Ident):
            raise ParseError("cel.bind() takes a variable, its value and an expression")
        name, value = args[0].name, self.compile(args[1], local)
        body = self.compile(args[2], local | {name})

        def bind(scope: _Scope) -> Any:
            inner = scope.inner()
            inner.variables[name] = value(scope)
            return body(inner)

        return bind

    def _comprehension(
        self,
        name: str,
        count: int,
        make: Callable[..., Evaluate],
        node: Call,
        local: frozenset[str],
    ) -> Evaluate:
        assert node.target is not None
        names = [one.name for one in node.args[:count] if isinstance(one, Ident)]
        source = self.compile(node.target, local)
        bodies = [self.compile(one, local | set(names)) for one in node.args[count:]]
        return make(source, names, bodies)


# -- access --------------------------------------------------------------------------


def _select(found: Any, field: str) -> Any:
    if isinstance(found, dict):
        if field in found:
            return found[field]
        raise CelError(f"no such key: {field}")
    if isinstance(found, Struct):
        if field in found.fields:
            return found.fields[field]
        raise CelError(f"no such field: {field}")
    if isinstance(found, Optional):
        return _optional_at(found, field)
    if isinstance(found, Opaque):
        return found.call(field, ())
    raise CelError(f"no such overload: {type_name(found)}.{field}")


def _at(found: Any, index: Any) -> Any:
    if isinstance(found, list):
        if isinstance(index, float) and index.is_integer():
            index = int(index)
        if not isinstance(index, int) or isinstance(index, bool):
            raise no_overload("_[_]")
        if not 0 <= index < len(found):
            raise CelError(f"index out of bounds: {index}")
        return found[index]
    if isinstance(found, dict):
        if isinstance(index, (str, int, float)) and index in found:
            return found[index]
        raise CelError(f"no such key: {index}")
    if isinstance(found, Optional):
        return _optional_at(found, index)
    raise no_overload("_[_]")


def _optional_at(found: Any, index: Any) -> Optional:
    if isinstance(found, Optional):
        if not found.present:
            return NONE
        found = found.value
    if isinstance(found, Struct):
        found = found.fields
    if isinstance(found, Mapping):
        return Optional(True, found[index]) if index in found else NONE
    if isinstance(found, list) and isinstance(index, int):
        return Optional(True, found[index]) if 0 <= index < len(found) else NONE
    if found is None:
        return NONE
    raise no_overload("_?._")


def _optional(value: Any) -> Optional:
    if isinstance(value, Optional):
        return value
    raise CelError(f"expected an optional value, not {type_name(value)}")


def _dotted(node: Node) -> str:
    if isinstance(node, Ident):
        return node.name
    if isinstance(node, Select) and not node.optional:
        operand = _dotted(node.operand)
        return operand and f"{operand}.{node.field}"
    return ""


def _cost(values: Sequence[Any]) -> int:
    steps = 1
    for one in values:
        if isinstance(one, (str, bytes, list, dict)):
            steps += len(one) // 10
    return steps


def _apply(function: Callable[..., Any], name: str, values: list[Any]) -> Any:
    try:
        return function(*values)
    except CelError:
        raise
    except (TypeError, AttributeError):
        raise no_overload(f"{name}({', '.join(map(type_name, values))})") from None
    except (ValueError, OverflowError, ArithmeticError, LookupError) as error:
        raise CelError(str(error) or name) from None


# -- logic ---------------------------------------------------------------------------


def _and(left: Evaluate, right: Evaluate) -> Evaluate:
    return _short_circuit(left, right, decides=False)


def _or(left: Evaluate, right: Evaluate) -> Evaluate:
    return _short_circuit(left, right, decides=True)


def _short_circuit(left: Evaluate, right: Evaluate, *, decides: bool) -> Evaluate:
    """One side that decides makes up for an error of the other."""

    def evaluate(scope: _Scope) -> bool:
        failed: CelError | None = None
        try:
            if _boolean(left(scope)) is decides:
                return decides
        except CelError as error:
            failed = error
        if _boolean(right(scope)) is decides:
            return decides
        if failed is not None:
            raise failed
        return not decides

    return evaluate


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise CelError(f"no such overload: expected bool, not {type_name(value)}")


def _choose(condition: Evaluate, chosen: Evaluate, other: Evaluate) -> Evaluate:
    return lambda scope: (chosen if _boolean(condition(scope)) else other)(scope)


def _not(operand: Evaluate) -> Evaluate:
    return lambda scope: not _boolean(operand(scope))


def _equal(left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda scope: equal(left(scope), right(scope))


def _differ(left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda scope: not equal(left(scope), right(scope))


_SPECIAL: dict[str, Callable[..., Evaluate]] = {
    "_&&_": _and,
    "_||_": _or,
    "_?_:_": _choose,
    "!_": _not,
    "_==_": _equal,
    "_!=_": _differ,
}


# -- macros --------------------------------------------------------------------------


def _iterated(source: Any, count: int) -> Iterable[tuple[Any, ...]]:
    """Yield what the variables of a comprehension stand for, one tuple a round."""
    if isinstance(source, list):
        return enumerate(source) if count == 2 else ((one,) for one in source)
    if isinstance(source, dict):
        return source.items() if count == 2 else ((key,) for key in source)
    raise CelError(f"expression of type {type_name(source)} cannot be range of a comprehension")


def _rounds(source: Evaluate, names: list[str], scope: _Scope) -> Iterable[_Scope]:
    """Set the variables for each round in one inner scope."""
    inner = scope.inner()
    variables, spend = inner.variables, scope.budget.spend
    for values in _iterated(source(scope), len(names)):
        spend(1)
        for name, value in zip(names, values, strict=True):
            variables[name] = value
        yield inner


def _all(source: Evaluate, names: list[str], bodies: list[Evaluate]) -> Evaluate:
    return _quantified(source, names, bodies[0], decides=False)


def _exists(source: Evaluate, names: list[str], bodies: list[Evaluate]) -> Evaluate:
    return _quantified(source, names, bodies[0], decides=True)


def _quantified(source: Evaluate, names: list[str], body: Evaluate, *, decides: bool) -> Evaluate:
    """all and exists: one round that decides makes up for errors of others."""

    def evaluate(scope: _Scope) -> bool:
        failed: CelError | None = None
        for inner in _rounds(source, names, scope):
            try:
                if _boolean(body(inner)) is decides:
                    return decides
            except CelError as error:
                if scope.budget.left < 0:
                    raise
                failed = error
        if failed is not None:
            raise failed
        return not decides

    return evaluate


def _exists_one(source: Evaluate, names: list[str], bodies: list[Evaluate]) -> Evaluate:
    body = bodies[0]

    def evaluate(scope: _Scope) -> bool:
        return sum(_boolean(body(inner)) for inner in _rounds(source, names, scope)) == 1

    return evaluate


def _filter(source: Evaluate, names: list[str], bodies: list[Evaluate]) -> Evaluate:
    body = bodies[0]

    def evaluate(scope: _Scope) -> list[Any]:
        return [
            inner.variables[names[0]]
            for inner in _rounds(source, names, scope)
            if _boolean(body(inner))
        ]

    return evaluate


def _transform(source: Evaluate, names: list[str], bodies: list[Evaluate]) -> Evaluate:
    """map and transformList, with or without a filter before the transformation."""
    *conditions, body = bodies

    def evaluate(scope: _Scope) -> list[Any]:
        return [
            body(inner)
            for inner in _rounds(source, names, scope)
            if all(_boolean(one(inner)) for one in conditions)
        ]

    return evaluate


def _transform_map(source: Evaluate, names: list[str], bodies: list[Evaluate]) -> Evaluate:
    *conditions, body = bodies

    def evaluate(scope: _Scope) -> dict[Any, Any]:
        return {
            inner.variables[names[0]]: body(inner)
            for inner in _rounds(source, names, scope)
            if all(_boolean(one(inner)) for one in conditions)
        }

    return evaluate


def _opt_map(source: Evaluate, names: list[str], bodies: list[Evaluate]) -> Evaluate:
    return _optional_transform(source, names, lambda inner: Optional(True, bodies[0](inner)))


def _opt_flat_map(source: Evaluate, names: list[str], bodies: list[Evaluate]) -> Evaluate:
    return _optional_transform(source, names, lambda inner: _optional(bodies[0](inner)))


def _optional_transform(
    source: Evaluate, names: list[str], body: Callable[[_Scope], Optional]
) -> Evaluate:
    def evaluate(scope: _Scope) -> Optional:
        found = _optional(source(scope))
        if not found.present:
            return NONE
        inner = scope.inner()
        inner.variables[names[0]] = found.value
        return body(inner)

    return evaluate


_MACROS: dict[tuple[str, int], tuple[int, Callable[..., Evaluate]]] = {
    ("all", 2): (1, _all),
    ("exists", 2): (1, _exists),
    ("exists_one", 2): (1, _exists_one),
    ("existsOne", 2): (1, _exists_one),
    ("filter", 2): (1, _filter),
    ("map", 2): (1, _transform),
    ("map", 3): (1, _transform),
    ("all", 3): (2, _all),
    ("exists", 3): (2, _exists),
    ("existsOne", 3): (2, _exists_one),
    ("transformList", 3): (2, _transform),
    ("transformList", 4): (2, _transform),
    ("transformMap", 3): (2, _transform_map),
    ("transformMap", 4): (2, _transform_map),
    ("optMap", 2): (1, _opt_map),
    ("optFlatMap", 2): (1, _opt_flat_map),
}
"""(name, arguments) → how many of them are variables, and what to make of the rest."""
