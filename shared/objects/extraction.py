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

    __slots__ = ("_fields", "_interner", "generation", "unknown")

    def __init__(self, rules: Iterable[ExtractionRule] = ()) -> None:
        self._interner = SelectionInterner()
        self._fields: PrefixTable[_Fields] = PrefixTable(_Fields({}))
        self.generation = 0
        """How many rules have been added: selections of different generations do not compare."""
        self.unknown: set[bytes] = set()
        """Prefixes that have a rule which can't be known here: their definition is encrypted."""
        for rule in rules:
            self.add(rule)

    def add(self, rule: ExtractionRule) -> None:
        """Use `rule` from now on; a custom resource's, or a changed one in place of the old.

        Caches keep what was extracted before: see ResourceCache.reselect. The rule that is
        used already changes nothing.
        """
        self.unknown.discard(rule.prefix)
        known = self._fields.get(rule.prefix)
        if known is not None and known.sources == rule.fields:
            return
        self._fields.register(rule.prefix, _Fields(rule.fields))
        self.generation += 1

    def is_unknown(self, key: bytes) -> bool:
        """Whether only others can extract what selectors see of the value of `key`."""
        return any(key.startswith(prefix) for prefix in self.unknown)

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
            raise NotAnObject(f"{key!r}: not JSON ({len(stored)} bytes)") from error
        if not isinstance(value, dict):
            raise NotAnObject(f"{key!r}: not a JSON object ({len(stored)} bytes)")
        return self.selection_of(key, value)

    def selection_of(self, key: bytes, value: JsonObject) -> Selection:
        """Return what selectors see of an object that is parsed already."""
        metadata = value.get("metadata")
        labels = metadata.get("labels") if isinstance(metadata, dict) else None
        if labels is not None and not _is_string_map(labels):
            raise NotAnObject(f"{key!r}: labels that are not strings")
        return self._interner.selection(labels, self._fields.of_key(key).of(value))


def _is_string_map(value: object) -> bool:
    return isinstance(value, dict) and all(type(item) is str for item in value.values())


class _Fields:
    """The fields of one rule, sorted by their parent: a pod's ten are in two.

    Walking each path from the top took 5 us more for a pod (loadtest/bench_watchcache.py).
    """

    __slots__ = ("_by_parent", "_functions", "sources")

    def __init__(self, sources: Mapping[str, FieldSource]) -> None:
        self.sources = sources
        by_parent: dict[tuple[str, ...], list[tuple[str, str, str]]] = {}
        self._functions: list[tuple[str, Callable[[JsonObject], str]]] = []
        for name, source in sources.items():
            if isinstance(source, tuple):
                path, absent = source
                by_parent.setdefault(path[:-1], []).append((name, path[-1], absent))
            else:
                self._functions.append((name, source))
        self._by_parent = list(by_parent.items())

    def of(self, value: JsonObject) -> dict[str, str]:
        fields: dict[str, str] = {}
        for path, children in self._by_parent:
            parent: Any = value
            for name in path:
                parent = parent.get(name) if isinstance(parent, dict) else None
            if not isinstance(parent, dict):
                parent = _NOTHING
            for field_name, child, absent in children:
                found = parent.get(child)
                fields[field_name] = found if type(found) is str else _text(found, absent)
        for field_name, function in self._functions:
            fields[field_name] = function(value)
        return fields


_NOTHING: dict[str, Any] = {}


def _text(found: object, absent: str) -> str:
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, (int, float)):
        return str(found)
    return absent
