"""Syntax tree → closures.

Source: github.com/google/cel-spec, doc/langdef.md; cel-go ext/bindings.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from services.apiserver.cel.evaluation import (
    Budget,
    Evaluate,
    Scope,
    expect_optional,
    item_at,
    optional_at,
    select,
)
from services.apiserver.cel.functions import FUNCTIONS, METHODS
from services.apiserver.cel.macros import MACROS, OPERATORS
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
    CelError,
    Opaque,
    Optional,
    Struct,
    TypeValue,
    no_overload,
    type_name,
)

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
            return self._evaluate(Scope(dict(variables), budget or Budget()))
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

            def read(scope: Scope) -> Any:
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
            return lambda scope: optional_at(operand(scope), field)

        def read(scope: Scope) -> Any:
            found = operand(scope)
            if type(found) is dict:
                try:
                    return found[field]
                except KeyError:
                    raise CelError(f"no such key: {field}") from None
            return select(found, field)

        return read

    def _index(self, node: Index, local: frozenset[str]) -> Evaluate:
        operand, index = self.compile(node.operand, local), self.compile(node.index, local)
        if node.optional:
            return lambda scope: optional_at(operand(scope), index(scope))
        return lambda scope: item_at(operand(scope), index(scope))

    def _list(self, items: tuple[tuple[Node, bool], ...], local: frozenset[str]) -> Evaluate:
        compiled = [(self.compile(item, local), optional) for item, optional in items]
        if not any(optional for _, optional in compiled):
            plain = [item for item, _ in compiled]
            return lambda scope: [item(scope) for item in plain]

        def make(scope: Scope) -> Any:
            out = []
            for item, optional in compiled:
                value = item(scope)
                if not optional:
                    out.append(value)
                elif expect_optional(value).present:
                    out.append(value.value)
            return out

        return make

    def _map(self, entries: tuple[tuple[Node, Node, bool], ...], local: frozenset[str]) -> Evaluate:
        compiled = [
            (self.compile(key, local), self.compile(value, local), optional)
            for key, value, optional in entries
        ]

        def make(scope: Scope) -> Any:
            out: dict[Any, Any] = {}
            for key, value, optional in compiled:
                name, made = key(scope), value(scope)
                if not isinstance(name, (str, int)):
                    raise CelError(f"unsupported key type: {type_name(name)}")
                if optional:
                    if not expect_optional(made).present:
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

        def make(scope: Scope) -> Any:
            out = {}
            for field, value, optional in compiled:
                made = value(scope)
                if optional:
                    if not expect_optional(made).present:
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
            special = OPERATORS.get(name)
            if special is not None:
                return special(*(self.compile(one, local) for one in args))
            return self._function(name, args, local)
        if isinstance(target, Ident) and target.name == "cel" and name == "bind":
            return self._bind(args, local)
        macro = MACROS.get((name, len(args)))
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

        def call(scope: Scope) -> Any:
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

        def call(scope: Scope) -> Any:
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

        def has(scope: Scope) -> bool:
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

        def bind(scope: Scope) -> Any:
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
