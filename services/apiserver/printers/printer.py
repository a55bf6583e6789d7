"""What a Table shows of a kind: its columns and how an object fills them.

Source: kube-apiserver v1.36.2, pkg/printers (TableGenerator, columns with priority 1 are
always sent) and apiserver/pkg/registry/rest/table.go (the default converter).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from services.apiserver.printers.descriptions import describe

Object = dict[str, Any]
"""An API object as decoded JSON."""

Cells = Callable[[Object, float], list[Any]]
"""(object, now in seconds since the epoch) → one cell a column."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column definition. `doc` names an API field whose documentation describes it."""

    name: str
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0
    doc: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": describe(self.doc) if self.doc else self.description,
            "priority": self.priority,
        }


class Printer(Protocol):
    """Renders objects of one kind as rows of a Table."""

    @property
    def columns(self) -> list[dict[str, Any]]:
        """The columnDefinitions; shared, not to be changed."""
        ...

    @property
    def empty_rows(self) -> list[Any] | None:
        """`rows` of a Table without any."""
        ...

    def cells(self, obj: Object, now: float) -> list[Any]:
        """Return one cell a column; fields that the object lacks count as empty."""
        ...

    def conditions(self, obj: Object) -> list[dict[str, str]] | None:
        """Return the row's conditions, None if it has none."""
        ...

    def arrange(self, objects: Sequence[Object]) -> Sequence[Object]:
        """Return the objects of a list in the order of their rows."""
        ...


def _no_conditions(obj: Object) -> list[dict[str, str]] | None:
    return None


@dataclass(frozen=True)
class KindPrinter:
    """The printer of a built-in kind."""

    definitions: tuple[Column, ...]
    cells: Cells
    conditions: Callable[[Object], list[dict[str, str]] | None] = _no_conditions
    order: Callable[[Object], Any] | None = None

    @cached_property
    def columns(self) -> list[dict[str, Any]]:
        return [column.as_dict() for column in self.definitions]

    @property
    def empty_rows(self) -> list[Any] | None:
        return []

    def arrange(self, objects: Sequence[Object]) -> Sequence[Object]:
        return objects if self.order is None else sorted(objects, key=self.order)


class DefaultPrinter:
    """The printer of kinds that have none: name and creation time."""

    @cached_property
    def columns(self) -> list[dict[str, Any]]:
        created = Column("Created At", "date", doc=CREATION_TIMESTAMP)
        return [NAME.as_dict(), created.as_dict()]

    @property
    def empty_rows(self) -> list[Any] | None:
        return None

    def cells(self, obj: Object, now: float) -> list[Any]:
        metadata = obj.get("metadata") or {}
        created = metadata.get("creationTimestamp") or "0001-01-01T00:00:00Z"
        return [metadata.get("name", ""), created]

    def conditions(self, obj: Object) -> list[dict[str, str]] | None:
        return None

    def arrange(self, objects: Sequence[Object]) -> Sequence[Object]:
        return objects


CREATION_TIMESTAMP = "apimachinery.pkg.apis.meta.v1.ObjectMeta.creationTimestamp"
NAME = Column("Name", format="name", doc="apimachinery.pkg.apis.meta.v1.ObjectMeta.name")
AGE = Column("Age", doc=CREATION_TIMESTAMP)
CONTAINERS = Column(
    "Containers", description="Names of each container in the template.", priority=1
)
IMAGES = Column(
    "Images", description="Images referenced by each container in the template.", priority=1
)
