"""The error that travels from a wrong value up to the codec, gathering its path."""

from __future__ import annotations

from typing import Any


class Mismatch(Exception):
    """A JSON value does not fit its Go type.

    `message` is the whole text for types that parse themselves (quantities, times);
    otherwise the text is made from the value, the Go type and the path.
    """

    def __init__(self, value: Any = None, go_type: str = "", message: str = "") -> None:
        super().__init__()
        self.value = value
        self.go_type = go_type
        self.message = message
        self.struct = ""
        self.path: list[str] = []

    def within(self, struct: str, field: str) -> None:
        """Note that the value lies in `field` of `struct`; called from the inside out."""
        self.struct = self.struct or struct
        self.path.append(field)

    def text(self) -> str:
        """Return Go's message."""
        if self.message:
            return self.message
        found = describe(self.value, self.go_type)
        if not self.path:
            return f"json: cannot unmarshal {found} into Go value of type {self.go_type}"
        where = ".".join([self.struct, *reversed(self.path)])
        return f"json: cannot unmarshal {found} into Go struct field {where} of type {self.go_type}"


def describe(value: Any, go_type: str = "") -> str:
    """Return how Go names a JSON value in errors; numbers that do not fit are quoted."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return f"number {value}" if go_type.startswith(("int", "uint")) else "number"
    if isinstance(value, str):
        return "string"
    if value is None:
        return "null"
    return "array" if isinstance(value, list) else "object"
