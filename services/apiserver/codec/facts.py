"""The facts of the API's Go types, read from typefacts.json.

A type is a short text: a Go kind (string, bool, int32, int64, float64, bytes), a value type
with a JSON form of its own (time, microtime, duration, quantity, intorstring, raw,
schemaorbool, schemaorarray, schemaorstrings), the OpenAPI name of a struct, or one of these
behind "*" (pointer), "[]" (slice) and "map:" (map with string keys). The file writes "[=]" for
a named slice, which is a slice everywhere but in protobuf.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import orjson

META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_FILE = Path(__file__).with_name("typefacts.json")

_GO_NAMES = {
    "bytes": "[]uint8",
    "time": "v1.Time",
    "microtime": "v1.MicroTime",
    "duration": "v1.Duration",
    "quantity": "resource.Quantity",
    "intorstring": "intstr.IntOrString",
    "raw": "runtime.RawExtension",
}


@dataclass(frozen=True, slots=True)
class FieldFact:
    """One field of a struct: how Go decodes it and when it prints it.

    `required` fields are printed whatever they hold. `omit_zero` fields are left out even
    where Go's omitempty alone would print them (an empty struct, a zero time).
    """

    type: str
    required: bool
    omit_zero: bool
    path: tuple[int, ...]
    """The protobuf field numbers from the struct's message down to the field: more than one
    where it stands in an inlined struct, none where the message does not have it."""
    wrapped: bool
    """Whether the slices of the type are protobuf messages of their own, {1: items}."""

    @classmethod
    def from_text(cls, text: str) -> FieldFact:
        type_, _, path = text.partition("#")
        return cls(
            type=type_.lstrip("!?").replace("[=]", "[]"),
            required=type_.startswith("!"),
            omit_zero=type_.startswith("?"),
            path=tuple(map(int, path.split("."))) if path else (),
            wrapped="[=]" in type_,
        )


@cache
def definitions() -> dict[str, dict[str, str]]:
    """Return each struct's OpenAPI name with its JSON fields as FieldFact texts."""
    facts: dict[str, dict[str, str]] = orjson.loads(_FILE.read_bytes())
    return facts


def fields_of(definition: str) -> dict[str, FieldFact]:
    """Return the fields of a struct by their JSON names.

    Raises:
        KeyError: no struct has this OpenAPI name.
    """
    return {name: FieldFact.from_text(text) for name, text in definitions()[definition].items()}


def go_name(type_: str) -> str:
    """Return a type as Go's error messages write it: v1.PodSpec, map[string]string."""
    if type_.startswith("*"):
        return go_name(type_[1:])
    if type_.startswith("[]"):
        return "[]" + go_name(type_[2:])
    if type_.startswith("map:"):
        return "map[string]" + go_name(type_[4:])
    return _GO_NAMES.get(type_) or ".".join(type_.split(".")[-2:])
