"""The CEL expressions of claim mappings and validation rules.

Source: kube-apiserver v1.36.2, apiserver/pkg/authentication/cel/compile.go;
apiserver/pkg/apis/apiserver/validation/validation.go (hasSelectExp).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from services.apiserver.cel import ParseError, Program, compile_expression
from services.apiserver.cel.syntax import (
    Call,
    Ident,
    Index,
    ListLiteral,
    Literal,
    MapLiteral,
    Node,
    Select,
    StructLiteral,
    parse,
)

CLAIMS, USER = "claims", "user"
USER_FIELDS = frozenset(["username", "uid", "groups", "extra"])

_NOT_BOOL = frozenset(
    """
    _+_ _-_ _*_ _/_ _%_ -_ size string int double orValue value join split replace lowerAscii
    upperAscii substring trim filter map
    """.split()
)


class Expression:
    """An expression over one variable, compiled.

    Raises ParseError where it is none.
    """

    __slots__ = ("node", "program")

    def __init__(self, text: str, variable: str, *, must_be_bool: bool = False) -> None:
        self.program: Program = compile_expression(text, (variable,))
        self.node: Node = parse(text)
        if variable == USER:
            for one in _selects(self.node, USER):
                if one.field not in USER_FIELDS:
                    raise ParseError(f"undefined field '{one.field}'")
        if must_be_bool and not _may_be_bool(self.node):
            raise ParseError("must evaluate to bool")

    def uses_claim(self, name: str) -> bool:
        """Whether it reads `claims.NAME`."""
        return any(one.field == name for one in _selects(self.node, CLAIMS))


def _may_be_bool(node: Node) -> bool:
    """Whether a value's type can be bool; what a claim holds is of no known type, so is not."""
    match node:
        case Literal(value):
            return isinstance(value, bool)
        case Call("_?_:_", None, (_, yes, no)):
            return _may_be_bool(yes) and _may_be_bool(no)
        case Call(name):
            return name not in _NOT_BOOL
        case Ident() | Select() | Index() | ListLiteral() | MapLiteral() | StructLiteral():
            return False


def _selects(node: Any, variable: str) -> Iterator[Select]:
    """Yield every `variable.field` of a tree, those in has() too."""
    if isinstance(node, Select) and node.operand == Ident(variable):
        yield node
    if isinstance(node, tuple):
        for one in node:
            yield from _selects(one, variable)
    elif is_dataclass(node) and not isinstance(node, type):
        for one in fields(node):
            yield from _selects(getattr(node, one.name), variable)
