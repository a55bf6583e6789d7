"""The Table of a custom resource: additionalPrinterColumns, or name and age.

Source: kube-apiserver v1.36.2,
apiextensions-apiserver/pkg/registry/customresource/tableconvertor/tableconvertor.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from services.apiserver.customresources.jsonpath import JsonPath
from services.apiserver.printers.duration import since
from services.apiserver.printers.printer import AGE, CREATION_TIMESTAMP, NAME, Column, Object
from services.apiserver.values.time import TimeError, parse_time

AGE_PATH = ".metadata.creationTimestamp"


class CustomPrinter:
    """The printer of one version of a custom resource."""

    def __init__(self, columns: Sequence[Mapping[str, Any]]) -> None:
        if columns:
            self.columns = [NAME.as_dict(), *(_column(one) for one in columns)]
        else:
            columns = [{"type": "date", "jsonPath": AGE_PATH}]
            age = Column(AGE.name, "date", doc=CREATION_TIMESTAMP)
            self.columns = [NAME.as_dict(), age.as_dict()]
        self._cells = [(one["type"], JsonPath(one["jsonPath"])) for one in columns]

    @property
    def empty_rows(self) -> list[Any] | None:
        return []

    def cells(self, obj: Object, now: float) -> list[Any]:
        name = (obj.get("metadata") or {}).get("name", "")
        return [name, *(_cell(kind, path.find(obj), now) for kind, path in self._cells)]

    def conditions(self, obj: Object) -> list[dict[str, str]] | None:
        return None

    def arrange(self, objects: Sequence[Object]) -> Sequence[Object]:
        return objects


def _column(column: Mapping[str, Any]) -> dict[str, Any]:
    path = column["jsonPath"]
    return {
        "name": column["name"],
        "type": column["type"],
        "format": column.get("format", ""),
        "description": column.get("description")
        or f"Custom resource definition column (in JSONPath format): {path}",
        "priority": column.get("priority", 0),
    }


def _cell(kind: str, found: list[Any], now: float) -> Any:
    """Return what a column of that type shows of a path's first value."""
    if not found:
        return None
    value = found[0]
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    match kind:
        case "string":
            return _text(value)
        case "integer":
            return int(value) if number else None
        case "number":
            return value if number else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "date":
            return _age(value, now) if isinstance(value, str) else None
    return None


def _age(value: str, now: float) -> str:
    try:
        parse_time(value)
    except TimeError:
        return "<invalid>"
    return since(value, now)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    return str(value)
