"""Decoding driven by the Go types: what json.Unmarshal and json.Marshal make of a value.

kube-apiserver decodes a body into Go structs and prints those, so a field that holds its
zero value is left out (omitempty) or printed (no omitempty, structs, times and quantities by
value) whatever the client wrote. Decoders are closures over a table of fields, compiled when
a struct is first met: a table lookup and a type check a field, a call only for what needs
one.

A slice without omitempty prints null when it is empty: kube-apiserver answers with what it
stored, and its storage form, protobuf, does not tell an empty list from none.
Source: Go's encoding/json and its copy sigs.k8s.io/json; kube-apiserver v1.36.2.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from services.apiserver.codec import leaves
from services.apiserver.codec.facts import FieldFact, fields_of, go_name
from services.apiserver.codec.mismatch import Mismatch

Decoder = Callable[[Any, list[str]], Any]
"""Takes a JSON value that is not null, and a list that receives the names of unknown fields.

Raises Mismatch. The result shares nothing mutable with the value.
"""

_FieldEntry = tuple[type | None, Decoder, bool]
"""A type taken as it is, the decoder for all others, whether an empty result is left out."""


EMPTY_COUNTS = frozenset([("io.k8s.api.autoscaling.v2.HPAScalingRules", "policies")])
"""Lists of which the defaults tell an empty one from none, though both print alike."""


@cache
def decoder_for(type_: str) -> Decoder:
    """Return the decoder of a type as FieldFact.type writes it."""
    if type_.startswith("*"):
        return decoder_for(type_[1:])
    if type_.startswith("[]"):
        return _list_decoder(type_)
    if type_.startswith("map:"):
        return _map_decoder(type_)
    if type_ in leaves.DECODERS:
        return leaves.DECODERS[type_]
    schema_like = _SCHEMA_LIKE.get(type_)
    return schema_like() if schema_like else _struct_decoder(type_)


def zero_of(type_: str) -> Any:
    """Return a new zero value of a type as it is printed; null for nil."""
    if type_.startswith(("*", "[]", "map:")):
        return None
    if type_ in leaves.ZEROS:
        return leaves.ZEROS[type_]
    return decoder_for(type_)({}, [])


def _is_struct(type_: str) -> bool:
    return not type_.startswith(("*", "[]", "map:")) and type_ not in leaves.ZEROS


def _struct_decoder(definition: str) -> Decoder:
    struct = definition.rpartition(".")[2]
    go_type = go_name(definition)
    table: dict[str, _FieldEntry] = {}
    always: list[tuple[str, Any, Decoder | None]] = []
    pending = [definition]
    find = table.get

    def decode(value: Any, unknown: list[str]) -> Any:
        if pending:
            _fill(pending.pop(), table, always)
        if type(value) is not dict:
            raise Mismatch(value, go_type)
        out: dict[str, Any] = {}
        key = ""
        try:
            for key, item in value.items():
                entry = find(key)
                if entry is None:
                    unknown.append(key)
                    continue
                taken, convert, omit_empty = entry
                if type(item) is taken:
                    if item or not omit_empty:
                        out[key] = item
                elif item is not None:
                    made = convert(item, unknown)
                    if made or not omit_empty:
                        out[key] = made
        except Mismatch as mismatch:
            mismatch.within(struct, key)
            raise
        for key, zero, make in always:
            if key not in out:
                out[key] = zero if make is None else make({}, unknown)
        return out

    return decode


def _fill(
    definition: str,
    table: dict[str, _FieldEntry],
    always: list[tuple[str, Any, Decoder | None]],
) -> None:
    for name, fact in fields_of(definition).items():
        table[name] = (
            leaves.TAKEN.get(fact.type.lstrip("*")),
            decoder_for(fact.type),
            _omits_empty(fact) and (definition, name) not in EMPTY_COUNTS,
        )
        if _always_printed(fact):
            struct = _is_struct(fact.type)
            always.append(
                (name, None, decoder_for(fact.type)) if struct else (name, zero_of(fact.type), None)
            )


def _omits_empty(fact: FieldFact) -> bool:
    """Whether a decoded value that is empty stands for "nothing there"."""
    if fact.type.startswith(("[]", "map:")) or fact.type in ("time", "microtime", "bytes"):
        return True
    scalar = fact.type in leaves.TAKEN or fact.type in leaves.INTEGERS or fact.type == "float64"
    return scalar and not fact.required


def _always_printed(fact: FieldFact) -> bool:
    if fact.omit_zero:
        return False
    return fact.required or _is_struct(fact.type) or fact.type in leaves.STRUCT_LIKE


def _list_decoder(type_: str) -> Decoder:
    go_type = go_name(type_)
    element_type = type_[2:]
    taken = leaves.TAKEN.get(element_type)
    convert = decoder_for(element_type)

    def decode_scalars(value: Any, unknown: list[str]) -> Any:
        if type(value) is not list:
            raise Mismatch(value, go_type)
        return [
            item
            if type(item) is taken
            else (zero_of(element_type) if item is None else convert(item, unknown))
            for item in value
        ]

    def decode(value: Any, unknown: list[str]) -> Any:
        if type(value) is not list:
            raise Mismatch(value, go_type)
        return [zero_of(element_type) if item is None else convert(item, unknown) for item in value]

    return decode_scalars if taken else decode


def _map_decoder(type_: str) -> Decoder:
    go_type = go_name(type_)
    element_type = type_[4:]
    taken = leaves.TAKEN.get(element_type)
    convert = decoder_for(element_type)
    # Go's nil bytes come back from storage as empty ones.
    zero = (lambda: "") if element_type == "bytes" else partial(zero_of, element_type)

    def decode(value: Any, unknown: list[str]) -> Any:
        if type(value) is not dict:
            raise Mismatch(value, go_type)
        out = {}
        for key, item in value.items():
            if type(item) is taken:
                out[key] = item
            elif item is None:
                out[key] = zero()
            else:
                out[key] = convert(item, unknown)
        return out

    return decode


_SCHEMA = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"


def _schema_or_bool() -> Decoder:
    schema = decoder_for(_SCHEMA)

    def decode(value: Any, unknown: list[str]) -> Any:
        if type(value) is bool:
            return value
        if type(value) is not dict:
            raise Mismatch(message="boolean or JSON schema expected")
        return schema(value, unknown)

    return decode


def _schema_or_array() -> Decoder:
    schema, schemas = decoder_for(_SCHEMA), decoder_for(f"[]{_SCHEMA}")

    def decode(value: Any, unknown: list[str]) -> Any:
        if type(value) is dict:
            return schema(value, unknown)
        return (schemas(value, unknown) or None) if type(value) is list else None

    return decode


def _schema_or_strings() -> Decoder:
    schema, strings = decoder_for(_SCHEMA), decoder_for("[]string")

    def decode(value: Any, unknown: list[str]) -> Any:
        if type(value) is dict:
            return schema(value, unknown)
        return (strings(value, unknown) or None) if type(value) is list else None

    return decode


_SCHEMA_LIKE: dict[str, Callable[[], Decoder]] = {
    "schemaorbool": _schema_or_bool,
    "schemaorarray": _schema_or_array,
    "schemaorstrings": _schema_or_strings,
}
