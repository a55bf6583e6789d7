"""How the fields of built-in kinds merge: patch strategies, list types, map types.

Read from listtypes.json (written by tools/listtypes.py) when the first patch or apply needs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import orjson

from services.apiserver.codec.facts import FieldFact, definitions

_FILE = Path(__file__).with_name("listtypes.json")


@dataclass(frozen=True, slots=True)
class MergeFact:
    """What the API says about merging one field, or a struct as a whole; empty where silent."""

    patch_strategies: tuple[str, ...] = ()
    """merge, replace, retainKeys; for strategic merge patches."""
    patch_merge_key: str = ""
    list_type: str = ""
    """map, set or atomic; for server-side apply."""
    list_map_keys: tuple[str, ...] = ()
    map_type: str = ""
    """granular or atomic."""

    @classmethod
    def from_text(cls, text: str) -> MergeFact:
        strategies, merge_key, list_type, keys, map_type = text.split("|")
        return cls(_split(strategies), merge_key, list_type, _split(keys), map_type)


NO_MERGE_FACT = MergeFact()


@cache
def field_type(definition: str, field: str) -> str | None:
    """Return the type of a struct's field as FieldFact.type writes it; None if it has no such
    field.

    Raises:
        KeyError: no struct has this OpenAPI name.
    """
    text = definitions()[definition].get(field)
    return None if text is None else FieldFact.from_text(text).type


@cache
def merge_fact(definition: str, field: str) -> MergeFact:
    """Return how a struct's field merges; with field "" how the struct itself does."""
    text = _facts().get(definition, {}).get(field)
    return NO_MERGE_FACT if text is None else MergeFact.from_text(text)


def is_struct(type_: str) -> bool:
    """Whether a type is the OpenAPI name of a struct (and no pointer, list, map or leaf)."""
    return type_ in definitions()


@cache
def _facts() -> dict[str, dict[str, str]]:
    facts: dict[str, dict[str, str]] = orjson.loads(_FILE.read_bytes())
    return facts


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()
