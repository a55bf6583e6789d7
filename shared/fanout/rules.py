"""What to extract of objects: of built-in kinds by the table, of custom ones by definitions.

Definitions are learnt as they pass in the store's own order, so whoever follows the store
extracts the same from an object, whenever it was started.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from shared.objects.extraction import ExtractionRule, Extractor, FieldSource
from shared.objects.wire import SEALED
from shared.resources import Resource, SelectableField, resource_prefix, selection_rules

log = logging.getLogger("kubefan.fanout")

DEFINITIONS = "apiextensions.k8s.io/customresourcedefinitions/"


def extractor_for(resources: Iterable[Resource], etcd_prefix: str) -> Extractor:
    """Return the extractor that knows every resource's selectable fields."""
    rules = selection_rules(resources, etcd_prefix)
    return Extractor(
        ExtractionRule(prefix, {one.name: field_source(one) for one in fields})
        for prefix, fields in rules.items()
    )


class DefinitionRules:
    """Teaches an extractor the selectable fields of custom resources."""

    __slots__ = ("_etcd_prefix", "_extractor", "prefix")

    def __init__(self, extractor: Extractor, etcd_prefix: str) -> None:
        self._extractor = extractor
        self._etcd_prefix = etcd_prefix
        self.prefix = resource_prefix(DEFINITIONS.rstrip("/"), etcd_prefix)
        """Of the keys of the CustomResourceDefinitions."""

    def learn(self, key: bytes, stored: bytes) -> None:
        """Use what a stored definition says. One that can't be read teaches nothing.

        Of an encrypted one the key tells whose rule remains unknown, until somebody opens it.
        """
        if stored.startswith(SEALED):
            plural, _, group = key[len(self.prefix) :].decode(errors="replace").partition(".")
            prefix = resource_prefix(f"{group}/{plural}", self._etcd_prefix)
            self._extractor.unknown.add(prefix)
            return
        try:
            spec = orjson.loads(stored)["spec"]
            paths = [
                one["jsonPath"]
                for version in spec["versions"]
                for one in version.get("selectableFields") or ()
            ]
            rule = definition_rule(spec["group"], spec["names"]["plural"], paths, self._etcd_prefix)
        except (ValueError, TypeError, KeyError, AttributeError):
            log.warning("a definition that can't be read")
            return
        self._extractor.add(rule)


def definition_rule(
    group: str, plural: str, json_paths: Iterable[str], etcd_prefix: str
) -> ExtractionRule:
    """Return what to extract of a custom resource.

    `json_paths` are those of spec.versions[].selectableFields of all versions.
    """
    names = [path.removeprefix(".") for path in json_paths]
    return ExtractionRule(
        resource_prefix(f"{group}/{plural}", etcd_prefix),
        {name: (tuple(name.split(".")), "") for name in names},
    )


def field_source(selectable: SelectableField) -> FieldSource:
    """Return how a selectable field is read from a stored object."""
    if selectable.path and not selectable.fallback:
        return (selectable.path, selectable.default)

    def read(value: Mapping[str, Any]) -> str:
        return (
            text_at(value, selectable.path)
            or text_at(value, selectable.fallback)
            or selectable.default
        )

    return read


def text_at(value: Mapping[str, Any], path: tuple[str, ...]) -> str:
    """Return the scalar at `path` as text, "" where there is none."""
    found: Any = value
    for name in path:
        if not isinstance(found, Mapping):
            return ""
        found = found.get(name)
    if isinstance(found, bool):
        return "true" if found else "false"
    return str(found) if isinstance(found, (str, int, float)) else ""
