"""The types of built-in kinds, from the facts of their Go types.

Source: kube-apiserver v1.36.2: the OpenAPI definitions' list and map types, made into types
as k8s.io/kube-openapi pkg/schemaconv/openapi.go does.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial

from services.apiserver.apply.types import ANYTHING, Anything, List, Map, Scalar, Type
from services.apiserver.codec.facts import fields_of
from services.apiserver.codec.schema import is_struct, merge_fact
from services.apiserver.openapi.defaults import default_of

_STRING, _NUMERIC, _BOOLEAN = Scalar("string"), Scalar("numeric"), Scalar("boolean")
_UNTYPED = Scalar("untyped")
_SCALARS: Mapping[str, Type] = {
    "string": _STRING,
    "bytes": _STRING,
    "bool": _BOOLEAN,
    **dict.fromkeys(("int32", "int64", "int", "uint32", "uint64", "float64"), _NUMERIC),
    **dict.fromkeys(("time", "microtime", "duration", "quantity", "intorstring"), _UNTYPED),
}


@cache
def struct_type(definition: str) -> Map:
    """Return the type of a struct by its OpenAPI name."""
    atomic = merge_fact(definition, "").map_type == "atomic"
    return Map(partial(_fields, definition), atomic=atomic)


def _fields(definition: str) -> Mapping[str, Type]:
    return {
        name: _field_type(definition, name, fact.type)
        for name, fact in fields_of(definition).items()
    }


def _field_type(definition: str, name: str, type_: str) -> Type:
    fact = merge_fact(definition, name)
    plain = type_.lstrip("*")
    if plain.startswith("[]"):
        return _list_type(plain[2:], fact.list_type, fact.list_map_keys)
    made = _type(plain)
    if fact.map_type == "atomic" and isinstance(made, Map):
        return made.atomic()
    return made


def _list_type(item: str, list_type: str, keys: tuple[str, ...]) -> List:
    defaults = {}
    for key in keys:
        found = fields_of(item)[key]
        defaults[key] = default_of(item, key, found, {}, required=found.required)
    return List(_type(item.lstrip("*")), defaults, atomic=list_type not in ("map", "set"))


@cache
def _type(type_: str) -> Type:
    if type_.startswith("[]"):
        return List(_type(type_[2:].lstrip("*")), atomic=True)
    if type_.startswith("map:"):
        return Map(element=_type(type_[4:].lstrip("*")))
    if is_struct(type_):
        return struct_type(type_)
    scalar = _SCALARS.get(type_)
    return _raw() if scalar is None else scalar


def _raw() -> Anything:
    """JSON of any form: RawExtension, JSON, and schemas that may be booleans."""
    return ANYTHING
