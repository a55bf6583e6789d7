"""Takes out of a stored object, once, what selectors need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from shared.objects.interning import SelectionInterner
from shared.objects.keyspace import PrefixTable
from shared.objects.selection import Selection
from shared.objects.wire import PROTOBUF_MAGIC, NotAnObject, ProtobufValue

JsonObject = Mapping[str, Any]

FieldSource = tuple[tuple[str, ...], str] | Callable[[JsonObject], str]
"""Where a selectable field's value is: a path and what stands for absence, or a function."""


@dataclass(frozen=True, slots=True)
class ExtractionRule:
    """The selectable fields of the keys under `prefix`, beyond metadata.name and .namespace."""

    prefix: bytes
    fields: Mapping[str, FieldSource] = field(default_factory=dict)


class Extractor:
    """Selection data of stored objects, by key. Keys without a rule have labels only."""

    __slots__ = ("_interner", "_rules")

    def __init__(self, rules: Iterable[ExtractionRule] = ()) -> None:
        self._interner = SelectionInterner()
        self._rules: PrefixTable[Mapping[str, FieldSource]] = PrefixTable({})
        for rule in rules:
            self.add(rule)

    def add(self, rule: ExtractionRule) -> None:
        """Use `rule` from now on; a custom resource's, or a changed one in place of the old."""
        self._rules.register(rule.prefix, rule.fields)

    def extract(self, key: bytes, stored: bytes) -> Selection:
        """Return what selectors see of the stored value.

        Raises:
            NotAnObject: the value is not an API object in JSON.
            ProtobufValue: it is one in protobuf.
        """
        if stored.startswith(PROTOBUF_MAGIC):
            raise ProtobufValue
        try:
            value = orjson.loads(stored)
        except orjson.JSONDecodeError as error:
            raise NotAnObject(f"{key!r}: not JSON: {stored[:60]!r}") from error
        if not isinstance(value, dict):
            raise NotAnObject(f"{key!r}: not a JSON object: {stored[:60]!r}")
        return self.selection_of(key, value)

    def selection_of(self, key: bytes, value: JsonObject) -> Selection:
        """Return what selectors see of an object that is parsed already."""
        metadata = value.get("metadata")
        labels = metadata.get("labels") if isinstance(metadata, dict) else None
        if labels is not None and not _is_string_map(labels):
            raise NotAnObject(f"{key!r}: labels that are not strings")
        sources = self._rules.of_key(key)
        fields = {name: _field(value, source) for name, source in sources.items()}
        return self._interner.selection(labels, fields)


def _is_string_map(value: object) -> bool:
    return isinstance(value, dict) and all(type(item) is str for item in value.values())


def _field(value: JsonObject, source: FieldSource) -> str:
    if not isinstance(source, tuple):
        return source(value)
    path, default = source
    found: Any = value
    for name in path:
        if not isinstance(found, dict):
            return default
        found = found.get(name)
    if isinstance(found, str):
        return found
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, (int, float)):
        return str(found)
    return default
