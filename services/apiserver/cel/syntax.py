"""Text → syntax tree, by the grammar of the CEL specification.

Source: github.com/google/cel-spec, doc/langdef.md, and the optional syntax of cel-go.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from services.apiserver.cel.values import GREATEST_INT, GREATEST_UINT, Uint

MAX_DEPTH = 120
"""Levels of nesting; cel-go allows 250, but each takes Python several frames."""

RESERVED = frozenset(
    """
    as break const continue else for function if import let loop namespace package return var void
    while
    """.split()
)
"""What no identifier may be called, beside the KEYWORDS."""
KEYWORDS = frozenset(["true", "false", "null", "in"])


class ParseError(Exception):
    """The text is not a CEL expression."""


@dataclass(frozen=True, slots=True)
class Literal:
    value: Any


@dataclass(frozen=True, slots=True)
class Ident:
    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """operand.field, or operand.?field."""

    operand: Node
    field: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Index:
    """operand[index], or operand[?index]."""

    operand: Node
    index: Node
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """function(args), or target.function(args). Operators are named like _+_."""

    function: str
    target: Node | None
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class ListLiteral:
    """[a, ?b]: each item and whether it is an optional one."""

    items: tuple[tuple[Node, bool], ...]


@dataclass(frozen=True, slots=True)
class MapLiteral:
    """{k: v, ?k: v}."""

    entries: tuple[tuple[Node, Node, bool], ...]


@dataclass(frozen=True, slots=True)
class StructLiteral:
    """Name{field: v, ?field: v}."""

    name: str
    fields: tuple[tuple[str, Node, bool], ...]


Node = Literal | Ident | Select | Index | Call | ListLiteral | MapLiteral | StructLiteral

_TOKENS = re.compile(
    r"""
    (?P<space>(?:\s+|//[^\n]*)+)
  | (?P<string>(?i:b?r?|rb)(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''
        |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
  | (?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:\d+\.\d+|\.\d+|\d+(?=[eE]))(?:[eE][+-]?\d+)?|\d+[uU]?)
  | (?P<ident>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<quoted>`[A-Za-z0-9_.\-/ ]+`)
  | (?P<op>&&|\|\||==|!=|<=|>=|[-+*/%!<>?:.,()\[\]{}])
    """,
    re.VERBOSE | re.DOTALL,
)
_RAW = re.compile(r"(?i)(b?r?|rb)(\"\"\"|'''|\"|')", re.DOTALL)
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\?\"'`])|[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})"
    r"|([0-3][0-7]{2})|(.))",
    re.DOTALL,
)
_SIMPLE_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

_BINARY: tuple[dict[str, str], ...] = (
    {"||": "_||_"},
    {"&&": "_&&_"},
    {
        "<": "_<_",
        "<=": "_<=_",
        ">": "_>_",
        ">=": "_>=_",
        "==": "_==_",
        "!=": "_!=_",
        "in": "@in",
    },
    {"+": "_+_", "-": "_-_"},
    {"*": "_*_", "/": "_/_", "%": "_%_"},
)


def parse(text: str) -> Node:
    """Return the syntax tree of an expression.

    Raises:
        ParseError: it is none.
    """
    parser = _Parser(_tokens(text))
    try:
        node = parser.expression()
    except RecursionError:
        raise ParseError("the expression is nested too deeply") from None
    parser.expect_end()
    return node


def _tokens(text: str) -> list[tuple[str, str, int]]:
    out: list[tuple[str, str, int]] = []
    position = 0
    while position < len(text):
        match = _TOKENS.match(text, position)
        if match is None or match.lastgroup is None:
            raise ParseError(f"Syntax error: token recognition error at {text[position:][:20]!r}")
        if match.lastgroup != "space":
            out.append((match.lastgroup, match[0], position))
        position = match.end()
    out.append(("end", "<EOF>", position))
    return out


class _Parser:
    def __init__(self, tokens: list[tuple[str, str, int]]) -> None:
        self._tokens = tokens
        self._position = 0
        self._depth = 0

    def expression(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ParseError("the expression is nested too deeply")
        node = self._binary(0)
        if self._take("?"):
            chosen = self._binary(0)
            self._expect(":")
            node = Call("_?_:_", None, (node, chosen, self.expression()))
        self._depth -= 1
        return node

    def expect_end(self) -> None:
        kind, text, _ = self._tokens[self._position]
        if kind != "end":
            raise ParseError(f"Syntax error: mismatched input {text!r} expecting <EOF>")

    def _binary(self, level: int) -> Node:
        if level == len(_BINARY):
            return self._unary()
        operators = _BINARY[level]
        node = self._binary(level + 1)
        while True:
            kind, text, _ = self._tokens[self._position]
            if text not in operators or kind not in ("op", "ident"):
                return node
            self._position += 1
            node = Call(operators[text], None, (node, self._binary(level + 1)))

    def _unary(self) -> Node:
        negations, minuses = 0, 0
        while self._take("!"):
            negations += 1
        while not negations and self._take("-"):
            minuses += 1
        if minuses:
            kind, text, _ = self._tokens[self._position]
            if kind == "number":
                # The least integer has no positive counterpart.
                self._position += 1
                node: Node = self._members(Literal(_number(text, negative=True)))
                minuses -= 1
            else:
                node = self._members(self._primary())
        else:
            node = self._members(self._primary())
        if negations % 2:
            node = Call("!_", None, (node,))
        if minuses % 2:
            node = Call("-_", None, (node,))
        return node

    def _members(self, node: Node) -> Node:
        while True:
            if self._take("."):
                optional = self._take("?")
                kind, text, _ = self._next()
                if kind == "quoted":
                    text = text.strip("`")
                elif kind != "ident":
                    raise ParseError(f"Syntax error: no viable alternative at input '.{text}'")
                if kind == "ident" and not optional and self._take("("):
                    node = Call(text, node, self._arguments())
                else:
                    node = Select(node, text, optional)
            elif self._take("["):
                optional = self._take("?")
                index = self.expression()
                self._expect("]")
                node = Index(node, index, optional)
            elif self._at("{") and (name := _qualified_name(node)):
                self._position += 1
                node = StructLiteral(name, self._fields())
            else:
                return node

    def _primary(self) -> Node:
        kind, text, _ = self._next()
        if kind == "number":
            return Literal(_number(text))
        if kind == "string":
            return Literal(_string(text))
        if kind == "ident":
            if text in _WORDS:
                return Literal(_WORDS[text])
            if text in RESERVED or text == "in":
                raise ParseError(f"Syntax error: reserved identifier: {text}")
            if self._take("("):
                return Call(text, None, self._arguments())
            return Ident(text)
        if text == "(":
            node = self.expression()
            self._expect(")")
            return node
        if text == "[":
            return ListLiteral(self._sequence("]", self._item))
        if text == "{":
            return MapLiteral(self._sequence("}", self._entry))
        if text == "." and self._tokens[self._position][0] == "ident":
            return self._primary()
        raise ParseError(f"Syntax error: unexpected {text!r}")

    def _arguments(self) -> tuple[Node, ...]:
        return self._sequence(")", self.expression)

    def _item(self) -> tuple[Node, bool]:
        optional = self._take("?")
        return self.expression(), optional

    def _entry(self) -> tuple[Node, Node, bool]:
        optional = self._take("?")
        key = self.expression()
        self._expect(":")
        return key, self.expression(), optional

    def _fields(self) -> tuple[tuple[str, Node, bool], ...]:
        return self._sequence("}", self._field)

    def _field(self) -> tuple[str, Node, bool]:
        optional = self._take("?")
        kind, text, _ = self._next()
        if kind not in ("ident", "quoted"):
            raise ParseError(f"Syntax error: unexpected {text!r}, expecting a field")
        self._expect(":")
        return text.strip("`"), self.expression(), optional

    def _sequence(self, end: str, item: Callable[[], Any]) -> tuple[Any, ...]:
        out: list[Any] = []
        while not self._take(end):
            if out:
                self._expect(",")
                if self._take(end):
                    break
            out.append(item())
        return tuple(out)

    def _next(self) -> tuple[str, str, int]:
        token = self._tokens[self._position]
        if token[0] == "end":
            raise ParseError("Syntax error: mismatched input '<EOF>'")
        self._position += 1
        return token

    def _at(self, text: str) -> bool:
        kind, found, _ = self._tokens[self._position]
        return kind == "op" and found == text

    def _take(self, text: str) -> bool:
        found = self._at(text)
        self._position += found
        return found

    def _expect(self, text: str) -> None:
        if not self._take(text):
            found = self._tokens[self._position][1]
            raise ParseError(f"Syntax error: mismatched input {found!r} expecting {text!r}")


_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None}


def _qualified_name(node: Node) -> str:
    """Return the dotted name that a node spells, "" if it is none."""
    if isinstance(node, Ident):
        return node.name
    if isinstance(node, Select) and not node.optional:
        operand = _qualified_name(node.operand)
        return operand and f"{operand}.{node.field}"
    return ""


def _number(text: str, *, negative: bool = False) -> Any:
    unsigned = text[-1] in "uU"
    digits = text.rstrip("uU")
    hexadecimal = digits[:2] in ("0x", "0X")
    if not hexadecimal and any(one in digits for one in ".eE"):
        return -float(digits) if negative else float(digits)
    number = int(digits, 16 if hexadecimal else 10) * (-1 if negative else 1)
    if unsigned:
        if not 0 <= number <= GREATEST_UINT:
            raise ParseError("invalid uint literal")
        return Uint(number)
    if not -GREATEST_INT - 1 <= number <= GREATEST_INT:
        raise ParseError("invalid int literal")
    return number


def _string(text: str) -> str | bytes:
    match = _RAW.match(text)
    assert match is not None
    prefix, quote = match[1].lower(), match[2]
    body = text[match.end() : -len(quote)]
    if "b" not in prefix:
        return body if "r" in prefix else _ESCAPE.sub(_unescaped, body)
    if "r" in prefix:
        return body.encode()
    return b"".join(_bytes(body))


def _unescaped(match: re.Match[str]) -> str:
    simple, byte, short, long, octal, other = match.groups()
    if simple is not None:
        return _SIMPLE_ESCAPES.get(simple, simple)
    if other is not None:
        raise ParseError(f"Syntax error: invalid escape \\{other}")
    code = int(octal, 8) if octal else int(byte or short or long, 16)
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        raise ParseError("Syntax error: invalid unicode code point")
    return chr(code)


def _bytes(body: str) -> list[bytes]:
    """Return the parts of a bytes literal: there \\x and octal escapes are bytes."""
    out: list[bytes] = []
    position = 0
    for match in _ESCAPE.finditer(body):
        out.append(body[position : match.start()].encode())
        _, byte, _, _, octal, _ = match.groups()
        if byte is not None:
            out.append(bytes([int(byte, 16)]))
        elif octal is not None:
            out.append(bytes([int(octal, 8)]))
        else:
            out.append(_unescaped(match).encode())
        position = match.end()
    out.append(body[position:].encode())
    return out
