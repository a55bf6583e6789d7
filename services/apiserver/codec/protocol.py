"""What the write path asks of a kind's codec, whether its types are built in or custom."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from services.apiserver.errors import BadRequest

Object = dict[str, Any]
"""An API object as decoded JSON."""

FIRST_FIELDS = ("kind", "apiVersion", "metadata")
"""The fields that kube-apiserver prints first."""

_MAX_MESSAGES = 100
"""kube-apiserver stops collecting after as many strict decoding errors."""


class DecodeError(BadRequest):
    """A body that does not fit its kind. `detail` is Go's message alone, without the kind."""

    def __init__(self, message: str, detail: str) -> None:
        super().__init__(message)
        self.detail = detail


@dataclass(slots=True)
class FieldReport:
    """The unknown and duplicate fields of one body, as texts ready for Warning headers."""

    messages: list[str] = field(default_factory=list)

    def add(self, message: str) -> None:
        if len(self.messages) < _MAX_MESSAGES and message not in self.messages:
            self.messages.append(message)

    def strict_error(self) -> str:
        """Return the text that refuses the body under fieldValidation=Strict."""
        return "strict decoding error: " + ", ".join(self.messages)


class Codec(Protocol):
    """Turns untrusted JSON into objects of one kind."""

    @property
    def group(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def kind(self) -> str: ...

    def decode(self, value: Any, *, report: FieldReport | None = None) -> Object:
        """Return a new object that shares nothing mutable with `value`.

        Types are checked, unknown fields dropped (and reported by path), empty values left
        out or filled in as Go prints them, quantities and times canonical. kind and
        apiVersion are taken as they are; null counts as {}.

        Raises:
            DecodeError: a value has the wrong type.
        """
        ...

    def empty(self) -> Object:
        """Return the kind's zero value as it is printed, without kind and apiVersion."""
        ...

    def refuse(self, detail: str) -> DecodeError:
        """Return the error that tells a client why its body is not of this kind."""
        ...
